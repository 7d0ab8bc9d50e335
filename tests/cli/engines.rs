//! Which engine farrier uses, and why: an empty one at a socket, which answers as Docker or as Podman does.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::Value;

use crate::support::Scene;

/// An engine that has nothing, for as long as the test runs.
pub struct EmptyEngine {
    /// Where it listens.
    pub address: String,
}

impl EmptyEngine {
    pub fn podman(scene: &Scene) -> Self {
        Self::start(scene, "podman.sock", "Libpod-Api-Version: 4.3.1\r\n")
    }

    fn docker(scene: &Scene) -> Self {
        Self::start(scene, "docker.sock", "")
    }

    fn start(scene: &Scene, socket: &str, header: &'static str) -> Self {
        let socket = scene.path(socket);
        let listener = UnixListener::bind(&socket).expect("a socket");
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                std::thread::spawn(move || serve(&client, header));
            }
        });
        Self { address: format!("unix://{}", socket.display()) }
    }
}

/// Answers requests, none of which has a body, until the client leaves.
fn serve(mut client: &UnixStream, header: &str) -> Option<()> {
    let mut lines = BufReader::new(client).lines().map_while(Result::ok);
    loop {
        let first = lines.next()?;
        lines.find(String::is_empty)?;
        let (status, body) = answer(first.split_whitespace().nth(1)?);
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{header}\r\n",
            body.len()
        );
        client.write_all(format!("{head}{body}").as_bytes()).ok()?;
    }
}

fn answer(path: &str) -> (u16, &'static str) {
    match path.split('?').next().unwrap_or_default() {
        "/info" => (
            200,
            r#"{"ID":"a","Name":"host","ServerVersion":"4.3.1","Architecture":"amd64","DockerRootDir":"/d","SecurityOptions":["name=rootless"]}"#,
        ),
        path if path.ends_with("/containers/json") || path == "/networks" => (200, "[]"),
        _ => (404, r#"{"message":"no such object"}"#),
    }
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.define("db", &definition(""));
    scene
}

fn definition(keys: &str) -> String {
    format!(
        "lifecycle = \"shared\"\nimage = \"x:1\"\n{keys}[interface]\nkind = \"port\"\nport = 1\n[readiness]\nprobe = \
         \"tcp\"\n"
    )
}

#[test]
fn a_plan_names_an_engine_that_is_not_the_usual_one_and_who_named_it() {
    let scene = scene();
    let (docker, podman) = (EmptyEngine::docker(&scene), EmptyEngine::podman(&scene));
    for (engine, product) in [(&docker, "Docker"), (&podman, "Podman")] {
        let plan = scene.farrier(["plan"]).env("DOCKER_HOST", &engine.address).output().assert_code(0);
        let line = format!("engine docker: {product} at {} (DOCKER_HOST)", engine.address);
        assert_eq!(plan.stdout().lines().filter(|told| *told == line).count(), 1, "{plan}");
    }
    // It is never run.
    let client = scene.path("docker").display().to_string();
    std::os::unix::fs::symlink("/bin/true", &client).expect("a link");
    let harness: [&str; 5] = [&client, "-H", &docker.address, "run", "image"];
    let plan = scene.farrier(["plan", "--"]).args(harness).env("DOCKER_HOST", &podman.address).output();
    let line = format!("engine docker: Docker at {} (the harness's -H)\n", docker.address);
    assert!(plan.assert_code(0).stdout().contains(&line));
}

/// A rootless Docker on a host of another name, and a Podman that names no socket.
#[test]
fn an_engine_whose_socket_is_not_known_is_refused_to_who_wants_it_before_anything_is_made() {
    let scene = scene();
    let engines = [EmptyEngine::docker(&scene), EmptyEngine::podman(&scene)];
    for engine in &engines {
        let plan = || scene.farrier(["plan"]).env("DOCKER_HOST", &engine.address).output();
        scene.define("db", &definition(""));
        plan().assert_code(0);
        scene.define("db", &definition("mounts = [\"docker-socket:ro\"]\n"));
        let refused = plan().assert_code(125);
        let told = refused.stderr();
        assert!(told.contains("error[engine-lacks]: `docker-socket` mounts the socket"), "{refused}");
        assert!(told.contains(".toml:3:1\n"), "{refused}");
    }
}

#[test]
fn scripts_get_the_product_and_the_place_of_each_engine_of_a_plan() {
    let scene = scene();
    let podman = EmptyEngine::podman(&scene);
    let plan = scene.farrier(["plan", "--format", "json"]).env("DOCKER_HOST", &podman.address).output();
    let plan: Value = serde_json::from_str(&plan.assert_code(0).stdout()).expect("JSON");
    let engine = &plan["engines"][0];
    assert_eq!((&engine["engine"], &engine["product"]), (&"docker".into(), &"Podman".into()), "{plan:#}");
    assert_eq!(engine["place"], format!("{} (DOCKER_HOST)", podman.address), "{plan:#}");
}

#[test]
fn podman_goes_by_its_own_name_in_what_doctor_and_the_list_of_engines_say() {
    let scene = scene();
    let podman = EmptyEngine::podman(&scene);
    let told = |words: &[&str]| scene.farrier(words).env("DOCKER_HOST", &podman.address).output().stdout();
    let place = format!("{} (DOCKER_HOST)", podman.address);
    let doctor = told(&["doctor"]);
    assert!(doctor.contains(&format!("Podman 4.3.1 on amd64 answers at {place}\n")), "{doctor}");
    let list = told(&["engine", "list"]);
    assert!(list.contains(&format!("docker  Podman 4.3.1 at {place}\n")), "{list}");
}
