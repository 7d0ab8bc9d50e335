//! One attempt: a component, what it is granted, and what has to come of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farrier::definition::model::Limits;
use farrier::probe::component::ComponentFile;
use farrier::probe::context::ProbeContext;
use farrier::probe::grants::ungranted;
use farrier::probe::guest::{Context, Verdict};
use farrier::probe::host::{LoadedProbe, ProbeHost};
use farrier::report::error::Place;
use serde_json::Value;

use super::support::guest::{self, built, component, guest};

/// The limit of a poll that ends by itself: never reached, however busy the machine is.
const ENDS_BY_ITSELF: Duration = Duration::from_secs(60);
/// How much later than its limit a poll may be seen to end: for ever is what it must not take. How late it really was is
/// printed; some 100 ms are expected on a quiet machine.
const SLACK: Duration = Duration::from_secs(30);
/// How much more memory than its limit a poll may cost.
const MORE_MEMORY: u64 = 16 << 20;
/// What reading, checking and compiling any component may take.
const COMPILING: Duration = Duration::from_secs(60);
const COMPILER_MEMORY: u64 = 1 << 30;
/// No line is longer: it is for people.
const LINE: usize = 600;

/// What has to come of an attempt; texts are part of the line that tells.
#[derive(Clone, Debug)]
pub enum Expected {
    /// It is not accepted, before anything is compiled.
    Refused(&'static str),
    /// The compiler does not take it.
    NotLoaded(&'static str),
    /// The poll crashes.
    Crashed(&'static str),
    TimedOut,
    /// It is told no, and says so.
    Pending(&'static str),
    /// It waits for something that never comes, and is told that its time is up soon enough to say so.
    Told,
    /// It gives up, and says why.
    Failed(&'static str),
    /// It is kept from it: by farrier, which ends the wait, or by its language's library before that.
    Denied,
    /// It did no harm.
    Ready,
    /// Either of both, as memory and time have it.
    CrashedOrTimedOut,
}

impl Expected {
    /// The limit of a poll: a short one if only the limit ends it.
    fn limit(&self, short: Duration) -> Duration {
        match self {
            Self::TimedOut | Self::CrashedOrTimedOut | Self::Told => short,
            _ => ENDS_BY_ITSELF,
        }
    }
}

pub struct Attempt {
    pub name: String,
    pub bytes: Arc<Vec<u8>>,
    pub granted: Vec<&'static str>,
    pub probe_context: ProbeContext,
    pub port: Option<u16>,
    pub settings: String,
    pub limits: Limits,
    /// Whether `validate` is asked, not `check`.
    pub validates: bool,
    pub expected: Expected,
}

impl Attempt {
    /// A component of this text.
    pub fn of(name: impl Into<String>, text: &str, expected: Expected) -> Self {
        Self::from_bytes(name, Arc::new(component(text)), expected)
    }

    pub fn from_bytes(name: impl Into<String>, bytes: Arc<Vec<u8>>, expected: Expected) -> Self {
        let poll = expected.limit(Duration::from_millis(300));
        Self {
            name: name.into(),
            bytes,
            granted: Vec::new(),
            probe_context: ProbeContext::default(),
            port: None,
            settings: "{}".to_owned(),
            limits: Limits { memory: 4 << 20, poll },
            validates: false,
            expected,
        }
    }

    /// A component of this body of `check`.
    pub fn check(name: impl Into<String>, body: &str, expected: Expected) -> Self {
        Self::of(name, &guest(body), expected)
    }

    pub fn in_validate(mut self) -> Self {
        self.validates = true;
        self
    }

    pub fn memory(mut self, bytes: u64) -> Self {
        self.limits.memory = bytes;
        self
    }

    pub fn poll(mut self, limit: Duration) -> Self {
        self.limits.poll = limit;
        self
    }
}

/// Attempts of one of the guests in `tests/guests`.
pub struct Guest {
    bytes: Arc<Vec<u8>>,
    granted: Vec<&'static str>,
    probe_context: ProbeContext,
    port: Option<u16>,
}

impl Guest {
    pub fn hostile(probe_context: ProbeContext, port: Option<u16>) -> Self {
        Self { bytes: Arc::new(built("hostile")), granted: vec!["dial", "exec", "logs"], probe_context, port }
    }

    /// The guest that abuses TLS.
    pub fn shaking_hands(probe_context: ProbeContext, port: u16) -> Self {
        let granted = vec!["dial", "tls"];
        Self { bytes: Arc::new(built("handshakes")), granted, probe_context, port: Some(port) }
    }

    pub fn standard(probe_context: ProbeContext) -> Self {
        Self { bytes: Arc::new(built("standard")), granted: Vec::new(), probe_context, port: None }
    }

    pub fn tries(&self, name: impl Into<String>, what: &Value, expected: Expected) -> Attempt {
        let limit = expected.limit(Duration::from_secs(1));
        let mut attempt = Attempt::from_bytes(name, Arc::clone(&self.bytes), expected);
        attempt.granted.clone_from(&self.granted);
        attempt.probe_context = self.probe_context.clone();
        attempt.port = self.port;
        attempt.settings = what.to_string();
        attempt.memory(16 << 20).poll(limit)
    }
}

/// The same component with more in its core module, and with more options where `check` is lifted.
pub fn extended(check: &str, in_module: &str, options: &str) -> String {
    let text = guest(check);
    let text = text.replace("(func $check (export", &format!("{in_module} (func $check (export"));
    let lifted = r#"(realloc (core func $i "realloc"))"#;
    text.replace(lifted, &format!("{lifted} {options}"))
}

/// What an attempt came to.
struct Ended {
    verdict: Result<Verdict, String>,
    loading: Duration,
    /// Beyond the limit of the poll; nothing where it ended before.
    late: Duration,
    compiler_memory: u64,
    memory: u64,
}

struct Fixture {
    host: ProbeHost,
    good: LoadedProbe,
    /// Compiled ones, for guests that try several things.
    loaded: Vec<(Arc<Vec<u8>>, LoadedProbe)>,
}

/// Carries all out, one by one, and fails with everything that was not as it had to be.
pub async fn carry_out(attempts: Vec<Attempt>) {
    let host = ProbeHost::new(None, None);
    let file = ComponentFile::parse(component(&guest(guest::READY))).expect("a probe");
    let good = host.load(&file, &[]).expect("a good probe");
    let mut bench = Fixture { host, good, loaded: Vec::new() };
    let names: BTreeSet<&str> = attempts.iter().map(|attempt| attempt.name.as_str()).collect();
    assert_eq!(names.len(), attempts.len(), "each attempt has a name of its own");
    let (mut wrong, mut latest, mut heaviest, mut slowest) = (Vec::new(), Duration::ZERO, 0, Duration::ZERO);
    let mut most_to_compile = 0;
    for attempt in &attempts {
        let ended = bench.carry_out(attempt).await;
        if std::env::var_os("FARRIER_SHOW_ATTEMPTS").is_some() {
            println!(
                "{}: {:?}; compiled in {:?} with {} MiB, {:?} late, {} MiB",
                attempt.name,
                ended.verdict,
                ended.loading,
                ended.compiler_memory >> 20,
                ended.late,
                ended.memory >> 20
            );
        }
        latest = latest.max(ended.late);
        slowest = slowest.max(ended.loading);
        heaviest = heaviest.max(ended.memory.saturating_sub(attempt.limits.memory));
        most_to_compile = most_to_compile.max(ended.compiler_memory);
        wrong.extend(attempt.judge(&ended));
        let next = bench.poll(&bench.good, &Attempt::check("good", guest::READY, Expected::Ready)).await;
        if next != Verdict::Ready {
            wrong.push(format!("{}: the next probe says {next:?}", attempt.name));
        }
    }
    println!(
        "{} attempts; at most {latest:?} late and {} MiB above the limit; to load: {slowest:?} and {} MiB",
        attempts.len(),
        heaviest >> 20,
        most_to_compile >> 20
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(attempts.len() >= 60, "{}", attempts.len());
}

impl Fixture {
    async fn carry_out(&mut self, attempt: &Attempt) -> Ended {
        let begun = Instant::now();
        let before = watch_peak();
        let loaded = self.load(attempt);
        let (loading, compiler_memory) = (begun.elapsed(), peak().saturating_sub(before));
        let mut ended =
            Ended { verdict: Err(String::new()), loading, late: Duration::ZERO, compiler_memory, memory: 0 };
        match loaded {
            Err(reason) => ended.verdict = Err(reason),
            Ok(probe) => {
                let before = watch_peak();
                let begun = Instant::now();
                ended.verdict = Ok(self.poll(&probe, attempt).await);
                ended.late = begun.elapsed().saturating_sub(attempt.limits.poll);
                ended.memory = peak().saturating_sub(before);
            }
        }
        ended
    }

    fn load(&mut self, attempt: &Attempt) -> Result<LoadedProbe, String> {
        if let Some((_, probe)) = self.loaded.iter().find(|(bytes, _)| Arc::ptr_eq(bytes, &attempt.bytes)) {
            return Ok(probe.clone());
        }
        let file =
            ComponentFile::parse(attempt.bytes.to_vec()).map_err(|error| format!("refused: {error}"))?;
        let place = Place::file(Path::new("db.toml"));
        if let Some(problem) = ungranted(&file, &attempt.granted, "mine", &place).first() {
            return Err(format!("refused: {}", problem.message));
        }
        let loaded =
            self.host.load(&file, &attempt.granted).map_err(|error| error.root_cause().to_string())?;
        self.loaded.push((Arc::clone(&attempt.bytes), loaded.clone()));
        Ok(loaded)
    }

    async fn poll(&self, probe: &LoadedProbe, attempt: &Attempt) -> Verdict {
        if attempt.validates {
            return match probe.validate(&attempt.settings, attempt.limits).await {
                Ok(problems) if problems.is_empty() => Verdict::Ready,
                Ok(problems) => Verdict::Failed(format!("{problems:?}")),
                Err(text) if text.starts_with("it took longer") => Verdict::TimedOut,
                Err(text) => Verdict::Crashed(text),
            };
        }
        let context = Context {
            sidecar: "db".to_owned(),
            host: "db".to_owned(),
            port: attempt.port,
            attempt: 1,
            elapsed_ms: 0,
            remaining_ms: 1000,
            settings: attempt.settings.clone(),
        };
        let polled = probe.poll(context, attempt.probe_context.clone(), attempt.limits).await;
        assert!(polled.trace.len() <= 101, "{}: {} lines of trace", attempt.name, polled.trace.len());
        assert!(polled.trace.iter().all(|line| line.len() <= 4 * LINE), "{}", attempt.name);
        let wanted = polled.observed.not_granted.unwrap_or_default();
        assert!(
            wanted.len() <= 4 * LINE,
            "{}: {} bytes tell what is not granted",
            attempt.name,
            wanted.len()
        );
        polled.verdict
    }
}

impl Attempt {
    /// Everything that is not as it has to be.
    fn judge(&self, ended: &Ended) -> Vec<String> {
        let mut wrong = Vec::new();
        let (line, fits) = match (&self.expected, &ended.verdict) {
            (Expected::Refused(words), Err(line)) => {
                (line.as_str(), line.starts_with("refused: ") && line.contains(words))
            }
            (Expected::NotLoaded(words), Err(line))
            | (Expected::Crashed(words), Ok(Verdict::Crashed(line)))
            | (Expected::Failed(words), Ok(Verdict::Failed(line))) => (line.as_str(), line.contains(words)),
            (Expected::Pending(words), Ok(Verdict::Pending { reason, .. })) => {
                (reason.as_str(), reason.contains(words))
            }
            (Expected::Denied, Ok(Verdict::Failed(line))) => {
                (line.as_str(), line.contains(" is not granted"))
            }
            (Expected::Denied, Ok(Verdict::Pending { reason, .. })) => {
                (reason.as_str(), reason.starts_with("error: "))
            }
            (Expected::Told, Ok(Verdict::Pending { reason, .. })) => {
                (reason.as_str(), reason.contains("TimedOut"))
            }
            (Expected::CrashedOrTimedOut, Ok(Verdict::Crashed(line))) => (line.as_str(), true),
            (Expected::TimedOut | Expected::CrashedOrTimedOut, Ok(Verdict::TimedOut))
            | (Expected::Ready, Ok(Verdict::Ready)) => ("", true),
            _ => ("", false),
        };
        if !fits {
            wrong.push(format!("{}: {:?} is not {:?}", self.name, ended.verdict, self.expected));
        }
        if line.len() > LINE || line.contains('\n') {
            wrong.push(format!("{}: not one short line: {line}", self.name));
        }
        if ended.late > SLACK {
            wrong.push(format!("{}: {:?} late", self.name, ended.late));
        }
        if ended.memory > self.limits.memory + MORE_MEMORY {
            wrong.push(format!("{}: {} MiB", self.name, ended.memory >> 20));
        }
        if ended.loading > COMPILING || ended.compiler_memory > COMPILER_MEMORY {
            let memory = ended.compiler_memory >> 20;
            wrong.push(format!("{}: loaded in {:?} with {memory} MiB", self.name, ended.loading));
        }
        wrong
    }
}

/// Begins to watch how much memory this process holds, and says how much that is now.
fn watch_peak() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak can be reset");
    peak()
}

/// The most memory that was held since then.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("our status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes << 10
}
