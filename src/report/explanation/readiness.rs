//! Explanations of why a sidecar is not ready.

use super::Explanation;
use crate::report::error::Code;

pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::NotReady,
        meaning: "The sidecar did not become ready before its timeout.",
        causes: &[
            "The server listens only on 127.0.0.1, or on another port.",
            "The server needs longer than `timeout`, for example at its first start.",
            "The probe waits for a condition that never occurs.",
            "The server rejects the login in the probe's settings, or does not have the database that they name.",
            "The sidecar runs on another node of a Swarm, and packets do not reach it.",
        ],
        steps: &[
            "Read the answers and the last log lines in the report.",
            "Read the whole log with `farrier logs NAME`.",
            "If the server is only slow, raise `timeout` in `[readiness]`.",
        ],
    },
    Explanation {
        code: Code::SidecarExited,
        meaning: "The container exited before it became ready.",
        causes: &[
            "A variable or a file that the program needs is missing.",
            "The container was killed because it ran out of memory.",
            "The program is a command that exits by itself, not a server.",
        ],
        steps: &[
            "Read the exit code and the last log lines in the report, or the whole log with `farrier logs NAME`.",
            "If the container ran out of memory, raise `resources.memory`.",
        ],
    },
    Explanation {
        code: Code::JobFailed,
        meaning: "A job ended with an exit code other than 0. farrier did not start the sidecars that wait for the job.",
        causes: &[
            "The job's program found something wrong; the report quotes its output.",
            "The job needs a sidecar that was not ready yet, because the job's `after` does not name that sidecar.",
            "The job's program is not in the image (exit codes 126 and 127).",
        ],
        steps: &[
            "Read the output in the report, or all of it with `farrier logs NAME`.",
            "Correct the cause, and launch again: farrier then runs the job again.",
            "If the job can fail temporarily, write `restart = \"on-failure:3\"` in its definition.",
        ],
    },
    Explanation {
        code: Code::SidecarUnhealthy,
        meaning: "The engine reports the container as unhealthy.",
        causes: &[
            "The health test fails; the report contains the test's output.",
            "The health test's start period is shorter than the time that the server needs to start.",
        ],
        steps: &["Correct the image's HEALTHCHECK, or choose another probe."],
    },
    Explanation {
        code: Code::ProbeFailed,
        meaning: "The probe reported that the sidecar will never become ready.",
        causes: &[
            "The image has no HEALTHCHECK, or does not contain the command that `exec` runs.",
            "The port uses TLS, or a protocol that the probe does not use.",
            "A custom probe found a permanent problem.",
        ],
        steps: &["Correct `[readiness]` in the definition, or the image."],
    },
    Explanation {
        code: Code::CannotDial,
        meaning: "farrier cannot dial ports, so it only checks that the container is running. This is a warning.",
        causes: &[
            "This host has no route to the containers, and no relay can run there: farrier's own does not fit the engine's \
             architecture, and no image has a tool that relays.",
            "You passed `--dial none`.",
        ],
        steps: &[
            "Use `--probe-image` to name an image with python3, nc or bash.",
            "Check the routes with `farrier doctor`.",
        ],
    },
    Explanation {
        code: Code::RelayEnded,
        meaning: "The relay container, through which farrier dials sidecars, ended during a launch. farrier replaced it if \
                  possible, up to three times. This is a warning.",
        causes: &[
            "A person or a clean-up tool removed the container.",
            "The container was killed because the engine's machine ran out of memory.",
        ],
        steps: &[
            "Do not remove containers named `farrier-relay-…`: farrier removes them when the launch ends.",
        ],
    },
];
