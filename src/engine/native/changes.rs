//! What happens to instances: supervisors write each state of theirs into one folder, too, which the kernel watches. That a
//! supervisor was killed it cannot write itself, so its process is watched.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::task::Poll;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;

use super::processes::{Ending, awaited};
use super::store::{Store, refused};
use crate::engine::{Change, ChangeKind, EngineResult};

/// Bytes of events that are read at once.
const EVENTS: usize = 4 << 10;

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
    events: AsyncFd<OwnedFd>,
    /// By the instance's id.
    supervisors: BTreeMap<String, Ending>,
    told: VecDeque<Change>,
}

impl Watching {
    fn begin(store: Store) -> io::Result<Self> {
        let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        let wanted = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::DELETE;
        inotify::add_watch(&events, store.changes(), wanted)?;
        let events = awaited(events)?;
        let mut watching = Self { store, events, supervisors: BTreeMap::new(), told: VecDeque::new() };
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
            let (events, supervisors) = (&self.events, &mut self.supervisors);
            let ended = poll_fn(|context| {
                let mut ended = supervisors
                    .iter_mut()
                    .filter_map(|(id, ending)| ending.poll(context).is_ready().then_some(id));
                ended.next().map_or(Poll::Pending, |id| Poll::Ready(id.clone()))
            });
            let ids = tokio::select! {
                id = ended => vec![id],
                names = changed(events) => names?,
            };
            for id in ids {
                self.look(&id);
            }
        }
    }

    /// Notes what there is to tell of an instance.
    fn look(&mut self, id: &str) {
        self.supervisors.remove(id);
        let stored = self.store.read(id);
        let Some(state) = stored.as_ref().and_then(|stored| stored.state.as_ref()) else {
            if stored.is_none() {
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

/// The names in the folder that changed since it was asked last; there is at least one.
async fn changed(events: &AsyncFd<OwnedFd>) -> io::Result<Vec<String>> {
    loop {
        let mut ready = events.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); EVENTS];
        let mut reader = inotify::Reader::new(events.get_ref(), &mut buffer);
        let mut names = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().and_then(|name| name.to_str().ok());
                    names.extend(name.filter(|name| !name.starts_with('.')).map(str::to_owned));
                }
                Err(rustix::io::Errno::AGAIN) => break ready.clear_ready(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !names.is_empty() {
            return Ok(names);
        }
    }
}

fn nanoseconds(moment: &str) -> i64 {
    let moment = moment.parse::<jiff::Timestamp>().unwrap_or_default();
    i64::try_from(moment.as_nanosecond()).unwrap_or_default()
}
