//! Compiles the fixture program and makes images of it, without a registry; the quickstart shares this.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use super::docker::{self, Trouble};

/// The source of the program that is the only file in the images.
const SOURCE: &str = include_str!("../fixture/program.rs");
/// Static, since there is no library beside it.
const FLAGS: &str = "--edition 2024 -O -C target-feature=+crt-static -C panic=abort -C strip=symbols";
/// The image label that carries `digest()`.
const LABEL: &str = "farrier-fixture.digest";
/// The programs run by unprivileged users too.
const EXECUTABLE: u32 = 0o755;

/// Names the content of the program.
pub fn digest() -> String {
    digest_of(&[SOURCE, FLAGS])
}

/// A name for these contents: the beginning of their SHA-256, as 12 hexadecimal digits.
pub fn digest_of(contents: &[&str]) -> String {
    let hash = Sha256::digest(contents.join("\0"));
    let number = hash.iter().take(6).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{number:012x}")
}

/// The compiled program in `directory`; compiled only where it is not there yet.
pub fn compile(directory: &Path) -> Result<PathBuf, Trouble> {
    let program = directory.join(format!("fixture-{}", digest()));
    let _lock = lock(directory, "compile")?;
    if program.exists() {
        return Ok(program);
    }
    let source = directory.join("fixture.rs");
    fs::write(&source, SOURCE).map_err(|error| unusable(&source, &error))?;
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    // Renamed when it is whole, so that a killed compiler leaves nothing that looks like the program.
    let unfinished = directory.join("fixture.unfinished");
    let output = Command::new(&compiler)
        .args(FLAGS.split(' '))
        .arg(&source)
        .arg("-o")
        .arg(&unfinished)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            Trouble::new(
                format!("cannot run `{}`: {error}", compiler.display()),
                "Put rustc on the PATH, or name it in the variable RUSTC.",
            )
        })?;
    if !output.status.success() {
        return Err(Trouble::new(
            format!("the test program does not compile: {}", String::from_utf8_lossy(&output.stderr).trim()),
            "Where the linker is what fails, install a C toolchain with the static C library (Debian: \
             `apt-get install gcc libc6-dev`; Fedora: `dnf install gcc glibc-static`).",
        ));
    }
    fs::rename(&unfinished, &program).map_err(|error| unusable(&program, &error))?;
    Ok(program)
}

/// Makes sure that `tag` is an image of the current program with these options; leaves it alone where it is.
pub fn ensure(directory: &Path, tag: &str, image: &Image) -> Result<(), Trouble> {
    let program = compile(directory)?;
    let _lock = lock(directory, "image")?;
    let format = format!("{{{{index .Config.Labels \"{LABEL}\"}}}}");
    if docker::run(["image", "inspect", "--format", &format, tag]).is_ok_and(|found| found == digest()) {
        return Ok(());
    }
    image.import(&program, tag).map(drop)
}

/// What is in an image beside the program at `/fixture`, its entrypoint, and an empty `/tmp`.
#[derive(Clone, Debug, Default)]
pub struct Image {
    changes: Vec<String>,
    files: Vec<(String, Vec<u8>, u32)>,
    links: Vec<(String, String)>,
}

impl Image {
    /// Nothing else.
    pub fn new() -> Self {
        Self::default()
    }

    /// A Dockerfile instruction: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, USER, VOLUME or WORKDIR.
    pub fn change(mut self, instruction: impl Into<String>) -> Self {
        self.changes.push(instruction.into());
        self
    }

    /// One more file; `path` is absolute, `mode` the permission bits.
    pub fn file(mut self, path: &str, content: impl Into<Vec<u8>>, mode: u32) -> Self {
        self.files.push((path.to_owned(), content.into(), mode));
        self
    }

    /// `/bin/sh`, as far as the program can stand in for one: shell-form health checks.
    pub fn shell(mut self) -> Self {
        self.links.push(("/bin/sh".to_owned(), "/fixture".to_owned()));
        self
    }

    /// Makes the image under this tag, from the compiled program; gives its id.
    pub fn import(&self, program: &Path, tag: &str) -> Result<String, Trouble> {
        let archive = fs::read(program)
            .and_then(|bytes| self.archive(&bytes))
            .map_err(|error| unusable(program, &error))?;
        let mut arguments: Vec<OsString> = vec!["import".into()];
        let own = [format!("LABEL {LABEL}={}", digest()), "ENTRYPOINT [\"/fixture\"]".to_owned()];
        for change in own.iter().chain(&self.changes) {
            arguments.extend(["--change".into(), change.into()]);
        }
        arguments.extend(["-".into(), tag.into()]);
        let output = Command::new("docker")
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                // A client that refuses its arguments closes its input: its own words say more than the
                // pipe's.
                let written = child.stdin.take().map(|mut input| input.write_all(&archive));
                let output = child.wait_with_output()?;
                if output.status.success() {
                    written.transpose()?;
                }
                Ok(output)
            });
        docker::finished(&arguments, output)
    }

    /// Writes the image into a folder, as a layout of the Open Container Initiative; gives its id.
    pub fn layout(&self, program: &Path, folder: &Path) -> Result<String, Trouble> {
        let archive = fs::read(program).and_then(|bytes| self.archive(&bytes));
        let archive = archive.map_err(|error| unusable(program, &error))?;
        self.layout_of(&archive, folder).map_err(|error| unusable(folder, &error))
    }

    fn layout_of(&self, archive: &[u8], folder: &Path) -> io::Result<String> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let write = |blob: &[u8]| {
            let digest: String = Sha256::digest(blob).iter().map(|byte| format!("{byte:02x}")).collect();
            fs::write(blobs.join(&digest), blob)?;
            io::Result::Ok((format!("sha256:{digest}"), blob.len()))
        };
        let (layer, layer_size) = write(archive)?;
        let (config, config_size) = write(self.config(&layer).as_bytes())?;
        let media = "application/vnd.oci.image";
        let manifest = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{media}.config.v1+json","digest":"{config}","size":{config_size}}},"layers":[{{"mediaType":"{media}.layer.v1.tar","digest":"{layer}","size":{layer_size}}}]}}"#
        );
        let (manifest, size) = write(manifest.as_bytes())?;
        fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{media}.manifest.v1+json","digest":"{manifest}","size":{size}}}]}}"#
        );
        // Last, and whole: it says what is there.
        let unfinished = folder.join("index.unfinished");
        fs::write(&unfinished, index)?;
        fs::rename(unfinished, folder.join("index.json"))?;
        Ok(config)
    }

    /// The configuration, with what the instructions say.
    fn config(&self, layer: &str) -> String {
        let entrypoint = ["ENTRYPOINT [\"/fixture\"]".to_owned()];
        let mut fields = std::collections::BTreeMap::new();
        for instruction in entrypoint.iter().chain(&self.changes) {
            let (word, rest) = instruction.split_once(' ').unwrap_or((instruction, ""));
            let (field, value) = match word {
                "CMD" => ("Cmd", rest.to_owned()),
                "ENTRYPOINT" => ("Entrypoint", rest.to_owned()),
                "ENV" => ("Env", format!("[{rest:?}]")),
                "EXPOSE" => ("ExposedPorts", format!(r#"{{"{rest}/tcp":{{}}}}"#)),
                "HEALTHCHECK" => {
                    let (options, words) = rest.split_once("CMD [").unwrap_or(("", rest));
                    let options: String = options.split_whitespace().map(health_option).collect();
                    ("Healthcheck", format!(r#"{{{options}"Test":["CMD",{words}}}"#))
                }
                "STOPSIGNAL" => ("StopSignal", format!("{rest:?}")),
                "USER" => ("User", format!("{rest:?}")),
                "VOLUME" => {
                    let path = rest.trim_start_matches("[\"").trim_end_matches("\"]");
                    ("Volumes", format!(r#"{{"{path}":{{}}}}"#))
                }
                "WORKDIR" => ("WorkingDir", format!("{rest:?}")),
                other => panic!("no test needs {other} in a layout"),
            };
            fields.insert(field, value);
        }
        let fields: Vec<String> =
            fields.iter().map(|(field, value)| format!(r#""{field}":{value}"#)).collect();
        let machine = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        format!(
            r#"{{"architecture":"{machine}","os":"linux","config":{{{}}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#,
            fields.join(",")
        )
    }

    fn archive(&self, program: &[u8]) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut directory = header(tar::EntryType::Directory, 0o1777, 0);
        archive.append_data(&mut directory, "tmp/", io::empty())?;
        let own = ("/fixture".to_owned(), program.to_vec(), EXECUTABLE);
        for (path, content, mode) in [&own].into_iter().chain(&self.files) {
            let mut file = header(tar::EntryType::Regular, *mode, content.len() as u64);
            archive.append_data(&mut file, path.trim_start_matches('/'), content.as_slice())?;
        }
        for (path, target) in &self.links {
            let mut link = header(tar::EntryType::Symlink, 0o777, 0);
            archive.append_link(&mut link, path.trim_start_matches('/'), target)?;
        }
        archive.into_inner()
    }
}

/// An option of HEALTHCHECK as a field of a configuration: a number, or a length of time in milliseconds.
fn health_option(option: &str) -> String {
    let (name, value) = option.trim_start_matches("--").split_once('=').expect("an option has a value");
    let name = match name {
        "interval" => "Interval",
        "timeout" => "Timeout",
        "start-period" => "StartPeriod",
        "retries" => "Retries",
        other => panic!("no test needs {other} in a layout"),
    };
    let value = value.strip_suffix("ms").map_or_else(|| value.to_owned(), |value| format!("{value}000000"));
    format!(r#""{name}":{value},"#)
}

/// The same bytes from the same content: everything belongs to root and is as old as time.
fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Held until dropped: several test binaries, and the example, may want the same thing at once.
pub fn lock(directory: &Path, name: &str) -> Result<File, Trouble> {
    let path = directory.join(format!("{name}.lock"));
    fs::create_dir_all(directory)
        .and_then(|()| File::create(&path))
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| unusable(&path, &error))
}

fn unusable(path: &Path, error: &io::Error) -> Trouble {
    Trouble::new(
        format!("cannot use {}: {error}", path.display()),
        "Make sure that this user may write there and that the disk is not full.",
    )
}
