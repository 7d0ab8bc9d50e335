//! WASI 0.2, for guests whose language's runtime pulls it in: inert, but for what was granted.
//!
//! Clocks and random numbers are real, except in a scenario; there are no arguments and no standard input; output is
//! captured for the trace; files are private copies of granted folders; sockets connect to granted addresses only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets};
use wasmtime_wasi::random::WasiRandom;
use wasmtime_wasi::sockets::{SocketAddrUse, WasiSockets, WasiSocketsView};
use wasmtime_wasi::{Deterministic, FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_io::bindings::wasi::io;

use self::carried::Carried;
use self::denied::DeniedSocket;
use self::environment::{Environment, Variables};
use self::output::Output;
use self::stopped_clock::Stopped;
use super::context::ProbeContext;
use super::limits::RANDOM_BYTES;
use super::randomness::{Randomness, Seeded};
use super::store::{DENIED, HostState};
use crate::definition::grants::DialGrant;
use crate::definition::is_sidecar_host;
use crate::engine::dialler::Sockets;

pub mod base;
mod carried;
mod denied;
mod environment;
mod names;
mod output;
mod stopped_clock;

/// Its packages, each with one word for it and what it lets a component do. All of it is inert until a grant gives it
/// something.
pub const MEANINGS: &[(&str, &str, &str)] = &[
    ("sockets", "sockets", "uses sockets of its language, which reach only what `dial` grants"),
    ("filesystem", "files", "reads files, but only those that `dirs` grants"),
    ("cli", "environment", "reads environment variables, but only those that `env` grants"),
    ("clocks", "clocks", "reads the time"),
    ("random", "random", "gets random numbers"),
    ("io", "io", "waits for its own streams"),
];

/// Bytes of a seed's numbers, after which they begin again.
const SEEDED_BYTES: usize = 16 << 10;

/// What a guest wrote and tried through WASI during one poll.
#[derive(Clone, Debug, Default)]
pub struct Traces {
    /// Standard output.
    pub stdout: Output,
    /// Standard error; where panics and tracebacks go.
    pub stderr: Output,
    /// Where its sockets may connect to reach sidecars that this host has no route to.
    pub carried: Carried,
    /// Whether it used a socket where sockets do not lead to the sidecars.
    pub socket_refused: Arc<AtomicBool>,
    /// Where its sockets connected, and how often.
    pub socket_dialled: Arc<Mutex<BTreeMap<SocketAddr, u64>>>,
    /// What it last tried with a socket, and was not granted.
    pub socket_denied: Arc<Mutex<Option<DeniedSocket>>>,
}

impl HostState {
    /// What a definition has to grant for a name that was looked up: the port is not known yet.
    fn lookup_denial(&self, host: &str) -> String {
        let own = self.poll.own.as_ref().filter(|(name, _)| name == host);
        if let Some((_, Some(port))) = own {
            return self.poll.dial_denial(host, *port);
        }
        let asked = format!("looking up {host} is not granted");
        let is_of_host = |grant: &DialGrant| matches!(grant, DialGrant::Sidecar { name, .. } if name == host);
        if self.poll.grants.dial.iter().any(is_of_host) {
            return format!("{asked}: {DENIED}");
        }
        if own.is_some() {
            return format!("{asked}: add `\"self:PORT\"` to `grants.dial` under [readiness]");
        }
        if !is_sidecar_host(host) {
            return format!(
                "{asked}, and cannot be: a probe finds the context's host, or another sidecar, by its name"
            );
        }
        format!(
            "{asked}: if {host} is a sidecar of this launch, add `\"{host}:PORT\"` to `grants.dial` under [readiness]"
        )
    }

    /// Notes where the guest's own sockets connected, which know addresses only.
    pub fn note_dialled_sockets(&mut self) {
        let dialled =
            std::mem::take(&mut *self.traces.socket_dialled.lock().unwrap_or_else(PoisonError::into_inner));
        for (address, times) in dialled {
            let mut places = self.probe_context.targets.0.iter();
            if let Some(((host, port), _)) = places.find(|(_, place)| **place == Some(address)) {
                self.poll.used.note_dials(host, *port, times);
            }
        }
    }

    /// Notes that the guest asked for its folders. Languages do so before they open the first file.
    fn note_folders(&mut self) {
        let folders = self.probe_context.folders.iter().flat_map(|folders| folders.entries());
        self.poll.used.folders.extend(folders.map(|folder| folder.guest.clone()));
    }

    /// Notes what the guest's own sockets were denied.
    pub fn note_denied_socket(&mut self) {
        let denied = self.traces.socket_denied.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(denied) = denied else { return };
        let what = match &denied {
            DeniedSocket::Connect(address) => {
                // Sockets know addresses only: whose it is tells which grant is missing.
                let places = self.probe_context.targets.0.iter();
                let mut hosts =
                    places.filter(|(_, place)| place.is_some_and(|place| place.ip() == address.ip()));
                let host =
                    hosts.next().map_or_else(|| address.ip().to_string(), |((host, _), _)| host.clone());
                self.poll.dial_denial(&host, address.port())
            }
            DeniedSocket::Lookup(name) => self.lookup_denial(name),
            DeniedSocket::Listen | DeniedSocket::Udp => {
                format!("{denied} is not granted, and cannot be: a probe only connects, and only over TCP")
            }
        };
        self.poll.note_not_granted(&what);
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| Box::new(context(&self.probe_context, &self.traces)));
        WasiCtxView { ctx, table: &mut self.table }
    }
}

/// Made at the first call, so that guests without WASI do not pay for it.
fn context(probe_context: &ProbeContext, traces: &Traces) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder.max_random_size(RANDOM_BYTES.into());
    builder.stdout(traces.stdout.clone()).stderr(traces.stderr.clone());
    builder.allow_tcp(true).allow_udp(false).allow_ip_name_lookup(false);
    let allowed: BTreeSet<SocketAddr> = match probe_context.sockets {
        Sockets::Direct => probe_context.targets.0.values().flatten().copied().collect(),
        Sockets::Relayed | Sockets::Played => BTreeSet::new(),
    };
    let nowhere = probe_context.has_no_sockets();
    let carried = Arc::clone(&traces.carried);
    let (refused, denied) = (Arc::clone(&traces.socket_refused), Arc::clone(&traces.socket_denied));
    let dialled = Arc::clone(&traces.socket_dialled);
    let deny = move |what| *denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    builder.socket_addr_check(move |address, usage| {
        let answer = match usage {
            // What every connect begins with: any address and port of the launcher's choice.
            SocketAddrUse::TcpBind if address.ip().is_unspecified() && address.port() == 0 => true,
            SocketAddrUse::TcpBind | SocketAddrUse::TcpListen => {
                deny(DeniedSocket::Listen);
                false
            }
            SocketAddrUse::TcpConnect if nowhere => {
                refused.store(true, Ordering::Relaxed);
                false
            }
            SocketAddrUse::TcpConnect => {
                if carried.lock().unwrap_or_else(PoisonError::into_inner).contains(&address) {
                    return Box::pin(std::future::ready(true));
                }
                let granted = allowed.contains(&address);
                if granted {
                    let mut dialled = dialled.lock().unwrap_or_else(PoisonError::into_inner);
                    *dialled.entry(address).or_default() += 1;
                } else {
                    deny(DeniedSocket::Connect(address));
                }
                granted
            }
            _ => false,
        };
        Box::pin(std::future::ready(answer))
    });
    if let Some((begun, date)) = probe_context.stopped_at {
        let stopped = Stopped { begun, date };
        builder.monotonic_clock(stopped).wall_clock(stopped);
    }
    if let Randomness::Seeded(seeded) = &probe_context.randomness {
        seed(&mut builder, seeded.clone());
    }
    for folder in probe_context.folders.iter().flat_map(|folders| folders.entries()) {
        // The copy is farrier's own: where it cannot be opened, the guest finds no such folder.
        if let Err(error) = builder.preopened_dir(&folder.host, &folder.guest, FsPerms::ReadOnly) {
            tracing::warn!("a granted folder cannot be opened: {error}");
        }
    }
    builder.build()
}

/// Gives a guest the numbers of a seed. They begin again after so many that no guest notices.
fn seed(builder: &mut WasiCtxBuilder, mut seeded: Seeded) {
    let mut numbers = || {
        let mut bytes = vec![0; SEEDED_BYTES];
        seeded.fill(&mut bytes);
        Deterministic::new(bytes)
    };
    builder.secure_random(numbers()).insecure_random(numbers());
    let mut number = [0; 16];
    seeded.fill(&mut number);
    builder.insecure_random_seed(u128::from_le_bytes(number));
}

/// `wasi:io` works on the table alone.
struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// Links every interface of the base, one by one: what is not named here does not exist for a guest.
pub fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    type State = HostState;
    io::error::add_to_linker::<State, Io>(linker, |state| &mut state.table)?;
    io::poll::add_to_linker::<State, Io>(linker, |state| &mut state.table)?;
    io::streams::add_to_linker::<State, Io>(linker, |state| &mut state.table)?;
    clocks::wall_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)?;
    clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(linker, State::clocks)?;
    random::random::add_to_linker::<State, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure::add_to_linker::<State, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    random::insecure_seed::add_to_linker::<State, WasiRandom>(linker, |state| state.ctx().ctx.random())?;
    cli::environment::add_to_linker::<State, Environment>(linker, Variables::of)?;
    cli::exit::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_input::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_output::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdin::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stdout::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    cli::terminal_stderr::add_to_linker::<State, WasiCli>(linker, State::cli)?;
    filesystem::preopens::add_to_linker::<State, WasiFilesystem>(linker, |state| {
        // Its only function gives a guest all of its folders.
        state.note_folders();
        state.filesystem()
    })?;
    filesystem::types::add_to_linker::<State, WasiFilesystem>(linker, State::filesystem)?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<State, WasiSockets>(linker, &options, State::sockets)?;
    sockets::instance_network::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    sockets::tcp::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    carried::link(linker)?;
    sockets::tcp_create_socket::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    // Guests' C library names both protocols; every use of this one is denied, and noted.
    sockets::udp::add_to_linker::<State, WasiSockets>(linker, State::sockets)?;
    sockets::udp_create_socket::add_to_linker::<State, names::Resolver>(linker, names::Lookup::of)?;
    // The resolver is ours: the stock one must not be linked in any version.
    sockets::ip_name_lookup::add_to_linker::<State, names::Resolver>(linker, names::Lookup::of)
}
