//! What Docker says in prose only: it answers with the same status whether a registry denied an image, does not have
//! it, or the disk is full, and whether a program is missing or made for another machine.

use crate::engine::{EngineError, EngineErrorKind, Meaning};

/// What to do if the engine's disk is full.
pub(super) const MAKE_ROOM: &str =
    "Free disk space: `docker system df` shows what uses it, and `docker system prune` removes unused data.";
/// What to do if the engine has no range of addresses left.
const FREE_ADDRESS_RANGES: [&str; 2] = [
    "Remove unused networks with `docker network prune`.",
    "Or give the engine more ranges: set `default-address-pools` in its `daemon.json`, and restart it.",
];
/// What to do if a network has no address left.
const FREE_ADDRESSES: &str = "Remove containers from the network, or create it with a larger `--subnet`: `docker network inspect` lists both.";

/// Adds to an error what its words are about, and what to do on this engine.
#[must_use]
pub(super) fn explained(error: EngineError) -> EngineError {
    let meaning = meaning(&error.message);
    let hints: &[&'static str] = match (meaning, error.kind) {
        (Some(Meaning::NoAddressRange), _) => &FREE_ADDRESS_RANGES,
        (Some(Meaning::NoAddress), _) => &[FREE_ADDRESSES],
        (_, EngineErrorKind::Unreachable) => hints_of_connection(&error.message),
        (_, EngineErrorKind::PermissionDenied) => {
            &["Join the group that may use the socket (`docker`), or use a rootless engine."]
        }
        (Some(Meaning::DiskFull), EngineErrorKind::Refused) => &[MAKE_ROOM],
        _ if error.message.contains(NEEDS_TLS) => {
            &["Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder of the certificates."]
        }
        _ => &[],
    };
    let hints = if error.hints.is_empty() { hints.to_vec() } else { error.hints.clone() };
    EngineError { meaning, hints, ..error }
}

/// What an engine that speaks TLS answers to whoever does not.
const NEEDS_TLS: &str = "HTTP request to an HTTPS server";

/// Parts of the messages of rustls and of OpenSSH's client, in lower case, and what to do about each; earlier rows come first.
const CONNECTIONS: [(&str, &str); 8] = [
    (
        "peer certificate: unknownissuer",
        "Check `ca.pem`: it must contain the authority that signed the engine's certificate.",
    ),
    (
        "peer certificate: certificate expired",
        "Renew the engine's certificate, or correct this host's clock.",
    ),
    (
        "peer certificate: certificate not valid for name",
        "Use a name or an address of the engine that its certificate contains.",
    ),
    (
        "peer certificate",
        "Give the engine a certificate that is valid for servers, signed by an authority in `ca.pem`.",
    ),
    (
        "received fatal alert",
        "Check `cert.pem` and `key.pem`: the engine's authority must have signed this user's certificate.",
    ),
    (
        "host key verification failed",
        "Run `ssh HOST` once, and compare the key that it shows with the host's own.",
    ),
    (
        "permission denied (",
        "farrier does not prompt: load the key with `ssh-add`, or name it in ~/.ssh/config.",
    ),
    ("ssh: ", "Check that `ssh HOST docker info` works without a question."),
];

fn hints_of_connection(message: &str) -> &'static [&'static str] {
    let message = message.to_lowercase();
    match CONNECTIONS.iter().find(|(words, _)| message.contains(words)) {
        Some((_, hint)) => std::slice::from_ref(hint),
        None => &["Check that the engine runs, for example with `docker info`."],
    }
}

/// Parts of messages of Docker 20.10 to 29, containerd, runc and the reference registry, in lower case; earlier rows
/// come first where several fit.
const WORDS: [(&str, Meaning); 26] = [
    ("no space left on device", Meaning::DiskFull),
    ("disk quota exceeded", Meaning::DiskFull),
    // Docker before and from 28, Docker Swarm, and Podman.
    ("could not find an available, non-overlapping ipv4 address pool", Meaning::NoAddressRange),
    ("all predefined address pools have been fully subnetted", Meaning::NoAddressRange),
    ("failed to find free address pool", Meaning::NoAddressRange),
    ("could not find free subnet from subnet pools", Meaning::NoAddressRange),
    ("no available ipv4 addresses on this network", Meaning::NoAddress),
    ("port is already allocated", Meaning::PortTaken),
    ("ports are not available", Meaning::PortTaken),
    ("bind: address already in use", Meaning::PortTaken),
    ("exec format error", Meaning::WrongArchitecture),
    ("no matching manifest for", Meaning::WrongArchitecture),
    ("no match for platform in manifest", Meaning::WrongArchitecture),
    ("does not match the detected host platform", Meaning::WrongArchitecture),
    ("executable file not found", Meaning::ProgramMissing),
    // What follows is why: no such file, a folder, no permission.
    ("container process: exec: ", Meaning::ProgramMissing),
    ("container process caused: exec: ", Meaning::ProgramMissing),
    ("container init: exec: ", Meaning::ProgramMissing),
    ("pull access denied", Meaning::Denied),
    ("unauthorized", Meaning::Denied),
    ("authentication required", Meaning::Denied),
    ("no basic auth credentials", Meaning::Denied),
    ("denied: ", Meaning::Denied),
    ("manifest unknown", Meaning::NotFound),
    ("name unknown", Meaning::NotFound),
    ("not found: manifest", Meaning::NotFound),
];

/// How containerd, as Docker's image store, begins what ends with the other words if no registry has an image.
const RESOLVING: (&str, &str) = ("failed to resolve reference", ": not found");

/// What a message means, where it is one that is known.
#[must_use]
pub(in crate::engine) fn meaning(message: &str) -> Option<Meaning> {
    let message = message.to_lowercase();
    let known = WORDS.iter().find(|(words, _)| message.contains(words)).map(|(_, meaning)| *meaning);
    let is_nowhere = message.contains(RESOLVING.0) && message.ends_with(RESOLVING.1);
    known.or_else(|| is_nowhere.then_some(Meaning::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_as_engines_write_them() {
        for (message, expected) in [
            (
                "pull access denied for x, repository does not exist or may require 'docker login': denied: requested \
                 access to the resource is denied",
                Some(Meaning::Denied),
            ),
            ("Head \"https://r/v2/x/manifests/1\": no basic auth credentials", Some(Meaning::Denied)),
            ("manifest for r/x:1 not found: manifest unknown: manifest unknown", Some(Meaning::NotFound)),
            ("failed to resolve reference \"r/x:1\": r/x:1: not found", Some(Meaning::NotFound)),
            ("failed to resolve reference \"r/x:1\": failed to do request: Head: connection refused", None),
            ("no match for platform in manifest sha256:1f: not found", Some(Meaning::WrongArchitecture)),
            ("failed to register layer: write /x: no space left on device", Some(Meaning::DiskFull)),
            (
                "OCI runtime create failed: runc create failed: unable to start container process: exec: \"x\": \
                 executable file not found in $PATH: unknown",
                Some(Meaning::ProgramMissing),
            ),
            (
                "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the \
                 network",
                Some(Meaning::NoAddressRange),
            ),
            ("all predefined address pools have been fully subnetted", Some(Meaning::NoAddressRange)),
            (
                "no available IPv4 addresses on this network's address pools: net (3f2b)",
                Some(Meaning::NoAddress),
            ),
            (
                "driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:80 failed: port is \
                 already allocated",
                Some(Meaning::PortTaken),
            ),
            ("listen tcp4 127.0.0.1:80: bind: address already in use", Some(Meaning::PortTaken)),
            ("exec /server: exec format error", Some(Meaning::WrongArchitecture)),
            (
                "no matching manifest for linux/arm64/v8 in the manifest list entries",
                Some(Meaning::WrongArchitecture),
            ),
            (
                "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container \
                 process: exec: \"/nothing\": stat /nothing: no such file or directory: unknown",
                Some(Meaning::ProgramMissing),
            ),
            (
                "unable to start container process: error during container init: exec: \"/nothing\": stat /nothing: no such \
                 file or directory",
                Some(Meaning::ProgramMissing),
            ),
            (
                "unable to start container process: exec: \"/\": permission denied: unknown",
                Some(Meaning::ProgramMissing),
            ),
            ("error mounting \"/x\" to rootfs at \"/y\": no such file or directory", None),
            ("dial tcp: lookup r: no such host", None),
        ] {
            assert_eq!(meaning(message), expected, "{message}");
        }
    }
}
