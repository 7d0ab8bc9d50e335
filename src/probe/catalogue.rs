//! Finding a probe: by name among those that ship with farrier and in the folders of the layers, or by a path
//! beside its definition.

use std::path::PathBuf;
use std::sync::Arc;

use crate::definition::grants::Grants;
use crate::definition::model::{Definition, ProbeReference, Readiness};
use crate::engine::EngineFeature;
use crate::report::error::{Code, Problem};

use super::artifacts;
use super::built_in::{built_in_file, built_in_names};
use super::capabilities::needs;
use super::component::{CONTRACT, ComponentError, ComponentFile};
use super::denial::Granted;
use super::directories::{DirectoryCopy, DirectoryError};
use super::folders::{ProbeFolder, ProbeFolders};
use super::grants::{effective, linked, uncovered, ungranted};
use super::settings_schema;
use super::tls::Tls;

/// A probe that was found and whose imports its grants cover.
#[derive(Clone, Debug)]
pub struct FoundProbe {
    /// As the definition names it.
    pub name: String,
    /// Its file.
    pub component: Arc<ComponentFile>,
    /// What its definition grants.
    pub declared: Granted,
    /// What of that is in force: all of it, unless somebody denied a part when approving the definition.
    pub granted: Granted,
    /// The interfaces to link.
    pub interfaces: Vec<&'static str>,
    /// Whether it ships with farrier.
    pub built_in: bool,
    /// What `validate` says of it, and a launch does not: a missing pin, a grant that it cannot use.
    pub remarks: Vec<Problem>,
}

impl FoundProbe {
    /// Whether its component has to check the settings of this readiness. The one setting of `tcp` is optional, and
    /// without it the component need not be loaded before the engine is asked.
    #[must_use]
    pub fn checks_settings(&self, readiness: &Readiness) -> bool {
        let has_none = self.built_in && self.name == "tcp" && readiness.settings.is_empty();
        self.component.validates_settings() && !has_none
    }

    /// Whether its polls may connect somewhere, by `dial` or by sockets of its own language.
    #[must_use]
    pub fn connects(&self) -> bool {
        let has_sockets = self.component.imports.iter().any(|import| import.starts_with("wasi:sockets/"));
        self.interfaces.contains(&"dial") || (has_sockets && !self.granted.grants.dial.is_empty())
    }

    /// Whether its polls execute commands in the container.
    #[must_use]
    pub fn executes(&self) -> bool {
        needs(&self.interfaces).into_iter().any(EngineFeature::executes)
    }

    /// Whether what it saw once stays true as long as the run goes on, as a line that was written.
    #[must_use]
    pub fn holds_for_the_run(&self) -> bool {
        self.built_in && self.name == "log"
    }
}

/// Finds the probe of one readiness, checks its pin and its imports.
///
/// # Errors
/// Everything that is wrong with it.
pub fn find(
    definition: &Definition,
    readiness: &Readiness,
    folders: &ProbeFolders,
) -> Result<FoundProbe, Vec<Problem>> {
    let place = definition.place(&format!("{}.probe", readiness.field));
    let name = readiness.probe.to_string();
    let pin = readiness.sha256.as_deref();
    let unusable = |error: &ComponentError| match (error, pin) {
        (ComponentError::OtherDigest(found), Some(pin)) => {
            vec![other_digest(&name, found, pin).at(definition.place(&format!("{}.sha256", readiness.field)))]
        }
        _ => vec![not_a_probe(&name, error).at(place.clone())],
    };
    let of_sidecar = |problems: Vec<Problem>| -> Vec<Problem> {
        problems.into_iter().map(|problem| problem.of(definition.name.clone())).collect()
    };
    let (component, built_in) = match &readiness.probe {
        ProbeReference::Named(known) => {
            let searched: Vec<&ProbeFolder> = folders.of_layer(definition.layer).collect();
            match named(known, &searched, pin).map_err(|(_, error)| of_sidecar(unusable(&error)))? {
                Some((component, folder)) => (component, folder.is_none()),
                None => return Err(of_sidecar(vec![unknown(known, &searched).at(place)])),
            }
        }
        ProbeReference::File(path) => {
            if let Some(problem) = remote(&path.to_string_lossy()) {
                return Err(of_sidecar(vec![problem.at(place)]));
            }
            let opened = definition.open_beside(path);
            (folders.reader().read(opened, pin).map_err(|error| of_sidecar(unusable(&error)))?, false)
        }
        ProbeReference::Artifact(reference) => {
            let read = artifacts::read(definition, readiness, reference, folders.reader());
            (read.map_err(|problem| of_sidecar(vec![problem.at(place.clone())]))?, false)
        }
    };
    // A probe that ships with farrier was not read for this definition.
    if pin.is_some_and(|pin| pin != component.digest) {
        return Err(of_sidecar(unusable(&ComponentError::OtherDigest(component.digest.clone()))));
    }
    let grants = Arc::new(effective(readiness, built_in));
    let interfaces = linked(&component, &grants, built_in);
    let mut problems = ungranted(&component, &interfaces, &name, &place);
    if built_in {
        problems.extend(uncovered(definition, readiness, &grants));
    }
    let tls = grants.tls.as_ref().map(|grant| Tls::read(definition, grant, folders.reader().budget()));
    let tls = match tls.transpose() {
        Ok(tls) => tls.map(Arc::new),
        Err(error) => {
            problems.push(error.problem(definition, &readiness.field));
            None
        }
    };
    let directories = granted_folders(definition, readiness, &grants, folders, &mut problems);
    let mut remarks = unusable_grants(&component, &grants, &name, definition, &readiness.field);
    // Before anything is compiled; what is right so far, the probe itself checks later. A built-in probe requires nothing that
    // its schema knows, so that a launch without settings reads none.
    let described = if built_in && readiness.settings.is_empty() {
        Ok(Vec::new())
    } else {
        settings_schema::problems(&component, &name, definition, readiness)
    };
    match described {
        Ok(found) => problems.extend(found),
        Err(error) => {
            let message = format!("farrier ignores the settings schema of the probe `{name}`: {error}");
            remarks.push(
                Problem::warning(Code::ProbeInvalid, message)
                    .at(place.clone())
                    .of(definition.name.clone())
                    .hint("Only the probe itself checks its settings. Report this to the probe's author."),
            );
        }
    }
    // A probe in a registry is not even read without a pin.
    let is_in_registry = matches!(readiness.probe, ProbeReference::Artifact(_));
    if readiness.sha256.is_none() && !built_in && !is_in_registry {
        remarks.push(
            Problem::warning(Code::ProbeUnpinned, format!("the probe `{name}` is not pinned"))
                .at(place)
                .of(definition.name.clone())
                .hint(format!("Pin it with `sha256 = \"{}\"`.", component.digest)),
        );
    }
    for problem in &mut problems {
        problem.sidecar = Some(definition.name.clone());
    }
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    let declared = Granted { grants, tls, directories };
    let granted = declared.clone();
    Ok(FoundProbe { name, component, declared, granted, interfaces, built_in, remarks })
}

/// Warns of folders and variables that a component cannot read: built for a target without them, its language's own
/// functions find nothing.
fn unusable_grants(
    component: &ComponentFile,
    grants: &Grants,
    name: &str,
    definition: &Definition,
    field: &str,
) -> Vec<Problem> {
    let imports = |interface: &&str| component.imports.iter().any(|import| import.starts_with(interface));
    let grants: [(&str, bool, &[&str], &str); 2] = [
        ("env", !grants.env.is_empty(), &["farrier:probe/env@", "wasi:cli/environment@"], "variables"),
        ("dirs", !grants.dirs.is_empty(), &["wasi:filesystem/"], "files"),
    ];
    let is_unused = |interfaces: &[&str]| !interfaces.iter().any(imports);
    let unusable = grants.into_iter().filter(|(_, granted, interfaces, _)| *granted && is_unused(interfaces));
    unusable
        .map(|(grant, _, _, what)| {
            let message = format!(
                "the probe `{name}` cannot use the grant `{grant}`: the probe was built for a target without {what}"
            );
            Problem::warning(Code::ProbeNotGranted, message)
                .at(definition.place(&format!("{field}.grants.{grant}")))
                .of(definition.name.clone())
                .hint(format!(
                    "Build it for a target with WASI (`cargo build --release --target wasm32-wasip2`), or remove \
                     `{grant}`."
                ))
        })
        .collect()
}

/// The bytes are not the pinned ones.
fn other_digest(name: &str, found: &str, pin: &str) -> Problem {
    let message = format!("the probe `{name}` has the digest {found}, but {pin} is pinned");
    Problem::error(Code::ProbePinMismatch, message)
        .hint("Find out who changed the file; if the change is wanted, write its digest as the pin.")
}

/// Says that a probe is read from files and registries only, if it is named by another address (`https://…`).
#[must_use]
pub fn remote(name: &str) -> Option<Problem> {
    let (scheme, rest) = name.split_once("://").or_else(|| name.split_once(":/"))?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let file = rest.rsplit('/').next().unwrap_or_default().split(['@', ':', '?']).next().unwrap_or_default();
    let file = file.strip_suffix(".wasm").unwrap_or(file);
    let file = if super::folders::is_name(file) { file } else { "probe" };
    is_scheme.then(|| {
        Problem::error(
            Code::ProbeNotFound,
            format!("`{name}` is an address that farrier does not download probes from"),
        )
        .hint(format!(
            "Download the component, inspect it with `farrier probe inspect ./{file}.wasm`, and name the file: \
             `probe = \"./{file}.wasm\"`."
        ))
        .hint("Or name a probe in a registry: `probe = \"oci://REGISTRY/REPOSITORY:TAG\"`.")
    })
}

/// A file cannot be used as a probe, and what to do about it.
#[must_use]
pub fn not_a_probe(name: &str, error: &ComponentError) -> Problem {
    if let ComponentError::Exceeded(exceeded) = error {
        return (*exceeded).into();
    }
    if let ComponentError::UnknownVersion(_) = error {
        let hint = format!(
            "Build the probe against farrier:probe@{CONTRACT}, or install a version of farrier that hosts its version."
        );
        return not_usable(name, error).hint(hint);
    }
    if let ComponentError::OtherTypes(_) = error {
        let hint = format!(
            "Build the probe against farrier:probe@{CONTRACT} and WASI 0.2 as this version of farrier has them (`farrier probe new` \
             writes the SDK), or install a version of farrier that hosts what the probe needs."
        );
        return not_usable(name, error).hint(hint);
    }
    let hint = match error {
        ComponentError::CoreModule => "Turn it into a component with `farrier probe build`.",
        ComponentError::NoCheck => "Export `check` of farrier:probe/check@0.1.0; the package is in `wit/`.",
        _ => "Check the path and build the component again.",
    };
    not_usable(name, error).hint(hint)
}

fn not_usable(name: &str, error: &ComponentError) -> Problem {
    Problem::error(Code::ProbeInvalid, format!("`{name}` cannot be used as a probe: {error}"))
}

/// A component, and the folder that it was found in; none where it ships with farrier.
pub type Named<'f> = (Arc<ComponentFile>, Option<&'f ProbeFolder>);

/// The content of the granted folders, as far as it can be read.
fn granted_folders(
    definition: &Definition,
    readiness: &Readiness,
    grants: &Grants,
    folders: &ProbeFolders,
    problems: &mut Vec<Problem>,
) -> Vec<DirectoryCopy> {
    let mut directories = Vec::new();
    for (index, grant) in grants.dirs.iter().enumerate() {
        match DirectoryCopy::read(definition, grant, folders.reader().budget()) {
            Ok(copy) => directories.push(copy),
            Err(DirectoryError::Exceeded(exceeded)) => problems.push(exceeded.into()),
            Err(error) => {
                let message =
                    format!("the folder `{}` cannot be given to the probe: {error}", grant.host.display());
                let field = format!("{}.grants.dirs[{index}]", readiness.field);
                problems.push(
                    Problem::error(Code::GrantUnreadable, message).at(definition.place(&field)).hint(
                        "Grant a folder inside the definition's folder that contains only regular files.",
                    ),
                );
            }
        }
    }
    directories
}

/// Looks a name up: first among the probes that ship with farrier, then in these folders, in their order. A file with
/// another digest than the pin is not parsed.
///
/// # Errors
/// The first file of that name cannot be used.
pub fn named<'f>(
    name: &str,
    folders: &[&'f ProbeFolder],
    pin: Option<&str>,
) -> Result<Option<Named<'f>>, (PathBuf, ComponentError)> {
    if let Some(file) = built_in_file(name) {
        return file.map(|file| Some((file, None))).map_err(|error| (PathBuf::from(name), error));
    }
    for &folder in folders {
        match folder.read(name, pin) {
            Ok(Some(file)) => return Ok(Some((file, Some(folder)))),
            Ok(None) => {}
            Err(error) => return Err((folder.file(name), error)),
        }
    }
    Ok(None)
}

/// No probe has this name: says where it was looked for, and which names are near.
#[must_use]
pub fn unknown(name: &str, searched: &[&ProbeFolder]) -> Problem {
    let own = searched.iter().flat_map(|folder| folder.names().unwrap_or_default());
    let names: Vec<String> = built_in_names().map(str::to_owned).chain(own).collect();
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), known.as_str()))
        .filter(|(distance, _)| *distance <= 3)
        .collect();
    near.sort_unstable();
    near.dedup();
    let problem = Problem::error(Code::ProbeNotFound, format!("there is no probe named `{name}`"));
    let problem = match near.iter().map(|(_, known)| format!("`{known}`")).collect::<Vec<_>>().as_slice() {
        [] => problem,
        near => problem.hint(format!("Did you mean {}?", near.join(" or "))),
    };
    let looked = searched.iter().map(|folder| format!(" and {}", folder.path.display())).collect::<String>();
    problem
        .hint(format!("farrier searched the built-in probes{looked}; `farrier probe list` shows them."))
        .hint(format!("Name a file by its path, `./{name}.wasm`."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_names_a_core_module_is_told_how_to_make_a_component_of_it() {
        let problem = not_a_probe("mine", &ComponentError::CoreModule);
        assert_eq!(problem.hints, ["Turn it into a component with `farrier probe build`."]);
    }
}
