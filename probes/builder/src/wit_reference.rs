//! Writes `docs/wit.md`, the reference of the contract, from `wit/`; a test says when that is needed.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wit_parser::{
    Docs, Enum, Function, FunctionKind, Handle, Interface, Record, Resolve, Type, TypeDef, TypeDefKind,
    TypeId, Variant, World, WorldKey,
};

/// Where the reference stands, from the root of the repository.
const PAGE: &str = "docs/wit.md";
/// What writes it anew.
const COMMAND: &str = "cargo run --package farrier-probe-builder --bin wit-reference";

fn main() -> Result<()> {
    let page = root().join(PAGE);
    fs::write(&page, reference(&root())?).with_context(|| format!("cannot write {}", page.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The whole page.
fn reference(root: &Path) -> Result<String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(root.join("wit"))?;
    let package = &resolve.packages[package];
    let mut page = format!(
        "# The contract: `{}`\n\n<!-- Generated from wit/ by `{COMMAND}`. -->\n\n{}\
         [capabilities.md](capabilities.md) describes each capability and the grant that it needs.\n",
        package.name,
        paragraph(&package.docs),
    );
    page.push_str("\n## Worlds\n\n| world | imports | exports | |\n| --- | --- | --- | --- |\n");
    for world in package.worlds.values() {
        page.push_str(&world_row(&resolve, &resolve.worlds[*world]));
    }
    for interface in package.interfaces.values() {
        page.push_str(&section(&resolve, &resolve.interfaces[*interface])?);
    }
    Ok(page)
}

/// Comments as one paragraph each, with an empty line behind; nothing where there are none.
fn paragraph(docs: &Docs) -> String {
    docs.contents.as_deref().map(|text| format!("{}\n\n", text.trim())).unwrap_or_default()
}

/// Comments in a cell of a table.
fn cell(docs: &Docs) -> String {
    docs.contents
        .as_deref()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

fn world_row(resolve: &Resolve, world: &World) -> String {
    let names = |keys: Vec<&WorldKey>| {
        let names = keys.into_iter().map(|key| match key {
            WorldKey::Interface(id) => resolve.interfaces[*id].name.clone().unwrap_or_default(),
            WorldKey::Name(name) => name.clone(),
        });
        names.map(|name| format!("[`{name}`](#interface-{name})")).collect::<Vec<_>>().join(", ")
    };
    format!(
        "| `{}` | {} | {} | {} |\n",
        world.name,
        names(world.imports.keys().collect()),
        names(world.exports.keys().collect()),
        cell(&world.docs)
    )
}

fn section(resolve: &Resolve, interface: &Interface) -> Result<String> {
    let name = interface.name.as_deref().context("an interface without a name")?;
    let mut text = format!("\n## Interface `{name}`\n\n{}", paragraph(&interface.docs));
    for (name, id) in &interface.types {
        let definition = &resolve.types[*id];
        if let TypeDefKind::Type(Type::Id(_)) = definition.kind {
            continue;
        }
        text.push_str(&type_section(resolve, name, definition));
        let methods = interface.functions.values().filter(|function| resource_of(function) == Some(*id));
        methods.for_each(|function| text.push_str(&function_section(resolve, function)));
    }
    let free = interface.functions.values().filter(|function| resource_of(function).is_none());
    free.for_each(|function| text.push_str(&function_section(resolve, function)));
    Ok(format!("{}\n", text.trim_end()))
}

fn resource_of(function: &Function) -> Option<TypeId> {
    match function.kind {
        FunctionKind::Freestanding | FunctionKind::AsyncFreestanding => None,
        FunctionKind::Method(id)
        | FunctionKind::AsyncMethod(id)
        | FunctionKind::Static(id)
        | FunctionKind::AsyncStatic(id)
        | FunctionKind::Constructor(id) => Some(id),
    }
}

fn type_section(resolve: &Resolve, name: &str, definition: &TypeDef) -> String {
    let mut text = format!("### {} `{name}`\n\n{}", definition.kind.as_str(), paragraph(&definition.docs));
    let rows: Vec<(&str, Option<&Type>, &Docs)> = match &definition.kind {
        TypeDefKind::Record(Record { fields }) => {
            fields.iter().map(|field| (field.name.as_str(), Some(&field.ty), &field.docs)).collect()
        }
        TypeDefKind::Variant(Variant { cases }) => {
            cases.iter().map(|case| (case.name.as_str(), case.ty.as_ref(), &case.docs)).collect()
        }
        TypeDefKind::Enum(Enum { cases }) => {
            cases.iter().map(|case| (case.name.as_str(), None, &case.docs)).collect()
        }
        _ => return text,
    };
    let of = if matches!(definition.kind, TypeDefKind::Record(_)) { "field" } else { "case" };
    let _ = writeln!(text, "| {of} | type | |\n| --- | --- | --- |");
    for (name, held, docs) in rows {
        let held = held.map(|held| format!("`{}`", type_name(resolve, held))).unwrap_or_default();
        let _ = writeln!(text, "| `{name}` | {held} | {} |", cell(docs));
    }
    text + "\n"
}

fn function_section(resolve: &Resolve, function: &Function) -> String {
    let named = |id: TypeId| resolve.types[id].name.as_deref().unwrap_or_default();
    let name = function.item_name();
    let full = resource_of(function).map_or_else(|| name.to_owned(), |id| format!("{}.{name}", named(id)));
    // The first parameter of a method is the resource itself.
    let own = usize::from(matches!(function.kind, FunctionKind::Method(_) | FunctionKind::AsyncMethod(_)));
    let parameters: Vec<String> = function
        .params
        .iter()
        .skip(own)
        .map(|parameter| format!("{}: {}", parameter.name, type_name(resolve, &parameter.ty)))
        .collect();
    let result = function.result.as_ref().map(|result| format!(" -> {}", type_name(resolve, result)));
    format!(
        "### func `{full}`\n\n```wit\n{name}: func({}){}\n```\n\n{}",
        parameters.join(", "),
        result.unwrap_or_default(),
        paragraph(&function.docs)
    )
}

/// A type as it is written.
fn type_name(resolve: &Resolve, held: &Type) -> String {
    let id = match held {
        Type::Id(id) => *id,
        Type::Bool => return "bool".to_owned(),
        Type::String => return "string".to_owned(),
        Type::Char => return "char".to_owned(),
        other => return format!("{other:?}").to_lowercase(),
    };
    let definition = &resolve.types[id];
    if let Some(name) = &definition.name {
        return name.clone();
    }
    let inner = |held: &Type| type_name(resolve, held);
    let or_nothing = |held: &Option<Type>| held.as_ref().map_or_else(|| "_".to_owned(), inner);
    match &definition.kind {
        TypeDefKind::Option(held) => format!("option<{}>", inner(held)),
        TypeDefKind::List(held) => format!("list<{}>", inner(held)),
        TypeDefKind::Result(held) => match (&held.ok, &held.err) {
            (None, None) => "result".to_owned(),
            (ok, None) => format!("result<{}>", or_nothing(ok)),
            (ok, err) => format!("result<{}, {}>", or_nothing(ok), or_nothing(err)),
        },
        TypeDefKind::Tuple(held) => {
            format!("tuple<{}>", held.types.iter().map(inner).collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Handle(Handle::Own(id)) => inner(&Type::Id(*id)),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", inner(&Type::Id(*id))),
        other => other.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_contract_says() {
        let page = fs::read_to_string(root().join(PAGE)).expect("the page");
        assert!(page == reference(&root()).expect("the contract"), "to write {PAGE} anew: {COMMAND}");
    }

    #[test]
    fn every_name_and_comment_of_the_contract_stands_there() {
        let page = reference(&root()).expect("the contract");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = words(&page).replace("\\|", "|");
        let contract = fs::read_to_string(root().join("wit/probe.wit")).expect("wit/probe.wit");
        for line in contract.lines().filter_map(|line| line.trim().strip_prefix("/// ")) {
            assert!(told.contains(&words(line)), "the page lacks: {line}");
        }
        for name in ["remaining-ms", "timed-out", "connection.read", "result<option<test-result>, denial>"] {
            assert!(page.contains(name), "the page lacks {name}");
        }
    }
}
