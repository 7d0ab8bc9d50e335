//! Answers that make no sense: what a broken engine, a proxy in between or another version might say.

use std::net::{IpAddr, Ipv6Addr};

use tokio::sync::mpsc::UnboundedReceiver;

use super::image::{Execution, Run};
use crate::definition::{Protocol, PublishedPort};
use crate::engine::docker::api::{
    Container, ContainerPort, CreatedContainer, Endpoint, EngineEvent, Health, HealthStatus, HealthTest,
    Image, Listed, Member, Network, Process, Volume,
};
use crate::engine::{EngineInfo, EngineResult};

/// In which way an answer makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonsense {
    /// Texts are control characters, times cannot be read, and lists hold what nobody asked for.
    Unreadable,
    /// Ids are empty, and every field that may be absent is.
    Empty,
    /// Numbers are the largest there are, texts a mebibyte long, lists of thousands.
    Enormous,
    /// Ids and names are well-formed, but of nothing there is, and times lie far off.
    Foreign,
}

impl Nonsense {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Unreadable, Self::Empty, Self::Enormous, Self::Foreign];

    fn text(self) -> String {
        match self {
            Self::Unreadable => "\u{1b}[31m\0?".to_owned(),
            Self::Empty => String::new(),
            Self::Enormous => "enormous ".repeat(1 << 17),
            Self::Foreign => "f".repeat(64),
        }
    }

    fn time(self) -> String {
        match self {
            Self::Unreadable | Self::Empty => self.text(),
            Self::Enormous => "99999999999999999999-01-01T00:00:00Z".to_owned(),
            Self::Foreign => "9999-01-01T00:00:00Z".to_owned(),
        }
    }

    fn number(self) -> i64 {
        match self {
            Self::Unreadable => i64::MIN,
            Self::Empty => 0,
            Self::Enormous => i64::MAX,
            Self::Foreign => -1,
        }
    }

    fn list<T: Clone>(self, item: T) -> Vec<T> {
        match self {
            Self::Empty => Vec::new(),
            Self::Enormous => vec![item; 2_000],
            Self::Unreadable | Self::Foreign => vec![item],
        }
    }
}

/// An answer that can lose its sense.
pub(super) trait Garbled {
    /// Takes the sense out.
    fn garble(&mut self, nonsense: Nonsense);
}

impl Garbled for () {
    fn garble(&mut self, _: Nonsense) {}
}

impl Garbled for bool {
    fn garble(&mut self, _: Nonsense) {}
}

impl Garbled for String {
    fn garble(&mut self, nonsense: Nonsense) {
        *self = nonsense.text();
    }
}

impl Garbled for Vec<String> {
    fn garble(&mut self, nonsense: Nonsense) {
        // Two thousand texts of a mebibyte would be a test of this machine.
        *self = match nonsense {
            Nonsense::Unreadable => vec![nonsense.text(), String::new()],
            Nonsense::Enormous => nonsense.list("enormous".to_owned()),
            _ => nonsense.list(nonsense.text()),
        };
    }
}

impl Garbled for EngineInfo {
    fn garble(&mut self, nonsense: Nonsense) {
        // Another id is another engine, whose locks are others.
        if matches!(nonsense, Nonsense::Unreadable | Nonsense::Empty) {
            self.id.clear();
        }
        self.time = nonsense.time();
        self.version = nonsense.text();
        self.architecture = nonsense.text();
    }
}

impl Garbled for Vec<Network> {
    fn garble(&mut self, nonsense: Nonsense) {
        let id = if nonsense == Nonsense::Enormous { "enormous".to_owned() } else { nonsense.text() };
        *self = nonsense.list(Network { id, ..Network::default() });
        if nonsense == Nonsense::Unreadable {
            *self = vec![Network::default()];
        }
    }
}

impl Garbled for (Vec<Network>, Vec<Member>) {
    fn garble(&mut self, nonsense: Nonsense) {
        self.0.garble(nonsense);
        let container = if nonsense == Nonsense::Enormous { "enormous".to_owned() } else { nonsense.text() };
        self.1 = nonsense.list(Member { container, ..Member::default() });
    }
}

impl Garbled for Vec<CreatedContainer> {
    fn garble(&mut self, nonsense: Nonsense) {
        let text = nonsense.text();
        let networks = vec![text.clone()];
        *self = nonsense.list(CreatedContainer {
            name: text.clone(),
            image: text,
            networks,
            ..CreatedContainer::default()
        });
    }
}

impl Garbled for Vec<Listed> {
    fn garble(&mut self, nonsense: Nonsense) {
        let name = if nonsense == Nonsense::Enormous { "enormous".to_owned() } else { nonsense.text() };
        *self = nonsense.list(Listed { name, ..Listed::default() });
        if nonsense == Nonsense::Unreadable {
            self.push(Listed::default());
        }
    }
}

impl Garbled for Vec<Volume> {
    fn garble(&mut self, nonsense: Nonsense) {
        let text = nonsense.text();
        let labels = [(text.clone(), text.clone())].into();
        *self = nonsense.list(Volume { name: text, labels });
    }
}

impl Garbled for Option<Volume> {
    fn garble(&mut self, nonsense: Nonsense) {
        let mut all = Vec::new();
        all.garble(nonsense);
        *self = all.pop();
    }
}

impl Garbled for Vec<ContainerPort> {
    fn garble(&mut self, nonsense: Nonsense) {
        let address = if nonsense == Nonsense::Foreign { Ipv6Addr::LOCALHOST } else { Ipv6Addr::UNSPECIFIED };
        let port = PublishedPort {
            address: address.into(),
            host: u16::MAX,
            container: u16::MAX,
            protocol: Protocol::Udp,
        };
        *self = nonsense.list(ContainerPort { container: nonsense.text(), name: nonsense.text(), port });
    }
}

fn process(nonsense: Nonsense) -> Process {
    let text = nonsense.text();
    Process {
        entrypoint: vec![text.clone()],
        command: vec![text.clone()],
        env: nonsense.list("=".to_owned()),
        user: text.clone(),
        directory: text.clone(),
        shell: vec![text.clone()],
        health: Some(HealthTest { test: vec![text.clone()], ..HealthTest::default() }),
        stop_signal: text,
    }
}

impl Garbled for Option<Image> {
    fn garble(&mut self, nonsense: Nonsense) {
        *self = Some(match nonsense {
            Nonsense::Empty => Image::default(),
            _ => Image {
                id: nonsense.text(),
                process: process(nonsense),
                volumes: nonsense.list("/".to_owned()),
                ports: vec![0, u16::MAX],
                architecture: nonsense.text(),
                ..Image::default()
            },
        });
    }
}

impl Garbled for Option<Container> {
    fn garble(&mut self, nonsense: Nonsense) {
        let Some(container) = self else { return };
        container.id = nonsense.text();
        container.started_at = nonsense.time();
        container.finished_at = nonsense.time();
        container.exit_code = nonsense.number();
        container.restarts = nonsense.number();
        container.process_id = u32::try_from(nonsense.number()).unwrap_or(u32::MAX);
        match nonsense {
            Nonsense::Unreadable | Nonsense::Empty => {
                container.labels.clear();
                container.networks.clear();
                container.mounts.clear();
            }
            Nonsense::Enormous => {
                container.error = nonsense.text();
                let runs = nonsense.list((i64::MAX, "enormous".to_owned()));
                container.health = Some(Health { status: HealthStatus::Starting, runs });
                container.memory = u64::MAX;
            }
            Nonsense::Foreign => {
                container.process = process(nonsense);
                for endpoint in container.networks.values_mut() {
                    let nowhere = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
                    *endpoint = Endpoint { address: Some(nowhere), ..Endpoint::default() };
                }
            }
        }
    }
}

impl Garbled for Run {
    fn garble(&mut self, nonsense: Nonsense) {
        let text = nonsense.text().into_bytes();
        *self = Run { stdout: text.clone(), stderr: text, ..Run::exit(nonsense.number()) };
        if nonsense == Nonsense::Unreadable {
            (self.stdout, self.stderr) = (vec![0xff, 0, 0x1b], vec![0xc3]);
        }
    }
}

impl Garbled for Execution {
    fn garble(&mut self, nonsense: Nonsense) {
        let mut run = Run::exit(0);
        run.garble(nonsense);
        *self = Self::Ran(run);
    }
}

/// Its events are nobody's.
impl Garbled for UnboundedReceiver<EngineResult<EngineEvent>> {
    fn garble(&mut self, nonsense: Nonsense) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let event =
            EngineEvent { container: String::new(), action: nonsense.text(), time: nonsense.number() };
        let _ = sender.send(Ok(event));
        *self = receiver;
    }
}
