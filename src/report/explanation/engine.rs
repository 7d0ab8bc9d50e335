//! Explanations of errors of the engine.

use super::Explanation;
use crate::report::error::Code;

pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::EngineUnreachable,
        meaning: "No engine answers at the address.",
        causes: &[
            "The engine is not running.",
            "`DOCKER_HOST` or the current context names another machine.",
        ],
        steps: &[
            "Run `farrier doctor`: it prints the address and where the address comes from.",
            "Compare the output of `farrier doctor` with that of `docker info`.",
        ],
    },
    Explanation {
        code: Code::EngineFailed,
        meaning: "The engine answered, but could not carry out a request.",
        causes: &[
            "The engine is busy, has no disk space left, or is shutting down.",
            "Another tool changed or removed something at the same time.",
        ],
        steps: &[
            "Read the engine's error in the message.",
            "Run the command again: farrier checks the state each time.",
        ],
    },
    Explanation {
        code: Code::EngineLacks,
        meaning: "The engine cannot do what a definition needs. Nothing was started.",
        causes: &[
            "The definition has a key that the engine does not support, or a `program` for an engine that runs only images.",
            "Its probe executes commands, reads logs or checks health, and the engine does not support that.",
            "The definition has `confine`, and this host's kernel cannot confine programs.",
            "The definition mounts `docker-socket`, and farrier does not know at which socket the engine listens: the engine is a \
             Podman or a rootless Docker that is reached over TCP, or one in a virtual machine.",
            "The command is `farrier reset`, and a volume lies on another node of the Swarm than the manager's.",
        ],
        steps: &[
            "Run the sidecar on another engine, or on another machine.",
            "Or use another probe, such as `tcp`.",
        ],
    },
    Explanation {
        code: Code::NoIsolation,
        meaning: "farrier gives the container a separate root directory, but cannot isolate it further: the container can do everything \
                  that you can do, and its port is a port on this host. This is a warning.",
        causes: &[
            "farrier runs in a container without the capabilities SYS_ADMIN and NET_ADMIN, or under a seccomp filter that forbids namespaces.",
        ],
        steps: &[
            "Run `farrier doctor` to see what would allow namespaces.",
            "Run such images only if you trust them as much as your own programs.",
        ],
    },
    Explanation {
        code: Code::EngineContext,
        meaning: "farrier cannot use the docker context or the address.",
        causes: &[
            "The context does not exist.",
            "The address has a scheme that farrier does not support, such as `npipe`.",
            "The certificate of the authority (`ca.pem`) is missing, or the context skips the check of the engine's certificate.",
        ],
        steps: &[
            "List the contexts with `docker context ls`.",
            "Name the engine by an address that begins with `unix://`, `tcp://` or `ssh://`.",
            "Put `ca.pem` into the folder that `DOCKER_CERT_PATH` names, or into the context.",
        ],
    },
    Explanation {
        code: Code::ImageUnavailable,
        meaning: "The image is not present, and the engine cannot pull it; or the image file does not exist.",
        causes: &[
            "The path after `oci:` or `docker-archive:` is wrong; it must be absolute or relative to the definition's folder.",
            "The reference contains a typo, or the tag no longer exists.",
            "The registry requires a login.",
            "There is no network connection, or no disk space.",
            "The registry does not answer, limits the number of requests, or has a certificate from an unknown authority.",
        ],
        steps: &["Try `docker pull IMAGE`. farrier uses the credentials of `docker login`."],
    },
    Explanation {
        code: Code::ImageInvalid,
        meaning: "The file or registry that a definition names contains no image that farrier can use. farrier started nothing from it.",
        causes: &[
            "The file is not an image: `oci:` needs a folder with `index.json`, and `docker-archive:` a tar file with `manifest.json`.",
            "The file is incomplete, or was changed after it was written: a digest in it does not match the content.",
            "The file contains several images, and the definition does not say which one to run.",
            "The registry's answers do not match its manifest: a size or digest differs, an answer is too large, or an index leads to no image.",
        ],
        steps: &[
            "Write the file again, for example with `docker save IMAGE > FILE` or `skopeo copy docker-daemon:IMAGE oci:FOLDER`.",
            "If the file contains several images, add the name of one to the path: `oci:./layout:NAME`.",
            "Push the image to the registry again.",
        ],
    },
    Explanation {
        code: Code::ImageDenied,
        meaning: "The registry denies you access to the image.",
        causes: &[
            "The registry requires a login.",
            "The name is wrong: registries also deny access to images that do not exist.",
        ],
        steps: &[
            "Run `docker login REGISTRY`; farrier uses the same credentials.",
            "Check the image's name.",
        ],
    },
    Explanation {
        code: Code::ImageNotFound,
        meaning: "The registry has no such image.",
        causes: &["The name or the tag contains a typo.", "The tag was removed, or never pushed."],
        steps: &[
            "Check `image` in the definition.",
            "If it is an image of your own, build it before you launch.",
        ],
    },
    Explanation {
        code: Code::DiskFull,
        meaning: "The engine has no disk space left.",
        causes: &["Unused images, containers, volumes or build caches fill the disk."],
        steps: &[
            "See what uses the space with `docker system df`.",
            "Remove unused data with `docker system prune`; for images of the engine `native`, with `farrier engine prune`.",
        ],
    },
    Explanation {
        code: Code::AddressPoolsExhausted,
        meaning: "The engine has no address range left for another network, or a network has no address left for another \
                  container.",
        causes: &[
            "Networks of finished projects still exist. Docker's default ranges suffice for about 30 networks.",
            "A VPN or another network on this host overlaps the engine's ranges.",
            "The network was created with a small subnet.",
        ],
        steps: &[
            "Remove unused networks with `docker network prune`, or only farrier's with `farrier down`.",
            "Give the engine more and smaller ranges: set `default-address-pools` in its `daemon.json` \
             (`[{\"base\": \"10.200.0.0/16\", \"size\": 24}]`), and restart the engine.",
        ],
    },
    Explanation {
        code: Code::ProgramMissing,
        meaning: "The container's program is not in the image, or is not executable; or the `program` on this host does not exist.",
        causes: &[
            "`program` names a command that is not on `PATH`, or a path that does not exist relative to the definition's folder.",
            "The first line of a script (`#!…`) names an interpreter that does not exist.",
            "`entrypoint` or `command` names a program that the image does not contain.",
            "The command needs a shell, and the image contains none.",
            "The path is a folder, or the file has no execute permission.",
        ],
        steps: &[
            "Inspect the image with `docker run --rm --entrypoint ls IMAGE`, or read its Dockerfile.",
            "Find a program on this host with `command -v NAME`.",
        ],
    },
    Explanation {
        code: Code::WrongArchitecture,
        meaning: "The image, or the program in it, was built for another architecture.",
        causes: &[
            "The image was built and pushed for another architecture only.",
            "The program is a script without an interpreter line (`#!/bin/sh`).",
        ],
        steps: &[
            "Build the image for this architecture, for example with `docker build --platform linux/amd64 .`.",
        ],
    },
    Explanation {
        code: Code::EnginePermission,
        meaning: "The engine's socket exists, but you may not use it.",
        causes: &[
            "You are not in the socket's group, usually `docker`, or have not logged in again since you joined it.",
        ],
        steps: &["Join that group, and log in again.", "Or use a rootless engine."],
    },
    Explanation {
        code: Code::NameTaken,
        meaning: "A container, a network or a volume that is not farrier's already has the name that farrier needs.",
        causes: &[
            "A person or another tool created it.",
            "Two sidecars' names result in the same container name.",
            "The container belongs to a sidecar of that name in another folder; its label `farrier.scope` identifies the folder.",
        ],
        steps: &[
            "Remove the container, network or volume if nothing needs it.",
            "Or rename the definition's file: farrier derives the container's name from the file name.",
        ],
    },
    Explanation {
        code: Code::SidecarInUse,
        meaning: "The command would change or remove a sidecar that a launch uses or awaits.",
        causes: &[
            "A harness is running in another terminal, and the definition has changed since it started.",
            "On a Docker Swarm, a launch on another machine uses or awaits the sidecar with another definition or network, or \
             `farrier down` removes it there.",
        ],
        steps: &[
            "Wait until that launch ends; `farrier ps` shows who uses each sidecar.",
            "Or use `farrier launch --recreate` to replace the sidecar despite that launch, or `farrier down --force` to remove it.",
        ],
    },
    Explanation {
        code: Code::SidecarNotFound,
        meaning: "No sidecar has this name, or more than one has it.",
        causes: &[
            "The name contains a typo.",
            "The sidecar was never started on this engine, or was removed.",
            "Several workspaces have a sidecar of this name.",
        ],
        steps: &[
            "List the sidecars with `farrier ps`.",
            "If several sidecars have the name, use the container's name.",
        ],
    },
    Explanation {
        code: Code::ConfirmationRequired,
        meaning: "The command would remove something, and there is no terminal in which to ask for confirmation.",
        causes: &["The command runs in a script, or without a terminal."],
        steps: &["Use `farrier ps` to check what the command would remove, then add `--yes`."],
    },
    Explanation {
        code: Code::PortTaken,
        meaning: "Another process or container already uses a port on this host that a sidecar needs, for its `program` or for \
                  `interface.publish`. A probe could mistake the other server for the sidecar.",
        causes: &[
            "The same server is already running as a system service, or was started by hand.",
            "A container publishes the port.",
            "Two definitions that have a `program` declare the same port.",
        ],
        steps: &[
            "Use `ss -ltnp` to find the process that is listening, and end it.",
            "Or let the program listen on another port, and name it in `interface.port`.",
            "Or publish the container on another port: `interface.publish = [\"15433:5432\"]`.",
        ],
    },
    Explanation {
        code: Code::AliasTaken,
        meaning: "Another container, or the harness itself, already uses a name of the sidecar on a network that the sidecar joins. The engine ignores case in names.",
        causes: &[
            "The sidecar was renamed, and the container with its former name is still running.",
            "A container of another tool, or an old container, is connected to the harness's network, or to a network in `networks`.",
            "The harness's `--name`, `--network-alias`, `--hostname`, `--link` or `--add-host` is the sidecar's name.",
        ],
        steps: &[
            "Remove sidecars without a definition with `farrier down --orphans`.",
            "Stop that container, or disconnect it with `docker network disconnect`.",
            "Or change `aliases` in `[interface]`.",
            "Or give the harness another name.",
        ],
    },
    Explanation {
        code: Code::StartFailed,
        meaning: "The engine could not create or start the container.",
        causes: &[
            "The image does not contain the entrypoint or the command.",
            "The image was built for another architecture.",
            "A mounted path does not exist.",
        ],
        steps: &["Read the engine's error in the message.", "Try the image with `docker run --rm IMAGE`."],
    },
    Explanation {
        code: Code::NetworkUnusable,
        meaning: "farrier cannot connect sidecars to the network.",
        causes: &[
            "The network does not exist, or two networks have its name.",
            "The harness uses `none`, `bridge` or another container's network, where names are not resolved.",
            "The harness uses `--link`, which works only on Docker's default bridge.",
        ],
        steps: &[
            "Create the network with `docker network create NAME`.",
            "Or remove `--network` from the harness's command: farrier then creates a network.",
        ],
    },
];
