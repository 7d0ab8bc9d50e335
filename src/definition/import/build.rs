//! How a service's image is built, which nothing of a definition does.

use serde_json::Value as Json;

use super::object;
use super::writing::{pairs, text, typed_word};

/// Keys of `build` that are in the command, or mean nothing for it.
const IN_COMMAND: [&str; 4] = ["context", "dockerfile", "args", "target"];

/// The command that builds an image, and what of the service's `build` is not in it.
pub fn told(build: &Json, image: &str) -> String {
    let of = |key: &str| build.get(key).and_then(text);
    let context = of("context").or_else(|| text(build)).unwrap_or_else(|| ".".to_owned());
    let mut command = vec!["docker build -t".to_owned(), typed_word(image)];
    for (option, key) in [("-f", "dockerfile"), ("--target", "target")] {
        if let Some(value) = of(key) {
            let value = if key == "dockerfile" { from_context(&value, &context) } else { value };
            command.push(format!("{option} {}", typed_word(&value)));
        }
    }
    for (name, value) in build.get("args").and_then(pairs).unwrap_or_default() {
        let argument = value.map_or(name.clone(), |value| format!("{name}={value}"));
        command.push(format!("--build-arg {}", typed_word(&argument)));
    }
    command.push(typed_word(&context));
    let others: Vec<&str> =
        object(Some(build)).map(|(key, _)| key.as_str()).filter(|key| !IN_COMMAND.contains(key)).collect();
    let more = if others.is_empty() { String::new() } else { format!("; without {}", others.join(", ")) };
    format!("build it first: {}{more}", command.join(" "))
}

/// A file that compose looks for in the context, as docker looks for it in the working directory.
fn from_context(file: &str, context: &str) -> String {
    let is_elsewhere = file.starts_with(['/', '$']) || context.contains("://") || context == ".";
    if is_elsewhere { file.to_owned() } else { format!("{}/{file}", context.trim_end_matches('/')) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_says_all_that_compose_would() {
        let whole = serde_json::json!({
            "context": "./elastic/", "dockerfile": "Dockerfile.dev", "target": "run",
            "args": { "VERSION": "${VERSION}", "NOTE": "a b" }, "secrets": ["token"],
        });
        for (build, expected) in [
            (serde_json::json!("./web"), "docker build -t web:local ./web"),
            (serde_json::json!({}), "docker build -t web:local ."),
            (
                serde_json::json!({ "args": ["A", "B=1"] }),
                "docker build -t web:local --build-arg A --build-arg B=1 .",
            ),
            (
                whole,
                "docker build -t web:local -f ./elastic/Dockerfile.dev --target run --build-arg 'NOTE=a b' \
                 --build-arg \"VERSION=${VERSION}\" ./elastic/; without secrets",
            ),
        ] {
            assert_eq!(told(&build, "web:local"), format!("build it first: {expected}"));
        }
    }
}
