//! `probe new`: a project that builds and passes its own test.

use std::io;
use std::path::Path;

use crate::cli::data::print;
use crate::cli::options::{Language, ProbeNew};
use crate::probe::project;
use crate::report::error::{Code, Failure, Problem};
use crate::report::exit;

/// Writes the project into a new folder of this name.
pub fn new(options: &ProbeNew) -> Result<u8, Failure> {
    let name = &options.name;
    let problem = |message: String| Problem::error(Code::ProbeProject, message);
    project::check_name(name).map_err(|reason| {
        let message = format!("a probe cannot be named `{}`: {reason}", crate::report::escape::escape(name));
        problem(message).hint("Choose a name like `orders-ready`.")
    })?;
    let files = match options.lang {
        Language::Rust => project::rust(name).map_err(|error| {
            problem(format!("the SDK in this farrier is damaged: {error}")).hint("Install farrier again.")
        })?,
        Language::Python => project::python(name),
    };
    project::write(Path::new(name), &files).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            let hint = "Nothing was changed; choose another name, or move what is there away.";
            return problem(format!("`{name}` exists already")).hint(hint);
        }
        problem(format!("`{name}` cannot be written: {error}")).hint("Go to a folder that you may write to.")
    })?;
    let next = match options.lang {
        Language::Rust => "cargo test\n  farrier probe build",
        Language::Python => {
            "python3 -m venv .venv\n  .venv/bin/pip install -r requirements.txt\n  \
             .venv/bin/componentize-py -d wit -w app bindings .\n  .venv/bin/python -m unittest test_app"
        }
    };
    print(&format!(
        "{name}/ holds the probe; its README.md says how it is built and tried. Next:\n  cd {name}\n  {next}\n"
    ));
    Ok(exit::SUCCESS)
}
