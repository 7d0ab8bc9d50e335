//! Explanations of errors in definitions.

use super::Explanation;
use crate::report::error::Code;

pub(super) const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: Code::DefinitionSyntax,
        meaning: "The file is not valid TOML or YAML, so nothing in it can be read.",
        causes: &[
            "A quote, bracket or brace is not closed.",
            "A YAML file is indented with a tab, or holds two documents.",
            "A table contains a key twice.",
        ],
        steps: &[
            "Check the line that the error shows, and the line before it.",
            "Have your editor check the file against the schema that `farrier schema` prints.",
        ],
    },
    Explanation {
        code: Code::DefinitionUnreadable,
        meaning: "The file exists, but farrier cannot read it as a definition.",
        causes: &[
            "You do not have permission to read it.",
            "It is not UTF-8 text, is not a regular file, or is larger than a definition may be.",
        ],
        steps: &[
            "Check it with `ls -l` and `file`.",
            "Move files that are not definitions out of the folder; farrier ignores names that begin with a dot.",
        ],
    },
    Explanation {
        code: Code::InvalidValue,
        meaning: "A field's value has the wrong type or is out of range.",
        causes: &[
            "A port is text, or is not between 1 and 65535.",
            "A duration or a size has an unknown unit, or an image reference contains capital letters.",
        ],
        steps: &["Compare the field with `docs/definitions.md`, or with the output of `farrier schema`."],
    },
    Explanation {
        code: Code::MissingField,
        meaning: "A required field is missing.",
        causes: &[
            "The definition has no `image` or `[interface]`, or in YAML no `lifecycle`.",
            "The interface has `kind = \"none\"`, and the definition has no `[readiness]`.",
        ],
        steps: &["Add the field that the error names."],
    },
    Explanation {
        code: Code::UnknownKey,
        meaning: "farrier does not recognise a key in the definition. If compose, docker or Kubernetes defines the key, this is \
                  an error, because ignoring it would change what runs or give the container more power. For any other key, \
                  or if the value asks for what farrier does anyway (`tty: false`), it is a warning.",
        causes: &[
            "A typo; the message then suggests the nearest key.",
            "The key belongs in another table, or has another name in farrier.",
            "The key is not supported yet.",
        ],
        steps: &["Replace the key with the one that the hint names, or remove it."],
    },
    Explanation {
        code: Code::ConflictingFields,
        meaning: "Two fields contradict each other.",
        causes: &[
            "The definition has a `command`, but its probe runs no command.",
            "A field belongs to another kind of interface.",
        ],
        steps: &["Remove one of the two fields that the error names."],
    },
    Explanation {
        code: Code::NameCollision,
        meaning: "Two definitions would get the same container, variable or alias.",
        causes: &[
            "The names differ only in characters that container names or variables cannot contain, such as `a.b` and `a-b`.",
            "An alias equals the name of another sidecar.",
        ],
        steps: &[
            "Rename one of the files: the file name without its extension is the sidecar's name.",
            "Or change the alias.",
        ],
    },
    Explanation {
        code: Code::AfterCircle,
        meaning: "The `after` keys of several sidecars form a cycle, so none of them can start.",
        causes: &[
            "Two definitions name each other in `after`.",
            "A sidecar waits for the job that prepares it, but the job's `after` names that sidecar.",
        ],
        steps: &[
            "Break the cycle: the error lists the sidecars in it. Remove one of these names from the `after` that contains it.",
            "If a sidecar only needs the other one to run, not to be ready, let its program retry the connection, and remove the other one from its `after`.",
        ],
    },
    Explanation {
        code: Code::DuplicateDefinition,
        meaning: "A folder contains two definitions of the same name.",
        causes: &["The folder contains `db.toml` and `db.yaml`, for example after a conversion."],
        steps: &["Remove one of them."],
    },
    Explanation {
        code: Code::NotInterpolated,
        meaning: "A value in YAML contains `${VAR}`, which farrier passes on unchanged. This is a warning.",
        causes: &["The definition was written for a tool that substitutes variables."],
        steps: &["Write the value instead of the variable, or write the definition in TOML."],
    },
    Explanation {
        code: Code::VariableUnset,
        meaning: "A definition names a variable, such as `${PG}`, that is not set and has no default.",
        causes: &[
            "The variable is set neither in the environment nor in `.env`, beside the layer's folder or in the workspace's root.",
            "A dollar sign before a brace is meant as text.",
        ],
        steps: &[
            "Set the variable, or write a default: `${PG:-16}`.",
            "Write `$$` for a dollar sign that is meant as text.",
        ],
    },
    Explanation {
        code: Code::WorkspaceOverride,
        meaning: "The workspace tries to change a sidecar that a trusted layer defines.",
        causes: &[
            "The workspace defines a name that the user's, the organisation's or the repository's layer also defines. farrier uses the trusted definition and warns.",
            "The workspace disables a `required` definition. This is an error.",
            "The workspace disables a definition that is not required. farrier warns each time, and launches nothing until you approve disabling the definition.",
            "The workspace disables a definition, and declares a sidecar that would take over its name, through another spelling of the name or an alias. This is an error.",
        ],
        steps: &[
            "Rename or remove the workspace's definition.",
            "Approve disabling the sidecar with `farrier approve NAME`, or launch with `--no-workspace`.",
        ],
    },
    Explanation {
        code: Code::LayerUnusable,
        meaning: "farrier cannot use the folder of a layer, or cannot trust a file in it.",
        causes: &[
            "The path is not a folder, or you do not have permission to list it.",
            "Every user of this machine can write to the file, its folder or a parent folder, and so could add a definition.",
        ],
        steps: &[
            "Remove the write permission with `chmod o-w`.",
            "Or use another folder; `farrier validate` lists the layers.",
        ],
    },
    Explanation {
        code: Code::ReadingLimit,
        meaning: "The definitions, with their probes and granted folders, exceed the amount that farrier reads before it asks for an approval.",
        causes: &[
            "A layer's folder contains a very large number of files.",
            "A definition grants a folder that contains far more than a probe needs.",
            "The definitions name a very large number of components.",
        ],
        steps: &[
            "Check the folders, beginning with the one that the error shows.",
            "Move unneeded files out of them, or grant a smaller folder.",
            "To ignore the workspace's definitions, launch with `--no-workspace`.",
        ],
    },
    Explanation {
        code: Code::OutsideWorkspace,
        meaning: "The path of a workspace file leads out of the workspace.",
        causes: &["A symbolic link in `.farrier/sidecars` points outside the workspace."],
        steps: &["Move the file into the workspace, or the definition into the user's layer."],
    },
    Explanation {
        code: Code::FileUnusable,
        meaning: "farrier cannot use a file that a key of a definition names, such as `env_file`.",
        causes: &[
            "The file does not exist: a relative path starts at the definition's folder.",
            "You do not have permission to read it, or it is larger than 1 MiB.",
            "A line in a file with variables is not `NAME=value`.",
        ],
        steps: &["Correct the path or the file that the error names."],
    },
    Explanation {
        code: Code::WorkspaceUnused,
        meaning: "farrier ignores a `.farrier` folder near the working directory, and the sidecars in it. This is a warning.",
        causes: &[
            "Neither the folder that contains `.farrier` nor any of its parent folders is a checkout with a `.git`, so there is no workspace.",
            "The folder of definitions is not named `sidecars`, or the files are not in that folder.",
            "The checkout's root is further up, and only the `.farrier` in the root counts.",
        ],
        steps: &[
            "Move the definitions to `.farrier/sidecars` in the checkout's root, or name the folder with `--workspace`.",
            "If you want no workspace, use `--no-workspace`.",
        ],
    },
    Explanation {
        code: Code::UnsupportedLifecycle,
        meaning: "The definition has `lifecycle = \"session\"`: its sidecar lives only as long as one launch, but this command would leave it running.",
        causes: &["The command is `farrier up` or `farrier reset`, which start sidecars without a harness."],
        steps: &[
            "Start it with its harness: `farrier launch -- COMMAND`.",
            "Or name the sidecars that are shared: `farrier up NAME`.",
            "If one container may serve all launches, write `lifecycle = \"shared\"`.",
        ],
    },
    Explanation {
        code: Code::UnsupportedInterface,
        meaning: "The kind of interface is valid, but farrier does not support it.",
        causes: &["The definition has `kind = \"mcp\"` or `kind = \"volume\"`."],
        steps: &[
            "Write `kind = \"port\"`, which gives the harness the host and port as variables, or `kind = \"none\"`.",
        ],
    },
    Explanation {
        code: Code::UnsupportedMount,
        meaning: "A mount is valid, but farrier does not support it for this sidecar.",
        causes: &[
            "A shared sidecar mounts the workspace, which every later launch would then see.",
            "A session sidecar mounts the workspace, but farrier runs outside a checkout.",
            "A workspace definition mounts the engine's socket or is privileged, but does not pin its image by digest.",
            "The definition mounts the tmux socket.",
            "A workspace definition binds a folder, or a file that the container could write to.",
        ],
        steps: &[
            "Remove the mount, or copy the files that the sidecar needs into its image.",
            "Use a named volume for data: `mounts = [\"volume:data:/data\"]`.",
        ],
    },
    Explanation {
        code: Code::UnsupportedSecret,
        meaning: "A value contains a `${secret:…}` reference, which farrier does not resolve.",
        causes: &["The definition was written for a launcher that has secret providers."],
        steps: &["Let the image fetch the secret, or write a value that may be stored in the file."],
    },
    Explanation {
        code: Code::ApprovalRequired,
        meaning: "A workspace definition has no approval in its current form.",
        causes: &[
            "The checkout contains definitions; without an approval, their author could start any image.",
            "An approved definition, its probe or a granted folder has changed, or has changed back.",
            "A trusted layer's folder is in the workspace, in another worktree of it, or in a home directory that is a checkout.",
            "farrier cannot ask, because there is no terminal or because of `--no-prompt`.",
        ],
        steps: &[
            "Read the definition, and approve it with `farrier approve NAME`.",
            "Without a terminal, pass the hash of the definition that you have read: `farrier approve NAME --hash HEX`.",
            "To ignore the workspace's definitions, use `--no-workspace`.",
            "To keep approvals for several branches, use `farrier approve --keep-earlier`.",
        ],
    },
    Explanation {
        code: Code::ApprovalMismatch,
        meaning: "The hash passed to `farrier approve`, or pinned by a lock, is not the definition's hash.",
        causes: &[
            "The definition, its probe or a granted folder has changed since you noted the hash or wrote the lock.",
            "The hash belongs to another sidecar, or is incomplete.",
            "A variable that the definition reads has another value on this machine.",
            "The workspace declares a sidecar that the lock does not pin, or no longer declares one that the lock pins.",
        ],
        steps: &[
            "Read the current definition. If you trust it, approve the hash that the error names.",
            "Write the lock again, in a terminal, with `farrier approve --lock FILE`.",
        ],
    },
    Explanation {
        code: Code::ApprovalLockUnusable,
        meaning: "The file passed to `farrier approve --lock` or `--from-lock` cannot be used.",
        causes: &[
            "The lock is in the workspace whose definitions it would approve: whoever changes a definition there could change the lock, too.",
            "The file is not an approvals lock file, or was written by another version.",
            "Another user can write to it.",
        ],
        steps: &[
            "Take the lock from a commit that you trust: `git show origin/main:FILE | farrier approve --from-lock -`.",
            "Write a lock with `farrier approve --lock FILE`.",
        ],
    },
    Explanation {
        code: Code::PolicyRefused,
        meaning: "A policy does not permit what a definition, a probe or a command asks for. A policy bounds everything, whoever approved it.",
        causes: &[
            "Your policy (`~/.config/farrier/policy.toml`) has a rule that the definition breaks; the error names the line of the rule and the line of the definition.",
            "The machine's policy (`/etc/farrier/policy.toml`) has such a rule. Both policies bound everything, so that the stricter one wins.",
            "The policy is newer than the approval, or than the container that runs already. farrier neither uses nor removes that container.",
        ],
        steps: &[
            "Change the definition as the hint says; `farrier validate` shows what else a policy refuses.",
            "If the rule is yours and too strict, change it; `docs/policy.md` describes each rule.",
            "Remove a container that runs already with `farrier down NAME`.",
        ],
    },
    Explanation {
        code: Code::PolicyUnusable,
        meaning: "A policy cannot be read or is wrong. As farrier then does not know what it permits, farrier starts nothing.",
        causes: &[
            "A rule or its value is misspelt; the message suggests the nearest name.",
            "You do not have permission to read the file, or it is a symlink, a folder, or no UTF-8 text.",
            "Somebody else can write to the file or replace it, or it is in the workspace that it bounds.",
        ],
        steps: &[
            "Correct the line that the error shows; `docs/policy.md` lists the rules.",
            "Check the owner and the permissions of the file and its folders; `farrier doctor` names what is wrong.",
            "Remove the file if it should bound nothing.",
        ],
    },
];
