//! Explanations of what is wrong with a probe.

use super::Explanation;
use crate::report::error::Code;

pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::ProbeNotFound,
        meaning: "No probe has this name, and no file this path.",
        causes: &[
            "A typing error in the name of a built-in probe.",
            "The path of a component is relative to the definition, not to the current folder.",
        ],
        steps: &["Correct `probe` in `[readiness]`; a file's path begins with `./` or `/`."],
    },
    Explanation {
        code: Code::ProbeInvalid,
        meaning: "The file is not a component that farrier can host.",
        causes: &[
            "It is a core module, not a component.",
            "It was built for another version of `farrier:probe`.",
            "The file is cut short or too large.",
        ],
        steps: &["Build it anew as a component of `farrier:probe@0.1.0`."],
    },
    Explanation {
        code: Code::ProbePinMismatch,
        meaning: "The component's SHA-256 is not the one that the definition pins.",
        causes: &[
            "The component was built anew, and the pin was not changed with it.",
            "The file was replaced by somebody else.",
        ],
        steps: &[
            "Find out which of both is right before changing the pin; `sha256sum FILE` prints the file's.",
        ],
    },
    Explanation {
        code: Code::ProbeUnpinned,
        meaning: "The component is not pinned, so a changed file would run without a word. This is a warning.",
        causes: &["The definition has no `sha256` beside the probe."],
        steps: &[
            "Add the `sha256` that the hint shows, after making sure that the component is the right one.",
        ],
    },
    Explanation {
        code: Code::ProbeNotGranted,
        meaning: "The probe needs what its grants do not cover.",
        causes: &[
            "The definition lacks a grant that the probe needs.",
            "A built-in probe's settings name another port than the interface's, and the definition does not grant it.",
            "The component asks for something that no probe gets.",
        ],
        steps: &["Add the grant that the error names, if the probe may have it."],
    },
    Explanation {
        code: Code::ProbeSettings,
        meaning: "The component rejects its settings.",
        causes: &["A field of `settings` is missing, misspelt or of the wrong type."],
        steps: &["Correct the field that the error names; the probe's author documents its settings."],
    },
    Explanation {
        code: Code::ProbeCrashed,
        meaning: "The probe ended without an answer.",
        causes: &[
            "It trapped, which is a mistake in the probe.",
            "It took longer than `limits.poll`, or more memory than `limits.memory`.",
        ],
        steps: &[
            "Launch with `-vv` to see what it wrote.",
            "Raise the limit in `[readiness.limits]`, or tell the probe's author.",
        ],
    },
    Explanation {
        code: Code::GrantUnreadable,
        meaning: "A granted folder cannot be read, or holds what no probe is given.",
        causes: &[
            "The folder is not there, or lies outside the definition's own folder.",
            "It holds a symlink, a pipe, a socket or a device, or more than 16 MiB.",
        ],
        steps: &["Grant a folder below the definition's own that holds regular files only."],
    },
    Explanation {
        code: Code::ProbeProject,
        meaning: "The project of a new probe cannot be made.",
        causes: &[
            "Something of that name is there already.",
            "The name is not in kebab-case, or the folder cannot be written.",
        ],
        steps: &["Choose another name or folder; nothing that is there is ever overwritten."],
    },
    Explanation {
        code: Code::ProbeBuild,
        meaning: "A probe cannot be built.",
        causes: &[
            "The compiler lacks the WebAssembly target.",
            "The crate does not compile, or is no probe.",
        ],
        steps: &[
            "Run `rustup target add wasm32-unknown-unknown`.",
            "Correct what the compiler names; `farrier probe inspect` tells what a file is.",
        ],
    },
];
