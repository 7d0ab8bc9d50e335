//! Many sidecars in one launch, on the engine in memory: `cargo bench --bench scale`.
//!
//! For 1, 10, 100 and 1,000 sidecars under `tcp`: how long a launch takes whose sidecars all accept at once, then what
//! it takes of a processor while none of them accepts, and the memory of both; at last what as many loaded components
//! take where each is loaded for itself (those of one launch share equal ones). Then launches at once that find the same ten
//! sidecars running: how long all take, and how much they ask the engine. Each number has a process of its own, so that none
//! pays for another. The engine's share is in the numbers: containers in memory are cheap, not free.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "what fails here has no user")]

#[allow(dead_code, unreachable_pub, reason = "the tests use more of it")]
#[path = "../tests/in_memory/setup.rs"]
mod setup;

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use farrier::probe::built_in::built_in;
use farrier::probe::component::ComponentFile;
use farrier::probe::host::{LoadedProbe, ProbeHost};
use futures_util::future::join_all;
use setup::{ClosedPort, Fixture, listener};

const COUNTS: [usize; 5] = [1, 10, 100, 1000, 10_000];
const LAUNCHERS: [usize; 4] = [10, 100, 300, 1000];
/// The sidecars that they find.
const SHARED: usize = 10;
/// Behind the first polls, which come quickly, and their compilation.
const SETTLED: Duration = Duration::from_secs(3);
const OBSERVED: Duration = Duration::from_secs(10);

fn main() {
    // `cargo bench` passes options of its own, which are none of ours.
    let count = std::env::var("FARRIER_SCALE_COUNT").ok().map(|count| count.parse().expect("a number"));
    if let Some(count) = count {
        return one(count);
    }
    let count = std::env::var("FARRIER_SCALE_LAUNCHERS").ok().map(|count| count.parse().expect("a number"));
    if let Some(count) = count {
        return launchers(count);
    }
    println!(
        "{:>8}  {:>12}  {:>12}  {:<28}  components",
        "sidecars", "to ready", "most memory", "while waiting"
    );
    for count in COUNTS {
        let own = std::env::current_exe().expect("a path");
        let ended = Command::new(own).env("FARRIER_SCALE_COUNT", count.to_string()).status();
        assert!(ended.expect("it runs").success());
    }
    println!("{:>9}  {:>12}  {:>12}  calls", "launches", "all ready", "most memory");
    for count in LAUNCHERS {
        let own = std::env::current_exe().expect("a path");
        let ended = Command::new(own).env("FARRIER_SCALE_LAUNCHERS", count.to_string()).status();
        assert!(ended.expect("it runs").success());
    }
}

/// So many launches at once that find the same sidecars running.
fn launchers(count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let bench = Fixture::new();
        let port = accepting().await;
        for number in 0..SHARED {
            bench.dialled(&format!("s{number}"), port, "probe = \"tcp\"");
        }
        drop(bench.launch().await.ready());
        bench.engine.calm();
        let begun = Instant::now();
        let ended = join_all((0..count).map(|_| bench.launch())).await;
        let took = begun.elapsed();
        let calls = bench.engine.calls().len();
        for one in ended {
            drop(one.ready());
        }
        println!(
            "{count:>9}  {:>9.1} ms  {:>8.1} MiB  {calls}",
            took.as_secs_f64() * 1000.0,
            status("VmHWM:")
        );
    });
}

/// The port of a server that accepts each connection.
async fn accepting() -> u16 {
    let (listener, port) = listener(Ipv4Addr::LOCALHOST).await;
    tokio::spawn(async move {
        while let Ok(accepted) = listener.accept().await {
            drop(accepted);
        }
    });
    port
}

fn one(count: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        // Compiles what later launches take from the cache.
        let _ = to_ready(1).await;
        let (ready, memory) = to_ready(count).await;
        let (share, waiting) = waiting(count).await;
        let (loading, components) = components(count);
        println!(
            "{count:>8}  {:>9.1} ms  {memory:>8.1} MiB  {share:>5.2} % of a core, {waiting:>5.1} MiB  {:.2} ms, {components:.1} MiB",
            ready.as_secs_f64() * 1000.0,
            loading.as_secs_f64() * 1000.0
        );
    });
}

/// How long loading that many takes, from the cache, and the memory that they then have.
fn components(count: usize) -> (Duration, f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let host = ProbeHost::new(Some(folder.path().join("cache")), Some(folder.path().join("state")));
    let file = ComponentFile::parse(built_in("tcp").expect("a probe")).expect("a component");
    let load = || host.load(&file, &["dial"]).expect("it loads");
    drop(load());
    let (before, begun) = (status("VmRSS:"), Instant::now());
    let loaded: Vec<LoadedProbe> = (0..count).map(|_| load()).collect();
    let took = begun.elapsed();
    let memory = status("VmRSS:") - before;
    drop(loaded);
    (took, memory)
}

async fn to_ready(count: usize) -> (Duration, f64) {
    let bench = Fixture::new();
    let port = accepting().await;
    for number in 0..count {
        bench.dialled(&format!("s{number}"), port, "probe = \"tcp\"");
    }
    let begun = Instant::now();
    let ended = bench.launch().await.ready();
    drop(ended);
    (begun.elapsed(), status("VmHWM:"))
}

async fn waiting(count: usize) -> (f64, f64) {
    let bench = Fixture::new();
    let closed = ClosedPort::new();
    let port = closed.number();
    for number in 0..count {
        bench.dialled(&format!("s{number}"), port, "probe = \"tcp\"\ntimeout = \"2m\"");
    }
    let observed = async {
        tokio::time::sleep(SETTLED).await;
        let before = processor_time();
        tokio::time::sleep(OBSERVED).await;
        (processor_time() - before) / OBSERVED.as_secs_f64() * 100.0
    };
    tokio::select! {
        share = observed => (share, status("VmRSS:")),
        ended = bench.launch() => panic!("nothing accepts, and yet: {:?}", ended.codes()),
    }
}

/// Of this process, in MiB.
fn status(field: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
}

/// Of this process, in seconds. The kernel tells it in hundredths, on all architectures.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, behind) = stat.rsplit_once(") ").expect("a name in brackets");
    // utime and stime, fields 14 and 15; the state, first behind the name, is field 3.
    behind.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>()
        / 100.0
}
