//! Guests of ordinary languages: what their standard libraries reach through WASI, which is what was granted.
//!
//! The guest is `tests/guests/standard`, in Rust; its settings say what it tries, its answer what came of it.

#![expect(clippy::panic, reason = "where a helper fails, its test has failed")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::support::guest::built;
use async_trait::async_trait;
use farrier::definition::model::Limits;
use farrier::engine::dialler::{ByteStream, DialError, Dialler, Direct, Sockets};
use farrier::probe::component::ComponentFile;
use farrier::probe::context::{ProbeContext, Targets};
use farrier::probe::guest::{Context, Verdict};
use farrier::probe::host::{LoadedProbe, Polled, ProbeHost};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const LIMITS: Limits = Limits { memory: 64 << 20, poll: Duration::from_secs(60) };

fn bytes() -> Vec<u8> {
    built("standard")
}

/// Compiled once for all tests of this file.
fn guest() -> &'static LoadedProbe {
    static GUEST: OnceLock<LoadedProbe> = OnceLock::new();
    GUEST.get_or_init(|| load(bytes()))
}

fn load(bytes: Vec<u8>) -> LoadedProbe {
    static HOST: OnceLock<ProbeHost> = OnceLock::new();
    let host = HOST.get_or_init(|| ProbeHost::new(None, None));
    let file = ComponentFile::parse(bytes).unwrap_or_else(|error| panic!("{error}"));
    host.load(&file, &[]).unwrap_or_else(|error| panic!("{error:?}"))
}

async fn poll_with(
    probe: &LoadedProbe,
    attempt: Value,
    probe_context: ProbeContext,
    limits: Limits,
) -> Polled {
    let context = Context {
        sidecar: "db".to_owned(),
        host: "db".to_owned(),
        port: probe_context.targets.0.keys().next().map(|(_, port)| *port),
        attempt: 1,
        elapsed_ms: 0,
        remaining_ms: 1000,
        settings: attempt.to_string(),
    };
    probe.poll(context, probe_context, limits).await
}

async fn poll(attempt: Value, probe_context: &ProbeContext) -> Polled {
    poll_with(guest(), attempt, probe_context.clone(), LIMITS).await
}

fn pending(polled: &Polled) -> &str {
    match &polled.verdict {
        Verdict::Pending { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// Whether it was kept from what it tried: by farrier, which then says so, or by the standard library before that.
fn is_denied(polled: &Polled) -> bool {
    match &polled.verdict {
        Verdict::Failed(reason) => reason.contains(" is not granted"),
        Verdict::Pending { reason, .. } => reason.starts_with("error: "),
        _ => false,
    }
}

/// Answers everything with itself.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 64];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..count]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

fn granting(places: &[(&str, SocketAddr)]) -> ProbeContext {
    let places = places.iter().map(|(name, place)| (((*name).to_owned(), place.port()), Some(*place)));
    ProbeContext { targets: Targets(places.collect::<BTreeMap<_, _>>()), ..ProbeContext::default() }
}

#[tokio::test]
async fn sockets_of_the_standard_library_reach_granted_sidecars_by_name() {
    let (own, other) = (echo().await, echo().await);
    let probe_context = granting(&[("db", own), ("cache", other)]);
    let of =
        |name: &str, place: SocketAddr| json!({"try": "echo", "with": format!("{name}:{}", place.port())});
    let mine = ProbeContext { targets: granting(&[("db", own)]).targets, ..ProbeContext::default() };
    assert_eq!(poll(json!({"try": "echo-own"}), &mine).await.verdict, Verdict::Ready);
    assert_eq!(poll(of("db", own), &probe_context).await.verdict, Verdict::Ready);
    let polled = poll(of("cache", other), &probe_context).await;
    assert_eq!(polled.verdict, Verdict::Ready);
    let used = probe_context.used.take().to_string();
    assert_eq!(used, format!("dialled db:{} once, cache:{} once", own.port(), other.port()));
    assert_eq!(
        poll(of("127.0.0.1", own), &probe_context).await.verdict,
        Verdict::Ready,
        "the address itself"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_refused_and_not_ready() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let polled = poll(json!({"try": "echo-own"}), &granting(&[("db", address)])).await;
    assert!(pending(&polled).starts_with("error: Connection refused"), "{polled:?}");
}

#[tokio::test]
async fn no_other_name_or_address_is_reached() {
    let (granted, forbidden) = (echo().await, echo().await);
    let probe_context = granting(&[("db", granted)]);
    for name in ["localhost", "db.", "DB", "cache", "example.com", "0", "127.1", "0x7f.1", "::1%lo", ""] {
        let polled = poll(json!({"try": "resolve", "with": name}), &probe_context).await;
        assert!(is_denied(&polled), "{name}: {polled:?}");
    }
    let port = forbidden.port();
    for address in [
        format!("127.0.0.1:{port}"),
        format!("127.0.0.2:{}", granted.port()),
        format!("0.0.0.0:{port}"),
        format!("[::1]:{port}"),
        format!("[::]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("[::127.0.0.1]:{port}"),
        format!("[fe80::1]:{port}"),
        "169.254.169.254:80".to_owned(),
        "255.255.255.255:80".to_owned(),
        "224.0.0.1:80".to_owned(),
        "127.0.0.1:0".to_owned(),
    ] {
        let polled = poll(json!({"try": "connect", "with": address}), &probe_context).await;
        assert!(is_denied(&polled), "{address}: {polled:?}");
    }
    let polled = poll(json!({"try": "connect", "with": format!("127.0.0.1:{port}")}), &probe_context).await;
    assert_eq!(polled.trace, [format!("denied: a socket to 127.0.0.1:{port}, which is not granted")]);
}

#[tokio::test]
async fn nothing_listens_and_no_datagram_leaves() {
    let granted = echo().await;
    let probe_context = granting(&[("db", granted)]);
    for attempt in [
        json!({"try": "listen", "with": "127.0.0.1:0"}),
        json!({"try": "listen", "with": "0.0.0.0:0"}),
        json!({"try": "listen", "with": "[::]:0"}),
        json!({"try": "udp", "with": granted}),
        json!({"try": "udp", "with": "127.0.0.1:53"}),
    ] {
        let polled = poll(attempt.clone(), &probe_context).await;
        assert!(is_denied(&polled), "{attempt}: {polled:?}");
    }
}

#[tokio::test]
async fn what_sockets_are_denied_ends_the_wait_with_what_is_missing() {
    let granted = echo().await;
    let none = ProbeContext::default();
    let cache = "looking up cache is not granted: if cache is a sidecar of this launch, add `\"cache:PORT\"` to \
                 `grants.dial` under [readiness]";
    let never = "is not granted, and cannot be";
    for (attempt, probe_context, words) in [
        (json!({"try": "echo", "with": "cache:6379"}), granting(&[("db", granted)]), cache),
        (json!({"try": "resolve", "with": "a b"}), none.clone(), never),
        (json!({"try": "echo", "with": "db:7000"}), none.clone(), "add `\"self:PORT\"` to `grants.dial`"),
        (json!({"try": "listen", "with": "127.0.0.1:0"}), none.clone(), never),
        (json!({"try": "listen", "with": "0.0.0.0:0"}), none.clone(), never),
        (json!({"try": "udp", "with": granted}), granting(&[("db", granted)]), never),
    ] {
        let polled = poll(attempt.clone(), &probe_context).await;
        let Verdict::Failed(reason) = &polled.verdict else { panic!("{attempt}: {polled:?}") };
        assert!(reason.contains(words), "{attempt}: {reason}");
    }
    // A granted sidecar that has no address yet is waited for.
    let later = Targets([(("cache".to_owned(), 6379), None)].into());
    let polled =
        poll(json!({"try": "echo", "with": "cache:6379"}), &ProbeContext { targets: later, ..none }).await;
    assert!(pending(&polled).starts_with("error: "), "{polled:?}");
}

#[tokio::test]
async fn without_a_route_and_a_relay_sockets_are_refused_with_that_reason() {
    let granted = echo().await;
    let probe_context = ProbeContext { sockets: Sockets::Relayed, ..granting(&[("db", granted)]) };
    for attempt in [json!({"try": "echo-own"}), json!({"try": "connect", "with": granted})] {
        let polled = poll(attempt.clone(), &probe_context).await;
        let Verdict::Failed(reason) = &polled.verdict else { panic!("{attempt}: {polled:?}") };
        assert!(reason.contains("no route") && reason.contains("does not dial"), "{reason}");
    }
}

/// Reaches an address in another way than this host would.
struct Relay(SocketAddr);

#[async_trait]
impl Dialler for Relay {
    async fn connect(&self, _: SocketAddr, timeout: Duration) -> Result<Box<dyn ByteStream>, DialError> {
        Direct.connect(self.0, timeout).await
    }
}

#[tokio::test]
async fn where_dials_are_relayed_so_are_sockets_and_nothing_else_is_reached() {
    let (server, forbidden) = (echo().await, echo().await);
    // An address to which this host has no route.
    let distant = SocketAddr::from(([203, 0, 113, 7], 7000));
    let relay = |to| -> Option<Arc<dyn Dialler>> { Some(Arc::new(Relay(to))) };
    let context =
        ProbeContext { sockets: Sockets::Relayed, dialler: relay(server), ..granting(&[("db", distant)]) };
    assert_eq!(poll(json!({"try": "echo-own"}), &context).await.verdict, Verdict::Ready);
    assert_eq!(context.used.take().to_string(), "dialled db:7000 once");
    for address in [server, forbidden, SocketAddr::from(([203, 0, 113, 8], 7000))] {
        let polled = poll(json!({"try": "connect", "with": address}), &context).await;
        assert!(is_denied(&polled), "{address}: {polled:?}");
    }
    // A port that is closed there is refused, and not open because farrier listens here.
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
    let context = ProbeContext { dialler: relay(closed), ..context };
    let polled = poll(json!({"try": "echo-own"}), &context).await;
    assert!(pending(&polled).starts_with("error: Connection refused"), "{polled:?}");
}

#[tokio::test]
async fn without_a_grant_the_base_is_inert() {
    let probe_context = ProbeContext::default();
    for (attempt, answer) in [
        (json!({"try": "variables"}), "variables:"),
        (json!({"try": "arguments"}), "arguments: []"),
        (json!({"try": "input"}), "input: \"\""),
        (json!({"try": "folder"}), "/"),
        (json!({"try": "list-folder", "with": "/"}), "error: "),
        (json!({"try": "read-file", "with": "/etc/passwd"}), "error: "),
        (json!({"try": "read-file", "with": "Cargo.toml"}), "error: "),
        (json!({"try": "read-file", "with": "/proc/self/environ"}), "error: "),
        (json!({"try": "write-file", "with": "/tmp/x"}), "error: "),
        (json!({"try": "thread"}), "error: "),
        (json!({"try": "process"}), "error: "),
    ] {
        let polled = poll(attempt.clone(), &probe_context).await;
        assert!(pending(&polled).starts_with(answer), "{attempt}: {polled:?}");
    }
    for attempt in
        [json!({"try": "connect", "with": "127.0.0.1:22"}), json!({"try": "resolve", "with": "localhost"})]
    {
        let polled = poll(attempt.clone(), &probe_context).await;
        assert!(is_denied(&polled), "{attempt}: {polled:?}");
    }
}

#[tokio::test]
async fn granted_variables_are_the_whole_environment() {
    let environment = vec![("PGUSER".to_owned(), "postgres".to_owned())];
    let probe_context = ProbeContext { environment, ..ProbeContext::default() };
    let polled = poll(json!({"try": "variables"}), &probe_context).await;
    assert_eq!(pending(&polled), "variables: PGUSER=postgres");
    assert_eq!(probe_context.used.take().to_string(), "read the variables PGUSER");
}

#[tokio::test]
async fn clocks_and_random_numbers_are_real() {
    let probe_context = ProbeContext::default();
    let told: u64 = pending(&poll(json!({"try": "time"}), &probe_context).await).parse().expect("a number");
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(now.abs_diff(told) <= 5, "{told} is not {now}");
    let one = poll(json!({"try": "random"}), &probe_context).await;
    let other = poll(json!({"try": "random"}), &probe_context).await;
    assert_ne!(pending(&one), pending(&other));
}

#[tokio::test]
async fn a_guest_that_gives_up_is_quoted() {
    let probe_context = ProbeContext::default();
    for (attempt, words) in [
        (json!({"try": "panic"}), "on purpose"),
        (json!({"try": "exit", "with": 0}), "it exited with code 0"),
        (json!({"try": "exit", "with": 3}), "it exited with code 1"),
        (json!({"try": "abort"}), "it trapped"),
    ] {
        let polled = poll(attempt.clone(), &probe_context).await;
        let Verdict::Crashed(reason) = &polled.verdict else { panic!("{attempt}: {polled:?}") };
        assert!(reason.contains(words), "{attempt}: {reason}");
    }
}

#[tokio::test]
async fn what_a_guest_prints_is_kept_up_to_a_limit_and_never_fails_it() {
    let probe_context = ProbeContext::default();
    let polled = poll(json!({"try": "print", "with": 2}), &probe_context).await;
    assert_eq!(polled.trace, ["stdout: line 0", "stdout: line 1", "stderr: line 0", "stderr: line 1"]);
    let polled = poll(json!({"try": "print", "with": 5_000}), &probe_context).await;
    assert_eq!(pending(&polled), "printed");
    assert_eq!(polled.trace.len(), 100);
}

#[tokio::test]
async fn neither_sleeping_nor_watching_the_clock_outlasts_the_limit() {
    let limits = Limits { poll: Duration::from_millis(200), ..LIMITS };
    for attempt in [json!({"try": "sleep", "with": 60_000}), json!({"try": "clock"})] {
        let polled = poll_with(guest(), attempt.clone(), ProbeContext::default(), limits).await;
        assert_eq!(polled.verdict, Verdict::TimedOut, "{attempt}");
    }
}

#[tokio::test]
async fn ten_thousand_connections_are_not_had() {
    let granted = echo().await;
    let polled = poll(json!({"try": "connections", "with": granted}), &granting(&[("db", granted)])).await;
    match &polled.verdict {
        Verdict::Pending { reason, .. } => assert!(reason.starts_with("error: "), "{reason}"),
        Verdict::Crashed(reason) => assert!(reason.contains("table"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(poll(json!({"try": "echo-own"}), &granting(&[("db", granted)])).await.verdict, Verdict::Ready);
}

/// The same component with other patch versions of WASI in its imports, as other compilers write them.
fn with_version(version: &str) -> Vec<u8> {
    let text = wasmprinter::print_bytes(bytes()).unwrap_or_else(|error| panic!("{error}"));
    let mut other = String::new();
    for line in text.lines() {
        // Only what the component itself imports: names within it are between its own modules.
        if line.starts_with("  (import \"wasi:") {
            let (name, rest) = line.split_once('@').unwrap_or_else(|| panic!("{line}"));
            let (_, rest) = rest.split_once('"').unwrap_or_else(|| panic!("{line}"));
            other.push_str(&format!("{name}@{version}\"{rest}\n"));
        } else {
            other.push_str(line);
            other.push('\n');
        }
    }
    wat::parse_str(other).unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test]
async fn every_version_of_wasi_0_2_gets_our_resolver_and_no_other() {
    let granted = echo().await;
    let probe_context = granting(&[("db", granted)]);
    for version in ["0.2.0", "0.2.3", "0.2.6", "0.2.9", "0.2.12", "0.2.13"] {
        let probe = load(with_version(version));
        let ask = |attempt: Value| poll_with(&probe, attempt, probe_context.clone(), LIMITS);
        assert_eq!(ask(json!({"try": "echo-own"})).await.verdict, Verdict::Ready, "{version}");
        let polled = ask(json!({"try": "resolve", "with": "localhost"})).await;
        assert!(is_denied(&polled), "{version}: {polled:?}");
    }
}
