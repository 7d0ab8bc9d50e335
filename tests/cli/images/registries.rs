//! Images that are pulled from registries: real ones on this host, and ones that answer what no real one would.

mod hostile;
mod setup;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use self::setup::{Pulls, Served};
use crate::engines::EmptyEngine;
use crate::support::http::{Reply, Server};
use crate::support::registry::{self, client_configuration};
use crate::support::skipping::say_skipped;
use crate::support::{Image, PATIENT, assert_output, wait_until};

#[test]
fn an_image_is_pulled_once_by_tag_or_digest_with_the_users_credentials() {
    let pulls = Pulls::new();
    let Some(registry) = registry::start(&pulls.images.programs.scene) else { return };
    let (layout, id) = pulls.layout("box", &Image::new());
    let (by_tag, by_digest) = registry.push(&layout, "team/box", "1");
    pulls.log_in(&client_configuration(&registry.address, true));
    pulls.serving("tagged", &by_tag, 7001);
    pulls.serving("pinned", &by_digest, 7002);
    let plan = pulls.farrier(["plan"]).output().assert_code(0).stdout();
    assert_eq!(plan.matches("its image will be pulled").count(), 2, "{plan}");
    assert!(plan.starts_with("engine native\n") || plan.contains("\nengine native\n"), "{plan}");
    let up = pulls.farrier(["up", "--events", "-"]).output().assert_code(0);
    for kind in ["pulling", "pull-progress", "pulled"] {
        assert!(up.stderr().contains(kind), "{kind}: {up}");
    }
    assert_eq!(pulls.images.sidecar("tagged")["image_id"], id.as_str());
    assert_eq!(pulls.images.sidecar("pinned")["image_id"], id.as_str());
    assert_eq!(pulls.ask("tagged"), "pong\n");
    // What is in the store needs no registry.
    drop(registry);
    pulls.farrier(["down", "--yes"]).output().assert_code(0);
    let plan = pulls.farrier(["plan"]).output().assert_code(0).stdout();
    assert!(!plan.contains("pulled"), "{plan}");
    assert_eq!(pulls.ask("pinned"), "pong\n");
    pulls.farrier(["down", "--yes"]).output().assert_code(0);
    let pruned = pulls.farrier(["engine", "prune"]).output().assert_code(0).stdout();
    assert_eq!(pruned, "removed 1 image and 1 layer\n");
    let up = pulls.farrier(["up"]).output().assert_code(125);
    assert!(up.stderr().contains("error[image-unavailable]"), "{up}");
}

#[test]
fn what_a_registry_does_not_give_is_explained() {
    let pulls = Pulls::new();
    let Some(registry) = registry::start(&pulls.images.programs.scene) else { return };
    let (layout, _) = pulls.layout("box", &Image::new());
    let (reference, _) = registry.push(&layout, "team/box", "1");
    pulls.serving("box", &reference, 7001);
    let fails = |code: &str, texts: &[&str]| {
        let up = pulls.farrier(["up"]).output().assert_code(125);
        let told = up.stderr();
        assert!(told.contains(&format!("error[{code}]")), "{up}");
        for text in texts {
            assert!(told.contains(text), "{text}: {up}");
        }
        assert!(told.contains("help: "), "{up}");
        assert_eq!(pulls.images.programs.all(), Vec::<serde_json::Value>::new());
    };
    fails("image-denied", &["requires a login", &format!("docker login {}", registry.address)]);
    pulls.log_in(&client_configuration(&registry.address, false));
    fails("image-denied", &["does not accept the login of `farrier`"]);
    pulls.log_in(&client_configuration(&registry.address, true));
    pulls.serving("box", &format!("{}/team/box:none", registry.address), 7001);
    fails("image-not-found", &["has no image", "Check the name and the tag"]);
    let absent = format!("{}/team/box@sha256:{}", registry.address, "0".repeat(64));
    pulls.serving("box", &absent, 7001);
    fails("image-not-found", &["has no image"]);
    drop(registry);
    fails("image-unavailable", &["does not answer", "Connection refused"]);
    pulls.serving("box", &"0".repeat(64), 7001);
    fails("image-not-found", &["the store has no image with this id"]);
}

/// An authority, and a certificate of it for this host's loopback address.
const AUTHORITY: &str = "\
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority 2>&1 &&
openssl req -newkey rsa:2048 -nodes -keyout host.key -out host.csr -subj /CN=127.0.0.1 2>&1 &&
printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > extensions &&
openssl x509 -req -in host.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out host.crt -days 2 -extfile extensions 2>&1";

#[test]
fn a_registry_with_tls_needs_an_authority_that_is_trusted() {
    let pulls = Pulls::new();
    let scene = &pulls.images.programs.scene;
    let Some(registry) = registry::start(scene) else { return };
    let made = Command::new("sh").args(["-c", AUTHORITY]).current_dir(scene.home()).output();
    if !made.as_ref().is_ok_and(|made| made.status.success()) {
        say_skipped(&format!("certificates need `openssl`: {made:?}"));
        return;
    }
    let (layout, _) = pulls.layout("box", &Image::new());
    let (reference, _) = registry.push(&layout, "box", "1");
    let certificate = |name: &str| scene.home().join(name);
    let registry = registry.with_tls(&certificate("host.crt"), &certificate("host.key"));
    pulls.log_in(&client_configuration(&registry.address, true));
    pulls.serving("box", &reference, 7001);
    let up = pulls.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    farrier: box-[TOKEN]: create, because it does not exist
      its image will be pulled
    farrier: box-[TOKEN]: pulling 127.0.0.1:[PORT]/box:1
    error[image-unavailable]: image `127.0.0.1:[PORT]/box:1` is unavailable: the registry at 127.0.0.1:[PORT] is not trusted: invalid peer certificate: UnknownIssuer
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:2:9
      |
    2 | image = '127.0.0.1:[PORT]/box:1'
      |         ^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: Put the certificate of the registry's authority into /etc/docker/certs.d/127.0.0.1:[PORT]/ca.crt, among the system's certificates, or into a file that SSL_CERT_FILE names.
    ");
    // As Docker names it, for one registry.
    let folder = scene.config_home().join("docker/certs.d").join(&registry.address);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::copy(certificate("ca.crt"), folder.join("ca.crt")).expect("copied");
    pulls.farrier(["up"]).output().assert_code(0);
    pulls.forget();
    std::fs::remove_dir_all(&folder).expect("removed");
    pulls.farrier(["up"]).env("SSL_CERT_FILE", certificate("ca.crt")).output().assert_code(0);
}

#[test]
fn a_token_is_fetched_where_the_registry_says_and_mirrors_come_first() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new());
    let served = Served::of(&layout);
    let mirror = Server::start(move |request| {
        let host = request.header("host");
        match (request.path(), request.header("authorization")) {
            (path, _) if path.starts_with("/token?") => Reply::ok(r#"{"token":"secret"}"#),
            (_, "Bearer secret") => served.answer(request),
            _ => Reply::status(401).header(
                "www-authenticate",
                &format!(
                    r#"Bearer realm="http://{host}/token",service="test",scope="repository:library/box:pull""#
                ),
            ),
        }
    });
    // No name of Docker's own registry can be had here.
    let daemon = format!(r#"{{"registry-mirrors":["http://{}"]}}"#, mirror.address);
    let folder = pulls.images.programs.scene.config_home().join("docker");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("daemon.json"), daemon).expect("written");
    pulls.serving("box", "box:1", 7001);
    pulls.farrier(["up"]).output().assert_code(0);
    assert_eq!(mirror.count("/token?service=test&scope=repository%3Alibrary%2Fbox%3Apull"), 1);
    assert_eq!(mirror.count("/v2/library/box/manifests/1"), 2, "once without a token");
}

#[test]
fn a_pull_that_was_killed_goes_on_where_it_was() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new());
    let served = Served::of(&layout);
    let (layer, half) = (served.layer(), served.blob(&served.layer()).len() / 2);
    let (path, is_first) = (format!("/blobs/{layer}"), std::sync::atomic::AtomicBool::new(true));
    let registry = Server::start(move |request| {
        let reply = served.answer(request);
        let is_layer = request.path().ends_with(&path);
        let is_first = is_layer && is_first.swap(false, std::sync::atomic::Ordering::SeqCst);
        if is_first { reply.cut(half).stalling() } else { reply }
    });
    pulls.serving("box", &format!("{}/box:1", registry.address), 7001);
    let running = pulls.farrier(["up"]).spawn();
    let part = pulls.images.store().join("images/downloads").join(layer.replace(':', "-"));
    let length = || std::fs::metadata(&part).map_or(0, |found| found.len());
    wait_until("half of the layer is there", PATIENT, || length() == half as u64);
    let process = i32::try_from(running.id()).ok().and_then(Pid::from_raw).expect("a process");
    kill_process(process, Signal::KILL).expect("killed");
    running.wait();
    pulls.farrier(["up"]).output().assert_code(0);
    let ranges: Vec<String> = registry
        .requests()
        .iter()
        .filter(|request| request.path().contains(&layer))
        .map(|request| request.header("range").to_owned())
        .collect();
    assert_eq!(ranges, [String::new(), format!("bytes={half}-")]);
    assert!(!part.exists());
}

#[test]
fn a_tag_that_moved_is_pulled_when_somebody_asks_for_it() {
    let pulls = Pulls::new();
    let (one, first) = pulls.layout("one", &Image::new());
    let (two, second) = pulls.layout("two", &Image::new().file("/new", "new", 0o644));
    let (one, two) = (Served::of(&one), Served::of(&two));
    let moved = Arc::new(AtomicBool::new(false));
    let has_moved = Arc::clone(&moved);
    let registry = Server::start(move |request| {
        if has_moved.load(Ordering::SeqCst) { two.answer(request) } else { one.answer(request) }
    });
    let image = format!("{}/box:1", registry.address);
    pulls.serving("box", &image, 7001);
    let pull = || pulls.farrier(["engine", "pull", &image]).output().assert_code(0).stdout();
    assert_eq!(pull(), format!("{image} was pulled: {first}\n"));
    assert_eq!(pull(), format!("{image} is up to date: {first}\n"));
    pulls.farrier(["up"]).output().assert_code(0);
    let before = pulls.images.sidecar("box")["id"].clone();
    moved.store(true, Ordering::SeqCst);
    pulls.farrier(["up"]).output().assert_code(0);
    assert_eq!(pulls.images.sidecar("box")["id"], before, "what runs is left alone");
    assert_eq!(pull(), format!("{image} names another image now: {second}\n"));
    pulls.farrier(["up"]).output().assert_code(0);
    assert_eq!(pulls.images.sidecar("box")["image_id"], second.as_str());
    // Nobody listens there.
    let failed = pulls.farrier(["engine", "pull", "127.0.0.1:1/box:1"]).output().assert_code(125);
    assert_output!(failed, @"
    exit code 125
    --- stdout
    --- stderr
    error[image-unavailable]: image `127.0.0.1:1/box:1` is unavailable: the registry at 127.0.0.1:1 does not answer: Connection refused (os error 111)
     |
     = help: Check that 127.0.0.1:1 can be reached from this host; HTTPS_PROXY names a proxy.
     = help: Run the command again: farrier continues the pull where it stopped.
    ");
}

#[test]
fn a_connection_that_breaks_is_made_again() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new());
    let served = Served::of(&layout);
    let (layer, piece) = (served.layer(), served.blob(&served.layer()).len() / 3 + 1);
    let path = format!("/blobs/{layer}");
    let registry = Server::start(move |request| {
        let reply = served.answer(request);
        // A third of the layer at most, each time.
        if request.path().ends_with(&path) { reply.cut(piece) } else { reply }
    });
    pulls.serving("box", &format!("{}/box:1", registry.address), 7001);
    pulls.farrier(["up"]).output().assert_code(0);
    assert_eq!(registry.count(&layer), 3);
}

#[test]
fn what_an_earlier_pull_left_damaged_is_pulled_again() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new());
    let served = Served::of(&layout);
    let layer = served.layer();
    let registry = Server::start(move |request| served.answer(request));
    pulls.serving("box", &format!("{}/box:1", registry.address), 7001);
    let folder = pulls.images.store().join("images/downloads");
    std::fs::create_dir_all(&folder).expect("a folder");
    for folder in [&pulls.images.store(), &pulls.images.store().join("images"), &folder] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).expect("a mode");
    }
    std::fs::write(folder.join(layer.replace(':', "-")), "damaged").expect("written");
    pulls.farrier(["up"]).output().assert_code(0);
    assert_eq!(registry.count(&layer), 2);
}

#[test]
fn launches_that_pull_one_image_at_once_download_it_once() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new());
    let served = Served::of(&layout);
    let layer = served.layer();
    let registry = Server::start(move |request| served.answer(request));
    let stems = ["one", "two", "three", "four"];
    for (stem, port) in stems.iter().zip(7001..) {
        pulls.serving(stem, &format!("{}/box:1", registry.address), port);
    }
    let names: Vec<String> = stems.iter().map(|stem| pulls.images.programs.scene.name(stem)).collect();
    // Two launches, each with two sidecars of the image.
    let running: Vec<_> = names.chunks(2).map(|names| pulls.farrier(["up"]).args(names).spawn()).collect();
    for running in running {
        running.wait().assert_code(0);
    }
    assert_eq!(registry.count(&layer), 1);
    for stem in stems {
        assert_eq!(pulls.images.sidecar(stem)["state"], "running");
    }
}

#[test]
fn removing_unused_images_beside_a_pull_takes_nothing_from_it() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new());
    let served = Served::of(&layout);
    let (layer, half) = (served.layer(), served.blob(&served.layer()).len() / 2);
    let path = format!("/blobs/{layer}");
    let (go_on, waiting) = std::sync::mpsc::channel::<()>();
    let waiting = std::sync::Mutex::new(waiting);
    let registry = Server::start(move |request| {
        let reply = served.answer(request);
        if request.path().ends_with(&path) {
            if request.header("range").is_empty() {
                return reply.cut(half);
            }
            let _ = waiting.lock().expect("one at a time").recv();
        }
        reply
    });
    pulls.serving("box", &format!("{}/box:1", registry.address), 7001);
    let running = pulls.farrier(["up"]).spawn();
    wait_until("the rest is asked for", PATIENT, || registry.count(&layer) == 2);
    let pruned = pulls.farrier(["engine", "prune"]).output().assert_code(0).stdout();
    assert_eq!(pruned, "removed nothing\n");
    go_on.send(()).expect("it waits");
    running.wait().assert_code(0);
    assert_eq!(registry.count(&layer), 2);
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half_done() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new().file("/large", vec![1; 4 << 20], 0o644));
    let served = Served::of(&layout);
    let registry = Server::start(move |request| served.answer(request));
    pulls.serving("box", &format!("{}/box:1", registry.address), 7001);
    // Room for less than the layer, and for the layer but not for its content.
    for (mebibytes, text) in [(3, "MiB are free"), (8, "No space left")] {
        let Some(run) = pulls.on_small_disk(mebibytes) else { return };
        let up = run.output().assert_code(125);
        assert!(up.stderr().contains("error[disk-full]"), "{up}");
        assert!(up.stderr().contains(text) && up.stderr().contains("farrier engine prune"), "{up}");
        assert!(up.stdout().contains("unfinished: 0\n"), "{up}");
    }
}

#[test]
fn without_docker_images_run_on_this_host_and_the_plan_says_why() {
    let pulls = Pulls::new();
    let (layout, _) = pulls.layout("box", &Image::new());
    let served = Served::of(&layout);
    let registry = Server::start(move |request| served.answer(request));
    pulls.serving("box", &format!("{}/box:1", registry.address), 7001);
    let Some(run) = pulls.without_docker(&["plan"]) else { return };
    let plan = run.output().assert_code(0).stdout();
    let reason = "engine native, because Docker does not answer at unix:///var/run/docker.sock\n";
    assert!(plan.contains(reason), "{plan}");
    // Docker's own command means Docker, and an address that somebody named means that.
    let docker = ["plan", "--", "docker", "run", "image"];
    let plan = pulls.without_docker(&docker).expect("as before").output().assert_code(125);
    assert_output!(plan, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-unreachable]: cannot use the engine at unix:///var/run/docker.sock (docker's default): No such file or directory (os error 2)
     |
     = help: Check that the engine runs, for example with `docker info`.
    ");
    let named = pulls.without_docker(&["plan"]).expect("as before").env("DOCKER_HOST", "unix:///nowhere");
    let plan = named.output().assert_code(125);
    assert_output!(plan, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-unreachable]: cannot use the engine at unix:///nowhere (DOCKER_HOST): No such file or directory (os error 2)
     |
     = help: Check that the engine runs, for example with `docker info`.
    ");
    // A Podman is used before this host, and the plan says that, too.
    let podman = EmptyEngine::podman(&pulls.images.programs.scene);
    let found = pulls.without_docker(&["plan"]).expect("as before").env("CONTAINER_HOST", &podman.address);
    let plan = found.output().assert_code(0).stdout();
    let line = format!(
        "engine docker: Podman at {} (CONTAINER_HOST, because Docker does not accept connections at \
         unix:///var/run/docker.sock)\n",
        podman.address
    );
    assert!(plan.contains(&line), "{plan}");
    // What Docker could do is told with what this engine cannot.
    pulls.images.programs.plain("box", &format!("image = '{}/box:1'\nprivileged = true", registry.address));
    let plan = pulls.without_docker(&["plan"]).expect("as before").output().assert_code(125);
    assert_output!(plan, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-lacks]: the engine `native` does not support `privileged`
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:3:14
      |
    3 | privileged = true
      |              ^^^^
      |
      = help: Remove the setting if the sidecar can run without it.
      = help: Docker does not answer at unix:///var/run/docker.sock, which would otherwise run the image.
    ");
}

#[test]
fn a_harness_in_a_container_that_outlives_farrier_does_not_reach_what_this_host_runs() {
    let pulls = Pulls::new();
    pulls.serving("box", "localhost:1/box:1", 7001);
    let launch =
        pulls.farrier(["launch", "--", "docker", "run", "--detach", "image"]).output().assert_code(125);
    assert_output!(launch, @"
    exit code 125
    --- stdout
    --- stderr
    error[harness-no-route]: the harness runs in a container, and cannot reach `box-[TOKEN]` on this host: farrier forwards connections only to a harness in the foreground
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:2:9
      |
    2 | image = 'localhost:1/box:1'
      |         ^^^^^^^^^^^^^^^^^^^
      |
      = help: Run the harness on this host, or give it `--network host`.
      = help: Or use `--engine auto`, so that the harness's engine runs the image.
    ");
}
