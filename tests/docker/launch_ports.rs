//! Published ports, and more ports than one.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use crate::support::{Scene, docker, fixture_image, free_port};

fn published(publish: &str, more: &str) -> String {
    format!(
        "lifecycle = \"shared\"\nimage = \"{}\"\ncommand = [\"serve\", \"--port\", \"7000\", \"--port\", \"7001\", \"--reply\", \"pong\"]\n\
         [interface]\nkind = \"port\"\nport = 7000\nports = {{ admin = 7001 }}\npublish = [{publish}]\n{more}\n",
        fixture_image()
    )
}

fn answer(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it is published");
    stream.write_all(b"ping\n").expect("written");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    line.trim().to_owned()
}

#[test]
fn a_port_is_published_for_this_host_alone_and_survives_a_second_launch() {
    let Some(scene) = Scene::with_docker() else { return };
    let port = free_port();
    scene.define("db", &published(&format!("\"{port}:7000\", \"7001\""), ""));
    scene.up().output().assert_code(0);
    assert_eq!(answer(port), "pong");
    let bindings = docker(["port", &scene.container("db")]);
    assert!(bindings.contains(&format!("7000/tcp -> 127.0.0.1:{port}")), "{bindings}");
    let free =
        bindings.lines().find_map(|line| line.strip_prefix("7001/tcp -> 127.0.0.1:")).expect("a free port");
    assert_eq!(answer(free.parse().expect("a port")), "pong");
    scene.take_decisions();
    scene.up().output().assert_code(0);
    assert_eq!(scene.take_decisions(), ["reuse: it is running and matches its definition"]);
    scene.define("db", &published(&format!("\"{port}:7001\""), ""));
    scene.up().output().assert_code(0);
    assert_eq!(scene.take_decisions(), ["recreate: interface.publish changed"]);
    assert_eq!(answer(port), "pong");
}

#[test]
fn ranges_and_udp_are_published_as_they_are_written() {
    let Some(scene) = Scene::with_docker() else { return };
    // Neither is another test's.
    let mut former = free_port();
    let next = std::iter::from_fn(|| Some(free_port()));
    let next = next.take(1000).find(|port| std::mem::replace(&mut former, *port) + 1 == *port);
    let next = next.expect("a pair");
    let pair = next - 1;
    let publish = format!("\"{pair}-{next}:7000-7001\", \"0:53/udp\"");
    scene.define("db", &published(&publish, ""));
    scene.up().output().assert_code(0);
    let bindings = docker(["port", &scene.container("db")]);
    for line in [format!("7000/tcp -> 127.0.0.1:{pair}"), format!("7001/tcp -> 127.0.0.1:{next}")] {
        assert!(bindings.contains(&line), "{line}: {bindings}");
    }
    let udp = bindings.lines().find_map(|line| line.strip_prefix("53/udp -> 127.0.0.1:"));
    assert!(udp.is_some_and(|port| port != "0"), "{bindings}");
    assert_eq!((answer(pair), answer(next)), ("pong".to_owned(), "pong".to_owned()));
}

#[test]
fn a_taken_port_says_by_whom_before_anything_is_made() {
    let Some(scene) = Scene::with_docker() else { return };
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    scene.define("db", &published(&format!("\"{port}:7000\""), ""));
    let refused = scene.up().output().assert_code(125);
    assert!(refused.stderr().contains("[port-taken]"), "{refused}");
    assert!(refused.stderr().contains(&format!("process {}", std::process::id())), "{refused}");
    drop(listener);
    let other = scene.name("other");
    scene.docker_run(["--name", &other, "-p", &format!("127.0.0.1:{port}:7000"), &fixture_image(), "wait"]);
    let refused = scene.up().output().assert_code(125);
    assert!(refused.stderr().contains("[port-taken]") && refused.stderr().contains(&other), "{refused}");
    assert!(!docker(["ps", "--all", "--format", "{{.Names}}"]).contains(&scene.container("db")));
    docker(["rm", "--force", &other]);
    scene.up().output().assert_code(0);
}

#[test]
fn two_sidecars_cannot_have_one_port() {
    let Some(scene) = Scene::with_docker() else { return };
    scene.define("one", &published("\"15432:7000\"", ""));
    scene.define("two", &published("\"0.0.0.0:15432:7000\"", ""));
    let refused = scene.farrier(["validate"]).output().assert_code(2);
    assert!(refused.to_string().contains("[conflicting-fields]"), "{refused}");
}

#[test]
fn each_port_has_a_variable() {
    let Some(scene) = Scene::with_docker() else { return };
    let network = scene.network("net");
    scene.define("db", &published("", ""));
    let outcome = scene.launch(scene.in_container(&network, &["env"])).output().assert_code(0);
    let variable = scene.variable("db");
    for line in [
        format!("SWARMFORGE_TONG_{variable}_PORT=7000"),
        format!("SWARMFORGE_TONG_{variable}_PORT_ADMIN=7001"),
    ] {
        assert!(outcome.stdout().lines().any(|found| found == line), "{line}: {outcome}");
    }
}
