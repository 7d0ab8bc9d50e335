//! `down`: removes sidecars.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use super::data::print;
use super::managing::Desk;
use crate::cli;
use crate::definition::escape;
use crate::elapsed::age;
use crate::engine::Status;
use crate::error::{Code, Failure, Problem};
use crate::event::Reporter;
use crate::exit;
use crate::managed::{Managed, Survey};
use crate::plan::short;
use crate::removal::{Removed, Remover, Scope};
use crate::runtime::Stage;

/// Removes what was asked for, after asking.
pub fn down(options: &cli::Down, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    Stage::start()?.run_alone(async {
        let desk = Desk::open(&options.layers, reporter).await?;
        let survey = desk.survey().await?;
        let chosen = scope(options).select(&survey, options.older_than)?;
        if chosen.is_empty() {
            print("nothing to remove\n");
            return Ok(exit::SUCCESS);
        }
        if !options.yes && !confirmed(&describe(&chosen, &survey, options.volumes), chosen.len()).await? {
            print("nothing was removed\n");
            return Ok(exit::SUCCESS);
        }
        let remover = Remover {
            engine: desk.engine,
            locks: desk.locks,
            reporter: Arc::clone(reporter),
            force: options.force,
            volumes: options.volumes,
        };
        let done = remover.remove(&chosen).await?;
        print(&report(&done));
        if done.problems.is_empty() { Ok(exit::SUCCESS) } else { Err(Failure::of(done.problems)) }
    })
}

fn scope(options: &cli::Down) -> Scope {
    match (options.names.is_empty(), options.all, options.orphans) {
        (false, ..) => Scope::Named(options.names.clone()),
        (_, true, _) => Scope::All,
        (_, _, true) => Scope::Orphans,
        _ => Scope::Declared,
    }
}

/// What will go, what stays, and who would notice, a line each.
fn describe(chosen: &[Managed], survey: &Survey, volumes: bool) -> String {
    let mut text = String::new();
    for managed in chosen {
        let container = &managed.container;
        let since = container.since().map(|since| format!(" for {}", age(survey.now.duration_since(since))));
        let name = escape(&container.name);
        text.push_str(&format!("{name}: {}{}\n", container.status, since.unwrap_or_default()));
        for volume in managed.anonymous_volumes() {
            let word = if volumes { "removed with its data" } else { "kept" };
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
async fn confirmed(description: &str, count: usize) -> Result<bool, Failure> {
    let sidecars = if count == 1 { "1 sidecar".to_owned() } else { format!("{count} sidecars") };
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        let message = format!("{sidecars} would be removed, and there is no terminal to ask on");
        return Err(Problem::error(Code::ConfirmationRequired, message)
            .hint("Give `--yes` to remove without being asked.")
            .hint("See with `farrier ps` what is there.")
            .into());
    }
    let question = format!("{description}Remove {sidecars}? [y/N] ");
    let _ = std::io::stderr().lock().write_all(question.as_bytes());
    // On a thread of its own: a signal must be heard meanwhile.
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let answer = answer.await.ok().and_then(Result::ok).unwrap_or_default();
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
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
    note("left, because it was made anew meanwhile:", &removed.changed);
    note("removed the anonymous volume", &short_names(&removed.volumes));
    note("kept the anonymous volume", &short_names(&removed.kept_volumes));
    note("removed the network", &removed.networks);
    text
}
