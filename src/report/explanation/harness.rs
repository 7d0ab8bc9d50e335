//! Explanations of what is wrong with a command line, a harness or this machine.

use super::Explanation;
use crate::report::error::Code;

pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::Usage,
        meaning: "The command line is not understood, or names something that cannot be used.",
        causes: &[
            "A file or folder that an option names does not exist.",
            "An argument is not one of those that there are.",
        ],
        steps: &["See `farrier COMMAND --help`."],
    },
    Explanation {
        code: Code::HarnessShape,
        meaning: "The harness's command cannot be used in this form.",
        causes: &[
            "`docker compose run` or `sudo docker run`, into which nothing can be put.",
            "An option of docker is not known.",
        ],
        steps: &["Write the harness as `docker run …`, or as a command of this host."],
    },
    Explanation {
        code: Code::HarnessNoRoute,
        meaning: "The harness runs on this host, which cannot reach the sidecars' addresses.",
        causes: &["The engine is in a virtual machine or on another machine."],
        steps: &["Run the harness in a container: `farrier launch -- docker run IMAGE`."],
    },
    Explanation {
        code: Code::HarnessNotFound,
        meaning: "The harness's program is not found. The exit code is 127.",
        causes: &["A typing error, or a program that is not on the PATH."],
        steps: &["Try the command without farrier."],
    },
    Explanation {
        code: Code::HarnessNotExecutable,
        meaning: "The harness's program cannot be run. The exit code is 126.",
        causes: &["The file is not executable, or is a folder.", "It was built for another architecture."],
        steps: &["Make it executable with `chmod +x`, or name another program."],
    },
    Explanation {
        code: Code::Interrupted,
        meaning: "A signal ended farrier before the harness ran. The exit code is 128 and the signal's number.",
        causes: &["Ctrl-C while it waited.", "The terminal was closed, or a supervisor ended it."],
        steps: &["Launch again: sidecars that were started are left running, and are used."],
    },
    Explanation {
        code: Code::StateUnusable,
        meaning: "A file or folder of farrier's own cannot be used.",
        causes: &[
            "The disk is full, or a limit on open files is reached.",
            "The lock folder belongs to somebody who closed it to others.",
        ],
        steps: &["Run `farrier doctor`: it checks each folder, and says how to repair it."],
    },
];
