//! Explanations of what goes wrong between farrier and the engine.

use super::Explanation;
use crate::report::error::Code;

pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::EngineUnreachable,
        meaning: "No engine answers at the address, or this user may not use it.",
        causes: &[
            "The engine does not run.",
            "This user is not in the group that may use the socket.",
            "DOCKER_HOST or the current context names another machine.",
        ],
        steps: &[
            "Run `farrier doctor`: it tells which address is used, and who named it.",
            "Compare with `docker info`.",
        ],
    },
    Explanation {
        code: Code::EngineFailed,
        meaning: "The engine answered, but could not do what it was asked.",
        causes: &[
            "The engine is busy, out of disk space or being shut down.",
            "Another tool changed or removed something at the same time.",
        ],
        steps: &[
            "Read the engine's own words in the message.",
            "Run the command again: the state is looked at anew each time.",
        ],
    },
    Explanation {
        code: Code::EngineLacks,
        meaning: "The engine cannot do what a definition needs. Nothing was started.",
        causes: &[
            "The definition names an image, and the engine runs no images.",
            "Its probe executes commands, reads logs or asks for health, and the engine does not offer that.",
        ],
        steps: &[
            "Run the sidecar on another engine.",
            "Or decide its readiness by another probe, such as `tcp`.",
        ],
    },
    Explanation {
        code: Code::EngineContext,
        meaning: "The docker context or the address cannot be used.",
        causes: &[
            "The context that is named does not exist.",
            "The address needs TLS or SSH, which farrier does not speak.",
        ],
        steps: &[
            "List the contexts with `docker context ls`.",
            "Forward the engine's socket over SSH, and name it by DOCKER_HOST.",
        ],
    },
    Explanation {
        code: Code::ImageUnavailable,
        meaning: "The image is not present and cannot be pulled.",
        causes: &[
            "A typing error in the reference, or a tag that is gone.",
            "The registry asks for a login.",
            "There is no network, or no space.",
        ],
        steps: &["Try `docker pull IMAGE`; after a `docker login` farrier uses the same credentials."],
    },
    Explanation {
        code: Code::ImageDenied,
        meaning: "The registry does not let this user have the image.",
        causes: &["It asks for a login.", "The name is wrong: registries deny what does not exist, too."],
        steps: &[
            "Run `docker login REGISTRY`: farrier uses the same credentials.",
            "Check the image's name.",
        ],
    },
    Explanation {
        code: Code::ImageNotFound,
        meaning: "The registry answers, and has no such image.",
        causes: &["A typing error in the name or the tag.", "The tag was removed, or never pushed."],
        steps: &["Check `image` in the definition.", "Build an image of your own before you launch."],
    },
    Explanation {
        code: Code::DiskFull,
        meaning: "The engine has no room left on its disk.",
        causes: &["Images, containers, volumes or build caches that nobody needs any more."],
        steps: &[
            "See what takes the room with `docker system df`.",
            "Remove what is unused with `docker system prune`.",
        ],
    },
    Explanation {
        code: Code::AddressPoolsExhausted,
        meaning: "The engine has no range of addresses left for another network, or a network has no address left for \
                  another container.",
        causes: &[
            "Networks of projects that ended are still there. Docker's own ranges are enough for about 30 networks.",
            "A VPN or another network of the host overlaps the engine's ranges.",
            "The network was created with a small subnet.",
        ],
        steps: &[
            "Remove unused networks with `docker network prune`, or only farrier's with `farrier down`.",
            "Give the engine more and smaller ranges: set `default-address-pools` in its `daemon.json` \
             (`[{\"base\": \"10.200.0.0/16\", \"size\": 24}]`), and restart it.",
        ],
    },
    Explanation {
        code: Code::ProgramMissing,
        meaning: "The program that the container is to run is not in its image, or may not be executed.",
        causes: &[
            "`entrypoint` or `command` names a program that the image does not have.",
            "A shell is asked for in an image without one.",
            "The file is a folder, or lacks the permission to be executed.",
        ],
        steps: &["Look into the image with `docker run --rm --entrypoint ls IMAGE`, or at its Dockerfile."],
    },
    Explanation {
        code: Code::WrongArchitecture,
        meaning: "The image, or the program in it, is made for another machine.",
        causes: &[
            "The image was built on a machine of another architecture, and pushed for that one only.",
            "The program is a script without its first line (`#!/bin/sh`).",
        ],
        steps: &[
            "Build the image for this machine, for example with `docker build --platform linux/amd64 .`.",
        ],
    },
    Explanation {
        code: Code::EnginePermission,
        meaning: "The engine's socket is there, and this user may not use it.",
        causes: &[
            "This user is not in the socket's group, usually `docker`, or has not logged in again since.",
        ],
        steps: &["Join the group that may use the socket, and log in again.", "Or use a rootless engine."],
    },
    Explanation {
        code: Code::NameTaken,
        meaning: "A container or a network has the name that farrier would give, and is not farrier's.",
        causes: &[
            "Somebody made it by hand, or another tool did.",
            "Two names of sidecars come out as the same container's name.",
            "The container belongs to another folder's sidecar of that name; the label `farrier.scope` tells them apart.",
        ],
        steps: &[
            "Remove it if it is not needed.",
            "Or rename the definition's file: its stem makes the name.",
        ],
    },
    Explanation {
        code: Code::SidecarInUse,
        meaning: "A sidecar would be recreated or removed while a launch uses it.",
        causes: &["A harness runs in another terminal, and the definition was edited since it began."],
        steps: &[
            "Wait until that launch has ended; `farrier ps` shows who uses what.",
            "Replace it under that launch with `farrier launch --recreate`, or remove it with `farrier down --force`.",
        ],
    },
    Explanation {
        code: Code::SidecarNotFound,
        meaning: "farrier manages no sidecar of this name, or more than one.",
        causes: &[
            "A typing error.",
            "It was never started here, or removed.",
            "Several workspaces have a sidecar of this name.",
        ],
        steps: &["List them with `farrier ps`.", "Name the container where several sidecars have one name."],
    },
    Explanation {
        code: Code::ConfirmationRequired,
        meaning: "Something would be removed, and there is no terminal to ask on.",
        causes: &["The command runs in a script, or its input is redirected."],
        steps: &["Look at what would be removed with `farrier ps`, then give `--yes`."],
    },
    Explanation {
        code: Code::AliasTaken,
        meaning: "Another container, or the harness itself, has a name of the sidecar on a network that the sidecar joins. The engine does not tell capital letters from small ones.",
        causes: &[
            "The sidecar was renamed, and the container of its former name still runs.",
            "A container of another tool, or of a former set-up, is still on the harness's network, or on one that `networks` names.",
            "The harness's `--name`, `--network-alias`, `--hostname`, `--link` or `--add-host` is the sidecar's name.",
        ],
        steps: &[
            "Remove sidecars whose definition is gone with `farrier down --orphans`.",
            "Stop that container, or take it off with `docker network disconnect`.",
            "Or change `aliases` in `[interface]`.",
            "Or give the harness another name.",
        ],
    },
    Explanation {
        code: Code::StartFailed,
        meaning: "The container could not be created or started.",
        causes: &[
            "The entrypoint or the command is not in the image.",
            "The image is for another architecture.",
            "A path that is to be mounted does not exist.",
        ],
        steps: &[
            "Read the engine's own words in the message.",
            "Try the image with `docker run --rm IMAGE`.",
        ],
    },
    Explanation {
        code: Code::NetworkUnusable,
        meaning: "The network cannot carry a sidecar.",
        causes: &[
            "The network does not exist, or two have its name.",
            "The harness uses `none`, `bridge` or another container's network, where no names are resolved.",
            "The harness uses `--link`, which works on Docker's default bridge only.",
        ],
        steps: &[
            "Create it with `docker network create NAME`.",
            "Or leave `--network` out of the harness's command: farrier then makes one.",
        ],
    },
];
