//! The compiler of components, in a process of its own: farrier, executed again. A component comes from outside, and may
//! find a mistake in the compiler, or a shape that takes it hours or all memory; then a process ends, and the launch says so.
//! The memory that compiling took is given back with it.
//!
//! The process is no sandbox: what the compiler returns runs in farrier, so that a guest that took the compiler over would not
//! need to leave it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::engines;
use super::limits::{COMPILER_MEMORY, NATIVE_CODE_BYTES};
use super::verdict::limit_in;
use crate::report::elapsed::limit;
use crate::system::own_program::own_program;
use crate::system::process_limits::{self, SpareThreads};

/// What farrier executes itself as.
const ROLE: &str = "--compile-component";

/// What the answer of that process begins with.
const COMPILED: u8 = 0;
/// In front of why the component does not compile.
const REFUSED: u8 = 1;
/// In front of the limit of the process for which it does not.
const LIMITED: u8 = 2;
/// The exit code of a compiler that took too long.
const TOO_LATE: i32 = 3;

/// Whether this program has [`run`] in front of everything else.
static EXECUTES_ITSELF: AtomicBool = AtomicBool::new(false);

/// Code for this machine, which farrier's own compiler made.
pub struct NativeCode(Vec<u8>);

impl NativeCode {
    /// What was proven to be that.
    pub(super) const fn proven(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// Its bytes, to keep.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Makes it ready to run.
    ///
    /// # Errors
    /// When it was made by another version of wasmtime or for other settings, or the system has no memory left.
    #[expect(unsafe_code, reason = "wasmtime cannot check native code; nobody but farrier makes this type")]
    pub fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: these bytes are what wasmtime's compiler returned to farrier: in this process, in one that farrier executed
        // and whose pipe nobody else has, or from the cache, where an HMAC under a key that only this user can read
        // proves it. wasmtime itself refuses code of another version or setting.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

/// Compiles a component, for at most this long.
///
/// # Errors
/// When it does not compile, or takes too long or too much memory.
pub fn compile(engine: &Engine, bytes: &[u8], within: Duration) -> wasmtime::Result<NativeCode> {
    if EXECUTES_ITSELF.load(Ordering::Relaxed) {
        match started(within) {
            Ok(compiler) => return compiler.compile(bytes, within),
            Err(error) => tracing::debug!("components are compiled in this process: {error}"),
        }
    }
    here(engine, bytes).map(NativeCode)
}

/// A compiler that waits for its component.
struct Compiler(std::process::Child);

fn started(within: Duration) -> io::Result<Compiler> {
    let mut command = Command::new(own_program());
    command.arg0("farrier").arg(ROLE).arg(within.as_millis().to_string()).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map(Compiler)
}

impl Compiler {
    fn compile(mut self, bytes: &[u8], within: Duration) -> wasmtime::Result<NativeCode> {
        // It reads all before it answers. One that ended early is told by how it ended.
        let _ = self.0.stdin.take().map(|mut pipe| pipe.write_all(bytes));
        let mut answer = Vec::new();
        let read = self.0.stdout.take().map(|pipe| pipe.take(NATIVE_CODE_BYTES).read_to_end(&mut answer));
        if read.is_some_and(|read| read.is_err()) {
            let _ = self.0.kill();
        }
        let status = self.0.wait()?;
        let text = || String::from_utf8_lossy(answer.get(1..).unwrap_or_default()).into_owned();
        match answer.first() {
            Some(&COMPILED) if status.success() => {
                answer.drain(..1);
                Ok(NativeCode(answer))
            }
            Some(&REFUSED) if status.success() => Err(wasmtime::Error::msg(text())),
            Some(&LIMITED) if status.success() => Err(Limited(text()).into()),
            _ if status.code() == Some(TOO_LATE) => Err(TooLate(within).into()),
            _ => {
                let memory = COMPILER_MEMORY >> 30;
                Err(wasmtime::Error::msg(format!(
                    "the compiler ended with {status}; it may use {memory} GiB of memory"
                )))
            }
        }
    }
}

/// The compiler met a limit of its process.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Limited(pub(super) String);

#[derive(Debug, thiserror::Error)]
#[error("compiling it took longer than {}", limit(*.0))]
struct TooLate(Duration);

/// Compiles what standard input has, if these arguments ask for it, and gives the exit code. A program that calls this before
/// anything else compiles in processes of their own.
pub fn run(arguments: &[OsString]) -> Option<u8> {
    let [_, role, within] = arguments else { return executes_itself() };
    if role != OsStr::new(ROLE) {
        return executes_itself();
    }
    let within =
        within.to_str().and_then(|number| number.parse().ok()).map_or(Duration::ZERO, Duration::from_millis);
    Some(u8::from(answer(within).is_err()))
}

fn executes_itself() -> Option<u8> {
    EXECUTES_ITSELF.store(true, Ordering::Relaxed);
    None
}

fn answer(within: Duration) -> io::Result<()> {
    end_after(within)?;
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    let compiled = engines::for_compiling().and_then(|engine| {
        limit_memory();
        here(&engine, &bytes)
    });
    let mut output = io::stdout();
    match compiled {
        Ok(code) => output.write_all(&[COMPILED]).and_then(|()| output.write_all(&code)),
        Err(error) => {
            let (kind, text) = limit_in(&error)
                .map_or_else(|| (REFUSED, error.root_cause().to_string()), |text| (LIMITED, text));
            output.write_all(&[kind]).and_then(|()| output.write_all(text.as_bytes()))
        }
    }?;
    output.flush()
}

/// Ends this process if it is not done by then, or when farrier is gone.
fn end_after(within: Duration) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    #[expect(clippy::exit, reason = "nothing else stops a compiler")]
    let end = move || {
        std::thread::sleep(within);
        std::process::exit(TOO_LATE)
    };
    std::thread::Builder::new().name("limit".to_owned()).spawn(end).map(drop)
}

/// More than this, and the compiler ends. Systems differ in what they count, so that one that refuses is left alone.
fn limit_memory() {
    let lower = |found: Option<u64>| Some(found.unwrap_or(u64::MAX).min(COMPILER_MEMORY));
    let found = getrlimit(Resource::Data);
    let _ = setrlimit(Resource::Data, Rlimit { current: lower(found.current), maximum: found.maximum });
}

/// Compiles on a thread for each processor if the system gives so many beside those that the launch needs, else on this one
/// alone.
fn here(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Vec<u8>> {
    static THREADS: OnceLock<Option<ThreadPool>> = OnceLock::new();
    // wasmtime would start threads of its own, and panic where it cannot. Of a limited address space, each takes much.
    let start = || {
        (!process_limits::limits_address_space()).then_some(())?;
        let _spare = SpareThreads::for_launch().ok()?;
        ThreadPoolBuilder::new().build().ok()
    };
    if let Some(threads) = THREADS.get_or_init(start) {
        return threads.install(|| engine.precompile_component(bytes));
    }
    let alone = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build()?;
    alone.install(|| engine.precompile_component(bytes))
}
