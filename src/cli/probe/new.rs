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
            problem(format!("the SDK in this version of farrier is damaged: {error}"))
                .hint("Install farrier again.")
        })?,
        Language::Python => project::python(name),
    };
    project::write(Path::new(name), &files).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            let hint = "Nothing was changed. Choose another name, or move the existing files away.";
            return problem(format!("`{name}` already exists")).hint(hint);
        }
        problem(format!("cannot write `{name}`: {error}")).hint("Change to a folder that you can write to.")
    })?;
    let next = match options.lang {
        Language::Rust => "cargo test\n  farrier probe build",
        Language::Python => {
            "python3 -m venv .venv\n  .venv/bin/pip install -r requirements.txt\n  \
             .venv/bin/componentize-py -d wit -w app bindings .\n  .venv/bin/python -m unittest test_app"
        }
    };
    print(&format!(
        "{name}/ contains the probe; its README.md says how to build and try it. Next:\n  cd {name}\n  {next}\n"
    ));
    Ok(exit::SUCCESS)
}
