//! The probes `http` and `log` on a real nginx: each tells an open port from a server that is ready.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use crate::support::servers::nginx_image;
use crate::support::{Events, Outcome, PATIENT, Scene, docker, wait_until};

fn define(scene: &Scene, image: &str, readiness: &str) {
    scene.define(
        "web",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\n[interface]\nkind = \"port\"\nport = 8080\n\
             [readiness]\n{readiness}\n"
        ),
    );
}

fn up(scene: &Scene, image: &str, readiness: &str, code: i32) -> (Outcome, Events) {
    define(scene, image, readiness);
    let path = scene.path("events.jsonl");
    let _ = std::fs::remove_file(&path);
    let outcome = scene.farrier(["up", "--events"]).arg(&path).output();
    (outcome.assert_code(code), Events::read(&path))
}

/// The same conditions before the server is ready, with what is told of them, and after.
const CONDITIONS: [(&str, &str); 5] = [
    ("path = \"/health\"", "HTTP 503"),
    ("path = \"/health\", method = \"HEAD\", status = [204]", "HTTP 503"),
    ("path = \"/status\", json = [{ pointer = \"/state\", equals = \"ok\" }]", "starting"),
    ("path = \"/status\", json = [{ pointer = \"/checks/0/up\", equals = true }]", "false"),
    ("path = \"/status\", body = \"\\\"up\\\": true\"", "body"),
];

#[test]
fn an_open_port_is_told_from_an_answer_that_is_as_it_should_be() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = nginx_image() else { return };
    up(&scene, &image, "probe = \"tcp\"\ntimeout = \"60s\"", 0);
    for (settings, told) in CONDITIONS {
        let readiness = format!("probe = \"http\"\nsettings = {{ {settings} }}\ntimeout = \"1s\"");
        let (outcome, events) = up(&scene, &image, &readiness, 125);
        let answers = events.answers();
        assert!(answers.iter().any(|answer| answer.contains(told)), "{settings}: {answers:?}\n{outcome}");
        // The answer says it all.
        assert!(events.one("not-ready")["cause"].is_null(), "{outcome}");
    }
    docker(["exec", &scene.container("web"), "mkdir", "/tmp/ready"]);
    for (settings, _) in CONDITIONS {
        let readiness = format!("probe = \"http\"\nsettings = {{ {settings} }}\ntimeout = \"60s\"");
        up(&scene, &image, &readiness, 0);
    }
    // A redirect is an answer, and is not followed.
    up(&scene, &image, "probe = \"http\"\nsettings = { path = \"/moved\" }\ntimeout = \"60s\"", 0);
    let wanted = "probe = \"http\"\nsettings = { path = \"/moved\", status = [\"2xx\"] }\ntimeout = \"1s\"";
    let (_, events) = up(&scene, &image, wanted, 125);
    assert!(events.answers().iter().any(|answer| answer.contains("HTTP 301")), "{:?}", events.answers());
}

#[test]
fn a_port_for_tls_is_told_from_a_bad_request() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = nginx_image() else { return };
    let pem = include_str!("../../servers/tls.pem");
    let configuration = "events {} http { access_log off; client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; \
                         fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi; \
                         server { listen 8080 ssl; ssl_certificate /tmp/pem; ssl_certificate_key /tmp/pem; } }";
    let script = "echo \"$PEM\" >/tmp/pem; echo \"$CONF\" >/tmp/conf; \
                  exec nginx -c /tmp/conf -g 'daemon off; pid /tmp/pid; error_log stderr;'";
    scene.define(
        "web",
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = [\"sh\", \"-c\", {script:?}]\n\
             env = {{ PEM = {pem:?}, CONF = {configuration:?} }}\n[interface]\nkind = \"port\"\nport = 8080\n\
             [readiness]\nprobe = \"http\"\ntimeout = \"60s\"\n"
        ),
    );
    let path = scene.path("events.jsonl");
    let outcome = scene.farrier(["up", "--events"]).arg(&path).output().assert_code(125);
    let told = Events::read(&path).one("not-ready").clone();
    assert_eq!(told["cause"]["name"], "speaks-tls", "{outcome}");
}

#[test]
fn a_wait_ends_when_the_answer_changes() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = nginx_image() else { return };
    define(&scene, &image, "probe = \"http\"\nsettings = { path = \"/health\" }\ntimeout = \"60s\"");
    let path = scene.path("events.jsonl");
    let running = scene.farrier(["up", "--events"]).arg(&path).spawn();
    wait_until("it answered not yet", PATIENT, || {
        let events = Events::read(&path);
        events
            .of("answered")
            .iter()
            .any(|told| told["answer"].as_str().is_some_and(|text| text.contains("503")))
    });
    docker(["exec", &scene.container("web"), "mkdir", "/tmp/ready"]);
    running.wait().assert_code(0);
}

#[test]
fn a_line_of_the_log_is_waited_for_since_this_start() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = crate::support::fixture_image();
    let define = |arguments: &str, readiness: &str| {
        scene.define(
            "web",
            &format!(
                "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = {arguments}\n[interface]\nkind = \"port\"\n\
                 port = 7000\n[readiness]\nprobe = \"log\"\n{readiness}\n"
            ),
        );
    };
    let up = |code: i32| {
        scene.take_events();
        scene.up().output().assert_code(code);
        scene.told()
    };
    let with = |arguments: &str, readiness: &str, code: i32| {
        define(arguments, readiness);
        up(code)
    };
    let serve = "[\"serve\", \"--port\", \"7000\", \"--when\", \"/tmp/open\", \"--log\", \"warming up\"]";
    define(serve, "settings = { pattern = \"^accepting .*:7000\" }\ntimeout = \"60s\"");
    let running = scene.up().spawn();
    wait_until("its last line is told", PATIENT, || {
        scene.told().answered().iter().any(|answer| answer.contains("last: warming up"))
    });
    docker(["exec", &scene.container("web"), "/fixture", "touch", "/tmp/open"]);
    running.wait().assert_code(0);
    let events = with(serve, "settings = { text = \"database system is ready\" }\ntimeout = \"1s\"", 125);
    assert!(events.answers().iter().any(|answer| answer.contains("no line of ")), "{:?}", events.answers());
    with(serve, "settings = { pattern = \"(\" }", 2);
    // What an earlier start wrote is not this start's.
    let container = scene.container("web");
    docker(["exec", &container, "/fixture", "touch", "/tmp/marker"]);
    docker(["restart", "--time", "0", &container]);
    let events = with(serve, "settings = { text = \"warming up\", count = 2 }\ntimeout = \"2s\"", 125);
    assert!(events.answers().iter().any(|answer| answer.contains("1 of 2")), "{:?}", events.answers());
}

#[test]
fn a_line_of_the_log_counts_however_much_follows_it() {
    let Some(scene) = Scene::with_docker() else { return };
    let Some(image) = nginx_image() else { return };
    let script = "echo READY; i=0; while [ $i -lt 100000 ]; do echo noise; i=$((i+1)); done; echo DONE; exec sleep 1000";
    let define = |text: &str| {
        scene.define(
            "web",
            &format!(
                "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = [\"sh\", \"-c\", \"{script}\"]\n[interface]\n\
                 kind = \"none\"\n[readiness]\nprobe = \"log\"\nsettings = {{ text = \"{text}\" }}\ntimeout = \"60s\"\n"
            ),
        );
    };
    // The line before the noise, while that is written; the one behind it; and both in a log that stands, without what
    // earlier launches have kept.
    for (text, cache) in [("READY", "first"), ("DONE", "first"), ("READY", "second"), ("DONE", "third")] {
        define(text);
        scene.farrier(["up"]).env("XDG_CACHE_HOME", scene.path(cache)).output().assert_code(0);
    }
}
