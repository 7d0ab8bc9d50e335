//! Real servers that are written in Python, with their packages from Python's package index.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::skipping::{REQUIRE_PYPI, skip_unless_required};
use super::{engine, fixture};

/// A Python that has these packages, made once in a folder of this name. None, and a loud message, where it cannot be
/// made; a failure under `FARRIER_REQUIRE_PYPI=1`.
pub fn python(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let digest = fixture::digest_of(packages);
    let folder = engine::build_directory().join(name);
    let made = folder.join(digest);
    let _lock = fixture::lock(&folder, "python").ok()?;
    if !made.exists()
        && let Err(why) = make(&made, packages)
    {
        let _ = std::fs::remove_dir_all(&made);
        skip_unless_required(REQUIRE_PYPI, &format!("{packages:?} cannot be had here: {why}"));
        return None;
    }
    Some(made.join("bin/python"))
}

fn make(folder: &Path, packages: &[&str]) -> Result<(), String> {
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("{command:?}: {error}")),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let mut install = Command::new(folder.join("bin/pip"));
    run(install.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))
}
