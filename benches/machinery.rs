//! What farrier does inside its own process: `cargo bench`. The engine's share is measured by `benches/compare`.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "what fails here has no user")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group};
use farrier::definition::LayerDirectories;
use farrier::definition::model::Limits;
use farrier::engine::dialler::Direct;
use farrier::probe::built_in::built_in;
use farrier::probe::component::ComponentFile;
use farrier::probe::context::{ProbeContext, Targets};
use farrier::probe::guest::{Context, Verdict};
use farrier::probe::host::{LoadedProbe, ProbeHost};

const PORT: u16 = 7000;
/// Set where this program is the server that is dialled.
const SERVER: &str = "FARRIER_MACHINERY_SERVER";

fn component(name: &str) -> ComponentFile {
    ComponentFile::parse(built_in(name).expect("a probe").to_vec()).expect("a component")
}

/// The same as somebody else would ship it: its memory does not come from the pool of farrier's own probes.
fn of_somebody_else(name: &str) -> ComponentFile {
    let mut bytes = built_in(name).expect("a probe").to_vec();
    // A custom section without content, named `x`.
    bytes.extend([0, 2, 1, b'x']);
    ComponentFile::parse(bytes).expect("a component")
}

fn context() -> Context {
    Context {
        sidecar: "db".to_owned(),
        host: "db".to_owned(),
        port: Some(PORT),
        attempt: 1,
        elapsed_ms: 0,
        remaining_ms: 1000,
        settings: "{}".to_owned(),
    }
}

fn probe_context(address: SocketAddr) -> ProbeContext {
    let targets = Targets(BTreeMap::from([(("db".to_owned(), PORT), Some(address))]));
    ProbeContext { targets, dialler: Some(Arc::new(Direct)), ..ProbeContext::default() }
}

fn loading(criterion: &mut Criterion) {
    let tcp = component("tcp");
    let mut group = criterion.benchmark_group("load tcp");
    group.bench_function("engine, compiled anew", |bencher| {
        bencher.iter(|| ProbeHost::new(None, None).load(&tcp, &["dial"]).expect("it loads"));
    });
    let folder = tempfile::tempdir().expect("a folder");
    let host = || ProbeHost::new(Some(folder.path().join("cache")), Some(folder.path().join("state")));
    group.bench_function("engine, from the cache", |bencher| {
        bencher.iter(|| host().load(&tcp, &["dial"]).expect("it loads"));
    });
    let started = host();
    for count in [1, 10, 1000] {
        group.bench_function(format!("from the cache, {count} times"), |bencher| {
            let load = || started.load(&tcp, &["dial"]).expect("it loads");
            bencher.iter(|| (0..count).map(|_| load()).collect::<Vec<LoadedProbe>>());
        });
    }
    group.bench_function("read the component", |bencher| bencher.iter(|| component("tcp")));
    group.finish();
}

fn polling(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (mut server, address) = server();
    let host = ProbeHost::new(None, None);
    let limits = Limits { poll: Duration::from_secs(10), ..Limits::default() };
    let mut group = criterion.benchmark_group("poll");
    for (whose, component) in
        [("farrier's own", component as fn(&str) -> _), ("somebody else's", of_somebody_else)]
    {
        let skip = host.load(&component("skip"), &[]).expect("it loads");
        let tcp = host.load(&component("tcp"), &["dial"]).expect("it loads");
        group.bench_function(format!("skip, {whose}: store, instance and call"), |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let polled = skip.poll(context(), ProbeContext::default(), limits).await;
                assert_eq!(polled.verdict, Verdict::Ready);
            });
        });
        group.bench_function(format!("tcp, {whose}: the same, and a dial"), |bencher| {
            bencher.to_async(&runtime).iter(|| async {
                let polled = tcp.poll(context(), probe_context(address), limits).await;
                assert_eq!(polled.verdict, Verdict::Ready);
            });
        });
    }
    group.bench_function("a bare dial", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            drop(tokio::net::TcpStream::connect(address).await.expect("it connects"));
        });
    });
    group.finish();
    server.kill().and_then(|()| server.wait()).expect("it ends");
}

/// What accepts, as a process of its own: each thread here that runs makes it dearer to give memory back.
fn server() -> (Child, SocketAddr) {
    let own = std::env::current_exe().expect("a path");
    let server = Command::new(own).env(SERVER, "1").stdout(Stdio::piped()).spawn();
    let mut server = server.expect("it starts");
    let mut line = String::new();
    let output = server.stdout.take().expect("a pipe");
    BufReader::new(output).read_line(&mut line).expect("it tells where it is");
    let address = line.trim().parse().expect("an address");
    (server, address)
}

fn serve() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    // It may not get its turn for as long as a hundred dials take, which is as many as usually may wait.
    rustix::net::listen(&listener, 4096).expect("room for more that wait");
    println!("{}", listener.local_addr().expect("an address"));
    listener.incoming().for_each(drop);
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read definitions");
    for count in [1, 10, 1000] {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..count {
            let text = "lifecycle = \"shared\"\nimage = \"postgres:16\"\nenv = { A = \"b\" }\n[interface]\nkind = \
                        \"port\"\nport = 5432\n[readiness]\nprobe = \"tcp\"\n";
            std::fs::write(folder.path().join(format!("s{number}.toml")), text).expect("a definition");
        }
        let user = Some(folder.path().to_owned());
        let layers = LayerDirectories { user, ..LayerDirectories::default() };
        group.bench_function(count.to_string(), |bencher| {
            bencher.iter(|| farrier::definition::load(black_box(&layers)));
        });
    }
    group.finish();
    let line = "docker run --rm -it -e A=b --name=x --network net -v /a:/b --init image:1 psql -h db";
    let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
    criterion.bench_function("read the harness's command", |bencher| {
        bencher.iter(|| farrier::harness::argv::parse(black_box(&command)).expect("a harness"));
    });
}

criterion_group!(benches, loading, polling, reading);

fn main() {
    if std::env::var_os(SERVER).is_some() {
        return serve();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
