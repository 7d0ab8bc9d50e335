//! `down`: removes sidecars.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use super::data::print;
use super::managing::EngineSessions;
use super::runtime::CommandRuntime;
use crate::cli::options;
use crate::event::Reporter;
use crate::manage::managed::{Inventory, Managed, ManagedVolume};
use crate::manage::removal::{Removed, Remover, Scope};
use crate::plan::short;
use crate::report::elapsed::age;
use crate::report::error::{Code, Failure, Problem};
use crate::report::escape::escape;
use crate::report::exit;
use crate::report::shell::command_line;
use crate::system::blocking::blocking;

/// What becomes of volumes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Volumes {
    /// They stay.
    Kept,
    /// They go, as far as this command can remove them.
    Removed,
    /// All of them go: nothing is removed if one lies where this command cannot remove it.
    AllRemoved,
}

/// What is to be removed.
pub(super) struct Removal<'a> {
    /// The layers, which say what is declared.
    pub layers: &'a options::LayerOptions,
    /// Which sidecars.
    pub scope: Scope,
    /// Only those that are in their state for longer.
    pub older_than: Option<Duration>,
    /// What becomes of their volumes.
    pub volumes: Volumes,
    /// Nobody is asked.
    pub yes: bool,
    /// Also those that a launch uses.
    pub force: bool,
}

/// Removes what was asked for, after asking.
pub fn down(options: &options::Down, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let removal = Removal {
        layers: &options.layers,
        scope: scope(options),
        older_than: options.older_than,
        volumes: if options.volumes { Volumes::Removed } else { Volumes::Kept },
        yes: options.yes,
        force: options.force,
    };
    CommandRuntime::start()?.run_alone(remove(&removal, reporter)).map(|_| exit::SUCCESS)
}

/// Removes it. False if somebody said no.
pub(super) async fn remove(removal: &Removal<'_>, reporter: &Arc<Reporter>) -> Result<bool, Failure> {
    let sessions = EngineSessions::open(removal.layers, reporter).await?;
    sessions.sweep().await?;
    let mut inventory = sessions.inventory().await?;
    let mut named_volumes = Vec::new();
    if removal.volumes != Volumes::Kept {
        inventory.volumes = sessions.volumes().await?;
        named_volumes = removal.scope.select_volumes(&inventory);
    }
    let chosen = removal.scope.select(&inventory, removal.older_than)?;
    if removal.older_than.is_some() {
        named_volumes
            .retain(|volume| chosen.iter().any(|managed| managed.container.name == volume.container));
    }
    if removal.volumes == Volumes::AllRemoved {
        let problems: Vec<Problem> = named_volumes.iter().filter_map(lies_elsewhere).collect();
        if !problems.is_empty() {
            return Err(Failure::of(problems));
        }
    }
    let mut volumes = removal.volumes != Volumes::Kept;
    let is_something = !chosen.is_empty() || !named_volumes.is_empty();
    if is_something && !removal.yes {
        let mut description = describe(&chosen, &inventory, volumes);
        for volume in &named_volumes {
            let name = escape(&volume.name);
            description.push_str(&match &volume.lies_on {
                None => format!("the volume {name} is removed with its data\n"),
                Some(node) => format!("the volume {name} stays on the node {}\n", escape(node)),
            });
        }
        if !confirmed(&description, &chosen, &named_volumes).await? {
            print("nothing was removed\n");
            return Ok(false);
        }
        volumes = volumes || wants_volumes_removed(&chosen).await;
    }
    let mut done = Removed::default();
    for (session, chosen) in sessions.split(&chosen) {
        let kind = session.engine.capabilities().kind;
        let remover = Remover {
            engine: session.engine,
            locks: session.locks,
            leases: session.leases,
            reporter: Arc::clone(reporter),
            force: removal.force,
            volumes,
            named_volumes: named_volumes.iter().filter(|volume| volume.engine == kind).cloned().collect(),
        };
        match remover.remove(&chosen).await {
            Ok(here) => done.add(here),
            Err(failure) => {
                // What was removed on an engine before this one is gone.
                print(&report(&done));
                return Err(failure);
            }
        }
    }
    let text = report(&done);
    print(if text.is_empty() && done.problems.is_empty() { "nothing to remove\n" } else { &text });
    if done.problems.is_empty() { Ok(true) } else { Err(Failure::of(done.problems)) }
}

/// That a volume cannot be removed from here, if so.
fn lies_elsewhere(volume: &ManagedVolume) -> Option<Problem> {
    let node = volume.lies_on.as_ref()?;
    let (name, sidecar) = (&volume.name, &volume.sidecar);
    let message = format!("the volume `{name}` lies on the node {node}, and farrier cannot remove it there");
    let down = command_line(&["farrier", "down"], &[sidecar], &[]);
    let remove = command_line(&["docker", "volume", "rm"], &[name], &[]);
    let up = command_line(&["farrier", "up"], &[sidecar], &[]);
    let hint = format!("Run `{down}`, then `{remove}` on the node {node}, then `{up}`.");
    Some(Problem::error(Code::EngineLacks, message).of(sidecar.clone()).hint(hint))
}

fn scope(options: &options::Down) -> Scope {
    match (options.names.is_empty(), options.all, options.orphans) {
        (false, ..) => Scope::Named(options.names.clone()),
        (_, true, _) => Scope::All,
        (_, _, true) => Scope::Orphans,
        _ => Scope::Declared,
    }
}

/// Describes the containers to remove, the volumes removed or kept with them, and their users, one line each.
fn describe(chosen: &[Managed], inventory: &Inventory, volumes: bool) -> String {
    let mut text = String::new();
    for managed in chosen {
        let container = &managed.container;
        let since =
            container.since().map(|since| format!(" for {}", age(inventory.now.duration_since(since))));
        let name = escape(&container.name);
        text.push_str(&format!("{name}: {}{}\n", container.status, since.unwrap_or_default()));
        for volume in managed.anonymous_volumes() {
            let word = if volumes {
                "removed with its data"
            } else {
                "kept, but nothing will use it again (`--volumes` removes it)"
            };
            let (source, target) = (short(&volume.source), escape(&volume.target));
            text.push_str(&format!("  the anonymous volume {source} at {target} is {word}\n"));
        }
        if container.is_up() {
            for holder in &managed.holders {
                text.push_str(&format!(
                    "  process {} uses it: {}\n",
                    holder.process,
                    escape(&holder.command)
                ));
            }
        }
    }
    text
}

/// Asks on the terminal; anything but a yes is a no.
///
/// # Errors
/// When nobody can be asked.
async fn confirmed(
    description: &str,
    chosen: &[Managed],
    volumes: &[ManagedVolume],
) -> Result<bool, Failure> {
    let counted = |count: usize, one: &str, several: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {several}")),
    };
    let sidecars = counted(chosen.len(), "sidecar", "sidecars");
    let here = volumes.iter().filter(|volume| volume.lies_on.is_none()).count();
    let counted_volumes = counted(here, "volume with its data", "volumes with their data");
    let sidecars = [sidecars, counted_volumes].into_iter().flatten().collect::<Vec<_>>().join(" and ");
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let names = chosen.iter().map(|managed| &managed.container.name);
        let names: Vec<String> =
            names.chain(volumes.iter().map(|volume| &volume.name)).map(|name| escape(name)).collect();
        let names = names.join(", ");
        let message = format!("removing {sidecars} ({names}) needs confirmation, and there is no terminal");
        return Err(Problem::error(Code::ConfirmationRequired, message)
            .hint("Add `--yes` to skip the question.")
            .into());
    }
    Ok(says_yes(&format!("{description}Remove {sidecars}? [y/N] ")).await)
}

/// Offers what would otherwise be left with nothing that ever uses it.
async fn wants_volumes_removed(chosen: &[Managed]) -> bool {
    let count: usize = chosen.iter().map(|managed| managed.anonymous_volumes().count()).sum();
    let volumes = match count {
        0 => return false,
        1 => "the anonymous volume".to_owned(),
        count => format!("the {count} anonymous volumes"),
    };
    says_yes(&format!("Remove {volumes} too, with all data? [y/N] ")).await
}

async fn says_yes(question: &str) -> bool {
    let _ = std::io::stderr().lock().write_all(question.as_bytes());
    // On a thread of its own: a signal must be heard meanwhile.
    let answer = blocking("question", || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let answer = answer.await.ok().and_then(Result::ok).unwrap_or_default();
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

fn report(removed: &Removed) -> String {
    let mut text = String::new();
    let mut note = |what: &str, names: &[String]| {
        for name in names {
            text.push_str(&format!("{what} {}\n", escape(name)));
        }
    };
    let short_names =
        |volumes: &[String]| volumes.iter().map(|name| short(name).to_owned()).collect::<Vec<_>>();
    note("removed", &removed.containers);
    note("kept, because it has since been recreated:", &removed.changed);
    note("removed the volume", &removed.named_volumes);
    note("kept the volume", &removed.kept_named_volumes);
    note("kept the volume", &removed.elsewhere.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
    note("removed the anonymous volume", &short_names(&removed.volumes));
    note("kept the anonymous volume", &short_names(&removed.kept_volumes));
    note("removed the network", &removed.networks);
    for (name, what) in &removed.still_ending {
        text.push_str(&format!("{}: {}\n", escape(name), escape(what)));
    }
    for (name, node) in &removed.elsewhere {
        let command = command_line(&["docker", "volume", "rm"], &[name], &[]);
        text.push_str(&format!(
            "the volume {} lies on the node {}: remove it there with `{}`\n",
            escape(name),
            escape(node),
            escape(&command)
        ));
    }
    for command in &removed.volume_removals {
        text.push_str(&format!(
            "nothing will use the kept volumes again; remove them with `{}`\n",
            escape(command)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_on_another_node_is_told_with_what_removes_it() {
        let volume = |lies_on: Option<&str>| ManagedVolume {
            name: "farrier-db_swarm_data".to_owned(),
            sidecar: "db".to_owned(),
            container: "farrier-db".to_owned(),
            engine: "swarm",
            is_declared: true,
            is_orphan: false,
            lies_on: lies_on.map(str::to_owned),
        };
        assert_eq!(lies_elsewhere(&volume(None)), None);
        let problem = lies_elsewhere(&volume(Some("`two`"))).expect("it cannot be removed");
        assert_eq!(problem.code, Code::EngineLacks);
        let way_out = "`docker volume rm farrier-db_swarm_data` on the node `two`";
        assert!(problem.hints.iter().any(|hint| hint.contains(way_out)), "{problem:?}");
    }
}
