//! Says where the built-in probes lie and which digests they have, compiles the relay for the machine that farrier is built for, and
//! compresses what few commands need.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use sha2::{Digest, Sha256};

/// The probes that few launches need: compressed, they are less than half as large, and a launch with one takes less than a
/// millisecond more.
const COMPRESSED: [&str; 7] = ["amqp", "grpc", "mcp", "memcached", "mysql", "nats", "smtp"];

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo::rerun-if-env-changed=FARRIER_BUILT_PROBES");
    let built =
        std::env::var_os("FARRIER_BUILT_PROBES").map_or_else(|| manifest.join("probes/built"), PathBuf::from);
    // Under another name: cargo gives it to tests, whose own cargo would take it for the user's choice, and build farrier again.
    println!("cargo::rustc-env=FARRIER_PROBES_FOLDER={}", built.display());
    tell_digests(&built.join("stamp.toml"));
    for name in COMPRESSED {
        let component = built.join(format!("{name}.wasm"));
        println!("cargo::rerun-if-changed={}", component.display());
        compress(&component, &format!("{name}.wasm.gz"));
    }
    let sdk = built.join("sdk.tar");
    println!("cargo::rerun-if-changed={}", sdk.display());
    compress(&sdk, "sdk.tar.gz");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/engine/docker/relay/program.rs");
    compile_relay(&manifest);
    let lock = manifest.join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rustc-env=FARRIER_WASMTIME_VERSION={}", wasmtime_version(&lock));
}

/// The digests that were stamped when the components were built, so that no launch computes them; a test holds them
/// against the components.
fn tell_digests(stamp: &Path) {
    println!("cargo::rerun-if-changed={}", stamp.display());
    let text = std::fs::read_to_string(stamp).unwrap_or_default();
    let mut name = "";
    for line in text.lines() {
        if let Some(table) = line.strip_prefix('[') {
            name = table.trim_end_matches(']');
        } else if let Some(digest) = line.strip_prefix("component = ") {
            println!("cargo::rustc-env=FARRIER_DIGEST_{name}={}", digest.trim_matches('"'));
        }
    }
}

/// What `farrier doctor` tells; wasmtime itself does not say.
fn wasmtime_version(lock: &Path) -> String {
    let text = std::fs::read_to_string(lock).unwrap_or_default();
    let mut lines = text.lines().skip_while(|line| *line != "name = \"wasmtime\"").skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = "));
    version.map_or_else(|| "of unknown version".to_owned(), |version| version.trim_matches('"').to_owned())
}

/// The relay is the only file of its image, so it is static. Where the machine has no static C library it is left empty,
/// and nc, python3 or bash of another image relays instead.
fn compile_relay(manifest: &Path) {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("relay");
    let source = manifest.join("src/engine/docker/relay/program.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let compiled = variable("CARGO_CFG_TARGET_OS") == "linux"
        && Command::new(variable("RUSTC"))
            .args([
                "--edition",
                "2024",
                "-C",
                "opt-level=z",
                "-C",
                "target-feature=+crt-static",
                "-C",
                "panic=abort",
            ])
            .args(["-C", "relocation-model=static", "-C", "codegen-units=1", "-C", "strip=symbols"])
            // The same program wherever it is built, so that the engine gets its image once.
            .arg(format!("--remap-path-prefix={}=farrier", manifest.display()))
            .args(["-C", "lto=fat", "--crate-name", "relay", "--target"])
            .arg(variable("TARGET"))
            .arg("-o")
            .args([&out, &source])
            .status()
            .is_ok_and(|status| status.success());
    if !compiled && std::fs::write(&out, []).is_err() {
        println!("cargo::warning=the relay could not be built");
    }
    let image = out.with_file_name("relay-image.tar");
    let made = relay_image(&out, &variable("CARGO_CFG_TARGET_ARCH"));
    match made.and_then(|(tag, archive)| std::fs::write(&image, archive).map(|()| tag)) {
        Ok(tag) => println!("cargo::rustc-env=FARRIER_RELAY_TAG={tag}"),
        Err(error) => panic!("the image of the relay cannot be written: {error}"),
    }
}

/// An image that contains the relay and nothing else, and its tag, which is another one for each relay. Empty if the relay is.
/// Its layer is compressed: Podman takes no archive that is compressed as a whole.
fn relay_image(program: &Path, architecture: &str) -> io::Result<(String, Vec<u8>)> {
    let program = std::fs::read(program)?;
    if program.is_empty() {
        return Ok((String::new(), program));
    }
    let layer = archive(&[("farrier-relay", 0o755, &program)])?;
    // As Go names it.
    let architecture = match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let configuration = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/farrier-relay"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))]},
    });
    let configuration = configuration.to_string();
    let digest = sha256(configuration.as_bytes());
    let (tag, name) = (digest[..12].to_owned(), format!("{digest}.json"));
    let manifest = json!([{
        "Config": name, "RepoTags": [format!("localhost/farrier-relay:{tag}")], "Layers": ["layer.tar"],
    }]);
    let manifest = manifest.to_string();
    let files = [
        ("manifest.json", 0o644, manifest.as_bytes()),
        (name.as_str(), 0o644, configuration.as_bytes()),
        ("layer.tar", 0o644, &gzip(&layer)?),
    ];
    Ok((tag, archive(&files)?))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn archive(files: &[(&str, u32, &[u8])]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, mode, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        archive.append_data(&mut header, name, *content)?;
    }
    archive.into_inner()
}

/// Writes what farrier unpacks when it needs it (`system/packed`): uncompressed, these files would add 1.4 MB to the program.
/// What is empty stays so.
fn compress(file: &Path, name: &str) {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join(name);
    let compressed = || -> io::Result<()> {
        let bytes = std::fs::read(file)?;
        if bytes.is_empty() {
            return std::fs::write(&out, bytes);
        }
        std::fs::write(&out, gzip(&bytes)?)
    };
    if let Err(error) = compressed() {
        panic!("{} cannot be compressed: {error}", file.display());
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}
