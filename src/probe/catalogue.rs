//! Finding a probe: the ones that ship with farrier by name, others by a path beside their definition.

use std::sync::Arc;

use crate::definition::model::{Definition, Grants, ProbeReference, Readiness};
use crate::error::{Code, Problem};

use super::component::{ComponentError, ComponentFile};
use super::directories::DirectoryCopy;
use super::grants::{effective, interfaces, ungranted};

/// The built-in components; the build script says where they lie.
const BUILT_IN: &[(&str, &[u8])] = &[
    ("tcp", include_bytes!(concat!(env!("FARRIER_BUILT_PROBES"), "/tcp.wasm"))),
    ("healthcheck", include_bytes!(concat!(env!("FARRIER_BUILT_PROBES"), "/healthcheck.wasm"))),
    ("exec", include_bytes!(concat!(env!("FARRIER_BUILT_PROBES"), "/exec.wasm"))),
    ("skip", include_bytes!(concat!(env!("FARRIER_BUILT_PROBES"), "/skip.wasm"))),
];

/// A probe that was found and whose imports its grants cover.
#[derive(Clone, Debug)]
pub struct FoundProbe {
    /// As the definition names it.
    pub name: String,
    /// Its file.
    pub component: Arc<ComponentFile>,
    /// What it may do.
    pub grants: Grants,
    /// The interfaces to link.
    pub interfaces: Vec<&'static str>,
    /// What the granted folders hold.
    pub directories: Vec<DirectoryCopy>,
    /// Whether it ships with farrier.
    pub built_in: bool,
    /// What `validate` says of it, and a launch does not: a missing pin.
    pub remark: Option<Problem>,
}

impl FoundProbe {
    /// Whether its polls execute commands in the container.
    #[must_use]
    pub fn executes(&self) -> bool {
        self.interfaces.iter().any(|name| matches!(*name, "exec" | "health"))
    }
}

/// The bytes of a probe that ships with farrier.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static [u8]> {
    BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

/// The names of the probes that ship with farrier.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// Finds the probe of one readiness, checks its pin and its imports.
///
/// # Errors
/// Everything that is wrong with it.
pub fn find(definition: &Definition, readiness: &Readiness) -> Result<FoundProbe, Vec<Problem>> {
    let place = definition.place(&format!("{}.probe", readiness.field));
    let name = readiness.probe.to_string();
    let invalid = |error: &ComponentError| {
        vec![not_a_probe(&name, error).at(place.clone()).of(definition.name.clone())]
    };
    let (component, built_in) = match &readiness.probe {
        ProbeReference::Named(known) => {
            let Some(bytes) = built_in(known) else {
                return Err(vec![unknown(known).at(place).of(definition.name.clone())]);
            };
            (ComponentFile::parse(bytes.to_vec()).map_err(|error| invalid(&error))?, true)
        }
        ProbeReference::File(path) => {
            let opened = definition.open_beside(path);
            let component = ComponentFile::from_file(opened).map_err(|error| invalid(&error))?;
            (component, false)
        }
    };
    let grants = effective(readiness, built_in);
    let interfaces = interfaces(&grants);
    let mut problems = ungranted(&component, &interfaces, &name, &place);
    if let Some(pin) = readiness.sha256.as_ref().filter(|pin| **pin != component.digest) {
        problems.push(
            Problem::error(
                Code::ProbePinMismatch,
                format!("the probe `{name}` has the digest {}, but {pin} is pinned", component.digest),
            )
            .at(definition.place(&format!("{}.sha256", readiness.field)))
            .hint("Find out who changed the file; if the change is wanted, write its digest as the pin."),
        );
    }
    let mut directories = Vec::new();
    for (index, grant) in grants.dirs.iter().enumerate() {
        match DirectoryCopy::read(definition, grant) {
            Ok(copy) => directories.push(copy),
            Err(error) => {
                let message =
                    format!("the folder `{}` cannot be given to the probe: {error}", grant.host.display());
                let field = format!("{}.grants.dirs[{index}]", readiness.field);
                problems.push(
                    Problem::error(Code::GrantUnreadable, message)
                        .at(definition.place(&field))
                        .hint("Grant a folder below the definition's own that holds regular files only."),
                );
            }
        }
    }
    let remark = (readiness.sha256.is_none() && !built_in).then(|| {
        Problem::warning(Code::ProbePinMismatch, format!("the probe `{name}` is not pinned"))
            .at(place)
            .of(definition.name.clone())
            .hint(format!("Pin it with `sha256 = \"{}\"`.", component.digest))
    });
    for problem in &mut problems {
        problem.sidecar = Some(definition.name.clone());
    }
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    let component = Arc::new(component);
    Ok(FoundProbe { name, component, grants, interfaces, directories, built_in, remark })
}

fn not_a_probe(name: &str, error: &ComponentError) -> Problem {
    let hint = match error {
        ComponentError::CoreModule => {
            "Turn it into a component, for example with `wasm-tools component new`."
        }
        ComponentError::UnknownVersion(_) => {
            "Build the probe against farrier:probe@0.1.0, or install a farrier that hosts its version."
        }
        ComponentError::NoCheck => "Export `check` of farrier:probe/check@0.1.0; the package is in `wit/`.",
        _ => "Check the path and build the component again.",
    };
    Problem::error(Code::ProbeInvalid, format!("`{name}` cannot be used as a probe: {error}")).hint(hint)
}

fn unknown(name: &str) -> Problem {
    let names: Vec<&str> = built_in_names().collect();
    let nearest = names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), *known))
        .filter(|(distance, _)| *distance <= 3)
        .min();
    let problem = Problem::error(Code::ProbeNotFound, format!("there is no probe named `{name}`"));
    let problem = match nearest {
        Some((_, known)) => problem.hint(format!("Did you mean `{known}`?")),
        None => problem,
    };
    problem.hint(format!(
        "The probes that ship with farrier are {}; name your own by its path, `./{name}.wasm`.",
        names.join(", ")
    ))
}
