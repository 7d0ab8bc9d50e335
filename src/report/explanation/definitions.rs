//! Explanations of what is wrong with a definition.

use super::Explanation;
use crate::report::error::Code;

pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::DefinitionSyntax,
        meaning: "The file is not valid TOML or YAML, so nothing in it can be read.",
        causes: &[
            "A quote, bracket or brace is not closed.",
            "A YAML file is indented with a tab, or holds two documents.",
            "A key stands twice in one table.",
        ],
        steps: &[
            "Look at the line that the error shows; the mistake is there or just before it.",
            "Let an editor check the file against the schema that `farrier schema` prints.",
        ],
    },
    Explanation {
        code: Code::DefinitionUnreadable,
        meaning: "The file is there, but cannot be read as a definition.",
        causes: &[
            "Its permissions do not let this user read it.",
            "It is not UTF-8 text, not a regular file, or larger than a definition can be.",
        ],
        steps: &[
            "Check it with `ls -l` and `file`.",
            "Move what is no definition out of the folder; names that begin with a dot are passed over.",
        ],
    },
    Explanation {
        code: Code::InvalidValue,
        meaning: "A field has a value of the wrong type, or one outside its range.",
        causes: &[
            "A port is written as text or is not between 1 and 65535.",
            "A duration or a size lacks its unit, or an image reference has capital letters.",
        ],
        steps: &["Compare the field with the table of fields in the README, or with `farrier schema`."],
    },
    Explanation {
        code: Code::MissingField,
        meaning: "A field that every definition of this kind needs is absent.",
        causes: &[
            "`image`, `lifecycle` or `[interface]` was left out.",
            "An interface of kind \"none\" does not say how its readiness is decided.",
        ],
        steps: &["Add the field that the error names."],
    },
    Explanation {
        code: Code::UnknownKey,
        meaning: "A key is not known. It is an error if compose, docker or Kubernetes have it, because ignoring it would \
                  change what runs or leave the container more power. It is a warning if the value asks for what farrier does \
                  anyway (`tty: false`), and for any other key.",
        causes: &[
            "A typing error; the message then names the key that is near.",
            "The key belongs into another table, or has another name here.",
            "The key is not supported yet.",
        ],
        steps: &["Write the key that the hint names, or remove it."],
    },
    Explanation {
        code: Code::ConflictingFields,
        meaning: "Two fields say things that cannot both hold.",
        causes: &[
            "A `command` stands with a probe that runs none.",
            "A field of one kind of interface stands with another kind.",
        ],
        steps: &["Remove one of the two fields that the error names."],
    },
    Explanation {
        code: Code::NameCollision,
        meaning: "Two definitions would get the same container, variable or alias.",
        causes: &[
            "Names that differ only in characters which container names or variables cannot have, such as `a.b` and `a-b`.",
            "An alias is the name of another sidecar.",
        ],
        steps: &["Rename one of the files: its stem is the name.", "Or change the alias."],
    },
    Explanation {
        code: Code::DuplicateDefinition,
        meaning: "One folder holds two files for the same name.",
        causes: &["`db.toml` stands beside `db.yaml`, for example after a conversion."],
        steps: &["Remove the one that is not wanted."],
    },
    Explanation {
        code: Code::NotInterpolated,
        meaning: "A value holds `${VAR}`, which is passed on as it stands. This is a warning.",
        causes: &["The definition was written for a tool that puts variables in."],
        steps: &["Write the value itself."],
    },
    Explanation {
        code: Code::WorkspaceOverride,
        meaning: "The workspace tries to change a sidecar that a trusted layer defines.",
        causes: &[
            "The workspace defines a name that the user, the organisation or the repository defines too; theirs stays in force, and that is a warning.",
            "It disables a definition that is `required`; that is an error.",
            "It disables a definition that is not required: a warning each time, and nothing runs before somebody approved it.",
            "It disables a definition, and declares a sidecar that is only spelled otherwise or has the name as an alias; that is an error.",
        ],
        steps: &[
            "Rename the definition of the workspace, or remove it.",
            "Approve a disabled sidecar with `farrier approve NAME`, or start without the workspace by `--no-workspace`.",
        ],
    },
    Explanation {
        code: Code::LayerUnusable,
        meaning: "The folder of a layer cannot be used, or a file in it cannot be trusted.",
        causes: &[
            "The path is no folder, or may not be listed.",
            "Anyone on this machine may write to the folder, to one above it or to the file, so anybody could add a definition.",
        ],
        steps: &[
            "Take the right to write away with `chmod o-w`.",
            "Or name another folder; `farrier validate` lists the layers.",
        ],
    },
    Explanation {
        code: Code::ReadingLimit,
        meaning: "The definitions, and the probes and folders that they name, are more than farrier reads before it asks.",
        causes: &[
            "A layer's folder holds very many files, definitions or not.",
            "A definition grants a folder that holds far more than a probe needs.",
            "Very many different components are named.",
        ],
        steps: &[
            "Look at what the folders hold, beginning with the one that the error shows.",
            "Move what is not needed out of them; grant a smaller folder.",
            "Start without the definitions of the workspace with `--no-workspace`.",
        ],
    },
    Explanation {
        code: Code::OutsideWorkspace,
        meaning: "A file of the workspace is reached through a path that leaves the workspace.",
        causes: &["A symbolic link in `.farrier/sidecars` points elsewhere."],
        steps: &["Put the file itself into the workspace, or the definition into the user's layer."],
    },
    Explanation {
        code: Code::WorkspaceUnused,
        meaning: "A `.farrier` folder near the working directory is not used, so its sidecars take no part.",
        causes: &[
            "No folder above it is a checkout with a `.git`, so there is no workspace.",
            "The folder of definitions is not named `sidecars`, or the files stand beside it.",
            "A folder further up is the checkout, and only its own `.farrier` counts.",
        ],
        steps: &[
            "Put the definitions into `.farrier/sidecars` of the checkout, or name the folder with `--workspace`.",
            "Say `--no-workspace` if none is meant.",
        ],
    },
    Explanation {
        code: Code::UnsupportedLifecycle,
        meaning: "The lifecycle is valid, but not one that farrier starts.",
        causes: &["`lifecycle = \"session\"`, which makes a container for each launch."],
        steps: &[
            "Write `lifecycle = \"shared\"` where one container may serve all launches, or disable the definition.",
        ],
    },
    Explanation {
        code: Code::UnsupportedInterface,
        meaning: "The kind of interface is valid, but not one that farrier starts.",
        causes: &["`kind = \"mcp\"` or `kind = \"volume\"`."],
        steps: &["Write `kind = \"port\"` to get host and port as variables, or `kind = \"none\"`."],
    },
    Explanation {
        code: Code::UnsupportedMount,
        meaning: "A mount is valid, but not offered to this sidecar.",
        causes: &[
            "A shared sidecar mounts the workspace, which every later launch would see.",
            "A volume or the tmux socket is mounted.",
        ],
        steps: &["Remove the mount, or copy what the sidecar needs into its image."],
    },
    Explanation {
        code: Code::UnsupportedResource,
        meaning: "A resource is valid, but not handed to sidecars.",
        causes: &["`resources.gpus`."],
        steps: &["Remove it, or disable the definition."],
    },
    Explanation {
        code: Code::UnsupportedSecret,
        meaning: "A value holds a `${secret:…}` reference, and secrets are not resolved.",
        causes: &["The definition was written for a launcher with a table of secret providers."],
        steps: &["Let the image fetch the secret itself, or write a value that may stand in a file."],
    },
    Explanation {
        code: Code::ApprovalRequired,
        meaning: "A definition comes from the workspace, and nobody has approved it as it is now.",
        causes: &[
            "The checkout brings definitions along; whoever wrote them could start any image.",
            "An approved definition, its probe or a folder that it grants was changed, or is back after a change.",
            "A folder of the user's, the organisation's or the repository's layer lies in what is being worked on: the workspace, another worktree of it, or a home directory that is the checkout.",
            "The approval is asked for where there is no terminal, or with `--no-prompt`.",
        ],
        steps: &[
            "Read what it would do, and approve it with `farrier approve NAME`.",
            "Without a terminal, give the hash of what was read: `farrier approve NAME --hash HEX`.",
            "Start without the workspace's own layer by `--no-workspace`.",
            "Keep approvals for several branches with `farrier approve --keep-earlier`.",
        ],
    },
    Explanation {
        code: Code::ApprovalMismatch,
        meaning: "The hash given to `farrier approve` is not the definition's.",
        causes: &[
            "The definition, its probe or a granted folder was changed after the hash was noted.",
            "The hash is another sidecar's, or was not copied whole.",
        ],
        steps: &["Read what is there now, and approve the hash that the error names if you trust it."],
    },
];
