//! `probe build`: from a crate or a core module to a component that farrier hosts.

use std::path::Path;
use std::sync::Arc;

use super::inspect::{definition_lines, human_size};
use crate::cli::data::print;
use crate::cli::options::ProbeBuild;
use crate::cli::runtime::CommandRuntime;
use crate::event::{Event, Reporter};
use crate::probe::capabilities::capabilities;
use crate::probe::catalogue::not_a_probe;
use crate::probe::component::ComponentFile;
use crate::probe::grants::{grantable, ungranted};
use crate::probe::host::{LoadError, ProbeHost};
use crate::probe::limits::COMPONENT_BYTES;
use crate::probe::sections::{NAME, SETTINGS_SCHEMA, STANDARD, Sections};
use crate::probe::settings_schema::{MOST_BYTES, SettingsSchema};
use crate::probe::{compile, encode, platform};
use crate::report::error::{Code, Failure, Place, Problem};
use crate::report::escape::escape;
use crate::report::exit;
use crate::system::bounded_file;
use crate::system::complete_file::replace;

/// Builds it, makes sure that it is a probe, and prints what a definition needs.
pub fn build(options: &ProbeBuild, reporter: &Reporter) -> Result<u8, Failure> {
    // Mistakes in the options come before the compiler.
    let additions = additions(options)?;
    let (module, default, private) = if options.path.is_dir() {
        let module = compile::module(&options.path)?;
        let default = options.path.join(format!("{}.wasm", module.package));
        (module.path, default, module.private)
    } else {
        (options.path.clone(), options.path.with_extension("component.wasm"), Vec::new())
    };
    let out = options.out.clone().unwrap_or(default);
    let bytes = bounded_file::read(&module, COMPONENT_BYTES).map_err(|error| {
        unusable(&module, &error.to_string())
            .hint("Name the folder of a Rust crate, or a core module's file.")
    })?;
    let warnings = platform::missing(&bytes).into_iter().chain(compile::traces(&bytes, &private));
    warnings.for_each(|warning| reporter.tell(&Event::Problem(&warning)));
    let component = encode::component(bytes, additions).map_err(|error| {
        let hint = match error {
            encode::EncodeError::NoWorld => {
                "Build it with the crate farrier-probe, or with wit-bindgen and the package in `wit/`."
            }
            _ => "Name the folder of a Rust crate, or a core module for wasm32-unknown-unknown or WASI preview 1.",
        };
        unusable(&module, &error.to_string()).hint(hint)
    })?;
    let file = ComponentFile::parse(component)
        .map_err(|error| not_a_probe(&module.display().to_string(), &error))?;
    let file = accept(file, &module)?;
    write(&out, &file.bytes)?;
    let words: Vec<&str> = capabilities(&file).iter().map(|capability| capability.word).collect();
    let imports = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
    let name = out.file_name().unwrap_or_default().display().to_string();
    print(&format!(
        "{}: {} ({} bytes), imports {imports}\n\nPut it beside a definition, and add these lines to the \
         definition:\n\n{}",
        escape(&out.display().to_string()),
        human_size(&file),
        file.bytes.len(),
        definition_lines(&file, &format!("./{}", escape(&name))),
    ));
    Ok(exit::SUCCESS)
}

/// What the options say about the component.
fn additions(options: &ProbeBuild) -> Result<Sections<'static>, Failure> {
    let mut additions = Sections::new();
    for pair in &options.metadata {
        let (key, text) = pair.split_once('=').unwrap_or((pair, ""));
        let section = if key == "name" { Some(NAME) } else { STANDARD.into_iter().find(|name| *name == key) };
        let Some(section) = section.filter(|_| !text.is_empty()) else {
            let message = format!("`--metadata {pair}` is not KEY=TEXT with one of farrier's keys");
            let hint = format!("The keys are `name`, `{}`.", STANDARD.join("`, `"));
            return Err(Problem::error(Code::Usage, message).hint(hint).into());
        };
        additions.insert(section, text.as_bytes().to_vec().into());
    }
    if let Some(path) = &options.settings_schema {
        let unusable = |reason: &str| {
            let message = format!("`{}` is not a schema of settings: {reason}", path.display());
            Problem::error(Code::ProbeBuild, message)
                .hint("docs/writing-a-probe.md describes the part of JSON Schema that farrier reads.")
        };
        let text =
            bounded_file::read(path, MOST_BYTES as u64).map_err(|error| unusable(&error.to_string()))?;
        SettingsSchema::parse(&text).map_err(|error| unusable(&error.to_string()))?;
        // Without spaces, and with what farrier does not read: an editor may.
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        additions.insert(SETTINGS_SCHEMA, value.to_string().into_bytes().into());
    }
    Ok(additions)
}

/// Refuses what `validate` or a launch would refuse, however much is granted.
fn accept(file: ComponentFile, module: &Path) -> Result<Arc<ComponentFile>, Failure> {
    let name = module.display().to_string();
    let mut problems = ungranted(&file, &grantable(), &name, &Place::file(module));
    for problem in &mut problems {
        problem.place = None;
    }
    if !problems.is_empty() {
        return Err(Failure::of(problems));
    }
    let file = Arc::new(file);
    let host = Arc::new(ProbeHost::new(None, None));
    let mut runtime = CommandRuntime::start()?;
    runtime.run(async {
        host.load_in_time(&file, &grantable()).await.map_err(|error| {
            let problem = error.problem(Code::ProbeBuild, |reason| {
                format!("`{name}` cannot be made into a component: farrier cannot load the result: {reason}")
            });
            let hint = "Build it for WebAssembly without threads, 64-bit memory, garbage collection or relaxed SIMD.";
            match error {
                LoadError::Component(_) => problem.hint(hint).into(),
                LoadError::Limit(_) => problem.into(),
            }
        })
    })?;
    Ok(file)
}

fn unusable(path: &Path, reason: &str) -> Problem {
    Problem::error(
        Code::ProbeBuild,
        format!("`{}` cannot be made into a component: {reason}", path.display()),
    )
}

/// Replaces the file as a whole: a launch that reads meanwhile sees all or nothing.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    replace(path, bytes).map_err(|error| {
        Problem::error(Code::ProbeBuild, format!("cannot write `{}`: {error}", path.display()))
            .hint("With `--out`, name a file in a folder that you can write to.")
    })
}
