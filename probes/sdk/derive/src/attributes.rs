//! What attributes say: serde's own, and `#[setting(…)]`.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Error, Expr, ExprLit, Lit, LitStr, Meta, Result, Token, UnOp, parenthesized};

use crate::names::{Case, json};

/// What the attributes of a type say.
#[derive(Default)]
pub struct OfType {
    /// Fields that it does not have are refused.
    pub is_closed: bool,
    /// Absent fields have the type's default.
    pub has_default: bool,
    /// An enum is written otherwise than as one word.
    pub is_tagged: bool,
    pub case: Case,
}

/// What the attributes of a field, or of an enum's variant, say.
#[derive(Default)]
pub struct OfField {
    pub rename: Option<String>,
    pub aliases: Vec<String>,
    pub is_skipped: bool,
    /// It may be absent.
    pub has_default: bool,
    /// If it is absent, it has its type's default.
    pub has_types_default: bool,
    pub default: Option<Fallback>,
    pub minimum: Option<i128>,
    pub maximum: Option<i128>,
    /// As JSON.
    pub values: Vec<String>,
    /// Its type has no schema.
    pub is_anything: bool,
}

/// A default that `#[setting(default = …)]` names.
pub struct Fallback {
    pub value: TokenStream,
    pub json: String,
}

impl OfType {
    pub fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut read = Self::default();
        each(attributes, "serde", |meta| {
            if meta.path.is_ident("deny_unknown_fields") {
                read.is_closed = true;
            } else if meta.path.is_ident("default") {
                read.has_default = true;
                skip_value(meta)?;
            } else if meta.path.is_ident("rename_all") {
                if let Some(case) = name(meta)? {
                    read.case = Case::named(&case).ok_or_else(|| meta.error("this case is not known"))?;
                }
            } else {
                read.is_tagged |= ["tag", "untagged", "content"].iter().any(|word| meta.path.is_ident(word));
                let is_converted = ["from", "try_from", "remote"].iter().any(|word| meta.path.is_ident(word));
                if is_converted {
                    return Err(
                        meta.error("a schema cannot be derived of it: implement `farrier_probe::Schema`")
                    );
                }
                skip_value(meta)?;
            }
            Ok(())
        })?;
        each(attributes, "setting", |meta| {
            if meta.path.is_ident("deny_unknown_fields") {
                read.is_closed = true;
                return Ok(());
            }
            Err(meta.error("a type has `deny_unknown_fields`"))
        })?;
        Ok(read)
    }
}

impl OfField {
    pub fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut read = Self::default();
        each(attributes, "serde", |meta| {
            if meta.path.is_ident("default") {
                read.has_default = true;
                read.has_types_default = !meta.input.peek(Token![=]);
                skip_value(meta)?;
            } else if meta.path.is_ident("rename") {
                read.rename = name(meta)?;
            } else if meta.path.is_ident("alias") {
                read.aliases.extend(name(meta)?);
            } else if meta.path.is_ident("skip") || meta.path.is_ident("skip_deserializing") {
                read.is_skipped = true;
            } else if meta.path.is_ident("flatten") {
                return Err(meta.error("a schema cannot be derived of it: implement `farrier_probe::Schema`"));
            } else {
                read.is_anything |= ["with", "deserialize_with"].iter().any(|word| meta.path.is_ident(word));
                skip_value(meta)?;
            }
            Ok(())
        })?;
        each(attributes, "setting", |meta| {
            if meta.path.is_ident("default") {
                let value: Expr = meta.value()?.parse()?;
                let json = json_of(&value).ok_or_else(|| {
                    Error::new_spanned(&value, "a default is a string, a number, `true` or `false`")
                })?;
                read.default = Some(Fallback { value: value.to_token_stream(), json });
            } else if meta.path.is_ident("minimum") {
                read.minimum = Some(integer(meta)?);
            } else if meta.path.is_ident("maximum") {
                read.maximum = Some(integer(meta)?);
            } else if meta.path.is_ident("values") {
                let content;
                parenthesized!(content in meta.input);
                let values = content.parse_terminated(<Expr as syn::parse::Parse>::parse, Token![,])?;
                for value in values {
                    let json = json_of(&value).ok_or_else(|| {
                        Error::new_spanned(&value, "a value is a string, a number, `true` or `false`")
                    })?;
                    read.values.push(json);
                }
            } else if meta.path.is_ident("anything") {
                read.is_anything = true;
            } else {
                return Err(meta.error("a field has `default`, `minimum`, `maximum`, `values` or `anything`"));
            }
            Ok(())
        })?;
        Ok(read)
    }
}

/// The doc comment as one line.
pub fn description(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value()),
            _ => None,
        },
        _ => None,
    });
    lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Has each part of the attributes of this name read.
fn each(
    attributes: &[Attribute],
    name: &str,
    mut read: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(name)) {
        attribute.parse_nested_meta(|meta| read(&meta))?;
    }
    Ok(())
}

/// The name for reading: `= "name"` or `(deserialize = "name")`.
fn name(meta: &ParseNestedMeta<'_>) -> Result<Option<String>> {
    if meta.input.peek(Token![=]) {
        return Ok(Some(meta.value()?.parse::<LitStr>()?.value()));
    }
    let mut found = None;
    meta.parse_nested_meta(|part| {
        let name = part.value()?.parse::<LitStr>()?.value();
        if part.path.is_ident("deserialize") {
            found = Some(name);
        }
        Ok(())
    })?;
    Ok(found)
}

fn skip_value(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let content;
        parenthesized!(content in meta.input);
        content.parse::<TokenStream>()?;
    }
    Ok(())
}

fn integer(meta: &ParseNestedMeta<'_>) -> Result<i128> {
    let value: Expr = meta.value()?.parse()?;
    let number = json_of(&value).and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::new_spanned(&value, "a bound is a whole number"))
}

/// The JSON of a literal.
fn json_of(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(ExprLit { lit, .. }) => match lit {
            Lit::Str(text) => Some(json(&text.value())),
            Lit::Bool(flag) => Some(flag.value.to_string()),
            Lit::Int(number) => Some(number.base10_digits().to_owned()),
            Lit::Float(number) => Some(number.base10_digits().to_owned()),
            _ => None,
        },
        Expr::Unary(negative) if matches!(negative.op, UnOp::Neg(_)) => {
            json_of(&negative.expr).map(|number| format!("-{number}"))
        }
        _ => None,
    }
}
