//! The guardian of a session: farrier executed once more, which removes the session if the launch is killed. It waits at a
//! pipe of the launch's, whose other end the kernel closes with the launch; a launch that has removed its session says so
//! first.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::connection::{self, Connection};
use crate::engine::kinds::{Choice, Client, EngineKind};
use crate::manage::sessions;
use crate::plan::session::Session;
use crate::preparation::settings::Settings;
use crate::report::error::{Code, Problem};
use crate::system::job_control::begin_session;
use crate::system::leases::Leases;
use crate::system::own_program::own_program;
use crate::system::session_leases::SessionLeases;

/// The word by which farrier is executed as one.
const GUARD: &str = "--guard-session";
/// What whoever asks for the holder of a lock reads.
const NAME: &str = "farrier (removes a session)";
/// What a guardian says once nothing that ends the launch ends the guardian any more.
const READY: &[u8] = b"r";
/// What a launch says that has removed its session.
const DONE: &[u8] = b"d";
/// So long nothing may be found before the guardian ends: an engine may be at a call of the launch's that was killed.
const QUIET: Duration = Duration::from_secs(2);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// After this time a later command has to do it.
const LONGEST: Duration = Duration::from_mins(2);

/// A guardian that runs. Dropping it leaves the session to it.
#[derive(Debug)]
pub(super) struct Guardian(Child);

impl Guardian {
    /// Starts one for a session on these engines, and waits until it guards.
    ///
    /// # Errors
    /// If it cannot be started: nothing of the session may be made then.
    pub(super) fn start(
        session: &Session,
        kinds: impl IntoIterator<Item = EngineKind>,
        choice: &Choice,
    ) -> Result<Self, Problem> {
        let kinds: Vec<&str> = kinds.into_iter().map(EngineKind::name).collect();
        let mut command = Command::new(own_program());
        command.arg0("farrier").args([GUARD, &session.id, &session.host, &kinds.join(",")]);
        for (name, value) in [
            ("host", &choice.host),
            ("context", &choice.context),
            ("config", &choice.config),
            ("authorities", &choice.tls.authorities),
            ("certificate", &choice.tls.certificate),
            ("key", &choice.tls.key),
        ] {
            command.args(value.iter().flat_map(|value| [OsStr::new(name), value]));
        }
        command.args(choice.tls.is_on.then_some("tls"));
        command.args(match choice.client {
            Client::Docker => None,
            Client::Podman { is_remote } => Some(if is_remote { "podman-remote" } else { "podman" }),
        });
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let failed = |error: io::Error| {
            Problem::error(Code::StateUnusable, format!("cannot start the session's guardian: {error}"))
                .hint("Raise the limits on processes and open files (`ulimit -a`).")
        };
        let mut child = started.map_err(failed)?;
        let mut said = [0; 1];
        let ready = child.stdout.take().map_or(Ok(()), |mut output| output.read_exact(&mut said));
        ready.map_err(failed)?;
        Ok(Self(child))
    }

    /// Ends it: nothing is left of its session.
    pub(super) fn dismiss(mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // It may have been killed.
            let _ = pipe.write_all(DONE);
        }
        let _ = self.0.wait();
    }
}

/// Guards a session if these arguments ask for it, and gives the exit code; `None` if they are a user's.
#[must_use]
pub fn run(arguments: &[OsString], settings: impl FnOnce() -> Option<Settings>) -> Option<u8> {
    let [_, role, id, host, kinds, rest @ ..] = arguments else { return None };
    if role != GUARD {
        return None;
    }
    let text = |word: &OsStr| word.to_string_lossy().into_owned();
    let session = Session { id: text(id), host: text(host) };
    let named = |kind: &EngineKind| text(kinds).split(',').any(|name| name == kind.name());
    let kinds: Vec<EngineKind> = EngineKind::ALL.into_iter().filter(named).collect();
    let choice = choice(rest);
    Some(u8::from(wait_and_guard(&session, &kinds, &choice, settings).is_err()))
}

fn choice(mut words: &[OsString]) -> Choice {
    let mut choice = Choice::default();
    while let [name, rest @ ..] = words {
        let field = match name.to_str() {
            Some("host") => &mut choice.host,
            Some("context") => &mut choice.context,
            Some("config") => &mut choice.config,
            Some("authorities") => &mut choice.tls.authorities,
            Some("certificate") => &mut choice.tls.certificate,
            Some("key") => &mut choice.tls.key,
            other => {
                match other {
                    Some("tls") => choice.tls.is_on = true,
                    Some("podman") => choice.client = Client::Podman { is_remote: false },
                    Some("podman-remote") => choice.client = Client::Podman { is_remote: true },
                    _ => {}
                }
                words = rest;
                continue;
            }
        };
        let Some((value, rest)) = rest.split_first() else { break };
        *field = Some(value.clone());
        words = rest;
    }
    choice
}

fn wait_and_guard(
    session: &Session,
    kinds: &[EngineKind],
    choice: &Choice,
    settings: impl FnOnce() -> Option<Settings>,
) -> io::Result<()> {
    // A terminal's signals go to the launch, which has another session of processes.
    begin_session();
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        // Whoever ends everything at once ends the launch, too, and something has to be left to clear up.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    io::stdout().write_all(READY)?;
    io::stdout().flush()?;
    let mut said = Vec::new();
    io::stdin().read_to_end(&mut said)?;
    if said == DONE {
        return Ok(());
    }
    let settings = settings().ok_or_else(|| io::Error::other("there are no settings"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let open = |kind: &EngineKind| connection::open(*kind, choice, &settings).ok();
    let engines: Vec<Connection> = kinds.iter().filter_map(open).collect();
    let guarded = runtime.block_on(guard(session, &engines));
    runtime.shutdown_background();
    guarded.map_err(|problem| io::Error::other(problem.to_string()))
}

/// Removes what there is of the session, again and again until nothing more comes.
async fn guard(session: &Session, engines: &[Connection]) -> Result<(), Problem> {
    let (session_leases, leases) = (SessionLeases::open(NAME)?, Leases::open(NAME)?);
    let _held = session_leases.after(&session.id).await?;
    let begun = Instant::now();
    let mut quiet_since = begun;
    while quiet_since.elapsed() < QUIET && begun.elapsed() < LONGEST {
        for Connection { engine, .. } in engines {
            if !matches!(sessions::end(engine.as_ref(), session, &leases, &|_| ()).await, Ok(false)) {
                quiet_since = Instant::now();
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    session_leases.sweep_locks();
    leases.sweep();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::kinds::TlsOptions;

    #[test]
    fn what_the_harness_says_about_the_engine_reaches_the_guardian() {
        let words =
            ["host", "tcp://h:1", "config", "config", "tls", "key", "k", "podman-remote"].map(OsString::from);
        let expected = Choice {
            client: Client::Podman { is_remote: true },
            host: Some("tcp://h:1".into()),
            context: None,
            config: Some("config".into()),
            tls: TlsOptions { is_on: true, key: Some("k".into()), ..TlsOptions::default() },
        };
        assert_eq!(choice(&words), expected);
        assert_eq!(choice(&[]), Choice::default());
    }

    #[test]
    fn a_users_arguments_are_none_of_a_guardians() {
        let never = || unreachable!("settings are not needed");
        assert_eq!(run(&["farrier", "launch"].map(OsString::from), never), None);
        assert_eq!(
            run(&["farrier", "x", "1", "2", "3"].map(OsString::from), || unreachable!("as before")),
            None
        );
    }
}
