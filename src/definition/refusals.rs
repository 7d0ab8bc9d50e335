//! What is valid but not started: said before any engine is asked for anything.

use super::model::{Definition, Interface, Lifecycle, Mount};
use crate::report::error::{Code, Problem};

/// Everything in the merged definitions that this version does not start, each with its reason and way out.
#[must_use]
pub fn refusals(definitions: &[Definition]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for definition in definitions {
        let mut refuse = |field: &str, code: Code, message: String, hint: &str| {
            let problem = Problem::error(code, message).at(definition.place(field)).of(&definition.name);
            problems.push(problem.hint(hint));
        };
        interface(definition, &mut refuse);
        mounts(definition, &mut refuse);
        secrets(definition, &mut refuse);
    }
    problems
}

/// A refusal: the field, the code, one sentence, the way out.
type Refuse<'a> = dyn FnMut(&str, Code, String, &str) + 'a;

fn interface(definition: &Definition, refuse: &mut Refuse<'_>) {
    let (kind, hint) = match definition.interface {
        Interface::Port { .. } | Interface::None => return,
        Interface::Mcp { .. } => (
            "mcp",
            "Write `interface.kind = \"port\"` to get its host and port as variables, with `readiness.probe = \"mcp\"` if you \
             like, or disable the definition.",
        ),
        Interface::Volume { .. } => (
            "volume",
            "Write `interface.kind = \"none\"` and share the files another way, or disable the definition.",
        ),
    };
    refuse(
        "interface.kind",
        Code::UnsupportedInterface,
        format!("`{}` has an interface of kind \"{kind}\", which farrier does not support", definition.name),
        hint,
    );
}

fn mounts(definition: &Definition, refuse: &mut Refuse<'_>) {
    let shares = definition.lifecycle == Lifecycle::Shared;
    if shares && definition.container.mounts.iter().any(|mount| matches!(mount, Mount::Workspace { .. })) {
        refuse(
            &declared_mount(definition, "workspace").unwrap_or_else(|| "mounts".to_owned()),
            Code::UnsupportedMount,
            format!(
                "`{}` is shared and mounts the workspace, which every later launch that reuses it would see",
                definition.name
            ),
            "Write `lifecycle = \"session\"` if each launch may have a sidecar of its own.",
        );
    }
    let socket = definition.container.mounts.iter().any(Mount::is_engine_socket);
    let is_pinned = definition.image.as_ref().is_some_and(|image| image.contains("@sha256:"));
    let power = if socket { "mounts the engine's socket" } else { "is privileged" };
    if (socket || definition.container.privileged) && !definition.layer.is_trusted() && !is_pinned {
        refuse(
            "image",
            Code::UnsupportedMount,
            format!(
                "`{}` comes from the workspace and {power}, and its image is not pinned by a digest",
                definition.name
            ),
            "Write the image as `name@sha256:…`, so that an approval is for one image only.",
        );
    }
    if let Some(field) = declared_mount(definition, "tmux-socket") {
        refuse(
            &field,
            Code::UnsupportedMount,
            format!("`{}` mounts the tmux socket, which farrier does not support", definition.name),
            "Remove the mount, or disable the definition.",
        );
    }
}

/// The field of the first mount with a word. The decoder records `mounts[1].volume` for each.
fn declared_mount(definition: &Definition, word: &str) -> Option<String> {
    let mut index = 0;
    while definition.places.contains_key(&format!("mounts[{index}]")) {
        let field = format!("mounts[{index}].{word}");
        if definition.places.contains_key(&field) {
            return Some(field);
        }
        index += 1;
    }
    None
}

fn secrets(definition: &Definition, refuse: &mut Refuse<'_>) {
    for secret in &definition.secrets {
        refuse(
            &secret.field,
            Code::UnsupportedSecret,
            format!(
                "`{}` contains the secret reference {}, and farrier does not resolve secrets",
                secret.field, secret.text
            ),
            "Write a value that may be stored in a file, let the image fetch the secret itself, or disable the definition.",
        );
    }
}
