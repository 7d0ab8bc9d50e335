//! Volumes, bound files and memory of containers that farrier runs itself: what stays, what recreates, and what is removed.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::Value;

use super::setup::Images;
use crate::support::host_programs::with_shell;
use crate::support::{Layer, assert_output};

/// The causes of the plan for the only sidecar.
fn plan(images: &Images) -> (String, String) {
    let plan = images.farrier(["plan", "--format", "json"]).output().assert_code(0).stdout();
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    let sidecar = &plan["sidecars"][0];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (word(&sidecar["action"]), word(&sidecar["causes"][0]["message"]))
}

/// The names of the volumes that are there.
fn volumes(images: &Images) -> Vec<String> {
    let entries = std::fs::read_dir(images.store().join("volumes")).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().expect("a name")).collect();
    names.sort_unstable();
    names
}

/// Lines of a definition whose container runs a script.
fn script(lines: &str, script: &str) -> String {
    format!("{lines}\nentrypoint = ['/bin/sh', '-c', '''{script}\necho whole\nexec sleep 1000''']")
}

/// What the sidecar `box` writes with these lines, once it is recreated.
fn written(images: &Images, lines: &str) -> String {
    images.plain("box", lines);
    images.farrier(["up"]).output().assert_code(0);
    images.programs.wait_for_log("box", "whole\n");
    images.programs.log("box")
}

const COUNT: &str = "echo x >> /data/runs; cat /data/runs; cat /data/of-image; ls -ld /data";

fn with_data() -> crate::support::Image {
    with_shell().file("/data/of-image", "from the image\n", 0o644)
}

#[test]
fn a_named_volume_begins_with_the_images_data_and_outlives_recreation_and_down() {
    let images = Images::new();
    images.layout("box", &with_data());
    let mounts = "mounts = ['volume:data:/data', 'volume:more:/more:ro']";
    let read_only = "touch /more/x 2>&1 || echo refused";
    let log = written(&images, &script(mounts, &format!("{COUNT}; {read_only}")));
    assert!(log.starts_with("x\nfrom the image\n") && log.contains("refused"), "{log}");
    let container = images.programs.scene.container("box");
    let own = [format!("{container}_data"), format!("{container}_more")];
    assert_eq!(volumes(&images), own);
    // Something else changes: the data stays.
    let log = written(&images, &script(&format!("{mounts}\nenv = {{ LEVEL = '2' }}"), COUNT));
    assert!(log.starts_with("x\nx\nfrom the image\n"), "{log}");
    let down = images.farrier(["down", "--yes"]).output().assert_code(0);
    assert!(!down.stdout().contains("volume"), "{down}");
    let log = written(&images, &script(mounts, COUNT));
    assert!(log.starts_with("x\nx\nx\nfrom the image\n"), "{log}");

    let name = images.programs.scene.name("box");
    let mut asking = images.farrier(["down", "--volumes", &name]).spawn_on_terminal(120, 24);
    asking.wait_for_stdout("Remove 1 sidecar and 2 volumes with their data? [y/N]");
    asking.type_text("n\n");
    let asked = asking.wait().assert_code(0);
    assert!(own.iter().all(|volume| asked.stdout().contains(volume)), "{asked}");
    assert_eq!(volumes(&images), own);
    images.farrier(["reset", "--yes", &name]).output().assert_code(0);
    images.programs.wait_for_log("box", "whole\n");
    assert!(images.programs.log("box").starts_with("x\nfrom the image\n"), "it began again");
    images.farrier(["down", "--yes"]).output().assert_code(0);
    let removed = images.farrier(["down", "--yes", "--volumes"]).output().assert_code(0);
    let told = |volume: &String| removed.stdout().contains(&format!("removed the volume {volume}"));
    assert!(own.iter().all(told), "{removed}");
    assert!(volumes(&images).is_empty());
}

#[test]
fn a_volume_of_the_image_is_carried_over_and_gives_way_to_a_named_one() {
    let images = Images::new();
    images.layout("box", &with_data().change("VOLUME [\"/data\"]"));
    let log = written(&images, &script("", COUNT));
    assert!(log.starts_with("x\nfrom the image\n"), "{log}");
    let first = volumes(&images);
    assert!(first.len() == 1 && first[0].len() == 64, "{first:?}");
    images.plain("box", &script("env = { LEVEL = '2' }", COUNT));
    let shown = images.farrier(["plan"]).output().assert_code(0).stdout();
    assert!(shown.contains("the anonymous volume at /data is carried over"), "{shown}");
    let log = written(&images, &script("env = { LEVEL = '2' }", COUNT));
    assert!(log.starts_with("x\nx\nfrom the image\n"), "{log}");
    assert_eq!(volumes(&images), first);
    // What ended is replaced, and its data stays.
    images.plain("box", "entrypoint = ['/no/such/program']");
    images.farrier(["up"]).output().assert_code(125);
    let log = written(&images, &script("", COUNT));
    assert!(log.starts_with("x\nx\nx\nfrom the image\n"), "{log}");

    images.plain("box", &script("mounts = ['volume:data:/data']", COUNT));
    let shown = images.farrier(["plan"]).output().assert_code(0).stdout();
    assert!(shown.contains("is left unused; `farrier engine prune --volumes` removes it"), "{shown}");
    let log = written(&images, &script("mounts = ['volume:data:/data']", COUNT));
    assert!(log.starts_with("x\nfrom the image\n"), "{log}");
    assert_eq!(volumes(&images).len(), 2);
    let pruned = images.farrier(["engine", "prune"]).output().assert_code(0);
    assert!(!pruned.stdout().contains("volume"), "{pruned}");
    let pruned = images.farrier(["engine", "prune", "--volumes"]).output().assert_code(0);
    assert_output!(pruned, @"
    exit code 0
    --- stdout
    removed 1 volume
    --- stderr
    ");
    assert_eq!(volumes(&images), [format!("{}_data", images.programs.scene.container("box"))]);
}

#[test]
fn down_keeps_an_anonymous_volume_and_says_what_removes_it() {
    let images = Images::new();
    images.layout("box", &with_data().change("VOLUME [\"/data\"]"));
    written(&images, &script("", COUNT));
    let down = images.farrier(["down", "--yes"]).output().assert_code(0);
    assert_output!(down, @"
    exit code 0
    --- stdout
    removed farrier-box-[TOKEN]
    kept the anonymous volume [ID]
    nothing will use the kept volumes again; remove them with `farrier engine prune --volumes`
    --- stderr
    ");
    let log = written(&images, &script("", COUNT));
    assert!(log.starts_with("x\nfrom the image\n"), "as on Docker, nothing uses it again: {log}");
    assert_eq!(volumes(&images).len(), 2);
    images.farrier(["down", "--yes", "--volumes"]).output().assert_code(0);
    assert_eq!(volumes(&images).len(), 1);
    // A start that fails leaves no volume of its own.
    images.plain("box", "entrypoint = ['/no/such/program']");
    images.farrier(["up"]).output().assert_code(125);
    assert_eq!(volumes(&images).len(), 1);
}

#[test]
fn bound_files_are_seen_and_only_a_writable_folder_is_written_to() {
    let images = Images::new();
    images.layout("box", &with_shell().file("/etc/app.conf", "of the image", 0o644));
    let layer = images.programs.scene.layer(Layer::User);
    let shared = images.programs.scene.home().join("shared");
    std::fs::create_dir_all(shared.join("inner")).expect("a folder");
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).expect("a mode");
    std::fs::write(layer.join("app.conf"), "first\n").expect("written");
    let lines = "mounts = ['bind:./app.conf:/etc/app.conf:ro', 'bind:~/shared:/shared', 'bind:~/shared/inner:/made/here:ro']";
    let text = script(
        lines,
        "cat /etc/app.conf; echo made > /shared/made; for f in /etc/app.conf /made/here/x; do (echo x > $f) 2>&1 || echo refused $f; done",
    );
    let log = written(&images, &text);
    assert!(log.starts_with("first\n"), "{log}");
    for refused in ["/etc/app.conf", "/made/here/x"] {
        assert!(log.contains(&format!("refused {refused}")), "{log}");
    }
    assert_eq!(std::fs::read_to_string(shared.join("made")).expect("it is here"), "made\n");
    assert_eq!(plan(&images), ("reuse".to_owned(), "it is running and matches its definition".to_owned()));
    std::fs::write(layer.join("app.conf"), "second\n").expect("written");
    assert_eq!(plan(&images), ("recreate".to_owned(), "app.conf changed".to_owned()));
    assert!(written(&images, &text).starts_with("second\n"));
    images.farrier(["down", "--yes", "--volumes"]).output().assert_code(0);
    assert!(shared.join("made").exists(), "what is bound is nobody's to remove");
}

#[test]
fn a_bound_files_own_mounts_and_a_folder_in_its_place_are_not_touched() {
    let images = Images::new();
    images.layout("box", &with_shell().file("/folder/kept", "kept", 0o644).change("VOLUME /folder"));
    std::fs::write(images.programs.scene.layer(Layer::User).join("file"), "x").expect("written");
    images.plain("box", "mounts = ['bind:./file:/bin:ro']\nentrypoint = ['/bin/sh']");
    let up = images.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    farrier: box-[TOKEN]: create, because it does not exist
    error[start-failed]: `oci:./box` does not start: start the program: mount /bin: the image has a folder there, and the source is a file
     --> [SCENE]/config/farrier/sidecars/box-[TOKEN].toml:2:9
      |
    2 | image = 'oci:./box'
      |         ^^^^^^^^^^^
      |
      = help: Run `farrier doctor` to see how well this host can isolate containers.
      = help: See `farrier explain start-failed`.
    ");
    // Where a definition binds a folder over /etc, nothing in that folder is replaced.
    let etc = images.programs.scene.home().join("etc");
    std::fs::create_dir_all(&etc).expect("a folder");
    std::fs::write(images.programs.scene.home().join("secret"), "secret").expect("written");
    symlink("../secret", etc.join("hosts")).expect("a link");
    let log = written(&images, &script("mounts = ['bind:~/etc:/etc']", "ls /etc"));
    assert!(log.starts_with("hosts\n"), "{log}");
    assert_eq!(std::fs::read_link(etc.join("hosts")).expect("a link"), PathBuf::from("../secret"));
    assert_eq!(std::fs::read_dir(&etc).expect("a folder").count(), 1);
}

#[test]
fn memory_has_its_size_and_the_images_mode() {
    let images = Images::new();
    images.layout("box", &with_shell());
    let text = script(
        "mounts = ['tmpfs:/tmp:64KiB', 'tmpfs:/made']",
        "while read -r a b c d; do case $b in /tmp|/made) echo mount $b $c $d;; esac; done < /proc/mounts\n\
         ls -ld /tmp; i=0; while [ $i -lt 40 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done > /made/block\n\
         i=0; while [ $i -lt 60 ]; do cat /made/block >> /tmp/all 2>/dev/null || { echo full; break; }; i=$((i+1)); done",
    );
    let log = written(&images, &text);
    assert!(log.contains("mount /tmp tmpfs ") && log.contains("size=64k"), "{log}");
    assert!(log.contains("nosuid,nodev,noexec") && log.contains("drwxrwxrwt"), "{log}");
    assert!(log.contains("full"), "{log}");
}

#[test]
fn what_is_somebody_elses_or_cannot_be_mounted_is_refused_by_name() {
    let images = Images::new();
    images.layout("box", &with_shell());
    let refused = |mounts: &str| {
        images.plain("box", &script(&format!("mounts = [{mounts}]"), "true"));
        images.farrier(["up"]).output().assert_code(125).stderr()
    };
    let told = refused("'docker-socket:ro'");
    assert!(told.contains("[engine-lacks]") && told.contains("no socket"), "{told}");
    let told = refused("'tmpfs:/proc/sys'");
    assert!(told.contains("[engine-lacks]") && told.contains("`/proc/sys`"), "{told}");
    let volume =
        images.store().join("volumes").join(format!("{}_data", images.programs.scene.container("box")));
    std::fs::create_dir_all(&volume).expect("a folder");
    for folder in [images.store(), images.store().join("volumes")] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).expect("a mode");
    }
    std::fs::write(
        volume.join("labels.json"),
        r#"{"farrier.sidecar":"other","farrier.definition":"/other.toml"}"#,
    )
    .expect("written");
    let told = refused("'volume:data:/data'");
    assert!(told.contains("[name-taken]") && told.contains("/other.toml"), "{told}");
    let removed = images.farrier(["down", "--yes", "--volumes"]).output().assert_code(0);
    assert!(!removed.stdout().contains("volume"), "{removed}");
    assert!(volume.exists());
}

#[test]
fn a_workspaces_file_is_mounted_as_the_copy_that_was_approved() {
    let images = Images::new();
    let scene = &images.programs.scene;
    let folder = scene.layer(Layer::Workspace);
    with_shell()
        .layout(&crate::support::fixture_program(), &folder.join("box"))
        .unwrap_or_else(|trouble| panic!("{trouble}"));
    std::fs::write(folder.join("good"), "workspace\n").expect("a file");
    let name = scene.name("theirs");
    let text = format!(
        "lifecycle = 'shared'\nimage = 'oci:./box'\n{}\n[interface]\nkind = 'none'\n[readiness]\nprobe = 'skip'\n",
        script("mounts = ['bind:good:/x:ro']", "cat /x")
    );
    scene.define_in(Layer::Workspace, &format!("{name}.toml"), text);
    let approve = || images.farrier(["approve", &name, "--format", "json"]).output().stdout();
    let shown: Value = serde_json::from_str(&approve()).expect("JSON");
    let hash = shown["sidecars"][0]["hash"].as_str().unwrap_or_else(|| panic!("{shown:#}")).to_owned();
    images.farrier(["approve", &name, "--hash", &hash]).output().assert_code(0);
    images.farrier(["up"]).output().assert_code(0);
    images.programs.wait_for_log("theirs", "whole\n");
    assert!(images.programs.log("theirs").starts_with("workspace\n"));
    std::fs::write(folder.join("good"), "changed\n").expect("a file");
    let again = images.farrier(["up"]).output().assert_code(125);
    assert_output!(again, @"
    exit code 125
    --- stdout
    --- stderr
    error[approval-required]: `theirs-[TOKEN]` comes from the workspace, and it has changed since you approved it: mounts
     --> [SCENE]/workspace/.farrier/sidecars/theirs-[TOKEN].toml:1:1
      |
    1 | lifecycle = 'shared'
      | ^
      |
      = help: Review it and answer on a terminal: `farrier approve theirs-[TOKEN]`.
      = help: If you have already reviewed it: `farrier approve theirs-[TOKEN] --hash [ID]`.
      = help: `--no-workspace` starts without the sidecars of the workspace.
    ");
}
