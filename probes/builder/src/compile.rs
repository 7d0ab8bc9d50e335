//! Running cargo for the guests.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::stamp::{BUILT_INS, FLAGS, PROFILE, TARGET, package};

/// The compiled guests.
pub struct Guests {
    /// The compiler's version, as in `1.97.1`.
    pub rustc: String,
    modules: PathBuf,
    /// Folders of this machine whose names must not be in the components.
    private: Vec<PathBuf>,
}

impl Guests {
    /// The core module of one guest.
    pub fn module(&self, name: &str) -> PathBuf {
        self.modules.join(package(name).replace('-', "_")).with_extension("wasm")
    }

    /// Makes sure that nothing of this machine is in a component.
    ///
    /// # Errors
    /// The folder whose name is in there.
    pub fn expect_no_trace(&self, name: &str, component: &[u8]) -> Result<()> {
        for path in &self.private {
            let text = path.as_os_str().as_encoded_bytes();
            let found = component.windows(text.len()).any(|window| window == text);
            ensure!(!found, "the probe `{name}` names {}, a folder of this machine", path.display());
        }
        Ok(())
    }
}

/// Compiles all guests.
///
/// # Errors
/// The compiler lacks the target, or the guests do not compile.
pub fn guests(root: &Path) -> Result<Guests> {
    let rustc = env::var_os("GUEST_RUSTC").or_else(|| env::var_os("RUSTC")).unwrap_or_else(|| "rustc".into());
    let version = answer(&rustc, &["--version"])?;
    let version = version.split_whitespace().nth(1).context("rustc --version names no version")?.to_owned();
    let libraries = answer(&rustc, &["--print", "target-libdir", "--target", TARGET])?;
    if !Path::new(&libraries).is_dir() {
        bail!(
            "{} {version} has no standard library for {TARGET}: run `rustup target add {TARGET}`, or set \
             GUEST_RUSTC to a rustc that has it",
            Path::new(&rustc).display(),
        );
    }

    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .context("neither CARGO_HOME nor a home directory is set")?;
    let sysroot = PathBuf::from(answer(&rustc, &["--print", "sysroot"])?);
    let target_dir = match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root.join(folder),
        None => root.join("target"),
    }
    .join("probes");
    let private = vec![target_dir.clone(), root.to_owned(), cargo_home, sysroot];

    let mut flags: OsString = FLAGS.join("\u{1f}").into();
    for (path, name) in private.iter().zip(["/target", "/farrier", "/cargo", "/rust"]).rev() {
        flags.push("\u{1f}--remap-path-prefix=");
        flags.push(path);
        flags.push("=");
        flags.push(name);
    }

    // One at a time: cargo gives all packages that it builds together the features that any of them wants, and a
    // guest with the standard library beside one without has two panic handlers.
    for name in BUILT_INS {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(root).args(["build", "--locked", "--profile", PROFILE, "--target", TARGET]);
        command.arg("--package").arg(package(name));
        // The encoded form comes before every other source of flags, the user's configuration included.
        command.env("RUSTC", &rustc).env("CARGO_ENCODED_RUSTFLAGS", &flags);
        let status = command.env("CARGO_TARGET_DIR", &target_dir).status().context("cargo cannot be run")?;
        ensure!(status.success(), "cargo did not build the probe `{name}`: {status}");
    }
    Ok(Guests { rustc: version, modules: target_dir.join(TARGET).join(PROFILE), private })
}

fn answer(rustc: &OsString, arguments: &[&str]) -> Result<String> {
    let output = Command::new(rustc)
        .args(arguments)
        .output()
        .with_context(|| format!("{} cannot be run", Path::new(rustc).display()))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {complaint}", Path::new(rustc).display());
    Ok(String::from_utf8(output.stdout).context("rustc's answer is not UTF-8")?.trim().to_owned())
}
