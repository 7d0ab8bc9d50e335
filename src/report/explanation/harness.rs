//! Explanations of errors of the command line, the harness and this machine.

use super::Explanation;
use crate::report::error::Code;

pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::Usage,
        meaning: "The command line is invalid, or names something that farrier cannot use.",
        causes: &[
            "An option names a file or folder that does not exist.",
            "farrier does not recognise an argument.",
        ],
        steps: &["Read `farrier COMMAND --help`."],
    },
    Explanation {
        code: Code::HarnessShape,
        meaning: "farrier cannot launch the harness's command in this form.",
        causes: &[
            "The command is `docker compose run`, `sudo docker run` or `nerdctl run`, to which farrier cannot add variables and a network.",
            "The command has an option of docker or podman that farrier does not recognise.",
            "The harness is detached (`docker run -d`) or only created, so a session sidecar would be removed at once.",
        ],
        steps: &["Write the harness as `docker run …` or `podman run …`, or as a command on this host."],
    },
    Explanation {
        code: Code::HarnessNoRoute,
        meaning: "The harness cannot reach the addresses of the sidecars.",
        causes: &[
            "The harness runs on this host; the engine is Podman, or runs in a virtual machine or on another machine; and farrier \
             cannot run a relay there, because of `--dial none` or because no image can run one.",
            "You asked `farrier up --print` or `farrier env` for addresses, but only a harness that farrier runs gets forwarded ports.",
            "The harness runs in a container and the sidecar on this host, but this host is not on the container's network, or \
             another server uses the sidecar's port there.",
            "The harness runs in a container, and the sidecars on the engines `docker` and `swarm`, which share no network.",
            "The sidecar runs on another node of a Swarm, and packets do not reach it: a firewall separates the nodes, or their \
             messages about the sidecar are lost.",
        ],
        steps: &[
            "If the sidecars are containers of the engine, run the harness in a container: `farrier launch -- docker run IMAGE`.",
            "If a sidecar runs on this host, run the harness on this host, or give it `--network host`.",
            "If the sidecars are on the engines `docker` and `swarm`, run the harness on this host, or give all of them one `engine`.",
            "Let the nodes of a Swarm reach each other at TCP and UDP port 7946 and UDP port 4789.",
        ],
    },
    Explanation {
        code: Code::SessionLeft,
        meaning: "The harness has ended, but farrier could not remove everything that belongs to the launch's session.",
        causes: &[
            "The engine was stopped, or did not answer in time.",
            "A signal asked farrier to end while it was removing the session.",
        ],
        steps: &[
            "When the engine answers again, run `farrier ps`, which also removes the rest of the session.",
        ],
    },
    Explanation {
        code: Code::SidecarEnded,
        meaning: "A sidecar ended while the harness ran, and its definition has `on_exit = \"stop\"`: farrier sent the harness \
                  SIGTERM, waited until the harness ended, and killed it if it had not ended 10 s later.",
        causes: &[
            "The sidecar's program crashed, or was killed because it ran out of memory.",
            "Somebody stopped or removed the sidecar.",
        ],
        steps: &[
            "Read the sidecar's last output with `farrier logs NAME`.",
            "If the harness can go on without the sidecar, write `on_exit = \"warn\"` or `on_exit = \"restart\"`.",
        ],
    },
    Explanation {
        code: Code::HarnessNotFound,
        meaning: "The harness's program does not exist. The exit code is 127.",
        causes: &["The name contains a typo, or the program is not in a folder of `PATH`."],
        steps: &["Run the command without farrier."],
    },
    Explanation {
        code: Code::HarnessNotExecutable,
        meaning: "The harness's program cannot be executed. The exit code is 126.",
        causes: &[
            "The file is not executable, or is a folder.",
            "The program was built for another architecture.",
        ],
        steps: &["Make the file executable with `chmod +x`, or name another program."],
    },
    Explanation {
        code: Code::Interrupted,
        meaning: "A signal ended farrier before the harness ran. The exit code is 128 plus the signal's number.",
        causes: &["You pressed Ctrl-C.", "The terminal was closed, or a supervisor ended farrier."],
        steps: &["Launch again: shared sidecars that were started keep running, and farrier reuses them."],
    },
    Explanation {
        code: Code::StateUnusable,
        meaning: "farrier cannot use one of its own files or folders.",
        causes: &[
            "The disk is full, or the limit on open files is reached.",
            "The lock folder belongs to another user, who does not let others use it.",
        ],
        steps: &["Run `farrier doctor`: it checks each folder and says how to repair it."],
    },
    Explanation {
        code: Code::Bug,
        meaning: "A bug in farrier ended the command. The exit code is 125.",
        causes: &["Something happened that farrier's authors believed impossible."],
        steps: &[
            "Run the command again: farrier then cleans up what the failed run left behind.",
            "Report the bug with the lines above the error, the command, and the output of `farrier --version`.",
        ],
    },
];
