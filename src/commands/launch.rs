//! `launch` and `up`.

use std::future::Future;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::cli;
use crate::definition::Definition;
use crate::engine::Container;
use crate::error::{Code, Failure, Problem};
use crate::event::{Event, Reporter};
use crate::exit;
use crate::harness::run::{become_command, in_foreground};
use crate::launch::{Launch, Running, interrupted};
use crate::preparation::{self, Preparation, validate_settings};
use crate::probe::host::ProbeHost;
use crate::reachability::{Meeting, foreground};
use crate::settings::Settings;

/// Starts what is needed, waits, runs the harness.
pub fn launch(options: &cli::Launch, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let settings = Settings::new(&options.layers, &options.launch);
    let preparation = preparation::prepare(&settings);
    if preparation.definitions == 0 && !preparation.problems.iter().any(Problem::is_error) {
        return Err(become_command(&options.command));
    }
    let harness = match preparation::harness(&options.command) {
        Ok(harness) => {
            preparation.accept(Vec::new())?;
            harness
        }
        Err(failure) => {
            preparation.accept(failure.problems.clone()).map_err(|all| Failure {
                exit: if preparation.problems.iter().any(Problem::is_error) {
                    all.exit
                } else {
                    failure.exit
                },
                ..all
            })?;
            return Err(failure);
        }
    };
    let meeting = Meeting::of(Some(&harness));
    let mut launch = assemble(settings, preparation, meeting, options.command.clone(), reporter);
    let running = in_runtime(prepared_up(&mut launch))?;
    let definitions = launch.sidecars.iter().map(|prepared| &prepared.sidecar.definition);
    let sidecars: Vec<(&Definition, &Container)> = definitions.zip(&running.containers).collect();
    let harness = foreground(&options.command, &harness, &sidecars, running.direct, &launch.meeting)?;
    let in_use = running.in_use;
    // Compiled probes, definitions and connections are not kept while the harness runs.
    drop(launch);
    reporter.tell(&Event::HarnessStarting);
    let code = in_foreground(&harness);
    drop(in_use);
    code
}

/// Starts what is needed and waits.
pub fn up(options: &cli::Up, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let settings = Settings::new(&options.layers, &options.launch);
    let preparation = preparation::prepare(&settings);
    preparation.accept(Vec::new())?;
    if preparation.definitions == 0 {
        let problem = Problem::warning(Code::LayerUnusable, "no sidecar is defined in any layer")
            .hint("List the layers with `farrier validate`.");
        reporter.tell(&Event::Problem(&problem));
        return Ok(exit::SUCCESS);
    }
    let mut launch = assemble(settings, preparation, Meeting::of(None), Vec::new(), reporter);
    in_runtime(prepared_up(&mut launch)).map(|_| exit::SUCCESS)
}

/// Puts the parts of a launch together; warnings are said here.
pub(super) fn assemble(
    settings: Settings,
    preparation: Preparation,
    meeting: Meeting,
    command: Vec<std::ffi::OsString>,
    reporter: &Arc<Reporter>,
) -> Launch {
    for problem in &preparation.problems {
        reporter.tell(&Event::Problem(problem));
    }
    let host = Arc::new(ProbeHost::new(settings.cache.clone(), settings.state.clone()));
    Launch {
        settings,
        sidecars: preparation.sidecars,
        meeting,
        command,
        reporter: Arc::clone(reporter),
        host,
    }
}

async fn prepared_up(launch: &mut Launch) -> Result<Running, Failure> {
    let problems = validate_settings(&launch.host, &launch.sidecars).await;
    if !problems.is_empty() {
        return Err(Failure::of(problems));
    }
    let connected = launch.connect().await?;
    launch.bring_up(connected).await
}

/// Runs to the end, or to the first signal that ends a process.
pub(super) fn in_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let unusable = |error: std::io::Error| {
        Failure::from(
            Problem::error(Code::StateUnusable, format!("the asynchronous runtime does not start: {error}"))
                .hint("Raise the limits on threads and open files (`ulimit -a`)."),
        )
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(unusable)?;
    let result = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(unusable)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(unusable)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(unusable)?;
        tokio::select! {
            result = work => result,
            _ = interrupt.recv() => Err(interrupted(2)),
            _ = terminate.recv() => Err(interrupted(15)),
            _ = hangup.recv() => Err(interrupted(1)),
        }
    });
    // A thread that waits for a lock or compiles cannot be stopped, and is not waited for.
    runtime.shutdown_background();
    result
}
