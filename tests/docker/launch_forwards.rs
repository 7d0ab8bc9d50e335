//! A harness on this host without a route: the ports that farrier forwards for it, with as many connections as servers have.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::engine::fixture_image;
use crate::support::launching::server;
use crate::support::{PATIENT, Scene, Signal, wait_until};

const CONNECTIONS: usize = 2000;
/// As most machines have it: fewer than there are connections.
const OPEN_FILES: &str = "1024";

/// Lets this process have all these connections.
fn raise_open_files() {
    let now = getrlimit(Resource::Nofile);
    let limit = Rlimit { current: now.maximum, maximum: now.maximum };
    setrlimit(Resource::Nofile, limit).expect("a limit that it may have");
}

#[test]
fn thousands_of_connections_are_open_at_once_and_half_closed() {
    let Some(scene) = Scene::with_docker() else { return };
    // An echo.
    scene.define("db", &server(&fixture_image(), "command = [\"serve\", \"--port\", \"7000\"]\n"));
    let (told, variable) = (scene.path("told"), scene.variable("db"));
    let harness = format!(
        "echo $(ulimit -Sn) $SWARMFORGE_TONG_{variable}_HOST:$SWARMFORGE_TONG_{variable}_PORT >'{0}.part' && \
         mv '{0}.part' '{0}' && exec sleep 1000",
        told.display()
    );
    let script = format!("ulimit -Sn {OPEN_FILES}; exec \"$@\"");
    let launch = scene.launch_with(["--dial", "relay"], ["/bin/bash", "-c", &harness]);
    let running = launch.started_by(["/bin/bash", "-c", &script, "bash"]).spawn();
    wait_until("the harness runs", PATIENT, || told.exists());
    let told = std::fs::read_to_string(&told).expect("what the harness has");
    let (limit, address) = told.trim().split_once(' ').expect("two words");
    assert_eq!(limit, OPEN_FILES, "the harness keeps its limit");
    raise_open_files();
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS)
        .map(|number| {
            let mut stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("{number}: {error}"));
            writeln!(stream, "number {number}").expect("it takes a line");
            stream.shutdown(Shutdown::Write).expect("one direction ends");
            stream
        })
        .collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{number}: {error}"));
        assert_eq!(answer, format!("number {number}\n"));
    }
    running.signal(Signal::TERM);
    running.wait();
}
