//! The sandbox: what a hostile or broken component can do to its host, which is to be named as such.

#![expect(clippy::panic, reason = "where a helper fails, its test has failed")]

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task;
use std::time::{Duration, Instant};

use crate::support::guest::{self, component, guest};
use async_trait::async_trait;
use farrier::definition::model::Limits;
use farrier::engine::dialler::{ByteStream, DialError, Dialler};
use farrier::probe::built_in::built_in;
use farrier::probe::component::ComponentFile;
use farrier::probe::context::{ProbeContext, Targets};
use farrier::probe::guest::{Context, Verdict};
use farrier::probe::host::{LoadedProbe, Polled, ProbeHost};
use futures_util::poll as poll_once;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The limit of a poll that ends by itself: never reached, however busy the machine is.
const POLL: Duration = Duration::from_secs(60);
/// The limit of a poll that only its limit ends.
const SHORT: Duration = Duration::from_millis(300);
const MEMORY: u64 = 4 << 20;

fn limits() -> Limits {
    Limits { memory: MEMORY, poll: POLL }
}

fn context(attempt: u32) -> Context {
    Context {
        sidecar: "db".to_owned(),
        host: "db".to_owned(),
        port: Some(7000),
        attempt,
        elapsed_ms: 0,
        remaining_ms: 1000,
        settings: "{}".to_owned(),
    }
}

fn load(host: &ProbeHost, text: &str) -> LoadedProbe {
    let file = ComponentFile::parse(component(text)).unwrap_or_else(|error| panic!("{error}"));
    host.load(&file, &[]).unwrap_or_else(|error| panic!("{error:?}"))
}

fn host() -> ProbeHost {
    ProbeHost::new(None, None)
}

async fn poll(probe: &LoadedProbe, attempt: u32) -> Polled {
    probe.poll(context(attempt), ProbeContext::default(), limits()).await
}

/// Polls a probe that never answers.
async fn poll_endless(probe: &LoadedProbe) -> Verdict {
    probe.poll(context(1), ProbeContext::default(), Limits { poll: SHORT, ..limits() }).await.verdict
}

fn crashed(polled: &Polled) -> &str {
    match &polled.verdict {
        Verdict::Crashed(reason) => reason,
        other => panic!("{other:?} is not a crash"),
    }
}

#[tokio::test]
async fn each_way_to_misbehave_is_one_clear_error_and_the_next_poll_is_unharmed() {
    let host = host();
    let good = load(&host, &guest(guest::READY));
    let table = [
        ("trap", guest::TRAP, "it trapped"),
        ("memory bomb", guest::BOMB, "it needed more memory than its limit of 4 mib"),
        ("no verdict", guest::NO_VERDICT, "discriminant"),
        ("reason outside", guest::OUTSIDE, "out of bounds"),
        ("verdict outside", guest::FAR, "out of bounds"),
        ("no text", guest::NO_TEXT, "utf-8"),
        ("deep recursion", guest::DEEP, "stack"),
    ];
    for (name, body, expected) in table {
        let probe = load(&host, &guest(body));
        for attempt in 1..=2 {
            let polled = poll(&probe, attempt).await;
            let reason = crashed(&polled);
            assert!(reason.to_lowercase().contains(expected), "{name}: {reason}");
            assert!(reason.len() < 600 && !reason.contains('\n'), "{name}: {reason}");
        }
        assert_eq!(poll(&good, 1).await.verdict, Verdict::Ready, "after {name}");
    }
}

#[tokio::test]
async fn a_huge_answer_is_refused_before_the_host_copies_it() {
    let host = host();
    let probe = load(&host, &guest(guest::HUGE));
    let allowed = Limits { memory: 64 << 20, ..limits() };
    let polled = probe.poll(context(1), ProbeContext::default(), allowed).await;
    insta::assert_snapshot!(crashed(&polled), @"too much data went to or from the host in one call: more than 1 MiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_guest_that_never_answers_is_interrupted_and_others_run_meanwhile() {
    let host = host();
    let probe = load(&host, &guest(guest::SPIN));
    let begun = Instant::now();
    let spinning = tokio::spawn(async move { poll(&probe, 1).await });
    // The only worker is shared with the guest: it has to yield before this task gets a turn, and once more for each
    // of the next ones. The guest itself would spin for a minute.
    for _ in 0..5 {
        tokio::spawn(tokio::task::yield_now()).await.expect("no panic");
    }
    assert!(begun.elapsed() < POLL && !spinning.is_finished(), "the guest did not yield");
    spinning.abort();
    let probe = load(&host, &guest(guest::SPIN));
    let begun = Instant::now();
    assert_eq!(poll_endless(&probe).await, Verdict::TimedOut);
    assert!(begun.elapsed() >= SHORT);
}

/// Takes 600 MiB and never answers; says so where it does not get them.
const HALF: &str = "(if (i32.ne (memory.grow (i32.const 9600)) (i32.const -1)) (then (loop $for-ever (br $for-ever)))) \
                    (i32.store8 (i32.const 0) (i32.const 1)) (i32.store (i32.const 4) (i32.const 1024)) \
                    (i32.store (i32.const 8) (i32.const 23)) (i32.const 0)";

#[tokio::test]
async fn polls_of_one_launch_share_their_memory() {
    let host = host();
    let probe = load(&host, &guest(HALF));
    // Both begin before the time of either is up.
    let allowed = Limits { memory: 1 << 30, poll: Duration::from_secs(2) };
    let hold = || probe.poll(context(1), ProbeContext::default(), allowed);
    let (first, second) = tokio::join!(hold(), hold());
    assert_eq!(first.verdict, Verdict::TimedOut);
    let Verdict::Pending { reason, .. } = &second.verdict else { panic!("{:?}", second.verdict) };
    assert!(reason.contains("the probes of this launch hold 1024 MiB together"), "{reason}");
    assert_eq!(hold().await.verdict, Verdict::TimedOut, "what the first one held was given back");
}

#[tokio::test]
async fn a_poll_that_is_dropped_midway_leaves_the_probe_usable() {
    let host = host();
    let spinning = load(&host, &guest(guest::SPIN));
    let ready = load(&host, &guest(guest::READY));
    for milliseconds in [0, 1, 5, 12, 25] {
        let dropped = tokio::time::timeout(Duration::from_millis(milliseconds), poll(&spinning, 1)).await;
        assert!(dropped.is_err(), "{milliseconds} ms");
        assert_eq!(poll(&ready, 1).await.verdict, Verdict::Ready);
    }
    assert_eq!(poll_endless(&spinning).await, Verdict::TimedOut);
}

#[tokio::test]
async fn many_hostile_polls_at_once_do_not_disturb_a_good_one() {
    let host = host();
    let hostile = [guest::SPIN, guest::BOMB, guest::TRAP].map(|body| load(&host, &guest(body)));
    let good = load(&host, &guest(guest::READY));
    let polls = (0..30).map(|number| poll_endless(&hostile[number % 3]));
    let (verdicts, ready) = tokio::join!(futures_util::future::join_all(polls), poll(&good, 1));
    assert_eq!(ready.verdict, Verdict::Ready);
    assert!(verdicts.iter().all(|verdict| *verdict != Verdict::Ready));
}

#[tokio::test]
async fn memory_is_fresh_in_every_poll() {
    let host = host();
    let probe = load(&host, &guest(guest::FRESH));
    for attempt in 1..=5 {
        let expected_ready = attempt == 5;
        let verdict = poll(&probe, attempt).await.verdict;
        assert_eq!(verdict == Verdict::Ready, expected_ready, "{attempt}: {verdict:?}");
    }
}

#[tokio::test]
async fn all_memories_of_a_component_count_together() {
    let two = guest(guest::READY).replace(
        "(core instance $i ",
        "(core module $more (memory 40)) (core instance (instantiate $more)) (core instance $i ",
    );
    let host = host();
    let probe = load(&host, &two);
    assert_eq!(poll(&probe, 1).await.verdict, Verdict::Ready);
    let three = two.replace("(core instance $i ", "(core instance (instantiate $more)) (core instance $i ");
    let polled = poll(&load(&host, &three), 1).await;
    assert_eq!(crashed(&polled), "it needed more memory than its limit of 4 MiB");
}

#[test]
fn an_import_that_is_not_linked_does_not_load() {
    let text = guest::with_imports(guest::LOGS, guest::READY, "");
    let file = ComponentFile::parse(component(&text)).expect("a probe");
    assert!(host().load(&file, &["dial", "exec", "health"]).is_err());
}

#[test]
fn compiling_ends_when_its_time_is_up() {
    // Loops in each other around many locals: five kilobytes, and seconds to compile.
    let uses =
        (0..500).map(|local| format!("(local.set {local} (i32.add (local.get {local}) (i32.const 1)))"));
    let (loops, ends) = ("(loop ".repeat(50), "(br_if 0 (i32.const 0)))".repeat(50));
    let function =
        format!("(func (local {}) {loops} {} {ends})", "i32 ".repeat(500), uses.collect::<String>());
    let text = guest(guest::READY)
        .replace("(core module $code", &format!("(core module {function}) (core module $code"));
    let file = Arc::new(ComponentFile::parse(component(&text)).expect("a probe"));
    let host = Arc::new(host().compiling_within(Duration::from_millis(100)));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let loaded = runtime.block_on(async { host.load_in_time(&file, &[]).await });
    runtime.shutdown_background();
    let Err(reason) = loaded else { panic!("it was compiled") };
    assert_eq!(reason.to_string(), "compiling it took longer than 100ms");
}

/// Never comes to an end. Counts how often it began.
#[derive(Default)]
struct Endless(AtomicUsize);

#[async_trait]
impl Dialler for Endless {
    async fn connect(&self, _: SocketAddr, _: Duration) -> Result<Box<dyn ByteStream>, DialError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

#[tokio::test]
async fn our_own_probes_wait_for_room_and_one_that_is_given_up_makes_some() {
    let host = host().for_polls(1);
    let load = |name, granted| {
        let file = ComponentFile::parse(built_in(name).expect("a probe")).expect("a component");
        host.load(&file, granted).unwrap_or_else(|error| panic!("{error:?}"))
    };
    let (tcp, skip) = (load("tcp", &["dial"]), load("skip", &[]));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7000));
    let targets = Targets(BTreeMap::from([(("db".to_owned(), 7000), Some(address))]));
    let dialler = Arc::new(Endless::default());
    let probe_context =
        ProbeContext { targets, dialler: Some(Arc::clone(&dialler) as _), ..ProbeContext::default() };
    let limits = limits();
    for dials in 1..=3 {
        let mut endless = Box::pin(tcp.poll(context(1), probe_context.clone(), limits));
        // On a busy machine, the guest gives its turn away before it dials.
        while dialler.0.load(Ordering::Relaxed) < dials {
            assert!(poll_once!(&mut endless).is_pending());
            tokio::task::yield_now().await;
        }
        let mut waiting = Box::pin(skip.poll(context(1), ProbeContext::default(), limits));
        assert!(poll_once!(&mut waiting).is_pending(), "there is room for one");
        drop(endless);
        assert_eq!(probe_context.used.take().to_string(), "dialled db:7000 once", "a poll that is cut");
        assert_eq!(waiting.await.verdict, Verdict::Ready);
    }
}

/// Says the first text once and the second one for ever, whatever it is told.
#[derive(Clone, Copy)]
struct Chatty(&'static [u8], &'static [u8]);

#[async_trait]
impl Dialler for Chatty {
    async fn connect(&self, _: SocketAddr, _: Duration) -> Result<Box<dyn ByteStream>, DialError> {
        Ok(Box::new(Chat { said: 0, says: *self }))
    }
}

struct Chat {
    said: usize,
    says: Chatty,
}

impl AsyncRead for Chat {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        let Chatty(first, then) = self.says;
        while buffer.remaining() > 0 {
            let byte = match self.said.checked_sub(first.len()) {
                None => first[self.said],
                Some(after) => then[after % then.len()],
            };
            buffer.put_slice(&[byte]);
            self.said += 1;
        }
        task::Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Chat {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        task::Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_server_that_never_stops_talking_gets_a_verdict() {
    let host = host();
    let table: [(&str, &str, Chatty); 5] = [
        ("postgres", "{}", Chatty(b"R\0\0\0\x08\0\0\0\0", b"S\0\0\0\x08a\0b\0")),
        (
            "postgres",
            r#"{"query":"select 1"}"#,
            Chatty(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", b"N\0\0\0\x08a\0b\0"),
        ),
        ("redis", "{}", Chatty(b"", b"-LOADING")),
        ("http", "{}", Chatty(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
        ("mcp", "{}", Chatty(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", b": x\n\n")),
    ];
    for (name, settings, server) in table {
        let file = ComponentFile::parse(built_in(name).expect("a probe")).expect("a component");
        let probe = host.load(&file, &["dial", "tls"]).unwrap_or_else(|error| panic!("{error:?}"));
        let context = Context { settings: settings.to_owned(), port: Some(7000), ..context(1) };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7000));
        let targets = Targets(BTreeMap::from([((context.host.clone(), 7000), Some(address))]));
        let probe_context =
            ProbeContext { targets, dialler: Some(Arc::new(server)), ..ProbeContext::default() };
        let limits = Limits { poll: Duration::from_secs(2), memory: 64 << 20 };
        let verdict = probe.poll(context, probe_context, limits).await.verdict;
        assert!(matches!(verdict, Verdict::Pending { .. }), "{name} {settings}: {verdict:?}");
    }
}
