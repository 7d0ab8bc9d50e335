//! Explanations of errors of probes.

use super::Explanation;
use crate::report::error::Code;

pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::ProbeNotFound,
        meaning: "No probe has this name, no file has this path, or the registry has no such probe.",
        causes: &[
            "The name of a built-in probe contains a typo.",
            "The repository or the tag of a probe in a registry (`oci://…`) contains a typo, or needs a login.",
            "The component's path is relative to the current folder; it must be relative to the definition.",
        ],
        steps: &["Correct `probe` in `[readiness]`. A path begins with `./` or `/`."],
    },
    Explanation {
        code: Code::ProbeInvalid,
        meaning: "The file is not a component that farrier can host.",
        causes: &[
            "The file is a core module, not a component.",
            "The component was built for another version of `farrier:probe`.",
            "The file is truncated or too large.",
            "As a warning: the schema of the component's settings cannot be used, so only the probe checks them.",
        ],
        steps: &["Rebuild the file as a component of `farrier:probe@0.1.2`."],
    },
    Explanation {
        code: Code::ProbePinMismatch,
        meaning: "The component's SHA-256 differs from the one that the definition pins.",
        causes: &[
            "The component was rebuilt, and the pin was not updated.",
            "Somebody else replaced the file.",
        ],
        steps: &[
            "Find out which of the two is right before you change the pin; `sha256sum FILE` prints the file's digest.",
        ],
    },
    Explanation {
        code: Code::ProbeUnpinned,
        meaning: "The component is not pinned, so changed bytes would run unnoticed. For a file, this is a warning; for a probe in \
                  a registry, it is an error.",
        causes: &[
            "`[readiness]` has no `sha256`.",
            "`probe` names a tag in a registry, which may name other bytes tomorrow, and `probes.lock` does not pin the tag.",
        ],
        steps: &[
            "Check that the component is the right one, and add the `sha256` that the hint shows.",
            "For a probe in a registry, run `farrier probe pin` and commit `probes.lock`, or write `@sha256:…` after the tag.",
        ],
    },
    Explanation {
        code: Code::ProbeTagMoved,
        meaning: "The tag of a probe in a registry names other bytes than the pinned ones. farrier never runs what is not pinned.",
        causes: &[
            "Somebody pushed another version under the same tag.",
            "Somebody else took over the repository.",
        ],
        steps: &[
            "Show what changed: `farrier probe update --dry-run`.",
            "If you trust the change, pin it: `farrier probe update`. A pin in the definition (`sha256`, `@sha256:…`) is yours to edit.",
        ],
    },
    Explanation {
        code: Code::ProbeNotPulled,
        meaning: "The pinned probe is not in the cache. A launch downloads what trusted definitions pin, but contacts no registry that \
                  only a workspace names, and no other command downloads anything by itself.",
        causes: &[
            "The workspace's probes have not been downloaded on this machine yet.",
            "The cache was emptied, or its copy is damaged.",
        ],
        steps: &[
            "Run `farrier probe pull`.",
            "Without a network, download the component elsewhere (`farrier probe pull REFERENCE --out FILE`), and name the file in the \
             definition.",
        ],
    },
    Explanation {
        code: Code::ProbeArtifact,
        meaning: "What the registry has is not a probe, or not what its manifest says. farrier keeps nothing of it.",
        causes: &[
            "The reference names an image, an index or another kind of artifact.",
            "The component is larger than 64 MiB.",
            "The registry or a proxy changes what it delivers: a size or digest differs from the manifest's.",
        ],
        steps: &[
            "Check the reference.",
            "Push the component again with `farrier probe push`, or with `wkg oci push`.",
        ],
    },
    Explanation {
        code: Code::ProbeLockUnusable,
        meaning: "`probes.lock` cannot be read or written.",
        causes: &[
            "Somebody edited or merged the file by hand.",
            "The file was written by a later version of farrier.",
            "It is a link that leads out of the workspace, or anyone can write to it.",
        ],
        steps: &["Restore the file from version control, or remove it and run `farrier probe pin`."],
    },
    Explanation {
        code: Code::RegistryFailed,
        meaning: "A registry cannot be reached, is not trusted, or refuses this user. Probes that are in the cache need no registry.",
        causes: &[
            "There is no network, or a proxy is missing (HTTPS_PROXY).",
            "The docker client has no credentials for the registry, or has credentials that the registry does not accept.",
            "The registry's certificate comes from an authority that this machine does not trust.",
        ],
        steps: &[
            "Log in with `docker login REGISTRY`.",
            "Without a network, name a component by its file: `probe = \"./orders-ready.wasm\"`.",
        ],
    },
    Explanation {
        code: Code::ProbeNotGranted,
        meaning: "The probe needs something that its definition does not grant.",
        causes: &[
            "The definition lacks a grant that the probe needs.",
            "A built-in probe's settings name a port other than the interface's, and the definition does not grant it.",
            "The component imports something that farrier offers to no probe.",
        ],
        steps: &["If you trust the probe with the grant that the error names, add the grant."],
    },
    Explanation {
        code: Code::ProbeSettings,
        meaning: "The settings are not what the probe accepts: its schema says so, or the probe itself.",
        causes: &["A field of `settings` is missing, is misspelt or has the wrong type."],
        steps: &[
            "Correct the field that the error names; `farrier probe inspect` shows the settings that a probe describes.",
        ],
    },
    Explanation {
        code: Code::ProbeCrashed,
        meaning: "The probe ended without a verdict.",
        causes: &[
            "The probe trapped, which is a bug in the probe.",
            "The probe exceeded `limits.memory`, or exceeded `limits.poll` while it checked its settings.",
        ],
        steps: &[
            "Launch with `-vv` to see the probe's output.",
            "Raise the limit in `[readiness.limits]`, or report the bug to the probe's author.",
        ],
    },
    Explanation {
        code: Code::ScenarioUnreadable,
        meaning: "farrier cannot read a scenario of `farrier probe test`, or cannot write the one that `farrier probe check --record` \
                  names.",
        causes: &[
            "The file does not exist, or is not a regular file.",
            "The scenario is larger than 1 MiB.",
            "The folder of the new file does not exist, or you cannot write to it.",
        ],
        steps: &["Correct the path.", "Record fewer polls, or remove polls that show nothing new."],
    },
    Explanation {
        code: Code::ScenarioFailed,
        meaning: "The probe did something else than a scenario of `farrier probe test` says: it answered another verdict, or sent \
                  something else to the sidecar.",
        causes: &[
            "The probe has a bug, or a change of the probe altered what it does.",
            "The scenario was recorded with another version of the probe, or with other settings.",
            "The probe sends what changes each time, such as the date: no scenario can expect that.",
        ],
        steps: &[
            "Compare the expected and the seen bytes or answers in the message.",
            "If the probe does what you want, correct the scenario, or record it again with `farrier probe check --record`.",
        ],
    },
    Explanation {
        code: Code::GrantUnreadable,
        meaning: "farrier cannot read a granted folder or a file of `grants.tls`, or the folder or file contains something that cannot be used.",
        causes: &[
            "The folder does not exist, or is outside the definition's folder.",
            "The folder contains a symlink, a pipe, a socket or a device, or more than 16 MiB.",
            "A file that `grants.tls` names does not exist, is larger than 1 MiB, or does not contain a certificate or key in PEM format.",
        ],
        steps: &[
            "Grant a folder inside the definition's folder that contains only regular files.",
            "Name certificate files in PEM format, and a key without a passphrase.",
        ],
    },
    Explanation {
        code: Code::ProbeProject,
        meaning: "farrier cannot create the project of a new probe.",
        causes: &[
            "A file or folder of that name already exists.",
            "The name is not in kebab-case, or you cannot write to the folder.",
        ],
        steps: &["Choose another name or folder; farrier never overwrites anything here."],
    },
    Explanation {
        code: Code::ProbeBuild,
        meaning: "farrier cannot build a probe.",
        causes: &[
            "The compiler lacks the WebAssembly target.",
            "The crate does not compile, or is not a probe.",
        ],
        steps: &[
            "Run `rustup target add wasm32-unknown-unknown`.",
            "Fix the errors that the compiler reports; `farrier probe inspect` says what a file is.",
        ],
    },
];
