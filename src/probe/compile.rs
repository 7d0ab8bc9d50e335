//! Compiling a Rust crate to a core module.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::platform::contains;
use crate::report::error::{Code, Problem};
use crate::system::bounded_file;

/// No WASI: what is built for it imports farrier's own interfaces and nothing else.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// No honest Cargo.toml is larger, in bytes.
const MANIFEST_BYTES: u64 = 1 << 20;

/// Small, because a component is compiled once more on the user's machine. Only where the workspace does not say
/// what a release is.
const SMALL: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "s"),
    ("CARGO_PROFILE_RELEASE_LTO", "true"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
    ("CARGO_PROFILE_RELEASE_STRIP", "true"),
];

/// A compiled crate.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    /// The package's name.
    pub package: String,
    /// The core module.
    pub path: PathBuf,
    /// Folders of this machine whose names must not be in the component.
    pub private: Vec<PathBuf>,
}

/// Runs cargo in a crate's folder. What it says goes to standard error.
///
/// # Errors
/// Cargo or the target is missing, the crate does not compile, or it makes no WebAssembly library.
pub fn module(folder: &Path) -> Result<Module, Problem> {
    expect_target(folder)?;
    let mut command = cargo(folder);
    command.args(["build", "--release", "--lib", "--target", TARGET]);
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let places = Places::of(folder);
    if !describes_release(&places.workspace) {
        command.envs(SMALL.iter().copied());
    }
    places.rename_in(&mut command);
    let output = command.output().map_err(|error| not_run("cargo", &error))?;
    if !output.status.success() {
        return Err(Problem::error(
            Code::ProbeBuild,
            format!("cargo did not build the crate: {}", output.status),
        )
        .hint("See cargo's output above."));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut built =
        messages.lines().filter_map(|line| serde_json::from_str(line).ok()).filter_map(|line| library(&line));
    // Dependencies come before the crate itself.
    let built = built.next_back().map(|(package, path)| Module { package, path, private: places.private() });
    built.ok_or_else(|| {
        Problem::error(Code::ProbeBuild, "the crate produces no WebAssembly library")
            .hint("Write `crate-type = [\"cdylib\"]` under [lib] in its Cargo.toml.")
    })
}

/// The package's name, and its core module.
fn library(message: &Value) -> Option<(String, PathBuf)> {
    let target = message.get("target")?;
    let is_library = target.get("crate_types")?.as_array()?.iter().any(|kind| kind == "cdylib");
    if message.get("reason")? != "compiler-artifact" || !is_library {
        return None;
    }
    let files = message.get("filenames")?.as_array()?.iter().filter_map(Value::as_str);
    let path =
        files.map(PathBuf::from).find(|path| path.extension().is_some_and(|ending| ending == "wasm"))?;
    let name = target.get("name")?.as_str()?;
    Some((name.replace('_', "-"), path))
}

fn rustc() -> OsString {
    env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

fn cargo(folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn not_run(program: &str, error: &io::Error) -> Problem {
    Problem::error(Code::ProbeBuild, format!("{program} cannot be run: {error}")).hint(
        "Install Rust, for example from https://rustup.rs, or pass a core module that is compiled already.",
    )
}

/// The target's standard library must be there: cargo's own complaint is about a crate `core`.
fn expect_target(folder: &Path) -> Result<(), Problem> {
    let rustc = rustc();
    let asked = Command::new(&rustc)
        .current_dir(folder)
        .args(["--print", "target-libdir", "--target", TARGET])
        .stdin(Stdio::null())
        .output();
    let answer = asked.map_err(|error| not_run(&Path::new(&rustc).display().to_string(), &error))?;
    let libraries = String::from_utf8_lossy(&answer.stdout);
    // A program that is no compiler may answer with any folder.
    let libraries = Path::new(libraries.trim());
    let names_target = libraries.components().any(|part| part.as_os_str() == TARGET);
    if answer.status.success() && names_target && libraries.is_dir() {
        return Ok(());
    }
    Err(Problem::error(
        Code::ProbeBuild,
        format!("the Rust compiler here has no standard library for {TARGET}"),
    )
    .hint(format!("Run `rustup target add {TARGET}`, or name another compiler with RUSTC.")))
}

/// Whether the workspace with this root says what a release is.
fn describes_release(workspace: &Path) -> bool {
    let Ok(manifest) = bounded_file::text(&workspace.join("Cargo.toml"), MANIFEST_BYTES) else { return true };
    let manifest: toml::Table = manifest.parse().unwrap_or_default();
    manifest.get("profile").and_then(|profiles| profiles.get("release")).is_some()
}

/// Folders of this machine that a compiler writes into what it makes: each has another name there, so that the same
/// sources make the same component in any folder, for any user.
struct Places {
    workspace: PathBuf,
    target: Option<PathBuf>,
    cargo_home: Option<PathBuf>,
    sysroot: Option<PathBuf>,
    /// The sources of the standard library, and their name.
    sources: Option<(PathBuf, String)>,
    /// Packages that lie in none of the others, each with its name and version.
    packages: Vec<(PathBuf, String)>,
}

impl Places {
    fn of(folder: &Path) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        // All packages, of which cargo fetches now what the build needs; without the index, the workspace alone.
        let described = metadata(&folder, &["--filter-platform", TARGET])
            .or_else(|| metadata(&folder, &["--no-deps", "--offline"]))
            .unwrap_or_default();
        let told = |field: &str| described.get(field).and_then(Value::as_str).map(PathBuf::from);
        let sysroot = Command::new(rustc()).current_dir(&folder).args(["--print", "sysroot"]).output().ok();
        let sysroot = sysroot.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let sysroot = sysroot.map(PathBuf::from).filter(|path| path.is_absolute());
        let version = Command::new(rustc()).current_dir(&folder).arg("-vV").output().ok();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let mut places = Self {
            workspace: told("workspace_root").unwrap_or_else(|| folder.clone()),
            target: told("target_directory"),
            cargo_home: cargo_home(&folder),
            sources: sysroot
                .as_deref()
                .zip(version)
                .and_then(|(sysroot, version)| sources(sysroot, &version)),
            sysroot,
            packages: Vec::new(),
        };
        let packages = described.get("packages").and_then(Value::as_array).into_iter().flatten();
        let elsewhere = packages.filter_map(package).filter(|(path, _)| !places.cover(path)).collect();
        places.packages = elsewhere;
        places
    }

    fn cover(&self, path: &Path) -> bool {
        self.renamed().iter().any(|(place, _)| path.starts_with(place))
    }

    /// Folders and their names in the component. Of several that a path begins with, the last one counts: a folder within
    /// another comes after it.
    fn renamed(&self) -> Vec<(&Path, &str)> {
        let named = [
            (self.sysroot.as_deref(), "/rust"),
            (self.cargo_home.as_deref(), "/cargo"),
            (Some(self.workspace.as_path()), "/probe"),
            (self.target.as_deref(), "/target"),
        ];
        let packages = self.packages.iter().chain(&self.sources);
        let packages = packages.map(|(path, name)| (path.as_path(), name.as_str()));
        let named = named.into_iter().filter_map(|(path, name)| Some((path?, name)));
        let mut renamed: Vec<(&Path, &str)> = packages.chain(named).collect();
        renamed.sort_by_key(|(path, _)| path.components().count());
        renamed
    }

    fn private(&self) -> Vec<PathBuf> {
        self.renamed().into_iter().map(|(path, _)| path.to_owned()).chain(env::home_dir()).collect()
    }

    /// Has the compiler write the other names, beside the flags that it gets already.
    fn rename_in(&self, command: &mut Command) {
        let flags = self.renamed().into_iter().filter_map(|(path, name)| {
            Some(format!("--remap-path-prefix={}={name}", path.to_str().filter(|text| !text.is_empty())?))
        });
        let flags: Vec<String> = flags.collect();
        // Cargo takes the flags of one place, and the environment's before a configuration's, even where they are empty.
        if let Ok(encoded) = env::var("CARGO_ENCODED_RUSTFLAGS") {
            let words = encoded.split('\u{1f}').filter(|word| !word.is_empty()).map(str::to_owned);
            command.env("CARGO_ENCODED_RUSTFLAGS", words.chain(flags).collect::<Vec<_>>().join("\u{1f}"));
        } else if let Ok(plain) = env::var("RUSTFLAGS") {
            let words = plain.split_whitespace().map(str::to_owned).chain(flags);
            command.env("CARGO_ENCODED_RUSTFLAGS", words.collect::<Vec<_>>().join("\u{1f}"));
        } else {
            // Cargo adds a list of the configuration to the lists of its files.
            let flags = Value::from(flags);
            command.arg("--config").arg(format!("target.{TARGET}.rustflags={flags}"));
        }
    }
}

/// What cargo tells of the crate in this folder and of its packages.
fn metadata(folder: &Path, how: &[&str]) -> Option<Value> {
    let mut command = cargo(folder);
    command.args(["metadata", "--format-version", "1"]).args(how).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    serde_json::from_slice(&output.stdout).ok()
}

/// A package's folder, and what it is called in a component.
fn package(described: &Value) -> Option<(PathBuf, String)> {
    let text = |field: &str| described.get(field).and_then(Value::as_str);
    let folder = Path::new(text("manifest_path")?).parent()?;
    Some((folder.to_owned(), format!("/packages/{}-{}", text("name")?, text("version")?)))
}

/// Where cargo keeps what it fetched. As cargo takes it: an empty variable counts as none, and a relative path begins at
/// the folder where cargo runs.
fn cargo_home(folder: &Path) -> Option<PathBuf> {
    let named = env::var_os("CARGO_HOME").filter(|path| !path.is_empty());
    named.map_or_else(|| Some(env::home_dir()?.join(".cargo")), |path| Some(folder.join(path)))
}

/// Where the sources of the standard library are installed, and what the compiler calls them where they are not: it writes
/// the place of its generic code, which is compiled with the crate. `None` if they are not installed, or their other name is
/// not known.
fn sources(sysroot: &Path, version: &str) -> Option<(PathBuf, String)> {
    let place = sysroot.join("lib/rustlib/src/rust");
    // The compiler follows a link once.
    let place = std::fs::read_link(&place).unwrap_or(place);
    if !place.is_absolute() || !place.join("library/std/src/lib.rs").is_file() {
        return None;
    }
    let told = |key: &str| version.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    // The names of Rust's own builds and of Debian's. Which one it is, the compiled library tells.
    let names = [
        told("commit-hash: ").map(|commit| format!("/rustc/{commit}")),
        told("release: ").map(|release| format!("/usr/src/rustc-{release}")),
    ];
    let libraries = std::fs::read_dir(sysroot.join("lib/rustlib").join(TARGET).join("lib")).ok()?;
    let is_std = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libstd-") && path.extension().is_some_and(|ending| ending == "rlib")
    };
    let library = libraries.flatten().map(|entry| entry.path()).find(is_std)?;
    let library = std::fs::read(library).ok()?;
    let is_its = |name: &String| contains(&library, format!("{name}/library/").as_bytes());
    Some((place, names.into_iter().flatten().find(is_its)?))
}

/// A warning for each folder of this machine that a module names all the same.
pub fn traces(module: &[u8], private: &[PathBuf]) -> Vec<Problem> {
    let named = private
        .iter()
        .filter(|path| path.parent().is_some() && contains(module, path.as_os_str().as_encoded_bytes()));
    named
        .map(|path| {
            let message = format!("the probe names {}, a folder of this machine", path.display());
            Problem::warning(Code::ProbeBuild, message).hint(
                "Look for `env!`, `include_str!` or a build script that writes the path: others build another component.",
            )
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test")]
mod tests {
    use super::*;

    const VERSION: &str =
        "rustc 1.97.1 (8bab26f4f 2026-07-14)\nbinary: rustc\ncommit-hash: 8bab\nrelease: 1.97.1\n";

    #[test]
    fn installed_sources_have_the_name_that_the_compiled_library_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let (sysroot, installed) = (folder.path().join("sysroot"), folder.path().join("rust-src"));
        let libraries = sysroot.join("lib/rustlib").join(TARGET).join("lib");
        std::fs::create_dir_all(&libraries).expect("folders");
        std::fs::create_dir_all(sysroot.join("lib/rustlib/src")).expect("folders");
        std::fs::create_dir_all(installed.join("library/std/src")).expect("folders");
        std::fs::write(installed.join("library/std/src/lib.rs"), "").expect("a file");
        let compiled = |text: &str| std::fs::write(libraries.join("libstd-1.rlib"), text).expect("a file");
        compiled("\0/rustc/8bab/library/std/src/panicking.rs\0");
        assert_eq!(sources(&sysroot, VERSION), None, "they are not installed");
        std::os::unix::fs::symlink(&installed, sysroot.join("lib/rustlib/src/rust")).expect("a link");
        assert_eq!(sources(&sysroot, VERSION), Some((installed.clone(), "/rustc/8bab".to_owned())));
        compiled("\0/usr/src/rustc-1.97.1/library/std/src/panicking.rs\0");
        assert_eq!(sources(&sysroot, VERSION), Some((installed, "/usr/src/rustc-1.97.1".to_owned())));
        compiled("\0/build/rustc/library/std/src/panicking.rs\0");
        assert_eq!(sources(&sysroot, VERSION), None, "a name that nobody knows");
    }
}
