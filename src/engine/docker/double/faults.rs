//! What was called, and what is to go wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use super::nonsense::Nonsense;
use super::world::World;
use crate::engine::EngineErrorKind;

/// A call of the trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the trait's method of this name")]
pub enum Call {
    Info,
    Networks,
    LabelledNetworks,
    CreateNetwork,
    RemoveNetwork,
    Connect,
    Disconnect,
    Members,
    Inhabited,
    Image,
    Pull,
    Container,
    Labelled,
    Listed,
    Create,
    Rename,
    Start,
    Resume,
    Stop,
    Remove,
    Events,
    Created,
    Exec,
    ExecAttached,
    Logs,
    Output,
    Published,
    Volume,
    Volumes,
    RemoveVolume,
    HasSocket,
    Load,
    Attach,
}

impl Call {
    /// Whether it is meant to change what the engine holds; running a command does not count.
    #[must_use]
    pub const fn is_change(self) -> bool {
        matches!(
            self,
            Self::CreateNetwork
                | Self::RemoveNetwork
                | Self::Connect
                | Self::Disconnect
                | Self::Pull
                | Self::Create
                | Self::Rename
                | Self::Start
                | Self::Resume
                | Self::Stop
                | Self::Remove
                | Self::RemoveVolume
                | Self::Load
        )
    }
}

/// One call as logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Which.
    pub call: Call,
    /// The name, id, reference or label that it was called with.
    pub subject: String,
}

/// Which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// By its place among all calls, from 0.
    Index(usize),
    /// The how-manieth of its kind, from 1.
    Nth(Call, usize),
    /// All of its kind.
    Every(Call),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and nothing happens.
    Fail(EngineErrorKind),
    /// It fails in these words of an engine, and nothing happens.
    Refuse(&'static str),
    /// It happens, but the answer is a failure: as when the connection breaks.
    FailAfter(EngineErrorKind),
    /// Nothing happens, and no answer comes.
    Hang,
    /// It happens, and no answer comes.
    HangAfter,
    /// It happens and is answered only after this long.
    Late(Duration),
    /// It happens, but the answer makes no sense, in this way.
    Garbage(Nonsense),
}

/// A change of the state before a call.
pub(super) type Hook = Box<dyn FnOnce(&mut World) + Send>;

/// The log, and what is still to go wrong.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) log: Vec<Logged>,
    /// How many of each kind it has: counted again at each call, those of a thousand launches would take minutes.
    counts: BTreeMap<Call, usize>,
    pub(super) stalled: usize,
    /// Nothing answers at all.
    pub(super) down: bool,
    faults: Vec<(At, Fault)>,
    hooks: Vec<(At, Hook)>,
}

impl Ledger {
    pub(super) fn fault(&mut self, at: At, fault: Fault) {
        self.faults.push((at, fault));
    }

    pub(super) fn before(&mut self, at: At, hook: Hook) {
        self.hooks.push((at, hook));
    }

    pub(super) fn count(&self, call: Call) -> usize {
        self.counts.get(&call).copied().unwrap_or_default()
    }

    /// Logs a call; gives what was asked for it.
    pub(super) fn admit(&mut self, call: Call, subject: &str) -> (Vec<Hook>, Vec<Fault>) {
        let index = self.log.len();
        self.log.push(Logged { call, subject: subject.to_owned() });
        let counted = self.counts.entry(call).or_default();
        *counted += 1;
        let count = *counted;
        if self.down {
            return (Vec::new(), vec![Fault::Fail(EngineErrorKind::Unreachable)]);
        }
        let meant = |at: &At| match *at {
            At::Index(wanted) => wanted == index,
            At::Nth(kind, wanted) => kind == call && wanted == count,
            At::Every(kind) => kind == call,
        };
        let hooks = self.hooks.extract_if(.., |(at, _)| meant(at)).map(|(_, hook)| hook).collect();
        let faults = self.faults.iter().filter(|(at, _)| meant(at)).map(|(_, fault)| *fault).collect();
        (hooks, faults)
    }
}
