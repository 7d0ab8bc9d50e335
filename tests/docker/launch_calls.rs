//! How often a launch asks a real engine, counted on the wire.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::support::{Scene, fixture_image};

/// A busy machine may take so long for a first answer that events are read after all; not each time.
const TRIES: usize = 10;

/// A socket in front of the engine's that notes the first line of each request.
struct Counter {
    socket: PathBuf,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Counter {
    fn open(scene: &Scene) -> Self {
        let socket = scene.path("engine.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let requests = Arc::default();
        let noted = Arc::clone(&requests);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                std::thread::spawn(move || relay(&client, &noted));
            }
        });
        Self { socket, requests }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().expect("requests"))
    }
}

fn engine() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock").into()
}

/// The requests of these launches have no bodies, so that each begins with its method.
fn relay(client: &UnixStream, noted: &Mutex<Vec<String>>) {
    let engine = UnixStream::connect(engine()).expect("the engine");
    let (mut answers, mut back) =
        (engine.try_clone().expect("a clone"), client.try_clone().expect("a clone"));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(std::net::Shutdown::Both);
    });
    let (mut client, mut engine) = (client, &engine);
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let first = text.lines().filter(|line| line.ends_with("HTTP/1.1"));
        noted
            .lock()
            .expect("requests")
            .extend(first.map(|line| line.trim_end_matches(" HTTP/1.1").to_owned()));
        if engine.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = engine.shutdown(std::net::Shutdown::Both);
}

#[test]
fn what_runs_already_costs_three_requests_and_one_for_each() {
    let Some(scene) = Scene::with_docker() else { return };
    if std::env::var("DOCKER_HOST").is_ok_and(|host| !host.starts_with("unix://")) {
        return;
    }
    let counter = Counter::open(&scene);
    let network = scene.network("net");
    let definition = |readiness: &str| {
        format!(
            "lifecycle = \"shared\"\nimage = \"{}\"\ncommand = [\"serve\", \"--port\", \"7000\"]\n[interface]\nkind = \
             \"port\"\nport = 7000\n[readiness]\nprobe = \"{readiness}\"\n",
            fixture_image()
        )
    };
    let names = ["a", "b", "c"];
    for (name, readiness) in names.into_iter().zip(["tcp", "skip", "tcp"]) {
        scene.define(name, &definition(readiness));
    }
    let launch = || {
        // The harness is `docker` by its name only: it names the network, and talks to nobody. As it is detached, the
        // sidecars stay on its network.
        let harness = ["docker", "run", "--detach", "--network", &network, "image"];
        let run = scene.farrier(["launch", "--"]).args(harness);
        run.env("DOCKER_HOST", format!("unix://{}", counter.socket.display()))
            .env("PATH", scene.path("bin"))
            .output()
    };
    std::fs::create_dir_all(scene.path("bin")).expect("a folder");
    std::os::unix::fs::symlink("/bin/true", scene.path("bin/docker")).expect("a link");
    // Somebody else on the network is looked at once.
    scene.docker_run(["--network", &network, &fixture_image(), "serve", "--port", "7000"]);
    launch().assert_code(0);
    counter.take();
    let requests = (0..TRIES).map(|_| {
        launch().assert_code(0);
        counter.take()
    });
    let requests = requests.min_by_key(Vec::len).expect("launches");
    // While the harness runs, one stream of events tells of sidecars that end.
    let (events, asked): (Vec<_>, Vec<_>) = requests.iter().partition(|line| line.contains("/events?"));
    assert_eq!(asked.len(), 3 + names.len(), "{requests:#?}");
    assert!(events.len() <= 1, "{requests:#?}");
}
