//! Limits on this process, and on what it reads.

use super::*;

#[test]
fn probes_check_their_settings_where_address_space_is_limited() {
    let scene = Scene::new();
    scene.define(
        "web",
        "lifecycle = \"shared\"\nimage = \"web:1\"\n[interface]\nkind = \"port\"\nport = 80\n[readiness]\nprobe = \
         \"http\"\nsettings = { path = \"health\" }\n",
    );
    // Room for the memory of one guest at a time, and for none of a pool beside it.
    let script = "ulimit -v 12582912; exec \"$@\"";
    let farrier = env!("CARGO_BIN_EXE_farrier");
    let run = Run::program(&scene, "sh").args(["-c", script, "sh", farrier, "validate"]);
    let outcome = run.output().assert_code(2);
    // What no schema says, so that the probe itself says it.
    assert_output!(outcome, @r#"
    exit code 2
    --- stdout
    error[probe-settings]: readiness.settings.path: a path begins with `/`
     --> [SCENE]/config/farrier/sidecars/web-[TOKEN].toml:8:21
      |
    8 | settings = { path = "health" }
      |                     ^^^^^^^^
      |
      = help: Correct the settings of the probe `http`.

    layer user      [SCENE]/config/farrier/sidecars (1 file)
    layer workspace [SCENE]/workspace/.farrier/sidecars (no such folder)
    1 sidecar, 1 error, 0 warnings
    --- stderr
    "#);
}

/// farrier under a limit of `ulimit`.
fn limited(scene: &Scene, limit: &str, words: &[&str]) -> Run {
    let script = format!("ulimit {limit}; exec \"$@\"");
    let farrier = env!("CARGO_BIN_EXE_farrier");
    let run = Run::program(scene, "/bin/bash").args(["-c", &script, "bash", farrier]).args(words);
    run.env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
}

#[test]
fn a_limit_on_this_process_is_told_as_that() {
    let scene = Scene::new();
    let web = "lifecycle = \"shared\"\nimage = \"web:1\"\n[interface]\nkind = \"port\"\nport = 80\n[readiness]\n\
               probe = \"http\"\nsettings = { path = \"/\" }\n";
    scene.define("web", web);
    for (limit, words, part) in [
        ("-n 6", &["validate"][..], "`ulimit -n`"),
        ("-n 8", &["up"], "`ulimit -n`"),
        ("-n 12", &["plan"], "`ulimit -n`"),
        ("-n 14", &["launch", "--", "true"], "`ulimit -n`"),
        ("-v 200000", &["up"], "`ulimit -v`"),
        ("-v 200000", &["launch", "--", "true"], "`ulimit -v`"),
    ] {
        let outcome = limited(&scene, limit, words).output().assert_code(125);
        let told = outcome.stderr() + &outcome.stdout();
        assert!(told.contains(part) && told.contains("[state-unusable]"), "{limit} {words:?}: {outcome}");
        for blame in ["probe", "panicked", "engine"] {
            assert!(!told.contains(blame), "{limit} {words:?}: {outcome}");
        }
    }
    // What is written is cut, and nothing is killed.
    let events = scene.path("events");
    let words = ["up", "--events", &events.display().to_string()];
    let outcome = limited(&scene, "-f 0", &words).output().assert_code(125);
    assert_output!(outcome, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-unreachable]: cannot use the engine at unix:///nonexistent/docker.sock (DOCKER_HOST): No such file or directory (os error 2)
     |
     = help: Check that the engine runs, for example with `docker info`.
    warning[state-unusable]: events are no longer written: a file would exceed this process's limit on file size (`ulimit -f`: 0)
     |
     = help: The launch continues. Free disk space for the events, or read them while they are written.
    ");
}

#[test]
fn a_thread_that_the_system_does_not_give_is_told_as_that() {
    let scene = Scene::new();
    let web = "lifecycle = \"shared\"\nimage = \"web:1\"\n[interface]\nkind = \"port\"\nport = 80\n[readiness]\n\
               probe = \"http\"\nsettings = { path = \"/\" }\n";
    let user = scene.path("user");
    std::fs::create_dir(&user).expect("a folder");
    std::fs::write(user.join("web.toml"), web).expect("a definition");
    // Root may have any number of threads.
    let other = ["--reuid", "54325", "--regid", "54325", "--clear-groups"];
    for folder in [scene.path(""), user.clone()] {
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("a mode");
    }
    let program = env!("CARGO_BIN_EXE_farrier");
    let runs =
        Run::program(&scene, "setpriv").args(other).args([program, "--version"]).directory("/").output();
    if runs.code() != Some(0) {
        say_skipped(&format!("farrier cannot be run as another user here: {runs}"));
        return;
    }
    for (limit, is_enough) in [("0", false), ("1", false), ("2", false), ("20", true)] {
        let script = format!("ulimit -u {limit}; exec \"$@\"");
        let run =
            Run::program(&scene, "setpriv").args(other).args(["/bin/bash", "-c", &script, "bash", program]);
        let run = run.args(["validate", "--no-workspace", "--user-dir"]).arg(&user).directory("/");
        let outcome = run.output().assert_code(if is_enough { 0 } else { 125 });
        let told = outcome.stderr() + &outcome.stdout();
        assert_eq!(told.contains("threads (`ulimit -u`"), !is_enough, "{limit}: {outcome}");
        assert!(!told.contains("panicked") && !told.contains("[probe"), "{limit}: {outcome}");
    }
}

#[test]
fn reading_is_bounded_in_all_however_it_is_divided() {
    let limit = |outcome: &Outcome| {
        let problems = codes(&json(outcome));
        problems.iter().filter(|(_, code)| code == "reading-limit").count()
    };
    let validate =
        |scene: &Scene| without_engine(scene, &["validate", "--format", "json"]).output().assert_code(2);
    let probed = |probe: &str| {
        format!(
            "lifecycle = \"shared\"\nimage = \"x\"\n[interface]\nkind = \"none\"\n[readiness]\nprobe = \"{probe}\"\n"
        )
    };

    let many_bytes = Scene::new();
    for index in 0..10 {
        let file = many_bytes.layer(Layer::User).join(format!("{index}.wasm"));
        std::fs::create_dir_all(many_bytes.layer(Layer::User)).expect("a folder");
        std::fs::File::create(file).and_then(|file| file.set_len(60 << 20)).expect("a file");
        many_bytes.define(&format!("db{index}"), &probed(&format!("./{index}.wasm")));
    }
    assert_eq!(limit(&validate(&many_bytes)), 1);

    let many_entries = Scene::new();
    let folder = many_entries.layer(Layer::User).join("certs");
    std::fs::create_dir_all(&folder).expect("a folder");
    for index in 0..9_000 {
        std::fs::File::create(folder.join(index.to_string())).expect("a file");
    }
    many_entries.define_in(Layer::User, "mine.wasm", component(&guest(guest::READY)));
    for index in 0..3 {
        let grants = "grants.dirs = [{ host = \"certs\", guest = \"/certs\" }]\n";
        many_entries.define(&format!("db{index}"), &(probed("./mine.wasm") + grants));
    }
    assert_eq!(limit(&validate(&many_entries)), 1);
}
