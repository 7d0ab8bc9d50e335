//! What happens to instances: whoever changes one tells the `watchers`. That a supervisor was killed it cannot tell
//! itself, so its process is watched.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::processes::Ending;
use super::store::{Store, refused};
use super::watchers::{Told, Watcher};
use crate::engine::{Change, ChangeKind, EngineResult};

/// A stream of changes, from now on, and of what had happened before.
pub fn stream(store: &Store) -> EngineResult<BoxStream<'static, EngineResult<Change>>> {
    let watching = Watching::begin(store.clone());
    let watching = watching.map_err(|error| refused(format!("instances cannot be watched: {error}")))?;
    let next = |mut watching: Watching| async move {
        let change = watching.next().await;
        Some((change.map_err(|error| refused(error.to_string())), watching))
    };
    Ok(stream::unfold(watching, next).boxed())
}

struct Watching {
    store: Store,
    watcher: Watcher,
    /// By the instance's id.
    supervisors: BTreeMap<String, Ending>,
    told: VecDeque<Change>,
}

impl Watching {
    fn begin(store: Store) -> io::Result<Self> {
        let watcher = Watcher::begin(&store.changes())?;
        let mut watching = Self { store, watcher, supervisors: BTreeMap::new(), told: VecDeque::new() };
        for id in watching.store.ids() {
            watching.look(&id);
        }
        Ok(watching)
    }

    async fn next(&mut self) -> io::Result<Change> {
        loop {
            if let Some(change) = self.told.pop_front() {
                return Ok(change);
            }
            let (watcher, supervisors) = (&self.watcher, &mut self.supervisors);
            let ended = poll_fn(|context| {
                let mut ended = supervisors
                    .iter_mut()
                    .filter_map(|(id, ending)| ending.poll(context).is_ready().then_some(id));
                ended.next().map_or(Poll::Pending, |id| Poll::Ready(id.clone()))
            });
            let ids = tokio::select! {
                id = ended => vec![id],
                told = watcher.told() => match told? {
                    Told::Of(ids) => ids,
                    // Also those that are gone.
                    Told::Overflow => supervisors.keys().cloned().chain(self.store.ids()).collect(),
                },
            };
            for id in ids {
                self.look(&id);
            }
        }
    }

    /// Notes what there is to tell of an instance.
    fn look(&mut self, id: &str) {
        self.supervisors.remove(id);
        let folder = self.store.instance(id);
        let Some(state) = folder.state() else {
            if folder.is_locked().is_none() {
                self.tell(id, ChangeKind::Ended, 0);
            }
            return;
        };
        if state.stopping {
            self.tell(id, ChangeKind::Signalled, 0);
        }
        match (&state.end, state.supervisor.ending()) {
            (Some(end), _) => {
                self.tell(id, ChangeKind::Started, nanoseconds(&state.started_at));
                self.tell(id, ChangeKind::Ended, nanoseconds(&end.at));
            }
            (None, Some(ending)) => {
                self.supervisors.insert(id.to_owned(), ending);
                self.tell(id, ChangeKind::Started, nanoseconds(&state.started_at));
            }
            (None, None) => self.tell(id, ChangeKind::Ended, 0),
        }
    }

    fn tell(&mut self, id: &str, kind: ChangeKind, time: i64) {
        self.told.push_back(Change { instance: id.to_owned(), kind, time });
    }
}

fn nanoseconds(moment: &str) -> i64 {
    let moment = moment.parse::<jiff::Timestamp>().unwrap_or_default();
    i64::try_from(moment.as_nanosecond()).unwrap_or_default()
}
