//! What an approval is for: a hash over everything that a workspace definition brings along.

use sha2::{Digest, Sha256};

use crate::definition::Declared;
use crate::preparation::ResolvedSidecar;

/// Names what is hashed; another form of hashing gets another name.
const FORM: &str = "farrier-approval-1";

/// The first version of the contract's track. Later ones only add functions and interfaces, so that an approval stays valid.
const CONTRACT: &str = "0.1.0";

/// Something beside the definition file that takes part: a component, or the content of a granted folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// What it is: `program`, `image`, `component`, `directory`, `file`.
    pub kind: &'static str,
    /// The field that names it.
    pub field: String,
    /// SHA-256 of its content.
    pub digest: String,
}

/// SHA-256 as lower-case hex over the contract's version, all that the file says (keys that no field has too), and
/// the content of what it names.
#[must_use]
pub fn fingerprint(declared: &Declared, attachments: &[Attachment]) -> String {
    let mut hasher = Sha256::new();
    let mut part = |bytes: &[u8]| {
        // Each with its length, so that no two inputs run together into one.
        hasher.update((bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(FORM.as_bytes());
    part(CONTRACT.as_bytes());
    part(&declared.canonical());
    for attachment in attachments {
        part(attachment.kind.as_bytes());
        part(attachment.field.as_bytes());
        part(attachment.digest.as_bytes());
    }
    hex::encode(hasher.finalize())
}

/// The hash of a sidecar. Components that ship with farrier are its own, and do not take part.
#[must_use]
pub fn fingerprint_of(prepared: &ResolvedSidecar) -> String {
    let definition = &prepared.sidecar.definition;
    let mut attachments = Vec::new();
    if let Some(digest) = prepared.program.as_ref().and_then(|program| program.digest.as_ref()) {
        attachments.push(Attachment { kind: "program", field: "program".to_owned(), digest: digest.clone() });
    }
    if let Some(digest) = &prepared.image_id {
        attachments.push(Attachment { kind: "image", field: "image".to_owned(), digest: digest.clone() });
    }
    for file in &definition.files {
        attachments.push(Attachment {
            kind: "file",
            field: file.field.clone(),
            digest: file.digest.clone().unwrap_or_default(),
        });
    }
    for (readiness, found) in definition.readiness.iter().zip(&prepared.probes) {
        let mut attach = |kind, field, digest: &str| {
            attachments.push(Attachment { kind, field, digest: digest.to_owned() });
        };
        if !found.built_in {
            attach("component", format!("{}.probe", readiness.field), &found.component.digest);
        }
        for (key, _, digest) in found.declared.tls.iter().flat_map(|tls| tls.files()) {
            attach("file", format!("{}.grants.tls.{key}", readiness.field), digest);
        }
        for (index, copy) in found.declared.directories.iter().enumerate() {
            attach("directory", format!("{}.grants.dirs[{index}]", readiness.field), &copy.digest);
        }
    }
    fingerprint(&definition.declared, &attachments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{LayerDirectories, load};

    const BASE: &str = "lifecycle = \"shared\"\nimage = \"x:1\"\nenv = { A = \"1\", B = \"2\" }\ncommand = [\"a\", \"b\"]\n\
                        [interface]\nkind = \"port\"\nport = 80\n\
                        [readiness]\nprobe = \"tcp\"\ntimeout = \"30s\"\n";

    fn declared(file: &str, text: &str) -> Declared {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(file), text).expect("a file");
        let user = Some(folder.path().to_owned());
        let loaded = load(&LayerDirectories { user, ..LayerDirectories::default() });
        let errors: Vec<_> = loaded.problems.iter().filter(|problem| problem.is_error()).collect();
        assert!(errors.is_empty(), "{text}: {errors:?}");
        loaded.definitions[0].declared.clone()
    }

    fn of(text: &str) -> String {
        fingerprint(&declared("x.toml", text), &[])
    }

    #[test]
    fn every_field_takes_part() {
        let mut seen = vec![of(BASE)];
        for (from, to) in [
            ("x:1", "x:2"),
            ("A = \"1\"", "A = \"2\""),
            ("A = \"1\"", "A = 1"),
            ("A = \"1\"", "A = 1.0"),
            ("A = \"1\"", "A = true"),
            ("A = \"1\"", "AA = \"1\""),
            ("[\"a\", \"b\"]", "[\"b\", \"a\"]"),
            ("[\"a\", \"b\"]", "[\"a b\"]"),
            ("[\"a\", \"b\"]", "[]"),
            ("command = [\"a\", \"b\"]\n", ""),
            ("command", "entrypoint"),
            ("port = 80", "port = 81"),
            ("port = 80", "port = 80\naliases = [\"y\"]"),
            ("30s", "31s"),
            ("30s", "30000ms"),
            ("probe = \"tcp\"", "probe = \"skip\""),
            ("[interface]", "description = \"\"\n[interface]"),
            ("[interface]", "networks = [\"n\"]\n[interface]"),
            ("[interface]", "mounts = [\"docker-socket\"]\n[interface]"),
            ("[interface]", "mounts = [\"docker-socket:ro\"]\n[interface]"),
            ("[interface]", "resources.memory = \"64m\"\n[interface]"),
            ("[interface]", "stop_signal = \"SIGINT\"\n[interface]"),
            ("[interface]", "stop_timeout = \"1m\"\n[interface]"),
            ("[interface]", "required = false\n[interface]"),
            ("[interface]", "unknown = 1\n[interface]"),
            ("[interface]", "unknown = 2\n[interface]"),
            ("[interface]", "[unknown]\n[interface]"),
            ("[interface]", "unknown = []\n[interface]"),
            ("port = 80", "port = 80\nunknown = 1"),
        ] {
            assert!(BASE.contains(from), "{from}");
            let hash = of(&BASE.replace(from, to));
            assert!(!seen.contains(&hash), "{from} -> {to} changes nothing");
            seen.push(hash);
        }
    }

    #[test]
    fn layout_does_not() {
        let whole = of(BASE);
        for (from, to) in [
            ("[interface]", "# a comment\n\n[interface]"),
            ("A = \"1\", B = \"2\"", "B = '2',  A = \"\\u0031\""),
            ("kind = \"port\"\nport = 80", "port = 80\nkind = \"port\""),
        ] {
            assert!(BASE.contains(from), "{from}");
            assert_eq!(of(&BASE.replace(from, to)), whole, "{to}");
        }
        let yaml = "lifecycle: shared\nimage: 'x:1'\nenv: {A: \"1\", B: \"2\"}\ncommand: [a, b]\n\
                    interface:\n  kind: port\n  port: 80\nreadiness: {probe: tcp, timeout: 30s}\n";
        assert_eq!(fingerprint(&declared("x.yaml", yaml), &[]), whole, "TOML and YAML say the same");
    }

    #[test]
    fn every_attachment_takes_part() {
        let declared = declared("x.toml", BASE);
        let attachment = |kind, field: &str, digest: &str| Attachment {
            kind,
            field: field.to_owned(),
            digest: digest.to_owned(),
        };
        let mut seen = vec![fingerprint(&declared, &[])];
        for attachments in [
            vec![attachment("component", "readiness.probe", "aa")],
            vec![attachment("component", "readiness.probe", "ab")],
            vec![attachment("directory", "readiness.probe", "aa")],
            vec![attachment("component", "readiness.prob", "eaa")],
            vec![
                attachment("component", "readiness[0].probe", "aa"),
                attachment("component", "readiness[1].probe", "ab"),
            ],
            vec![
                attachment("component", "readiness[0].probe", "ab"),
                attachment("component", "readiness[1].probe", "aa"),
            ],
        ] {
            let hash = fingerprint(&declared, &attachments);
            assert!(!seen.contains(&hash), "{attachments:?}");
            seen.push(hash);
        }
    }
}
