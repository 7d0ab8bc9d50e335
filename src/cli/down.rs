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
use crate::plan::instance::Status;
use crate::plan::short;
use crate::report::elapsed::age;
use crate::report::error::{Code, Failure, Problem};
use crate::report::escape::escape;
use crate::report::exit;
use crate::system::blocking::blocking;

/// What is to be removed.
pub(super) struct Removal<'a> {
    /// The layers, which say what is declared.
    pub layers: &'a options::LayerOptions,
    /// Which sidecars.
    pub scope: Scope,
    /// Only those that are in their state for longer.
    pub older_than: Option<Duration>,
    /// Volumes, too.
    pub volumes: bool,
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
        volumes: options.volumes,
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
    if removal.volumes {
        inventory.volumes = sessions.volumes().await?;
        named_volumes = removal.scope.select_volumes(&inventory);
    }
    let chosen = removal.scope.select(&inventory, removal.older_than)?;
    if removal.older_than.is_some() {
        named_volumes
            .retain(|volume| chosen.iter().any(|managed| managed.container.name == volume.container));
    }
    let mut volumes = removal.volumes;
    let is_something = !chosen.is_empty() || !named_volumes.is_empty();
    if is_something && !removal.yes {
        let mut description = describe(&chosen, &inventory, volumes);
        for volume in &named_volumes {
            description.push_str(&format!("the volume {} is removed with its data\n", escape(&volume.name)));
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
        done.add(remover.remove(&chosen).await?);
    }
    let text = report(&done);
    print(if text.is_empty() && done.problems.is_empty() { "nothing to remove\n" } else { &text });
    if done.problems.is_empty() { Ok(true) } else { Err(Failure::of(done.problems)) }
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
        if container.status == Status::Running {
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
    let counted_volumes = counted(volumes.len(), "volume with its data", "volumes with their data");
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
    note("removed the anonymous volume", &short_names(&removed.volumes));
    note("kept the anonymous volume", &short_names(&removed.kept_volumes));
    note("removed the network", &removed.networks);
    for command in &removed.volume_removals {
        text.push_str(&format!(
            "nothing will use the kept volumes again; remove them with `{}`\n",
            escape(command)
        ));
    }
    text
}
