//! Images in files of this host as sidecars: containers of the engine that is built in, without Docker.

mod faults;
mod health;
mod hostile;
mod keys;
mod mounts;
mod registries;
pub mod setup;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use self::setup::Images;
use crate::programs::setup::processes_with;
use crate::support::host_programs::with_shell;
use crate::support::skipping::say_skipped;
use crate::support::{Image, Layer, Outcome, PATIENT, Run, assert_output, fixture_program, wait_until};

#[test]
fn images_are_started_once_and_the_harness_reaches_each_at_its_own_port() {
    let images = Images::new();
    let id = images.layout("box", &Image::new());
    // Both listen at one port, which no two programs of a host can.
    images.serving("one", "box", 6379, "'--reply', 'first'", "");
    images.serving("two", "box", 6379, "'--reply', 'second'", "");
    assert_eq!((images.ask("one").as_str(), images.ask("two").as_str()), ("first\n", "second\n"));
    let first = images.sidecar("one");
    assert_eq!(
        (&first["state"], &first["engine"], &first["image_id"]),
        (&"running".into(), &"native".into(), &id.into())
    );
    assert_eq!(images.ask("one"), "first\n");
    assert_eq!(images.sidecar("one")["id"], first["id"], "it is used as it is");
    let plan = images.farrier(["plan"]).output().assert_code(0).stdout();
    assert!(
        plan.contains("engine native\n")
            && plan.contains(": reuse, because it is running and matches its definition"),
        "{plan}"
    );
}

#[test]
fn another_image_in_the_same_file_recreates_the_sidecar_and_the_plan_says_so() {
    let images = Images::new();
    let before = images.layout("box", &Image::new());
    images.plain("box", "command = ['wait']");
    images.farrier(["up"]).output().assert_code(0);
    let first = images.sidecar("box");
    let now = images.layout("box", &Image::new().file("/new", "new", 0o644));
    let plan = images.farrier(["plan", "--format", "json"]).output().assert_code(0).stdout();
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let cause = &plan["sidecars"][0]["causes"][0];
    assert_eq!((&plan["sidecars"][0]["action"], &cause["kind"]), (&"recreate".into(), &"image".into()));
    assert_eq!((&cause["from"], &cause["to"]), (&before.into(), &now.into()));
    images.farrier(["up"]).output().assert_code(0);
    assert_ne!(images.sidecar("box")["id"], first["id"]);
    // Once it is in the store, an image needs its file no more.
    std::fs::remove_dir_all(images.programs.scene.layer(Layer::User).join("box/blobs")).expect("removed");
    let up = images.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    error[image-unavailable]: image `oci:./box` does not exist: No such file or directory (os error 2)
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:2:9
      |
    2 | image = 'oci:./box'
      |         ^^^^^^^^^^^
      |
      = help: Check the path, which starts at the definition's folder, and build the image first.
    ");
}

#[test]
fn a_container_is_what_image_and_definition_say() {
    let images = Images::new();
    let image = with_shell()
        .change("ENV OF_IMAGE=image")
        .change("USER svc")
        .change("WORKDIR /made/for/it")
        .file("/etc/hosts", "6.6.6.6 localhost\n", 0o644);
    images.layout("seen", &image);
    let script = "id; pwd; env | sort; cat /etc/hosts /etc/hostname; touch /tmp/mine && ls -ld /tmp/mine";
    images.plain("seen", &format!(
        "entrypoint = ['/bin/sh', '-c', '''{script}\necho whole\nexec sleep 1000''']\nenv = {{ OWN = 'mine', OF_IMAGE = 'definition' }}"
    ));
    images.farrier(["up"]).env("SECRET", "hunter2").output().assert_code(0);
    images.programs.wait_for_log("seen", "whole\n");
    let log = images.programs.log("seen");
    let has = |line: &str| assert!(log.lines().any(|found| found == line), "{line}: {log}");
    has("uid=999(svc) gid=998(svc) groups=998(svc),70(extra)");
    has("/made/for/it");
    has("OWN=mine");
    has("OF_IMAGE=definition");
    has("HOME=/home/svc");
    let sidecar = images.sidecar("seen");
    let hostname = &sidecar["id"].as_str().expect("an id")[..12];
    has(hostname);
    has(&format!("HOSTNAME={hostname}"));
    assert!(log.contains("127.0.0.1\tlocalhost") && !log.contains("6.6.6.6"), "{log}");
    assert!(!log.contains("hunter2") && !log.contains("FARRIER"), "{log}");
}

#[test]
fn a_container_sees_and_may_only_what_a_container_may() {
    let images = Images::new();
    images.layout("shut", &with_shell());
    let log = images.script(
        "shut",
        "ls /; echo pids: /proc/[0-9]*; cat /proc/self/status; ls -l /dev\n\
         for f in /proc/sys/kernel/hostname /proc/sysrq-trigger; do (echo x > $f) 2>&1 || echo refused $f; done\n\
         mount -t tmpfs x /mnt 2>&1 || echo refused mount\n\
         unshare -U true 2>&1 || echo refused unshare\n\
         cat /proc/kcore | cat; ls /sys/firmware; cat /proc/1/environ 2>&1 || echo refused environ\n\
         touch /proc/1/exe 2>&1 || true; ls /proc/1/root 2>&1 || echo refused root\n\
         mknod /tmp/disk b 8 0 2>&1 && (cat /tmp/disk 2>&1 || echo refused device)",
    );
    let has = |text: &str| assert!(log.contains(text), "{text}: {log}");
    for refused in ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "mount", "unshare", "environ"] {
        has(&format!("refused {refused}"));
    }
    has("NoNewPrivs:\t1");
    has("SigBlk:\t0000000000000000");
    has("Seccomp:\t2");
    let effective = log.lines().find_map(|line| line.strip_prefix("CapEff:\t")).expect("capabilities");
    let effective = u64::from_str_radix(effective, 16).expect("a number");
    // Docker's default ones, as far as this user has them.
    assert_eq!(effective & !0xa804_25fb, 0, "{log}");
    // Process 1, the shell, and what it starts.
    let processes = log.lines().find_map(|line| line.strip_prefix("pids: ")).expect("processes");
    assert!(processes.split(' ').count() <= 4, "{processes}");
    assert!(!log.contains("hda") && !log.contains("sda") && !log.contains("vda"), "{log}");
    let root: Vec<&str> = log.lines().take_while(|line| !line.starts_with("pids")).collect();
    assert!(!root.contains(&"home") && root.contains(&"fixture"), "{root:?}");
}

#[test]
fn what_a_container_writes_is_its_own() {
    let images = Images::new();
    images.layout("box", &with_shell());
    let text = "entrypoint = ['/bin/sh', '-c', 'ls /; echo mine > /written; echo over > /etc/passwd; exec sleep 1000']";
    for stem in ["one", "two"] {
        images.programs.plain(stem, &format!("image = 'oci:./box'\n{text}"));
    }
    images.farrier(["up"]).output().assert_code(0);
    for stem in ["one", "two"] {
        images.programs.wait_for_log(stem, "fixture\n");
        assert!(!images.programs.log(stem).contains("written"));
    }
    images.farrier(["up", "--recreate"]).output().assert_code(0);
    images.programs.wait_for_log("one", "fixture\n");
    assert!(!images.programs.log("one").contains("written"));
}

#[test]
fn a_container_ends_by_its_stop_signal_in_its_grace_period_and_is_killed_after_it() {
    let images = Images::new();
    images.layout("box", &with_shell().change("STOPSIGNAL SIGUSR1"));
    let waits = "while :; do sleep 0.05; done";
    let polite = format!("trap 'echo bye; exit 7' USR1; echo waiting; {waits}");
    images.plain("box", &format!("entrypoint = ['/bin/sh', '-c', '''{polite}''']"));
    images.farrier(["up"]).output().assert_code(0);
    let told = images.farrier(["logs", "--follow", &images.programs.scene.name("box")]).spawn();
    told.wait_for_stdout("waiting\n");
    images.farrier(["down", "--yes"]).output().assert_code(0);
    assert_eq!(told.wait().assert_code(0).stdout(), "waiting\nbye\n");
    let token = images.programs.scene.token().to_owned();
    let stubborn = format!("trap '' TERM USR1; (trap '' TERM; sleep 1000) & echo up; {waits}");
    images.plain("box", &format!(
        "entrypoint = ['/bin/sh', '-c', '''{stubborn}''']\nstop_timeout = '200ms'\nenv = {{ TOKEN = '{token}' }}"
    ));
    images.farrier(["up"]).output().assert_code(0);
    images.programs.wait_for_log("box", "up\n");
    wait_until("both run", PATIENT, || processes_with("TOKEN", &token).len() >= 2);
    images.farrier(["down", "--yes"]).output().assert_code(0);
    assert!(processes_with("TOKEN", &token).is_empty());
    assert!(images.programs.all().is_empty());
    assert_eq!(std::fs::read_dir(images.store().join("instances")).expect("a folder").count(), 0);
}

#[test]
fn the_end_of_a_container_is_told_with_its_code_and_last_words() {
    let images = Images::new();
    images.layout("box", &Image::new());
    let text = "image = 'oci:./box'\ncommand = ['crash', 'no such database', '3']\n[interface]\nkind = 'port'\nport = 80\n\
                [readiness]\nprobe = 'tcp'\n";
    images.programs.define("broken", text);
    let up = images.farrier(["up"]).output().assert_code(125);
    assert!(up.stderr().contains("exited with code 3") && up.stderr().contains("no such database"), "{up}");
}

#[test]
fn nothing_outlives_a_supervisor_or_a_process_one_that_is_killed() {
    let images = Images::new();
    images.layout("box", &with_shell());
    let token = images.programs.scene.token().to_owned();
    let script = "(sleep 1000 &) ; sleep 1000 & echo up; wait";
    images.plain(
        "box",
        &format!("entrypoint = ['/bin/sh', '-c', '''{script}''']\nenv = {{ TOKEN = '{token}' }}"),
    );
    for kills_process_one in [false, true] {
        images.farrier(["up"]).output().assert_code(0);
        images.programs.wait_for_log("box", "up\n");
        let first = images.sidecar("box");
        wait_until("all run", PATIENT, || processes_with("TOKEN", &token).len() >= 3);
        let killed = if kills_process_one {
            images.programs.program(&first)
        } else {
            images.programs.supervisor(&first)
        };
        kill_process(killed, Signal::KILL).expect("it runs");
        wait_until("nothing is left", PATIENT, || processes_with("TOKEN", &token).is_empty());
        wait_until("it is told", PATIENT, || images.sidecar("box")["state"] == "exited");
    }
    images.farrier(["up"]).output().assert_code(0);
    assert_eq!(images.sidecar("box")["state"], "running");
}

#[test]
fn a_port_is_told_open_when_the_server_inside_listens_and_not_before() {
    let images = Images::new();
    images.layout("box", &Image::new());
    images.serving("late", "box", 7000, "'--after', '700', '--reply', 'awake'", "");
    assert_eq!(images.ask("late"), "awake\n");
    let log = images.programs.log("late");
    assert!(log.contains("accepting"), "{log}");
}

#[test]
fn somebody_at_all_addresses_of_this_host_is_not_taken_for_the_sidecar() {
    let images = Images::new();
    images.layout("box", &Image::new());
    let other = TcpListener::bind("0.0.0.0:0").expect("a free port");
    let port = other.local_addr().expect("an address").port();
    images.serving("api", "box", port, "'--reply', 'x'", "");
    let up = images.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    farrier: api-[TOKEN]: create, because it does not exist
    error[port-taken]: `oci:./box` does not start: start the program: listen at [ADDRESS], port [PORT]: Address already in use (os error 98)
     --> [SCENE]/config/farrier/sidecars/api-[TOKEN].toml:2:9
      |
    2 | image = 'oci:./box'
      |         ^^^^^^^^^^^
      |
      = help: End the process that listens on this port on all addresses of this host, or use another port.
      = help: See `farrier explain port-taken`.
    ");
    assert!(images.programs.all().is_empty(), "nothing is left of it");
    drop(other);
    // A child of another test may have it a moment longer, until it executes its program.
    wait_until("nobody listens", PATIENT, || std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    images.farrier(["up"]).output().assert_code(0);
}

#[test]
fn commands_and_health_tests_run_inside() {
    let images = Images::new();
    let image = with_shell()
        .change("USER svc")
        .change("HEALTHCHECK CMD [\"/fixture\", \"healthy-when-file\", \"/tmp/well\"]");
    images.layout("box", &image);
    let waits = "entrypoint = ['/bin/sh', '-c', 'sleep 0.3; echo yes > /tmp/well; exec sleep 1000']";
    images.programs.define(
        "well",
        &format!(
            "image = 'oci:./box'\n{waits}\n[interface]\nkind = 'none'\n[readiness]\nprobe = 'healthcheck'\n"
        ),
    );
    images.programs.define("told", &format!(
        "image = 'oci:./box'\n{waits}\nenv = {{ WORD = 'yes' }}\n[interface]\nkind = 'none'\n[readiness]\nprobe = 'exec'\n\
         command = ['sh', '-c', 'test \"$(cat /tmp/well)\" = \"$WORD\" && test $(id -u) = 999 && test -e /fixture']\n"
    ));
    images.farrier(["up"]).output().assert_code(0);
}

#[test]
fn a_container_that_has_no_memory_left_is_told_as_such() {
    let images = Images::new();
    images.layout("box", &Image::new());
    let text = "image = 'oci:./box'\ncommand = ['eat-memory', '256']\nresources.memory = '32m'\n[interface]\nkind = 'port'\nport = 80\n\
                [readiness]\nprobe = 'tcp'\n";
    images.programs.define("hungry", text);
    let up = images.farrier(["up"]).output().assert_code(125);
    if up.stderr().contains("limit memory by a control group") {
        return;
    }
    assert!(up.stderr().contains("memory"), "{up}");
    assert_eq!(images.sidecar("hungry")["exit_code"], 137);
    let id = images.sidecar("hungry")["id"].as_str().expect("an id").to_owned();
    for groups in ["/sys/fs/cgroup/memory/farrier", "/sys/fs/cgroup/farrier"] {
        assert!(!std::path::Path::new(groups).join(&id).exists(), "its group is gone");
    }
}

#[test]
fn what_a_file_does_not_hold_is_refused_by_name_before_anything_runs() {
    let images = Images::new();
    images.layout("good", &Image::new());
    let layer = images.programs.scene.layer(Layer::User);
    std::fs::write(layer.join("text.tar"), "text").expect("written");
    for (stem, image, code) in [
        ("absent", "oci:./nowhere", "[image-unavailable]"),
        ("text", "docker-archive:text.tar", "[image-invalid]"),
        ("named", "oci:./good:other", "[image-invalid]"),
    ] {
        images.programs.plain(stem, &format!("image = '{image}'"));
        let up = images.farrier(["up"]).output().assert_code(125);
        assert!(up.stderr().contains(code) && up.stderr().contains(image), "{up}");
        std::fs::remove_file(layer.join(format!("{}.toml", images.programs.scene.name(stem))))
            .expect("removed");
    }
    let blobs = layer.join("good/blobs/sha256");
    let largest = std::fs::read_dir(&blobs)
        .expect("blobs")
        .flatten()
        .max_by_key(|blob| blob.metadata().map(|found| found.len()).unwrap_or_default());
    let layer_blob = largest.expect("a layer").path();
    let mut content = std::fs::read(&layer_blob).expect("read");
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(&layer_blob, content).expect("written");
    images.plain("good", "command = ['wait']");
    let up = images.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    farrier: good-[TOKEN]: create, because it does not exist
    error[image-invalid]: image `oci:./good` cannot be used: a layer is damaged: its digest is [ID], and its configuration names [ID]
     --> [SCENE]/config/farrier/sidecars/good-[TOKEN].toml:2:9
      |
    2 | image = 'oci:./good'
      |         ^^^^^^^^^^^^
      |
      = help: Write it again, for example with `skopeo copy docker-daemon:NAME:TAG oci:FOLDER`.
    ");
    assert!(images.programs.all().is_empty());
    for folder in ["layers", "unfinished"] {
        let left = std::fs::read_dir(images.store().join("images").join(folder)).expect("a folder").count();
        assert_eq!(left, 0, "{folder}");
    }
}

#[test]
fn what_cannot_be_carried_out_is_refused_by_name() {
    let images = Images::new();
    images.layout("box", &Image::new());
    images.plain("box", "command = ['wait']\nmounts = ['docker-socket:ro']\nnetworks = ['other']");
    let up = images.farrier(["up"]).output().assert_code(125);
    for message in ["has no socket that a sidecar could use", "does not support `networks`"] {
        assert!(up.stderr().contains(&format!("the engine `native` {message}")), "{up}");
    }
    images.plain("box", "");
    let up = images.farrier(["up", "--engine", "docker"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    error[engine-lacks]: the engine `docker` runs no images from files
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:2:9
      |
    2 | image = 'oci:./box'
      |         ^^^^^^^^^^^
      |
      = help: Use `--engine auto`, or load the image into the engine, and name it by its reference.
    ");
    let launch = images.farrier(["launch", "--", "docker", "run", "image"]).output();
    launch.assert_code(125);
    images.serving("api", "box", 7000, "", "");
    let launch = images.farrier(["launch", "--", "docker", "run", "image"]).output().assert_code(125);
    assert_output!(launch, @"
    exit code 125
    --- stdout
    --- stderr
    error[harness-no-route]: the harness runs in a container, and cannot reach `api-[TOKEN]` on this host: Cannot connect to the Docker daemon at unix:///nowhere.sock. Is the docker daemon running?
     |
     = help: Run the harness on this host, or give it `--network host`.
    ");
    std::fs::remove_file(
        images.programs.scene.layer(Layer::User).join(format!("{}.toml", images.programs.scene.name("api"))),
    )
    .expect("removed");
    images.plain("box", "entrypoint = ['/no/such/program']");
    let up = images.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    farrier: box-[TOKEN]: recreate, because it is not running: exited (exit code 2); entrypoint changed
    error[program-missing]: `oci:./box` does not start: start the program: No such file or directory (os error 2)
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:2:9
      |
    2 | image = 'oci:./box'
      |         ^^^^^^^^^^^
      |
      = help: Check that the program exists, and also the interpreter in its first line (`#!…`) or its loader.
      = help: See `farrier explain program-missing`.
    ");
}

#[test]
fn a_workspaces_image_is_shown_by_its_id_and_each_build_is_asked_about() {
    let images = Images::new();
    let scene = &images.programs.scene;
    let folder = scene.layer(Layer::Workspace);
    let build = |content: &str| {
        let image = Image::new().change("CMD [\"wait\"]").file("/build", content, 0o644);
        image.layout(&fixture_program(), &folder.join("box")).unwrap_or_else(|trouble| panic!("{trouble}"))
    };
    let id = build("one");
    let name = scene.name("theirs");
    let text = "lifecycle = 'shared'\nimage = 'oci:./box'\n[interface]\nkind = 'none'\n[readiness]\nprobe = 'skip'\n";
    scene.define_in(Layer::Workspace, &format!("{name}.toml"), text);
    let shown = images.farrier(["approve", &name, "--format", "json"]).output();
    assert!(shown.stdout().contains(&id), "{shown}");
    let shown: Value = serde_json::from_str(&shown.stdout()).expect("JSON");
    let hash = shown["sidecars"][0]["hash"].as_str().unwrap_or_else(|| panic!("{shown:#}")).to_owned();
    images.farrier(["up"]).output().assert_code(125);
    images.farrier(["approve", &name, "--hash", &hash]).output().assert_code(0);
    images.farrier(["up"]).output().assert_code(0);
    build("two");
    let again = images.farrier(["up"]).output().assert_code(125);
    assert_output!(again, @"
    exit code 125
    --- stdout
    --- stderr
    error[approval-required]: `theirs-[TOKEN]` comes from the workspace, and it has changed since you approved it: image id
     --> [SCENE]/workspace/.farrier/sidecars/theirs-[TOKEN].toml:1:1
      |
    1 | lifecycle = 'shared'
      | ^
      |
      = help: Review it and answer on a terminal: `farrier approve theirs-[TOKEN]`.
      = help: If you have already reviewed it: `farrier approve theirs-[TOKEN] --hash [ID]`.
      = help: `--no-workspace` starts without the sidecars of the workspace.
    ");
    let outside = scene.path("outside");
    Image::new().layout(&fixture_program(), &outside).unwrap_or_else(|trouble| panic!("{trouble}"));
    std::os::unix::fs::symlink(&outside, folder.join("link")).expect("a link");
    for path in [outside.display().to_string(), "./link".to_owned(), "../../../outside".to_owned()] {
        let text = text.replace("./box", &path);
        scene.define_in(Layer::Workspace, &format!("{name}.toml"), text);
        let validate = images.farrier(["validate"]).output();
        let told = format!("{validate}");
        assert!(told.contains("out of the workspace") || told.contains("outside of the workspace"), "{told}");
    }
}

#[test]
fn whoever_is_killed_while_an_image_is_taken_leaves_nothing_that_is_used() {
    let images = Images::new();
    images.layout("box", &Image::new().file("/big", vec![7; 96 << 20], 0o644));
    images.plain("box", "command = ['wait']");
    let unfinished = images.store().join("images/unfinished");
    let is_begun = || std::fs::read_dir(&unfinished).is_ok_and(|entries| entries.count() > 0);
    let mut up = images.farrier(["up"]).spawn();
    wait_until("the layer is being unpacked", PATIENT, || is_begun() || up.has_ended());
    up.signal(Signal::KILL);
    up.wait();
    images.farrier(["up"]).output().assert_code(0);
    assert!(!is_begun());
    let big = images.store().join("images/layers");
    let layer = std::fs::read_dir(big).expect("layers").flatten().next().expect("a layer").path();
    assert_eq!(std::fs::metadata(layer.join("fs/big")).expect("a file").len(), 96 << 20);
}

#[test]
fn images_that_nothing_is_made_of_are_pruned() {
    let images = Images::new();
    images.layout("box", &Image::new());
    images.layout("other", &Image::new().file("/other", "other", 0o644));
    for stem in ["box", "other"] {
        images.plain(stem, "command = ['wait']");
    }
    images.farrier(["up"]).output().assert_code(0);
    let prune = || images.farrier(["engine", "prune"]).output().assert_code(0).stdout();
    assert_eq!(prune(), "removed nothing\n");
    images.farrier(["down", &images.programs.scene.name("other"), "--yes"]).output().assert_code(0);
    assert_eq!(prune(), "removed 1 image and 1 layer\n");
    images.farrier(["up"]).output().assert_code(0);
    assert_eq!(images.sidecar("other")["state"], "running");
}

#[test]
fn the_engines_are_listed_with_what_they_are_chosen_for() {
    let images = Images::new();
    let listed = images.farrier(["engine", "list"]).output().assert_code(0).stdout();
    assert!(
        listed.contains("docker  cannot be used: ") && listed.contains("chosen for images by reference\n"),
        "{listed}"
    );
    assert!(
        listed.contains("chosen for images in files") && listed.contains("images run without Docker"),
        "{listed}"
    );
    let listed = images.farrier(["engine", "list", "--format", "json"]).output().assert_code(0).stdout();
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(
        (&listed["engines"][0]["answers"], &listed["engines"][1]["answers"]),
        (&false.into(), &true.into())
    );
}

#[test]
fn the_store_is_this_users_and_keeps_each_layer_once() {
    let images = Images::new();
    images.layout("box", &Image::new());
    images.layout("same", &Image::new().change("CMD [\"wait\"]"));
    for stem in ["box", "same"] {
        images.plain(stem, "command = ['wait']");
    }
    images.farrier(["up"]).output().assert_code(0);
    let layers = images.store().join("images/layers");
    assert_eq!(std::fs::read_dir(&layers).expect("a folder").count(), 1);
    for folder in [images.store(), images.store().join("images"), layers] {
        let mode = std::fs::metadata(&folder).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", folder.display());
    }
}

/// Another user than root. It has no subordinate ones, unless this machine gives all users some.
const SOMEBODY: u32 = 54_321;

#[test]
fn another_user_than_root_runs_images_too() {
    if !rustix::process::geteuid().is_root() {
        return say_skipped("all other tests run as another user already");
    }
    let images = Images::new();
    let scene = &images.programs.scene;
    images.layout("box", &with_shell().file("/data/of-image", "of the image\n", 0o644));
    std::fs::write(scene.layer(Layer::User).join("bound"), "bound\n").expect("written");
    let script = "id; cat /proc/net/dev; ls /proc; cat /data/of-image /bound; echo x >>/data/runs; cat /data/runs\n\
                  (echo x >/bound) 2>&1 || echo refused; echo whole; exec sleep 1000";
    images.plain(
        "box",
        &format!(
            "mounts = ['volume:data:/data', 'bind:./bound:/bound:ro', 'tmpfs:/made:64KiB']\n\
             entrypoint = ['/bin/sh', '-c', '''{script}''']"
        ),
    );
    scene.give_to(SOMEBODY);
    let farrier = |arguments: &[&str]| -> Outcome {
        let id = SOMEBODY.to_string();
        let run = Run::program(scene, "setpriv").args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        let run = run.arg(env!("CARGO_BIN_EXE_farrier")).args(arguments);
        run.env("DOCKER_HOST", "unix:///nowhere.sock").output()
    };
    let listed = farrier(&["engine", "list"]).stdout();
    if listed.contains("run without Docker: namespaces") {
        let up = farrier(&["up"]).assert_code(0);
        assert!(!up.stderr().contains("network"), "this host's network is always there: {up}");
        let name = scene.name("box");
        let told = || farrier(&["logs", &name]).stdout();
        wait_until("it wrote everything", PATIENT, || told().contains("whole\n"));
        let log = told();
        assert!(log.contains("uid=0(root)") && log.contains(" lo:") && !log.contains("eth"), "{log}");
        assert!(log.contains("of the image\nbound\nx\n") && log.contains("refused\n"), "{log}");
        assert_eq!(std::fs::metadata(images.store()).expect("a folder").permissions().mode() & 0o077, 0);
        farrier(&["up", "--recreate"]).assert_code(0);
        wait_until("it counted again", PATIENT, || told().contains("bound\nx\nx\n"));
        farrier(&["down", "--yes", "--volumes"]).assert_code(0);
        assert_eq!(std::fs::read_dir(images.store().join("volumes")).expect("a folder").count(), 0);
        let left = std::fs::read_dir(images.store().join("instances")).expect("a folder").count();
        assert_eq!(left, 0, "what the container wrote is gone");
        // The image's own user, also where this user has no subordinate ones.
        images.plain("box", "user = '70:71'\nentrypoint = ['/bin/sh', '-c', 'id; echo mine >/tmp/file; cat /tmp/file; exec sleep 1000']");
        farrier(&["up"]).assert_code(0);
        wait_until("it wrote its own file", PATIENT, || told().contains("mine\n"));
        assert!(told().contains("uid=70 gid=71"), "{}", told());
        farrier(&["down", "--yes"]).assert_code(0);
        let lowest =
            std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
        if lowest.trim().parse().is_ok_and(|lowest: u16| lowest > 80) {
            images.serving("box", "box", 80, "'--reply', 'x'", "");
            let up = farrier(&["up"]).assert_code(125);
            assert!(up.stderr().contains("ip_unprivileged_port_start"), "{up}");
        }
    } else {
        assert!(listed.contains("cannot be run without Docker"), "{listed}");
    }
    scene.give_to(0);
}
