//! What Docker says in prose only: it answers with the same status whether a registry denied an image, does not have
//! it, or the disk is full, and whether a program is missing or made for another machine.

/// What an engine's message means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The registry wants another login, or does not let this one have the image.
    Denied,
    /// The registry has no such image.
    NotFound,
    /// The engine's disk is full.
    DiskFull,
    /// The engine has no range of addresses left for another network.
    NoAddressRange,
    /// The network has no address left for another container.
    NoAddress,
    /// The program is not in the image, or may not be executed.
    ProgramMissing,
    /// The program is made for another machine, or is no program.
    WrongArchitecture,
}

/// Parts of messages of Docker 20.10 to 29, containerd, runc and the reference registry, in lower case; earlier rows
/// come first where several fit.
const WORDS: [(&str, Meaning); 21] = [
    ("no space left on device", Meaning::DiskFull),
    ("disk quota exceeded", Meaning::DiskFull),
    // Docker before and from 28, Docker Swarm, and Podman.
    ("could not find an available, non-overlapping ipv4 address pool", Meaning::NoAddressRange),
    ("all predefined address pools have been fully subnetted", Meaning::NoAddressRange),
    ("failed to find free address pool", Meaning::NoAddressRange),
    ("could not find free subnet from subnet pools", Meaning::NoAddressRange),
    ("no available ipv4 addresses on this network", Meaning::NoAddress),
    ("exec format error", Meaning::WrongArchitecture),
    ("no matching manifest for", Meaning::WrongArchitecture),
    ("does not match the detected host platform", Meaning::WrongArchitecture),
    ("executable file not found", Meaning::ProgramMissing),
    // What follows is why: no such file, a folder, no permission.
    ("container process: exec: ", Meaning::ProgramMissing),
    ("container process caused: exec: ", Meaning::ProgramMissing),
    ("pull access denied", Meaning::Denied),
    ("unauthorized", Meaning::Denied),
    ("authentication required", Meaning::Denied),
    ("no basic auth credentials", Meaning::Denied),
    ("denied: ", Meaning::Denied),
    ("manifest unknown", Meaning::NotFound),
    ("name unknown", Meaning::NotFound),
    ("not found: manifest", Meaning::NotFound),
];

/// What a container's own log says where its program could not be executed: the runtime writes it there.
#[must_use]
pub fn meaning_of_log(line: &str) -> Option<Meaning> {
    let said = line
        .strip_prefix("exec ")
        .or_else(|| line.split_once("exec user process caused: ").map(|(_, said)| said))?;
    if said.ends_with("exec format error") {
        return Some(Meaning::WrongArchitecture);
    }
    let missing =
        ["no such file or directory", "permission denied"].iter().any(|words| said.ends_with(words));
    missing.then_some(Meaning::ProgramMissing)
}

/// What a message means, where it is one that is known.
#[must_use]
pub fn meaning(message: &str) -> Option<Meaning> {
    let message = message.to_lowercase();
    WORDS.iter().find(|(words, _)| message.contains(words)).map(|(_, meaning)| *meaning)
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
                "unable to start container process: exec: \"/\": permission denied: unknown",
                Some(Meaning::ProgramMissing),
            ),
            ("error mounting \"/x\" to rootfs at \"/y\": no such file or directory", None),
            ("dial tcp: lookup r: no such host", None),
        ] {
            assert_eq!(meaning(message), expected, "{message}");
        }
        for (line, expected) in [
            ("exec /server: exec format error", Some(Meaning::WrongArchitecture)),
            (
                "standard_init_linux.go:228: exec user process caused: no such file or directory",
                Some(Meaning::ProgramMissing),
            ),
            ("cannot exec /server: no such file or directory", None),
        ] {
            assert_eq!(meaning_of_log(line), expected, "{line}");
        }
    }
}
