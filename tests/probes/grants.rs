//! What a definition grants its probe, on a real engine: other sidecars, folders, variables; and what is refused
//! before an engine is asked for anything.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::guest::{self, built, component, guest};
use crate::support::{Events, Layer, Outcome, Run, Scene, Signal, fixture_image, wait_until};

/// A sidecar with a port, whose probe is the guest of the standard library with these lines of readiness.
fn define(scene: &Scene, stem: &str, command: &str, readiness: &str) {
    let image = fixture_image();
    scene.define_in(Layer::User, "standard.wasm", built("standard"));
    scene.define(
        stem,
        &format!(
            "lifecycle = \"shared\"\nimage = \"{image}\"\ncommand = {command}\n\
             env = {{ PGUSER = \"postgres\", SECRET = \"x\" }}\n[interface]\nkind = \"port\"\nport = 7000\n\
             [readiness]\nprobe = \"./standard.wasm\"\n{readiness}\n"
        ),
    );
}

const SERVE: &str = "[\"serve\", \"--port\", \"7000\"]";
const REFUSED: &str = "error: Connection refused";

fn up(scene: &Scene, options: &[&str]) -> (Outcome, Events) {
    let path = scene.path("events.jsonl");
    // Each launch appends to it.
    let _ = std::fs::remove_file(&path);
    let outcome = scene.farrier(["up", "--events"]).arg(&path).args(options).output();
    (outcome, Events::read(&path))
}

#[test]
fn sockets_of_the_standard_library_prove_a_server_ready() {
    let Some(scene) = Scene::with_docker() else { return };
    let readiness = "settings = { try = \"echo-own\" }\ngrants = { dial = [\"self\"] }\ntimeout = \"60s\"";
    define(&scene, "db", "[\"wait\"]", readiness);
    let (outcome, answers) = scene.up_listening_after([""; 0], "db", REFUSED);
    outcome.assert_code(0);
    assert_eq!(answers.last().map(String::as_str), Some("ready"), "{answers:?}");
}

#[test]
fn sockets_go_through_a_relay_and_prove_a_server_ready_there() {
    let Some(scene) = Scene::with_docker() else { return };
    let readiness = "settings = { try = \"echo-own\" }\ngrants = { dial = [\"self\"] }\ntimeout = \"60s\"";
    define(&scene, "db", "[\"wait\"]", readiness);
    let (outcome, answers) = scene.up_listening_after(["--dial", "relay"], "db", REFUSED);
    outcome.assert_code(0);
    let (last, before) = answers.split_last().expect("an answer");
    assert!(before.iter().all(|answer| answer.starts_with(REFUSED)), "{answers:?}");
    assert_eq!(last, "ready");
    let events = scene.told();
    let used = events.one("used");
    let polls = answers.len() as u64;
    assert!(
        used["probes"][0]["dialled"][0]["count"].as_u64().is_some_and(|count| count >= polls),
        "{used:#}"
    );
}

#[test]
fn sockets_lead_nowhere_where_nothing_is_dialled() {
    let Some(scene) = Scene::with_docker() else { return };
    let readiness = "settings = { try = \"echo-own\" }\ngrants = { dial = [\"self\"] }\ntimeout = \"60s\"";
    define(&scene, "db", SERVE, readiness);
    let (outcome, events) = up(&scene, &["--dial", "none"]);
    outcome.assert_code(125);
    let told = events.one("not-ready");
    assert_eq!(told["code"], "probe-failed", "{told:#}");
    assert!(told["message"].as_str().is_some_and(|text| text.contains("does not dial them")), "{told:#}");
}

#[test]
fn a_probe_reaches_another_sidecar_by_its_name_where_that_is_granted() {
    let Some(scene) = Scene::with_docker() else { return };
    let cache = scene.name("cache");
    define(&scene, "cache", SERVE, "settings = { try = \"echo-own\" }\ngrants = { dial = [\"self\"] }");
    let asks = format!("settings = {{ try = \"echo\", with = \"{cache}:7000\" }}\ntimeout = \"60s\"");
    define(&scene, "db", "[\"wait\"]", &format!("{asks}\ngrants = {{ dial = [\"{cache}:7000\"] }}"));
    up(&scene, &[]).0.assert_code(0);

    define(&scene, "db", "[\"wait\"]", &format!("{asks}\ngrants = {{ dial = [\"self\"] }}"));
    let (outcome, events) = up(&scene, &[]);
    outcome.assert_code(125);
    let told = events.one("not-ready");
    assert_eq!(told["code"], "probe-failed", "{told:#}");
    assert!(
        told["message"].as_str().is_some_and(|text| text.contains(&format!("`\"{cache}:PORT\"`"))),
        "{told:#}"
    );
}

#[test]
fn granted_folders_and_variables_are_what_a_probe_sees_and_all_it_sees() {
    let Some(scene) = Scene::with_docker() else { return };
    let certificates = scene.layer(Layer::User).join("certs/inner");
    std::fs::create_dir_all(&certificates).expect("folders");
    std::fs::write(certificates.join("ca.pem"), "a certificate").expect("file");
    let grants = "grants = { dirs = [{ host = \"certs\", guest = \"/certs\" }], env = [\"PGUSER\"] }";
    for (attempt, answer) in [
        ("try = \"read-file\", with = \"/certs/inner/ca.pem\"", "a certificate"),
        ("try = \"list-folder\", with = \"/certs\"", "inner"),
        ("try = \"variables\"", "variables: PGUSER=postgres"),
        ("try = \"write-file\", with = \"/certs/new\"", "error: "),
        ("try = \"write-file\", with = \"/certs/inner/ca.pem\"", "error: "),
        ("try = \"remove-file\", with = \"/certs/inner/ca.pem\"", "error: "),
        ("try = \"link\", with = [\"/certs/inner/ca.pem\", \"/certs/other\"]", "error: "),
        ("try = \"read-file\", with = \"/certs/../standard.wasm\"", "error: "),
        ("try = \"read-file\", with = \"/etc/hostname\"", "error: "),
    ] {
        define(&scene, "db", SERVE, &format!("settings = {{ {attempt} }}\n{grants}\ntimeout = \"1s\""));
        let (outcome, events) = up(&scene, &[]);
        outcome.assert_code(125);
        let answers = events.answers();
        assert!(answers.iter().any(|told| told.starts_with(answer)), "{attempt}: {answers:?}");
    }
    let left = std::fs::read_to_string(certificates.join("ca.pem")).expect("file");
    assert_eq!(left, "a certificate");
}

/// What `validate` says of a definition whose probe is granted the folder `certs`.
fn folder_refused(prepare: impl FnOnce(&Path)) -> String {
    let scene = Scene::new();
    let folder = scene.layer(Layer::User).join("certs");
    std::fs::create_dir_all(&folder).expect("folder");
    prepare(&folder);
    scene.define_in(Layer::User, "mine.wasm", component(&guest(guest::READY)));
    scene.define(
        "db",
        "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"./mine.wasm\"\n\
         grants.dirs = [{ host = \"certs\", guest = \"/certs\" }]\n",
    );
    let outcome = scene.farrier(["validate", "--format", "json"]).output().assert_code(2);
    let told: serde_json::Value = serde_json::from_str(&outcome.stdout()).expect("JSON");
    let problems = told["problems"].as_array().expect("problems");
    let found = problems.iter().find(|problem| problem["code"] == "grant-unreadable");
    found.unwrap_or_else(|| panic!("{told:#}"))["message"].as_str().expect("text").to_owned()
}

#[test]
fn a_granted_folder_holds_regular_files_only_and_never_hangs_a_launch() {
    let pipe = |path: &Path| {
        rustix::fs::mkfifoat(rustix::fs::CWD, path.join("pipe"), rustix::fs::Mode::RUSR).expect("pipe");
    };
    let large = |path: &Path| {
        std::fs::File::create(path.join("large")).and_then(|file| file.set_len(17 << 20)).expect("file");
    };
    let deep = |path: &Path| std::fs::create_dir_all(path.join("a/".repeat(40))).expect("folders");
    let away = |target: &'static str| {
        move |path: &Path| {
            std::fs::remove_dir(path).expect("empty");
            symlink(target, path).expect("link");
        }
    };
    type Row = (&'static str, Box<dyn FnOnce(&Path)>, &'static str);
    let table: Vec<Row> = vec![
        (
            "a link out",
            Box::new(|path| symlink("/etc/passwd", path.join("x")).expect("link")),
            "regular file",
        ),
        ("a link within", Box::new(|path| symlink(".", path.join("x")).expect("link")), "regular file"),
        ("a pipe", Box::new(pipe), "regular file"),
        ("too large", Box::new(large), "16 MiB"),
        ("too deep", Box::new(deep), "16 MiB"),
        ("absent", Box::new(|path| std::fs::remove_dir(path).expect("empty")), "cannot be read"),
        ("leads away", Box::new(away("/etc")), "cannot be read"),
        ("leads up", Box::new(away("../..")), "cannot be read"),
    ];
    for (name, prepare, words) in table {
        let message = folder_refused(prepare);
        assert!(message.contains(words), "{name}: {message}");
    }
}

/// Modes of everything below a folder.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let mode = std::fs::symlink_metadata(&path).map(|found| found.mode() & 0o777).unwrap_or_default();
        found.push((path.strip_prefix(folder).unwrap_or(&path).display().to_string(), mode));
        found.extend(modes(&path));
    }
    found
}

#[test]
fn copies_of_granted_folders_are_this_users_alone_and_go_with_a_killed_launch() {
    let Some(scene) = Scene::with_docker().map(Scene::isolated) else { return };
    let certificates = scene.layer(Layer::User).join("certs/inner");
    std::fs::create_dir_all(&certificates).expect("folders");
    let secret = certificates.join("key.pem");
    std::fs::write(&secret, "a key").expect("file");
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("a mode");
    let readiness = |timeout: &str| {
        format!(
            "settings = {{ try = \"read-file\", with = \"/certs/inner/key.pem\" }}\ntimeout = \"{timeout}\"\n\
             grants = {{ dirs = [{{ host = \"certs\", guest = \"/certs\" }}] }}"
        )
    };
    define(&scene, "db", SERVE, &readiness("60s"));
    let copies = scene.cache_home().join("farrier/granted-folders");
    let script = "umask 000; exec \"$0\" up";
    let killed = Run::program(&scene, "/bin/sh").args(["-c", script, env!("CARGO_BIN_EXE_farrier")]).spawn();
    wait_until("the copy is written", Duration::from_mins(10), || {
        modes(&copies).iter().any(|(name, _)| name.ends_with("key.pem"))
    });
    for (name, mode) in modes(&copies) {
        assert_eq!(mode, if name.ends_with("key.pem") { 0o600 } else { 0o700 }, "{name}");
    }
    let leftovers = || std::fs::read_dir(&copies).expect("the folder").flatten().map(|entry| entry.path());
    let left: Vec<PathBuf> = leftovers().collect();
    killed.signal(Signal::KILL);
    killed.wait();
    assert_eq!(leftovers().collect::<Vec<_>>(), left, "nobody could remove it");
    define(&scene, "db", SERVE, &readiness("1s"));
    up(&scene, &[]).0.assert_code(125);
    assert_eq!(leftovers().count(), 0);
}
