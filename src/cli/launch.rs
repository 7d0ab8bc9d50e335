//! `launch`.

use std::convert::Infallible;
use std::ffi::OsString;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;

use crate::approval;
use crate::cli::missing_probes;
use crate::cli::options;
use crate::cli::runtime::CommandRuntime;
use crate::cli::unused_workspace;
use crate::definition::Definition;
use crate::definition::order::OnExit;
use crate::engine::Engine;
use crate::event::{Event, Reporter};
use crate::harness::argv::{Harness, Verb};
use crate::harness::gateway::Forwards;
use crate::harness::joining;
use crate::harness::nested::Advice;
use crate::harness::on_exit::{ExitActions, HarnessStop, Restarts};
use crate::harness::reachability::{HarnessTarget, describe, foreground};
use crate::harness::run::{Foreground, become_command, in_foreground};
use crate::harness::watch::{LAST_ANSWER, SidecarWatch};
use crate::launch::forwarding::Forwarding;
use crate::launch::gateway_plan::GatewayPlan;
use crate::launch::session::{self, OpenSession, SessionLease};
use crate::launch::{Launch, Running, RunningOn, Uses};
use crate::preparation::settings::Settings;
use crate::preparation::{self, Approval, Disabled, Preparation, ValidationPhase, validate_settings};
use crate::probe::host::ProbeHost;
use crate::report::error::{Code, Failure, Problem};
use crate::system::process_limits;

/// Starts what is needed, waits, runs the harness.
pub fn launch(options: &options::Launch, reporter: &Arc<Reporter>) -> Result<u8, Failure> {
    let settings = Settings::new(&options.layers, &options.launch).of_harness(&options.command);
    let mut permitted = preparation::load(&settings);
    missing_probes::download(&settings, &mut permitted, reporter)?;
    let mut preparation = preparation::resolve(&settings, permitted);
    let unused = unused_workspace::warnings(&options.layers);
    let mut disabled = std::mem::take(&mut preparation.disabled);
    if preparation.definitions == 0 && !preparation.problems.iter().any(Problem::is_error) {
        for problem in &unused {
            reporter.tell(&Event::Problem(problem));
        }
        if !disabled.is_empty() {
            none_but_disabled(&settings, &preparation, &mut disabled, reporter)?;
        }
        return Err(become_command(&options.command));
    }
    preparation.problems.extend(unused);
    let harness = accepted(&mut preparation, &options.command)?;
    let goes_on = matches!(&harness, Harness::Docker(run) if run.is_detached() || run.verb() == Verb::Create);
    warn_of_detached(&harness, reporter);
    let target = HarnessTarget::of(
        Some(&harness),
        settings.engine.own_network(preparation.taking_part()),
        preparation.workspace(&settings),
        settings.scopes.instance.as_deref(),
    );
    let described = describe(&options.command, Some(&harness));
    let way = GatewayPlan::of(
        &harness,
        preparation.hosted(),
        preparation
            .sidecars
            .iter()
            .any(|prepared| !preparation.is_on_this_host(&prepared.sidecar.definition)),
    );
    let mut launch = assemble(settings, preparation, target, described, reporter);
    let lease = launch.begin_session()?;
    // What the harness starts in containers of its own does not reach what this host runs itself on any network.
    let definitions = launch.sidecars.iter().map(|prepared| &prepared.sidecar.definition);
    let definitions =
        definitions.filter(|definition| launch.settings.engine.of(definition).network().is_none());
    let is_host = matches!(&harness, Harness::Host(_));
    let mut advice =
        Advice::of(&launch.target.network.name, &launch.settings.env_prefix, definitions).filter(|_| is_host);
    if let Some(problem) = advice.as_ref().and_then(|advice| advice.before(&options.command)) {
        reporter.tell(&Event::Problem(&problem));
        // It is told once.
        advice = None;
    }
    let mut runtime = CommandRuntime::start()?;
    let mut session = SessionState { lease, open: None };
    let started =
        start_all(&mut runtime, &mut launch, &mut disabled, &mut session, (&options.command, &harness), way);
    let (running, harness, forwards) = match started {
        Ok(started) => started,
        Err(failure) => {
            abandon(&mut runtime, session, &launch.uses, reporter);
            return Err(failure);
        }
    };
    // Compiled probes are not kept while the harness runs.
    drop(launch);
    let stop = Arc::new(HarnessStop::default());
    // The engine may be at one of these when the harness ends.
    let restarts =
        running.engines.iter().any(|on| on.on_exit.values().any(|action| action.on_exit == OnExit::Restart));
    let watches = watches(&running, &stop, reporter);
    let mut signals = match runtime.catch_signals() {
        Ok(signals) => signals,
        Err(failure) => {
            abandon(&mut runtime, session, &running.uses, reporter);
            return Err(failure);
        }
    };
    reporter.tell(&Event::HarnessStarting);
    let begun = Timestamp::now();
    let code = runtime.block_on(async |_| {
        let code = tokio::select! {
            code = in_foreground(&harness, &mut signals, &stop) => code,
            never = watch_all(&watches) => match never {},
        };
        join_all(watches.iter().map(SidecarWatch::finish)).await;
        if let (Some(advice), Ok(exit_code @ 1..)) = (&advice, &code) {
            for on in &running.engines {
                warn_of_unreachable(advice, *exit_code, on.engine.as_ref(), begun, reporter).await;
            }
        }
        code
    });
    drop((signals, forwards));
    if let Ok(exit_code) = code {
        reporter.tell(&Event::HarnessEnded { exit_code });
    }
    end_session(&mut runtime, session.open, !restarts, reporter);
    // A detached harness, or one that is started later, needs its sidecars where they are.
    if !goes_on {
        runtime.block_on(async |_| {
            running.leave().await;
            Ok(())
        })?;
    }
    match (code, stop.failure()) {
        (Ok(_), Some(failure)) => Err(failure),
        (code, _) => code,
    }
}

/// The harness of this command, if everything that was prepared is in order; else all problems at once.
fn accepted(preparation: &mut Preparation, command: &[OsString]) -> Result<Harness, Failure> {
    match preparation.harness(command) {
        Ok(harness) => {
            preparation.accept(Vec::new())?;
            Ok(harness)
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
            Err(failure)
        }
    }
}

/// What looks at the sidecars of each engine while the harness runs.
fn watches(running: &Running, stop: &Arc<HarnessStop>, reporter: &Arc<Reporter>) -> Vec<SidecarWatch> {
    let watch = |on: &RunningOn| {
        let (engine, leases) = (Arc::clone(&on.engine), running.leases.clone());
        let actions = ExitActions {
            of: on.on_exit.clone(),
            stop: Arc::clone(stop),
            restarts: Arc::clone(&on.restarter) as Arc<dyn Restarts>,
        };
        SidecarWatch::new(engine, Arc::clone(reporter), leases, on.services()).acting(actions)
    };
    running.engines.iter().map(watch).collect()
}

/// How far the session of a launch is.
#[derive(Default)]
pub(super) struct SessionState {
    /// Before anything is made.
    lease: Option<SessionLease>,
    /// From then on.
    open: Option<OpenSession>,
}

/// What carries the harness's connections as long as it is kept.
type Ways = (Option<Forwards>, Forwarding);

/// Starts the sidecars, and makes the command of the harness.
fn start_all(
    runtime: &mut CommandRuntime,
    launch: &mut Launch,
    disabled: &mut [Disabled],
    session: &mut SessionState,
    (command, harness): (&[OsString], &Harness),
    way: Option<GatewayPlan>,
) -> Result<(Running, Foreground, Ways), Failure> {
    let way = way.map(|way| runtime.run(way.found_early())).transpose()?;
    let running = runtime.run(prepared_up(launch, disabled, session))?;
    let own_network = launch.target.network.name.clone();
    let forwards = way.map(|way| runtime.run(way.open(&own_network, &running))).transpose()?;
    let seen =
        runtime.run(async { Forwarding::of(launch, &running, harness).await.map_err(Failure::from) })?;
    let (network, prefix) = (&launch.target.network, &launch.settings.env_prefix);
    let harness =
        foreground(command, harness, &seen.sidecars(), seen.direct, network, prefix, forwards.as_ref())?;
    let harness = runtime.run(joining::create(harness))?;
    Ok((running, harness, (forwards, seen)))
}

/// Removes what belongs to the session, whatever ended the launch. A signal leaves that to the guardian.
fn end_session(
    runtime: &mut CommandRuntime,
    session: Option<OpenSession>,
    is_certain: bool,
    reporter: &Reporter,
) {
    let Some(session) = session else { return };
    let ended = runtime.run_afterwards(async { Ok(session.end(is_certain, reporter).await) });
    let problem = match ended {
        Ok(Ok(())) => return,
        Ok(Err(problem)) => problem,
        Err(_) => session::left("a signal interrupted their removal, which goes on in the background"),
    };
    reporter.tell(&Event::Problem(&problem));
}

/// Leaves nothing of a launch whose harness does not start.
fn abandon(runtime: &mut CommandRuntime, session: SessionState, uses: &Uses, reporter: &Reporter) {
    end_session(runtime, session.open, false, reporter);
    end_uses(runtime, uses);
}

/// Tells other machines that this launch uses nothing any more. One that a signal ends meanwhile stops telling so by itself.
pub(super) fn end_uses(runtime: &mut CommandRuntime, uses: &Uses) {
    let ended = async {
        uses.end().await;
        Ok(())
    };
    drop(runtime.run_afterwards(ended));
}

/// Watches the sidecars of every engine, for as long as it is polled.
async fn watch_all(watches: &[SidecarWatch]) -> Infallible {
    join_all(watches.iter().map(SidecarWatch::run)).await;
    std::future::pending().await
}

/// The workspace disables every sidecar that there is: said, and asked about, before the harness runs without them.
pub(super) fn none_but_disabled(
    settings: &Settings,
    preparation: &Preparation,
    disabled: &mut [Disabled],
    reporter: &Reporter,
) -> Result<(), Failure> {
    for problem in &preparation.problems {
        reporter.tell(&Event::Problem(problem));
    }
    CommandRuntime::start()?.run(approval::before_engine(settings, &mut [], disabled, reporter))
}

/// A harness on this host failed: warns if the engine knows of a container that it may have started where the sidecars
/// cannot be reached.
async fn warn_of_unreachable(
    advice: &Advice,
    exit_code: u8,
    engine: &dyn Engine,
    begun: Timestamp,
    reporter: &Reporter,
) {
    let moment = |time: Timestamp| format!("{}.{:09}", time.as_second(), time.subsec_nanosecond());
    let (since, until) = (moment(begun), moment(Timestamp::now()));
    let created = tokio::time::timeout(LAST_ANSWER, engine.created(&since, &until)).await;
    let Ok(Ok(created)) = created else { return };
    if let Some(problem) = advice.after(exit_code, &created) {
        reporter.tell(&Event::Problem(&problem));
    }
}

/// A detached harness outlives the launch, which then no longer says that its sidecars are used.
fn warn_of_detached(harness: &Harness, reporter: &Reporter) {
    if let Harness::Docker(run) = harness
        && run.is_detached()
    {
        let message = "the harness is detached (-d), so farrier does not treat its sidecars as in use once it has \
                       started";
        let problem = Problem::warning(Code::HarnessShape, message).hint(
            "Omit `-d`, so that other launches cannot recreate the sidecars or disconnect them while the \
                 harness runs.",
        );
        reporter.tell(&Event::Problem(&problem));
    }
}

/// Puts the parts of a launch together; warnings are said here.
pub(super) fn assemble(
    settings: Settings,
    preparation: Preparation,
    target: HarnessTarget,
    harness: String,
    reporter: &Arc<Reporter>,
) -> Launch {
    for problem in &preparation.problems {
        reporter.tell(&Event::Problem(problem));
    }
    let polls = preparation.sidecars.iter().map(|prepared| prepared.probes.len()).sum();
    let host = ProbeHost::new(settings.cache.clone(), settings.state.clone()).for_polls(polls);
    Launch {
        settings,
        sidecars: preparation.sidecars,
        target,
        harness,
        reporter: Arc::clone(reporter),
        host: Arc::new(host),
        uses: Arc::default(),
    }
}

pub(super) async fn prepared_up(
    launch: &mut Launch,
    disabled: &mut [Disabled],
    session: &mut SessionState,
) -> Result<Running, Failure> {
    check_limits(launch)?;
    check_settings(launch, ValidationPhase::Trusted).await?;
    approval::before_engine(&launch.settings, &mut launch.sidecars, disabled, &launch.reporter).await?;
    let destinations = launch.connect().await?;
    let Launch { settings, sidecars, reporter, .. } = &mut *launch;
    for prepared in sidecars.iter().filter(|prepared| prepared.approval == Approval::Missing) {
        if let Some(connection) = destinations.of(&prepared.sidecar.definition) {
            // Nobody is asked in vain.
            connection.info().await?;
            connection.answered(reporter);
        }
    }
    let engine_of = |definition: &Definition| {
        destinations.of(definition).map(|connection| Arc::clone(&connection.engine))
    };
    approval::ask(settings, sidecars, engine_of, reporter).await?;
    check_settings(launch, ValidationPhase::Approved).await?;
    launch.sweep_sessions(&destinations).await;
    if let Some(lease) = session.lease.take() {
        session.open = Some(launch.open_session(lease, &destinations)?);
    }
    launch.bring_up_on(&launch.placements(&destinations)).await
}

/// Refuses a launch that the limits of this process cannot carry.
pub(super) fn check_limits(launch: &Launch) -> Result<(), Problem> {
    let probes = || launch.sidecars.iter().flat_map(|prepared| &prepared.probes);
    let largest = probes().map(|found| found.component.bytes.len()).max().unwrap_or_default();
    process_limits::check(launch.sidecars.len(), u64::try_from(largest).unwrap_or(u64::MAX))
}

/// Lets components check their settings.
pub(super) async fn check_settings(launch: &Launch, turn: ValidationPhase) -> Result<(), Failure> {
    let problems = validate_settings(&launch.host, &launch.sidecars, turn).await;
    if problems.is_empty() { Ok(()) } else { Err(Failure::of(problems)) }
}
