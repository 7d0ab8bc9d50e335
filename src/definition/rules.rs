//! What must hold between definitions, and between a definition and its name and layer.

use std::collections::BTreeMap;

use super::grants::DialGrant;
use super::keys::PublishedPort;
use super::model::{Definition, Interface, Layer};
use super::names::{container_token, is_sidecar_host, variable_token};
use super::order;
use super::wellknown::is_asked_for;
use crate::report::error::{Code, Problem};

/// Checks the merged definitions, sorted by name. `broken` are the names of those whose errors were reported.
pub fn check(definitions: &[Definition], broken: &[String], problems: &mut Vec<Problem>) {
    for definition in definitions {
        name(definition, problems);
        workspace_aliases(definition, problems);
        dial_grants(definition, definitions, problems);
    }
    collisions(definitions, problems, "container name", |definition| Some(container_token(&definition.name)));
    collisions(definitions, problems, "variable name", |definition| {
        definition.port().map(|_| variable_token(&definition.name))
    });
    variables(definitions, problems);
    published(definitions, problems);
    harness_variables(definitions, problems);
    aliases(definitions, problems);
    order::check(definitions, broken, problems);
}

/// The ends of the names of all variables that tell the harness of a sidecar, with the fields that they come from.
fn variable_names(definition: &Definition) -> Vec<(String, String)> {
    if definition.port().is_none() {
        return Vec::new();
    }
    let name = variable_token(&definition.name);
    let more = definition.more_ports().into_iter().map(|(port, _)| {
        (format!("{name}_PORT_{}", variable_token(port)), format!("interface.ports.{port}"))
    });
    let own = ["HOST", "PORT"].map(|end| (format!("{name}_{end}"), String::new()));
    own.into_iter().chain(more).collect()
}

/// A port's name may make a variable of a sidecar that is called like it: `db` with a port `port`, and `db-port`.
fn variables(definitions: &[Definition], problems: &mut Vec<Problem>) {
    let mut taken: BTreeMap<String, &Definition> = BTreeMap::new();
    for definition in definitions {
        for (variable, field) in variable_names(definition) {
            let holder = *taken.entry(variable.clone()).or_insert(definition);
            let is_of_the_name = variable_token(&holder.name) == variable_token(&definition.name);
            if holder.name != definition.name && !is_of_the_name {
                let message = format!(
                    "`{}` and `{}` would both set the variable `…{variable}`",
                    definition.name, holder.name
                );
                let hint = "Rename the port, or one of the two files.";
                report(problems, definition, &field, Problem::error(Code::NameCollision, message).hint(hint));
            }
        }
    }
}

/// Variables that definitions set for the harness, and by which farrier tells it of sidecars, as this prefix makes them.
#[must_use]
pub fn taken_variables(definitions: &[Definition], prefix: &str) -> Vec<Problem> {
    let own: Vec<String> = definitions
        .iter()
        .flat_map(variable_names)
        .map(|(variable, _)| format!("{prefix}{variable}"))
        .collect();
    let mut problems = Vec::new();
    for definition in definitions {
        for name in definition.harness_env.keys().filter(|name| own.contains(name)) {
            let message = format!("`{name}` is one of the variables by which farrier tells of sidecars");
            let problem = Problem::error(Code::NameCollision, message);
            report(
                &mut problems,
                definition,
                &format!("harness.env.{name}"),
                problem.hint("Choose another name."),
            );
        }
    }
    problems
}

/// One variable of the harness that two sidecars set to different values.
fn harness_variables(definitions: &[Definition], problems: &mut Vec<Problem>) {
    let mut taken: BTreeMap<String, (&Definition, String)> = BTreeMap::new();
    for definition in definitions {
        for (name, value) in definition.harness_variables(&definition.name) {
            let (holder, other) = taken.entry(name.clone()).or_insert_with(|| (definition, value.clone()));
            if *other != value {
                let message = format!(
                    "`{}` and `{}` ({}) set the harness's variable `{name}` to different values",
                    definition.name,
                    holder.name,
                    holder.file().display()
                );
                let problem = Problem::error(Code::ConflictingFields, message);
                let field = format!("harness.env.{name}");
                report(problems, definition, &field, problem.hint("Rename the variable in one of them."));
            }
        }
    }
}

/// One port of the engine's host for two sidecars.
fn published(definitions: &[Definition], problems: &mut Vec<Problem>) {
    let mut before: BTreeMap<u16, Vec<(&Definition, &PublishedPort)>> = BTreeMap::new();
    for definition in definitions {
        for port in &definition.container.publish {
            let others = before.entry(port.host).or_default();
            let holder = others
                .iter()
                .find(|(other, published)| other.name != definition.name && published.collides(port));
            if let Some((holder, _)) = holder {
                let message = format!(
                    "`{}` and `{}` ({}) would both use port {} on this host",
                    definition.name,
                    holder.name,
                    holder.file().display(),
                    port.host
                );
                let problem = Problem::error(Code::ConflictingFields, message);
                let hint = "Choose another port for one of them, or write only \"5432\", which publishes on a free port.";
                report(problems, definition, "interface.publish", problem.hint(hint));
            }
            others.push((definition, port));
        }
    }
}

/// The names under which a network-facing sidecar answers, each with its field.
pub fn hosts(definition: &Definition) -> Vec<(String, String)> {
    let (canonical, extra) = match &definition.interface {
        Interface::Port { aliases, .. } => ((definition.name.clone(), String::new()), aliases),
        Interface::Mcp { name, aliases, .. } => ((name.clone(), "interface.name".to_owned()), aliases),
        Interface::None | Interface::Volume { .. } => return Vec::new(),
    };
    let extra =
        extra.iter().enumerate().map(|(index, alias)| (alias.clone(), format!("interface.aliases[{index}]")));
    std::iter::once(canonical).chain(extra).collect()
}

fn report(problems: &mut Vec<Problem>, definition: &Definition, field: &str, problem: Problem) {
    problems.push(problem.at(definition.place(field)).of(&definition.name));
}

/// A name must leave something for the container's name, and for a port sidecar for its variables and its host.
fn name(definition: &Definition, problems: &mut Vec<Problem>) {
    let name = &definition.name;
    let hint = "Rename the file: letters, digits, `_`, `.` and `-`, with a letter or digit at both ends.";
    let is_port = matches!(definition.interface, Interface::Port { .. });
    let reason = if container_token(name).is_empty() {
        "no container can be named after it"
    } else if definition.port().is_some() && variable_token(name).is_empty() {
        "no variable can be named after it"
    } else if is_port && !is_sidecar_host(name) {
        "the harness could not reach it: it is not a host name"
    } else {
        return;
    };
    let message = format!("`{name}` cannot be a sidecar's name: {reason}");
    report(problems, definition, "", Problem::error(Code::InvalidValue, message).hint(hint));
}

/// A workspace may not make the harness take its sidecars for hosts of the internet, nor for those that software
/// asks for on its own.
fn workspace_aliases(definition: &Definition, problems: &mut Vec<Problem>) {
    if definition.layer.is_trusted() {
        return;
    }
    for (host, field) in hosts(definition) {
        let top = host.rsplit_once('.').map(|(_, top)| top.to_ascii_lowercase());
        let (why, hint) = if is_asked_for(&host) {
            let hint = if field.is_empty() {
                "Rename the file: the file name without its extension is a name on the network."
            } else {
                "Choose a name of your own, for example one that ends in `.test`."
            };
            ("which software looks up by itself", hint)
        } else if top.is_some_and(|top| top != "test" && top != "internal") {
            (
                "which may be a real host's name",
                "Use a single label, or a name that ends in `.test` or `.internal`.",
            )
        } else {
            continue;
        };
        let message = format!("a workspace sidecar cannot answer to `{host}`, {why}");
        report(problems, definition, &field, Problem::error(Code::InvalidValue, message).hint(hint));
    }
}

fn dial_grants(definition: &Definition, definitions: &[Definition], problems: &mut Vec<Problem>) {
    for readiness in &definition.readiness {
        for (index, grant) in readiness.grants.dial.iter().enumerate() {
            let DialGrant::Sidecar { name, .. } = grant else {
                continue;
            };
            let field = format!("{}.grants.dial[{index}]", readiness.field);
            let target = definitions.iter().find(|other| other.name == *name);
            let problem = match target {
                None => {
                    let message = format!("`{field}` names `{name}`, which is not a sidecar of this launch");
                    Problem::error(Code::InvalidValue, message).hint(known(definition, definitions))
                }
                Some(target) if !definition.layer.is_trusted() && target.layer.is_trusted() => {
                    let message =
                        format!("`{field}` names `{name}`, which is not a sidecar of the workspace");
                    Problem::error(Code::InvalidValue, message)
                        .hint("A workspace definition may dial workspace sidecars only: remove the grant.")
                }
                Some(_) => continue,
            };
            report(problems, definition, &field, problem);
        }
    }
}

/// The names that a grant of this definition may use.
fn known(definition: &Definition, definitions: &[Definition]) -> String {
    let others = definitions
        .iter()
        .filter(|other| definition.layer.is_trusted() || other.layer == Layer::Workspace)
        .map(|other| format!("`{}`", other.name))
        .collect::<Vec<_>>();
    format!("The sidecars that can be named are {}; `self` means this sidecar.", others.join(", "))
}

fn collisions(
    definitions: &[Definition],
    problems: &mut Vec<Problem>,
    what: &str,
    token: impl Fn(&Definition) -> Option<String>,
) {
    let mut holders: BTreeMap<String, &Definition> = BTreeMap::new();
    for definition in definitions {
        let Some(token) = token(definition).filter(|token| !token.is_empty()) else {
            continue;
        };
        if let Some(other) = holders.get(&token) {
            let message = format!(
                "`{}` and `{}` ({}) would both have `{token}` in their {what}",
                definition.name,
                other.name,
                other.file().display()
            );
            let hint = "Rename one of the two files.";
            report(problems, definition, "", Problem::error(Code::NameCollision, message).hint(hint));
        } else {
            holders.insert(token, definition);
        }
    }
}

/// Names on the network are compared as name servers do: without regard to case.
fn aliases(definitions: &[Definition], problems: &mut Vec<Problem>) {
    let mut taken: BTreeMap<String, &Definition> = BTreeMap::new();
    for definition in definitions {
        for (host, field) in hosts(definition) {
            let holder = *taken.entry(host.to_ascii_lowercase()).or_insert(definition);
            if holder.name != definition.name {
                let message = format!(
                    "`{}` and `{}` ({}) would both answer to `{host}`",
                    definition.name,
                    holder.name,
                    holder.file().display()
                );
                let hint = "Rename one of them, or remove the alias.";
                report(problems, definition, &field, Problem::error(Code::NameCollision, message).hint(hint));
            }
        }
    }
}
