//! The imports, answered by the sidecar of the running check.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread_local;

use super::State;
use crate::Denial;

thread_local! {
    static RUNNING: RefCell<Option<Rc<RefCell<State>>>> = const { RefCell::new(None) };
}

/// While it lives, its sidecar answers.
pub struct Running(Option<Rc<RefCell<State>>>);

impl Running {
    pub fn new(state: Rc<RefCell<State>>) -> Self {
        Self(RUNNING.with(|running| running.replace(Some(state))))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let before = self.0.take();
        RUNNING.with(|running| *running.borrow_mut() = before);
    }
}

fn running() -> Result<Rc<RefCell<State>>, Denial> {
    RUNNING
        .with(|running| running.borrow().clone())
        .ok_or_else(|| Denial::Other("no host runs this probe: call it through `testing::Sidecar`".into()))
}

fn needs(grant: &str) -> Denial {
    Denial::NotGranted(std::format!("this is not granted: write `grants = {{ {grant} }}` under [readiness]"))
}

pub mod dial {
    use std::time::Duration;

    use super::running;
    use crate::Denial;

    pub use crate::testing::peer::Connection;

    pub fn connect(host: &str, port: u16, timeout_ms: Option<u32>) -> Result<Connection, Denial> {
        let state = running()?;
        let peer = state.borrow().peer(host, port)?;
        let timeout = Duration::from_millis(timeout_ms.map_or(1_000, |limit| limit.clamp(1, 1_000)).into());
        Connection::open(&state, peer, timeout)
    }
}

pub mod tls {
    use std::string::String;

    use super::{dial::Connection, needs, running};
    use crate::bindings::farrier::probe::tls::Failure;

    pub fn start(
        connection: Connection,
        server_name: &str,
        protocols: &[String],
    ) -> Result<Connection, Failure> {
        let state = running().map_err(Failure::Denied)?;
        if !state.borrow().tls {
            return Err(Failure::Denied(needs("tls = true")));
        }
        state.borrow_mut().handshakes.push((server_name.into(), protocols.into()));
        connection.shake_hands(protocols)
    }

    pub fn protocol(connection: &Connection) -> Option<String> {
        connection.protocol()
    }
}

pub mod exec {
    use std::string::String;
    use std::vec::Vec;

    use super::{needs, running};
    use crate::Denial;
    use crate::bindings::farrier::probe::exec::Output;

    pub fn run(argv: &[String]) -> Result<Output, Denial> {
        let state = running()?;
        let mut state = state.borrow_mut();
        let answer = state.commands.iter().find(|(known, _)| known == argv).map(|(_, answer)| answer.clone());
        let Some(answer) = answer else { return Err(needs(&std::format!("exec = [{argv:?}]"))) };
        state.executed.push(argv.to_vec());
        answer
    }

    pub fn declared() -> Option<Vec<String>> {
        running().ok()?.borrow().declared.clone()
    }
}

pub mod health {
    use super::{needs, running};
    use crate::Denial;
    use crate::bindings::farrier::probe::health::{HealthStatus, TestResult};

    pub fn status() -> Result<HealthStatus, Denial> {
        running()?.borrow().health.ok_or_else(|| needs("health = true"))
    }

    pub fn run_test() -> Result<Option<TestResult>, Denial> {
        status()?;
        Ok(running()?.borrow().health_test.clone())
    }
}

pub mod logs {
    use std::string::String;
    use std::vec::Vec;

    use super::{needs, running};
    use crate::Denial;

    pub fn tail(max: u32) -> Result<Vec<String>, Denial> {
        let state = running()?;
        let state = state.borrow();
        let lines = state.log_lines.as_ref().ok_or_else(|| needs("logs = true"))?;
        let first = lines.len().saturating_sub(max as usize);
        Ok(lines.iter().skip(first).cloned().collect())
    }

    pub fn read(first: u64, max: u32) -> Result<Vec<String>, Denial> {
        let state = running()?;
        let state = state.borrow();
        let lines = state.log_lines.as_ref().ok_or_else(|| needs("logs = true"))?;
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        Ok(lines.iter().skip(first).take(max as usize).cloned().collect())
    }
}

pub mod state {
    use std::vec::Vec;

    use super::running;
    use crate::Denial;

    /// As under farrier.
    const MOST: usize = 64 << 10;

    pub fn get() -> Vec<u8> {
        running().map(|state| state.borrow().memory.clone()).unwrap_or_default()
    }

    pub fn set(bytes: &[u8]) -> Result<(), Denial> {
        if bytes.len() > MOST {
            return Err(Denial::Limit("a probe may remember 64 KiB".into()));
        }
        running()?.borrow_mut().memory = bytes.into();
        Ok(())
    }
}

pub mod env {
    use std::string::String;

    use super::{needs, running};
    use crate::Denial;

    pub fn get(name: &str) -> Result<String, Denial> {
        let state = running()?;
        let state = state.borrow();
        let found = state.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        found.ok_or_else(|| needs(&std::format!("env = [{name:?}]")))
    }
}

pub mod random {
    use std::vec::Vec;

    use super::running;
    use crate::Denial;

    /// As under farrier.
    const MOST: u32 = 64 << 10;

    pub fn bytes(count: u32) -> Result<Vec<u8>, Denial> {
        if count > MOST {
            return Err(Denial::Limit("one call returns at most 64 KiB of random numbers".into()));
        }
        let state = running()?;
        let mut state = state.borrow_mut();
        // SplitMix64: a test has the same numbers each time.
        let next = |number: &mut u64| {
            *number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (*number ^ (*number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)).to_le_bytes()[0]
        };
        Ok((0..count).map(|_| next(&mut state.random)).collect())
    }
}

pub mod clock {
    use super::running;

    pub fn now() -> u64 {
        running().map_or(0, |state| {
            let mut state = state.borrow_mut();
            let (now, tick) = (state.clock, state.tick);
            state.clock += tick;
            u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
        })
    }
}

pub mod log {
    use super::running;

    pub use crate::bindings::farrier::probe::log::Level;

    pub fn write(level: Level, line: &str) {
        if let Ok(state) = running() {
            state.borrow_mut().trace.push((level, line.into()));
        }
    }
}
