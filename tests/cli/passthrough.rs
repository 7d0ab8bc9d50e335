//! Without a sidecar the harness is executed as it stands: nothing added, nothing looked at, nothing said.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use crate::support::{Layer, Outcome, Run, Scene, fixture_program, wait_until};

/// An engine that is not there.
const NOWHERE: &str = "unix:///nonexistent/docker.sock";

fn launch<A: AsRef<OsStr>>(scene: &Scene, harness: impl IntoIterator<Item = A>) -> Run {
    scene.farrier(["launch", "--"]).args(harness).env("DOCKER_HOST", NOWHERE)
}

fn silent(outcome: Outcome, code: i32) -> String {
    let outcome = outcome.assert_code(code);
    assert_eq!(outcome.stderr(), "", "{outcome}");
    outcome.stdout()
}

#[test]
fn the_command_is_executed_byte_for_byte() {
    let scene = Scene::new();
    let words: Vec<OsString> = [
        &b"args"[..],
        b"",
        b" ",
        b"a b",
        b"line\nbreak",
        b"\xff\xfe",
        b"\\",
        b"'\"",
        b"$HOME",
        b"--",
        b"-v",
        b"*",
        b"\x1b[31m",
        b"",
    ]
    .iter()
    .map(|word| OsString::from_vec(word.to_vec()))
    .collect();
    let command: Vec<OsString> =
        std::iter::once(fixture_program().into_os_string()).chain(words.clone()).collect();
    let expected: String = words[1..].iter().map(|word| format!("{word:?}\n")).collect();
    assert_eq!(silent(launch(&scene, command).output(), 0), expected);
}

#[test]
fn it_is_the_same_process_with_the_same_environment_and_input() {
    let scene = Scene::new();
    let shown = launch(&scene, ["sh", "-c", "echo $$; cat; env | grep -c '^FARRIER_NO_PROMPT=true$'"])
        .env("FARRIER_NO_PROMPT", "true")
        .open_stdin()
        .spawn();
    let id = shown.id();
    shown.wait_for_stdout(&format!("{id}\n"));
    let mut shown = shown;
    shown.type_text("typed\n");
    shown.close_stdin();
    assert_eq!(silent(shown.wait(), 0), format!("{id}\ntyped\n1\n"));
}

#[test]
fn exit_codes_and_signals_are_the_command_s_own() {
    let scene = Scene::new();
    let program = fixture_program().into_os_string();
    for code in [0, 1, 2, 125, 126, 127, 128, 130, 255] {
        let harness = [program.clone(), "exit".into(), code.to_string().into()];
        silent(launch(&scene, harness).output(), code);
    }
    let aborted = launch(&scene, [program, "abort".into()]).output();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&aborted.status), Some(6), "{aborted}");
    launch(&scene, ["no-such-command-anywhere"]).output().assert_code(127);
    launch(&scene, ["/etc/passwd"]).output().assert_code(126);
    launch(&scene, ["/"]).output().assert_code(126);
}

#[test]
fn layers_that_are_absent_or_empty_or_only_disable_are_no_sidecar() {
    let scene = Scene::new();
    let arguments = ["true"];
    silent(launch(&scene, arguments).output(), 0);
    for layer in [Layer::User, Layer::Org, Layer::Repo, Layer::Workspace] {
        scene.layer(layer);
    }
    let options =
        |run: Run| run.env("FARRIER_ORG_DIR", scene.path("org")).env("FARRIER_REPO_DIR", scene.path("repo"));
    silent(options(launch(&scene, arguments)).output(), 0);
    let definition = "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"port\"\nport = 1\n";
    scene.define_in(Layer::User, "db.toml", definition);
    scene.define_in(Layer::Repo, "db.toml", "disable = true\n");
    scene.define_in(Layer::Org, "notes.txt", "not a definition");
    silent(options(launch(&scene, arguments)).output(), 0);
}

#[test]
fn what_farrier_would_refuse_with_sidecars_is_executed_without() {
    let scene = Scene::new();
    // A docker that only shows its arguments.
    let folder = scene.path("bin");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::os::unix::fs::symlink(fixture_program(), folder.join("args")).expect("a link");
    for name in ["docker", "podman", "sudo"] {
        let script = format!("#!/bin/sh\nexec {} args \"$@\"\n", fixture_program().display());
        std::fs::write(folder.join(name), script).expect("a script");
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        std::fs::set_permissions(folder.join(name), mode).expect("executable");
    }
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    for (harness, shown) in [
        (
            &["docker", "run", "--network", "none", "x"] as &[&str],
            "\"run\"\n\"--network\"\n\"none\"\n\"x\"\n",
        ),
        (&["docker", "run"], "\"run\"\n"),
        (&["docker", "compose", "run", "x"], "\"compose\"\n\"run\"\n\"x\"\n"),
        (&["podman", "run", "x"], "\"run\"\n\"x\"\n"),
        (&["sudo", "docker", "run", "x"], "\"docker\"\n\"run\"\n\"x\"\n"),
    ] {
        assert_eq!(silent(launch(&scene, harness).env("PATH", &path).output(), 0), shown);
    }
}

#[test]
fn neither_engine_nor_probe_nor_cache_is_touched() {
    let scene = Scene::new().isolated();
    let trace = scene.path("trace");
    let farrier = env!("CARGO_BIN_EXE_farrier");
    let traced = Run::program(&scene, "strace")
        .args(["-f", "-e", "trace=%network,%file,clone,clone3,fork,vfork,execve", "-o"])
        .arg(&trace)
        .args([farrier, "launch", "--", "true"]);
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        crate::support::engine::skip(&crate::support::docker::Trouble::new(
            "there is no strace",
            "Install it (Debian: `apt-get install strace`).",
        ));
        return;
    }
    silent(traced.output(), 0);
    wait_until("the trace is whole", std::time::Duration::from_mins(10), || {
        std::fs::read_to_string(&trace).is_ok_and(|text| text.contains("+++ exited with 0 +++"))
    });
    let text = std::fs::read_to_string(&trace).expect("a trace");
    let calls: Vec<&str> =
        text.lines().filter_map(|line| line.split_once(' ')).map(|(_, call)| call.trim()).collect();
    let ours = calls.iter().rposition(|call| call.starts_with("execve(")).expect("the command is executed");
    assert!(calls[ours].contains("\"true\""), "{}", calls[ours]);
    for forbidden in ["socket(", "connect(", "clone", "fork", "components", ".wasm", "@lock", "docker"] {
        // The first call is the start of farrier itself.
        let found: Vec<_> = calls[1..ours].iter().filter(|call| call.contains(forbidden)).collect();
        assert!(found.is_empty(), "{forbidden}: {found:?}");
    }
    assert!(std::fs::read_dir(scene.cache_home()).expect("the cache's folder").next().is_none());
    assert!(std::fs::read_dir(scene.state_home()).expect("the state's folder").next().is_none());
}

#[test]
fn a_folder_of_definitions_that_is_not_used_is_told_once_and_nothing_else_changes() {
    let scene = Scene::new();
    let definition = "image = \"x\"\n[interface]\nkind = \"port\"\nport = 1\n";
    let write = |path: &str| {
        let path = scene.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, definition).expect("a definition");
    };
    scene.workspace();
    for (directory, file) in [
        ("plain", "plain/.farrier/sidecars/db.toml"),
        ("plain/below", "plain/.farrier/sidecars/db.toml"),
        ("home", "home/.farrier/sidecars/db.toml"),
        ("misspelt", "misspelt/.farrier/sidecar/db.toml"),
        ("direct", "direct/.farrier/db.toml"),
        ("nested/below", "nested/below/.farrier/sidecars/db.toml"),
    ] {
        write(file);
        let directory = scene.path(directory);
        std::fs::create_dir_all(&directory).expect("a folder");
        for checkout in ["misspelt", "direct", "nested"] {
            if directory.starts_with(scene.path(checkout)) {
                std::fs::create_dir_all(scene.path(checkout).join(".git")).expect("a checkout");
            }
        }
        let run = |options: &[&str]| {
            let run = scene.farrier(["launch"]).args(options).args(["--", "echo", "passed"]);
            run.directory(&directory).env("DOCKER_HOST", NOWHERE).output()
        };
        let told = run(&[]).assert_code(0);
        assert_eq!(told.stdout(), "passed\n");
        assert_eq!(told.stderr().matches("warning[workspace-unused]").count(), 1, "{file}: {told}");
        assert!(told.stderr().contains("help: "), "{told}");
        silent(run(&["--no-workspace"]), 0);
        silent(run(&["-q"]), 0);
    }
}
