//! Says where the built-in probes lie and which digests they have, compiles the relay for the machine that farrier is built for, and
//! compresses what few commands need.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The probes that few launches need: compressed, they are less than half as large, and a launch with one takes less than a
/// millisecond more.
const COMPRESSED: [&str; 7] = ["amqp", "grpc", "mcp", "memcached", "mysql", "nats", "smtp"];

fn main() {
    let manifest = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    println!("cargo::rerun-if-env-changed=FARRIER_BUILT_PROBES");
    let built =
        std::env::var_os("FARRIER_BUILT_PROBES").map_or_else(|| manifest.join("probes/built"), PathBuf::from);
    println!("cargo::rustc-env=FARRIER_BUILT_PROBES={}", built.display());
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

/// The relay runs inside any image, so it is one static file. Where the machine has no static C library it is
/// left empty, and the image's own nc, python3 or bash relays instead.
fn compile_relay(manifest: &Path) {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("relay");
    let source = manifest.join("src/engine/docker/relay/program.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let compiled = variable("CARGO_CFG_TARGET_OS") == "linux"
        && Command::new(variable("RUSTC"))
            .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "panic=abort"])
            .args(["-C", "strip=symbols", "-C", "lto=fat", "--crate-name", "relay", "--target"])
            .arg(variable("TARGET"))
            .arg("-o")
            .args([&out, &source])
            .status()
            .is_ok_and(|status| status.success());
    if !compiled && std::fs::write(&out, []).is_err() {
        println!("cargo::warning=the relay could not be built");
    }
    compress(&out, "relay.gz");
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
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&bytes)?;
        std::fs::write(&out, encoder.finish()?)
    };
    if let Err(error) = compressed() {
        panic!("{} cannot be compressed: {error}", file.display());
    }
}
