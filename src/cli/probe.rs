//! `probe`: working with probes, one file a command.

mod bounded;
mod build;
mod check;
mod check_record;
mod declared;
mod difference;
mod inspect;
mod list;
mod new;
mod pin;
mod pull;
mod push;
mod registries;
mod test;
mod trial;
mod update;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::options::{LayerOptions, Probe, ProbeCommand};
use crate::cli::settings::layer_directories;
use crate::definition::artifact_reference::SCHEME;
use crate::event::Reporter;
use crate::probe::catalogue::{named, not_a_probe, remote, unknown};
use crate::probe::component::ComponentFile;
use crate::probe::folders::{ProbeFolder, ProbeFolders};
use crate::report::error::{Code, Failure, Problem};

/// Does what the subcommand says.
pub fn probe(options: &Probe, reporter: &Reporter) -> Result<u8, Failure> {
    match &options.command {
        ProbeCommand::List(options) => Ok(list::list(options)),
        ProbeCommand::Inspect(options) => inspect::inspect(options),
        ProbeCommand::New(options) => new::new(options),
        ProbeCommand::Build(options) => build::build(options, reporter),
        ProbeCommand::Check(options) => check::check(options),
        ProbeCommand::Test(options) => test::test(options),
        ProbeCommand::Push(options) => push::push(options),
        ProbeCommand::Pull(options) => pull::pull(options),
        ProbeCommand::Pin(options) => pin::pin(options),
        ProbeCommand::Update(options) => update::update(options),
    }
}

/// A probe that was named on the command line.
struct Chosen {
    /// The name as the user wrote it.
    name: String,
    file: ComponentFile,
    origin: Origin,
}

/// Where a probe comes from.
enum Origin {
    /// It ships with farrier.
    Shipped,
    /// From a folder of a layer.
    Layer(crate::definition::Layer, PathBuf),
    /// A file that was named by its path.
    File(PathBuf),
    /// From a registry.
    Registry,
}

impl Origin {
    fn human(&self) -> String {
        match self {
            Self::Shipped => "ships with farrier".to_owned(),
            Self::Layer(layer, path) => format!("{layer} layer, {}", path.display()),
            Self::File(_) => "a file".to_owned(),
            Self::Registry => "from a registry".to_owned(),
        }
    }

    fn as_json(&self) -> serde_json::Value {
        let (origin, path) = match self {
            Self::Shipped => ("shipped", None),
            Self::Layer(layer, path) => (layer.as_str(), Some(path)),
            Self::File(path) => ("file", Some(path)),
            Self::Registry => ("registry", None),
        };
        serde_json::json!({ "kind": origin, "file": path.map(|path| path.display().to_string()) })
    }
}

/// The output of `inspect` for a file, as text and as JSON.
#[cfg(any(test, fuzzing))]
pub(super) fn inspected(file: &ComponentFile) -> (String, serde_json::Value) {
    let origin = Origin::File(PathBuf::from("./mine.wasm"));
    let chosen = Chosen { name: "./mine.wasm".to_owned(), file: file.clone(), origin };
    (inspect::human(&chosen), inspect::as_json(&chosen))
}

/// Reads the file, or looks the name up as a definition of the workspace, of the others, of the user would.
fn choose(probe: &OsStr, layers: &LayerOptions) -> Result<Chosen, Failure> {
    let name = probe.to_string_lossy().into_owned();
    let path = Path::new(probe);
    if name.starts_with(SCHEME) {
        return registries::chosen(&name, layers);
    }
    if let Some(problem) = remote(&name) {
        return Err(problem.into());
    }
    if name.contains('/') || path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("wasm")) {
        let file = ComponentFile::read(path).map_err(|error| not_a_probe(&name, &error))?;
        return Ok(Chosen { name, file, origin: Origin::File(path.to_owned()) });
    }
    let folders = ProbeFolders::of(&layer_directories(layers));
    let searched: Vec<&ProbeFolder> = folders.iter().rev().collect();
    match named(&name, &searched, None) {
        Ok(Some((file, folder))) => {
            let origin =
                folder.map_or(Origin::Shipped, |folder| Origin::Layer(folder.layer, folder.file(&name)));
            Ok(Chosen { name, file: Arc::unwrap_or_clone(file), origin })
        }
        Ok(None) if path.is_file() => Err(Problem::error(
            Code::ProbeNotFound,
            format!("there is no probe named `{name}`, but a file of that name is here"),
        )
        .hint(format!("Name the file by its path, `./{name}`."))
        .into()),
        Ok(None) => Err(unknown(&name, &searched).into()),
        Err((path, error)) => Err(not_a_probe(&path.display().to_string(), &error).into()),
    }
}
