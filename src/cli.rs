//! The command line: options, settings, one file a command, and the way into them. Nothing else names clap, prints data
//! or ends the program.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::options::{Cli, Color, Command, LaunchOptions, OutputOptions};
use crate::event::sinks::json::JsonSink;
use crate::event::sinks::live::LiveSink;
use crate::event::sinks::plain::{PlainSink, Verbosity};
use crate::event::sinks::timings::TimingsSink;
use crate::event::sinks::timings_file::{Form, TimingsFile};
use crate::event::timings::history::History;
use crate::event::{Event, Reporter, Sink};
use crate::launch::guardian;
use crate::report::error::{Code, Failure, Problem};
use crate::system::folders::own_folders;
use crate::system::process_limits;

mod addresses;
mod approve;
mod completions;
mod data;
mod doctor;
mod down;
mod engine;
mod env;
mod explain;
mod first_steps;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod import;
mod launch;
mod logs;
mod man;
mod managing;
mod missing_probes;
mod new;
pub mod options;
mod panicking;
mod plan;
mod probe;
mod ps;
mod reset;
pub(crate) mod runtime;
mod schema;
pub mod settings;
mod unused_workspace;
mod up;
mod validate;

pub(crate) use completions::sidecar_names;
pub(crate) use explain::code_names;

/// Runs a command line, the program's name included, and returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    panicking::end_on_panic();
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = completions::complete(&arguments) {
        return code;
    }
    if let Some(code) = guardian::run(&arguments, settings::of_this_process) {
        return code;
    }
    process_limits::survive_large_files();
    if let Some(steps) = first_steps::for_arguments(&arguments) {
        let _ = std::io::stderr().lock().write_all(steps.as_bytes());
        return crate::report::exit::INVALID;
    }
    let cli = match Cli::of(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, mistakes to standard error; a closed one is nobody's problem here.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(crate::report::exit::INVALID);
        }
    };
    trace(&cli.output);
    let starting = match &cli.command {
        Command::Launch(options) => Some(&options.launch),
        Command::Up(options) => Some(&options.launch),
        Command::Reset(options) => Some(&options.launch),
        _ => None,
    };
    let (reporter, result) = match reporter(&cli.output, starting) {
        Ok(reporter) => {
            let result =
                dispatch(cli.command, &reporter, use_color(&cli.output, std::io::stdout().is_terminal()));
            (reporter, result)
        }
        Err((reporter, problem)) => (reporter, Err(problem.into())),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            for problem in &failure.problems {
                reporter.tell(&Event::Problem(problem));
            }
            failure.exit
        }
    }
}

fn dispatch(command: Command, reporter: &Arc<Reporter>, color: bool) -> Result<u8, Failure> {
    match command {
        Command::Launch(options) => launch::launch(&options, reporter),
        Command::Up(options) => up::up(&options, reporter),
        Command::Env(options) => env::env(&options, reporter),
        Command::Plan(options) => plan::plan(&options, reporter),
        Command::Validate(options) => validate::validate(&options, color),
        Command::Approve(options) => approve::approve(&options, reporter),
        Command::Probe(options) => probe::probe(&options, reporter),
        Command::Ps(options) => ps::ps(&options, reporter),
        Command::Logs(options) => logs::logs(&options, reporter),
        Command::Down(options) => down::down(&options, reporter),
        Command::Engine(options) => engine::engine(&options),
        Command::Reset(options) => reset::reset(&options, reporter),
        Command::Doctor(options) => doctor::doctor(&options),
        Command::Explain(options) => explain::explain(&options),
        Command::New(options) => new::new(&options),
        Command::Import(options) => import::import(&options),
        Command::Schema(options) => Ok(schema::schema(&options)),
        Command::Completions(options) => completions::completions(&options),
        Command::Man(options) => man::man(&options),
    }
}

/// Whether to use colour on a stream of which it is known whether it is a terminal.
fn use_color(output: &OutputOptions, is_terminal: bool) -> bool {
    match output.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && is_terminal,
    }
}

fn reporter(
    output: &OutputOptions,
    starting: Option<&LaunchOptions>,
) -> Result<Arc<Reporter>, (Arc<Reporter>, Problem)> {
    let verbosity = match (output.quiet, output.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, 0) => Verbosity::Normal,
        (_, 1) => Verbosity::Answers,
        _ => Verbosity::Everything,
    };
    let events = starting.and_then(|options| options.events.as_deref());
    let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
    let mut refused = None;
    if let Some(path) = events {
        match JsonSink::open(path) {
            Ok(sink) => sinks.push(Box::new(sink)),
            Err(error) => refused = Some(not_writable("events", path, &error)),
        }
    }
    // Events on standard error are for a program: prose between them would spoil them.
    if events != Some(Path::new("-")) {
        let color = use_color(output, std::io::stderr().is_terminal());
        // The host's own trace goes to standard error by itself, and would run into live lines.
        let is_live = matches!(verbosity, Verbosity::Normal | Verbosity::Answers);
        // Other commands print on the same terminal themselves.
        if starting.is_some() && is_live && LiveSink::is_possible() {
            sinks.push(Box::new(LiveSink::new(verbosity, color)));
        } else {
            sinks.push(Box::new(PlainSink::new(verbosity, color)));
        }
    }
    if let Some(options) = starting {
        let history = own_folders().1.map(|state| History::of(&state));
        // Before this launch is part of the history.
        let page = options.timings_report.as_deref().map(|path| (path, Form::Page(history.clone())));
        let trace = options.trace.as_deref().map(|path| (path, Form::Trace));
        for (path, form) in page.into_iter().chain(trace) {
            match TimingsFile::open(path, form) {
                Ok(sink) => sinks.push(Box::new(sink)),
                Err(error) => refused = Some(not_writable("timings", path, &error)),
            }
        }
        sinks.push(Box::new(TimingsSink::new(history, options.timings)));
    }
    let reporter = Arc::new(Reporter::new(sinks));
    match refused {
        None => Ok(reporter),
        Some(problem) => Err((reporter, problem)),
    }
}

fn not_writable(what: &str, path: &Path, error: &std::io::Error) -> Problem {
    let message = format!("cannot write {what} to {}: {error}", path.display());
    let or_standard_error = if what == "events" { ", or `-`" } else { "" };
    Problem::error(Code::Usage, message)
        .hint(format!("Name a file in a folder that exists{or_standard_error}."))
}

/// The trace of farrier itself, where it was asked for.
fn trace(output: &OutputOptions) {
    if output.verbose >= 2 {
        // Where nothing can be written, that cannot be told either: it must not end the launch.
        let filter = Targets::new().with_default(Level::WARN).with_target("farrier", Level::DEBUG);
        let lines = tracing_subscriber::fmt::layer().log_internal_errors(false).with_writer(std::io::stderr);
        let _ = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init();
    }
}
