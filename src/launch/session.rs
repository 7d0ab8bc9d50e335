//! The session of a launch that has sidecars of its own: it begins with a lease and a guardian before anything is made, and
//! ends with the removal of everything that belongs to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::Launch;
use super::connection::Connection;
use super::guardian::Guardian;
use super::placement::Destinations;
use crate::definition::model::Lifecycle;
use crate::engine::Progress;
use crate::event::{Event, Reporter};
use crate::manage::sessions::{self, sweep};
use crate::plan::session::{Session, SessionMember, ranks};
use crate::report::error::{Code, Problem};
use crate::system::leases::Leases;
use crate::system::lock::Held;
use crate::system::session_leases::SessionLeases;

/// How much longer than its sidecars' grace the end of a session may take, before it is left to the guardian.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a sidecar may take to end that says nothing of it.
const GRACE: Duration = Duration::from_secs(10);

/// A session's lease. It ends when this is dropped, or with this process.
#[derive(Debug)]
pub struct SessionLease {
    session: Session,
    _held: Held,
}

/// A session of which something may be on its engines.
pub struct OpenSession {
    lease: SessionLease,
    guardian: Guardian,
    engines: Vec<Arc<Connection>>,
    leases: Leases,
    /// The longest time that one of its sidecars may take to end, times the ranks of them.
    grace: Duration,
}

impl Launch {
    /// Gives the launch a session, if one of its sidecars is not shared. Nothing is asked of an engine.
    ///
    /// # Errors
    /// If the lease cannot be taken.
    pub fn begin_session(&mut self) -> Result<Option<SessionLease>, Problem> {
        let is_shared = |lifecycle: Lifecycle| lifecycle == Lifecycle::Shared;
        if self.sidecars.iter().all(|prepared| is_shared(prepared.sidecar.definition.lifecycle)) {
            return Ok(None);
        }
        let leases = SessionLeases::open(&self.harness)?;
        let (id, held) = leases.begin()?;
        let session = Session { id, host: leases.host().to_owned() };
        self.join(&session);
        Ok(Some(SessionLease { session, _held: held }))
    }

    /// Makes the sidecars that are not shared those of this session. The harness meets all on the session's network, if one of
    /// the session's is on any.
    pub fn join(&mut self, session: &Session) {
        let ranks = ranks(self.sidecars.iter().map(|prepared| &prepared.sidecar.definition));
        let mut has_network = false;
        for (prepared, rank) in self.sidecars.iter_mut().zip(ranks) {
            if prepared.sidecar.definition.lifecycle == Lifecycle::Session {
                has_network |= self.settings.engine.of(&prepared.sidecar.definition).network().is_none();
                prepared.sidecar.join(SessionMember { session: session.clone(), rank });
            }
        }
        if has_network {
            self.target.join(session);
        }
    }

    /// Puts a guardian beside the session, before anything of it is made.
    ///
    /// # Errors
    /// If the guardian cannot be started.
    pub fn open_session(
        &self,
        lease: SessionLease,
        destinations: &Destinations,
    ) -> Result<OpenSession, Problem> {
        let guardian = Guardian::start(&lease.session, destinations.kinds(), &self.target.choice)?;
        let engines = destinations.all.values().map(Arc::clone).collect();
        let mut by_rank: BTreeMap<usize, Duration> = BTreeMap::new();
        for prepared in &self.sidecars {
            if let Some(member) = &prepared.sidecar.session {
                let grace = by_rank.entry(member.rank).or_default();
                *grace = (*grace).max(prepared.sidecar.definition.container.stop_timeout.unwrap_or(GRACE));
            }
        }
        let grace = by_rank.into_values().fold(Duration::ZERO, Duration::saturating_add);
        Ok(OpenSession { lease, guardian, engines, leases: Leases::open(&self.harness)?, grace })
    }

    /// Removes what launches that were killed left of their sessions. What goes wrong is left to the next command. Without
    /// a trace of such a launch on this host, and without a session of its own, the launch asks no engine.
    pub async fn sweep_sessions(&self, destinations: &Destinations) {
        let Ok(session_leases) = SessionLeases::open(&self.harness) else { return };
        let is_apart = self.sidecars.iter().any(|prepared| prepared.sidecar.session.is_some());
        if !is_apart && !session_leases.were_left() {
            return;
        }
        let Ok(leases) = Leases::open(&self.harness) else { return };
        let swept = destinations.all.values().map(async |connection| {
            let is_local = connection.info().await.is_ok_and(|info| info.local);
            sweep(connection.engine.as_ref(), is_local, &session_leases, &leases).await
        });
        let failed: Vec<_> = join_all(swept).await.into_iter().filter_map(Result::err).collect();
        match failed.last() {
            Some(error) => tracing::debug!("what was left of sessions cannot be removed: {error}"),
            None => session_leases.sweep(),
        }
    }
}

impl OpenSession {
    /// Removes everything that belongs to the session. `is_certain` says that no engine can be at a call of this launch's
    /// any more; else the guardian looks once more.
    ///
    /// # Errors
    /// What could not be removed. The guardian goes on with it, and then every later command.
    pub async fn end(self, is_certain: bool, reporter: &Reporter) -> Result<(), Problem> {
        let tell = |progress: Progress<'_>| reporter.tell(&Event::from(progress));
        let Self { lease, guardian, engines, leases, grace } = self;
        let ended = engines.iter().map(async |connection| {
            let ended = sessions::end(connection.engine.as_ref(), &lease.session, &leases, &tell).await;
            ended.map_err(|error| connection.problem("remove the session's sidecars", &error))
        });
        let ended = tokio::time::timeout(grace.saturating_add(PATIENCE), join_all(ended)).await;
        let failed = match ended {
            Ok(ended) => ended.into_iter().find_map(Result::err).map(|problem| problem.message),
            Err(_) => Some("the engine did not answer in time".to_owned()),
        };
        if let Some(reason) = failed {
            return Err(left(&reason));
        }
        if is_certain {
            guardian.dismiss();
        }
        Ok(())
    }
}

/// What to tell about a session of which something is left.
#[must_use]
pub fn left(reason: &str) -> Problem {
    Problem::warning(Code::SessionLeft, format!("the session's sidecars may still be there: {reason}"))
        .hint("The next farrier command removes them; `farrier ps` shows what is left.")
}
