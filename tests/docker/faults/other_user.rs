//! Another user of this machine: with fewer threads than a launch needs, and beside others' marks.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use farrier::system::leases::Leases;

use crate::support::engine::container_id;
use crate::support::skipping::say_skipped;
use crate::support::{Run, Scene, docker, fixture_image};

#[test]
fn nothing_is_made_where_the_system_gives_too_few_threads_to_compile() {
    let Some(scene) = Scene::with_docker() else { return };
    let image = fixture_image();
    let user = scene.path("user");
    fs::create_dir(&user).expect("a folder");
    let definition = "command = [\"serve\", \"--port\", \"7000\"]\n[interface]\nkind = \"port\"\nport = 7000\n\
                      [readiness]\nprobe = \"tcp\"\ntimeout = \"60s\"\n";
    let definition = format!("lifecycle = \"shared\"\nimage = \"{image}\"\n{definition}");
    fs::write(user.join(format!("{}.toml", scene.name("db"))), definition).expect("a definition");
    for folder in [scene.path(""), user.clone()] {
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).expect("a mode");
    }
    // Root may have any number of threads; another user may use the engine whose group it has.
    let socket = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let socket = fs::metadata(socket.trim_start_matches("unix://"));
    let Ok(group) = socket.map(|socket| socket.gid().to_string()) else {
        say_skipped("the engine's socket cannot be looked at here");
        return;
    };
    let run = |limit: u32| {
        let script = format!("ulimit -u {limit}; exec \"$@\"");
        let run = Run::program(&scene, "setpriv");
        let run = run.args(["--reuid", "54322", "--regid", "54322", "--groups", &group]);
        let run = run.args(["/bin/bash", "-c", &script, "bash", env!("CARGO_BIN_EXE_farrier")]);
        // Nothing is compiled already.
        let run = run.env("XDG_CACHE_HOME", "/nonexistent").env("XDG_STATE_HOME", "/nonexistent");
        run.args(["up", "--no-workspace", "--user-dir"]).arg(&user).directory("/").output()
    };
    let enough = run(1_000);
    if enough.code() != Some(0) {
        say_skipped(&format!("another user cannot launch here: {enough}"));
        return;
    }
    docker(["rm", "--force", &scene.container("db")]);
    // Each number of threads until there are enough of them.
    let mut refused = 0;
    for limit in 1..200 {
        let outcome = run(limit);
        if outcome.code() == Some(0) {
            break;
        }
        refused = limit;
        let outcome = outcome.assert_code(125);
        assert!(outcome.stderr().contains("threads (`ulimit -u`"), "{limit}: {outcome}");
        assert_eq!(container_id(&scene.container("db")), None, "{limit}: {outcome}");
    }
    assert!((2..199).contains(&refused), "{refused}");
}

/// The files of the marks of one container, wherever they are.
fn files_of_mark(container: &str) -> Vec<PathBuf> {
    let entries = ["/run/lock", "/tmp"].into_iter().flat_map(fs::read_dir).flatten().flatten();
    let is_mark = |path: &PathBuf| {
        let path = path.to_string_lossy();
        path.contains(&format!(".{container}+")) && path.contains("@use.")
    };
    entries.map(|entry| entry.path()).filter(is_mark).collect()
}

#[test]
fn another_user_cannot_take_a_mark_away() {
    let scene = Scene::new();
    let container = scene.container("db");
    let mark =
        Leases::open("a harness").and_then(|leases| leases.mark(&container, "a network")).expect("a mark");
    let files = files_of_mark(&container);
    let [file] = files.as_slice() else { panic!("{files:?}") };
    for script in ["rm -f \"$1\"", "mv \"$1\" \"$1.away\"", ": > \"$1\"", "ln -sf /dev/null \"$1\""] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "54323", "--regid", "54323", "--clear-groups", "sh", "-c", script, "sh"]);
        let output = command.arg(file).output().expect("setpriv");
        if String::from_utf8_lossy(&output.stderr).contains("setpriv:") {
            say_skipped("nothing can be run as another user here");
            return;
        }
        assert!(!output.status.success(), "{script}");
        assert!(fs::read_to_string(file).is_ok_and(|text| text.contains("a harness")), "{script}");
    }
    drop(mark);
    assert_eq!(files_of_mark(&container), Vec::<PathBuf>::new());
}
