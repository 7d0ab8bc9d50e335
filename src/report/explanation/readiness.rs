//! Explanations of why a sidecar is not ready.

use super::Explanation;
use crate::report::error::Code;

pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::NotReady,
        meaning: "The deadline passed, and the probe never said that the sidecar is ready.",
        causes: &[
            "The server listens on 127.0.0.1 only, or on another port.",
            "It needs longer than `timeout`, above all at its first start.",
            "The probe waits for something that never happens.",
            "The server refuses the login in the probe's settings, or lacks the database that they name.",
        ],
        steps: &[
            "Read the answers and the last log lines in the report.",
            "Look at all it wrote with `farrier logs NAME`.",
            "Raise `timeout` in `[readiness]` if it is only slow.",
        ],
    },
    Explanation {
        code: Code::SidecarExited,
        meaning: "The container ended while it was waited for.",
        causes: &[
            "A variable or a file that it needs is missing.",
            "It was killed for memory.",
            "It is a command that ends by itself, not a server.",
        ],
        steps: &[
            "Read its exit code and last words in the report, or with `farrier logs NAME`.",
            "Raise `resources.memory` if it was killed for memory.",
        ],
    },
    Explanation {
        code: Code::SidecarUnhealthy,
        meaning: "The engine reports the container as unhealthy.",
        causes: &[
            "Its health test fails; the report holds the test's output.",
            "The health test's start period is shorter than its start takes.",
        ],
        steps: &["Correct the HEALTHCHECK of the image, or choose another probe."],
    },
    Explanation {
        code: Code::ProbeFailed,
        meaning: "The probe said that the sidecar will never be ready.",
        causes: &[
            "The image has no HEALTHCHECK, or not the command that `exec` runs.",
            "The port speaks TLS, or another protocol than the probe.",
            "A probe of your own found that something is wrong for good.",
        ],
        steps: &["Correct `[readiness]` in the definition, or the image."],
    },
    Explanation {
        code: Code::CannotDial,
        meaning: "Ports cannot be dialled, so that the container runs is the only check. This is a warning.",
        causes: &[
            "This host has no route to the containers, and no image can relay.",
            "`--dial none` was given.",
        ],
        steps: &[
            "Name an image with python3, nc or bash by `--probe-image`.",
            "See the routes with `farrier doctor`.",
        ],
    },
    Explanation {
        code: Code::RelayEnded,
        meaning: "The container through which sidecars are dialled went away during a launch. A new one was made where \
                  that was possible, up to three times. This is a warning.",
        causes: &[
            "Somebody removed it, or a tool that clears away what it does not know.",
            "It was killed for want of memory on the engine's machine.",
        ],
        steps: &["Leave containers named `farrier-relay-…` alone: they go by themselves with the launch."],
    },
];
