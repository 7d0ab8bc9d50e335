//! What an import lets a component do, in plain words, and the grant that its definition then needs.

use std::collections::BTreeSet;

use super::component::ComponentFile;

/// One thing that a component can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// One word for it: the grant's name, where it needs one.
    pub word: &'static str,
    /// What it means.
    pub sentence: &'static str,
    /// What the definition has to write within `grants`; none where it is always there.
    pub grant: Option<&'static str>,
}

/// By the name of the interface in `farrier:probe`.
const OWN: &[(&str, Capability)] = &[
    (
        "dial",
        Capability {
            word: "dial",
            sentence: "connects to the places that its definition grants",
            grant: Some("dial = [\"self\"]"),
        },
    ),
    (
        "exec",
        Capability {
            word: "exec",
            sentence: "runs the commands that its definition grants, in its own container",
            grant: Some("exec = [[\"command\", \"argument\"]]"),
        },
    ),
    (
        "health",
        Capability {
            word: "health",
            sentence: "reads the health status, and runs the image's own health test",
            grant: Some("health = true"),
        },
    ),
    (
        "logs",
        Capability {
            word: "logs",
            sentence: "reads what the container wrote since its start",
            grant: Some("logs = true"),
        },
    ),
    (
        "state",
        Capability {
            word: "state",
            sentence: "keeps up to 64 KiB from poll to poll of one run",
            grant: None,
        },
    ),
    ("log", Capability { word: "log", sentence: "writes lines to the launcher's own trace", grant: None }),
];

/// By the name of the WASI package. All of it is inert until a grant gives it something.
const WASI: &[(&str, Capability)] = &[
    (
        "sockets",
        Capability {
            word: "sockets",
            sentence: "uses sockets of its language, which reach only what `dial` grants",
            grant: None,
        },
    ),
    (
        "filesystem",
        Capability {
            word: "files",
            sentence: "reads files, of which there are only those that `dirs` grants",
            grant: None,
        },
    ),
    (
        "cli",
        Capability {
            word: "environment",
            sentence: "reads variables, of which there are only those that `env` grants",
            grant: None,
        },
    ),
    ("clocks", Capability { word: "clocks", sentence: "reads the time", grant: None }),
    ("random", Capability { word: "random", sentence: "gets random numbers", grant: None }),
    ("io", Capability { word: "io", sentence: "waits for its own streams", grant: None }),
];

/// What a component's imports let it do, each once, in the order of the tables; types do nothing.
#[must_use]
pub fn capabilities(file: &ComponentFile) -> Vec<Capability> {
    let interface = |import: &str| import.split('@').next().unwrap_or_default().to_owned();
    let imports: BTreeSet<String> = file.imports.iter().map(|import| interface(import)).collect();
    let own = OWN.iter().filter(|(name, _)| imports.contains(&format!("farrier:probe/{name}")));
    let wasi = WASI
        .iter()
        .filter(|(package, _)| imports.iter().any(|name| name.starts_with(&format!("wasi:{package}/"))));
    own.chain(wasi).map(|(_, capability)| *capability).collect()
}

/// Imports that no probe gets.
#[must_use]
pub fn foreign(file: &ComponentFile) -> Vec<&str> {
    let known = |import: &str| {
        let own = import.strip_prefix("farrier:probe/");
        let wasi = import.strip_prefix("wasi:").and_then(|rest| rest.split('/').next());
        own.is_some_and(|rest| {
            let name = rest.split('@').next().unwrap_or_default();
            name == "types" || OWN.iter().any(|(known, _)| *known == name)
        }) || wasi.is_some_and(|package| WASI.iter().any(|(known, _)| *known == package))
    };
    file.imports.iter().map(String::as_str).filter(|import| !known(import)).collect()
}

/// The line of `grants` that a definition needs for it; none where it needs none.
#[must_use]
pub fn grant_line(file: &ComponentFile) -> Option<String> {
    let mut grants: Vec<&str> = capabilities(file).iter().filter_map(|found| found.grant).collect();
    let dials = grants.iter().any(|grant| grant.starts_with("dial"));
    if !dials && file.imports.iter().any(|import| import.starts_with("wasi:sockets/")) {
        grants.insert(0, "dial = [\"self\"]");
    }
    (!grants.is_empty()).then(|| format!("grants = {{ {} }}", grants.join(", ")))
}
