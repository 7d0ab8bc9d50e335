//! Containers of the built-in engine whose launcher, supervisor or process 1 dies at any step, whose machine was restarted,
//! or whose disk is full: the next command repairs.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use super::setup::Images;
use crate::programs::setup::processes_with;
use crate::support::host_programs::with_shell;
use crate::support::skipping::say_skipped;
use crate::support::{Image, PATIENT, Run, assert_output, wait_until};

/// The system calls before which a process is killed: each changes what others find.
const CALLS: &str = "rename,renameat,renameat2,mkdir,mkdirat,mount,unshare,execve,unlink,unlinkat,chmod,fchmodat,\
                     symlinkat,pivot_root,setns,flock";
/// Every how many calls.
const STEP: usize = 5;

/// A sidecar that notes each of its runs in a volume of its own, and in one of its image.
fn define(images: &Images, level: usize) {
    let token = images.programs.scene.token();
    images.plain(
        "box",
        &format!(
            "mounts = ['volume:data:/data']\nenv = {{ TOKEN = '{token}', LEVEL = '{level}' }}\n\
         entrypoint = ['/bin/sh', '-c', 'echo x >> /data/runs; echo x >> /own/runs; exec sleep 1000']"
        ),
    );
}

/// How many runs each volume tells of; the named one last.
fn runs(images: &Images) -> Vec<usize> {
    let all = std::fs::read_dir(images.store().join("volumes")).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = all.map(|volume| volume.path().join("data/runs")).collect();
    paths.sort_by_key(|path| path.to_string_lossy().contains("_data"));
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap_or_default().lines().count()).collect()
}

/// Whether the process that was traced first has ended.
fn has_launch_ended(trace: &Path) -> bool {
    let text = std::fs::read_to_string(trace).unwrap_or_default();
    let Some((launch, _)) = text.split_once(' ') else { return false };
    text.lines().any(|line| line.starts_with(&format!("{launch} ")) && line.contains("+++"))
}

#[test]
fn whoever_is_killed_at_any_step_of_a_start_the_next_command_repairs() {
    if Command::new("strace").arg("--version").output().is_err() {
        return say_skipped("strace is not installed, which kills processes at their system calls");
    }
    let images = Images::new();
    let (scene, token) = (&images.programs.scene, images.programs.scene.token().to_owned());
    let image = with_shell().file("/data/of-image", "x", 0o644).file("/own/of-image", "x", 0o644);
    images.layout("box", &image.change("VOLUME /own"));
    let trace = scene.path("trace");
    let (mut tracers, mut kills, mut before) = (Vec::new(), 0, Vec::new());
    for number in (1..).step_by(STEP) {
        define(&images, number);
        drop(std::fs::remove_file(&trace));
        let inject = format!("inject={CALLS}:signal=KILL:when={number}");
        let mut launch = Run::program(scene, "strace")
            .args(["-f", "-e", &format!("trace={CALLS}"), "-e", &inject, "-o"])
            .arg(&trace)
            .args([env!("CARGO_BIN_EXE_farrier"), "up"])
            .env("DOCKER_HOST", "unix:///nowhere.sock")
            .spawn();
        wait_until("the launch ended", PATIENT, || launch.has_ended() || has_launch_ended(&trace));
        let killed = std::fs::read_to_string(&trace).unwrap_or_default().matches("killed by SIGKILL").count();
        tracers.push(launch);
        images.farrier(["up"]).output().assert_code(0);
        assert_eq!(images.sidecar("box")["state"], "running", "{number}");
        wait_until("one container runs", PATIENT, || processes_with("TOKEN", &token).len() == 1);
        // What a volume held is there, and the run that goes on notes itself in both.
        let is_kept = |now: &[_]| {
            before.iter().rev().zip(now.iter().rev()).all(|(before, now)| before < now) && now.len() >= 2
        };
        wait_until(&format!("{number}: more than {before:?}"), PATIENT, || is_kept(&runs(&images)));
        before = runs(&images);
        kills += killed;
        if killed == 0 {
            break;
        }
    }
    println!("{kills} processes were killed, and nothing was lost");
    assert!(kills >= 10, "{kills}");
    images.farrier(["down", "--yes", "--volumes"]).output().assert_code(0);
    assert!(processes_with("TOKEN", &token).is_empty());
    for tracer in tracers {
        // Its last process has ended.
        tracer.wait();
    }
}

#[test]
fn after_a_restart_of_the_machine_a_container_is_started_again_with_its_data() {
    let images = Images::new();
    let image = with_shell().file("/data/of-image", "x", 0o644).file("/own/of-image", "x", 0o644);
    images.layout("box", &image.change("VOLUME /own"));
    define(&images, 1);
    images.farrier(["up"]).output().assert_code(0);
    wait_until("it ran", PATIENT, || runs(&images) == [1, 1]);
    let sidecar = images.sidecar("box");
    kill_process(images.programs.supervisor(&sidecar), Signal::KILL).expect("it runs");
    wait_until("it is told", PATIENT, || images.sidecar("box")["state"] == "exited");
    // As another boot left it: the numbers of its processes are others' now, such as this test's own.
    let id = sidecar["id"].as_str().expect("an id");
    let file = images.store().join("instances").join(id).join("state.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).expect("a state")).expect("JSON");
    state["place"] = "another boot".into();
    for process in ["supervisor", "program"] {
        state[process]["id"] = std::process::id().into();
    }
    std::fs::write(&file, state.to_string()).expect("written");
    let plan = images.farrier(["plan"]).output().assert_code(0).stdout();
    assert!(plan.contains("it is not running") && plan.contains("/own is carried over"), "{plan}");
    images.farrier(["up"]).output().assert_code(0);
    wait_until("it ran again", PATIENT, || runs(&images) == [2, 2]);
}

/// A small file system in place of the folder with farrier's state.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(images: &Images) -> Option<Self> {
        let folder = images.programs.scene.state_home().to_owned();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"])
            .arg(&folder)
            .output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then_some(Self(folder))
    }

    fn grow(&self) {
        let grown = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&self.0).status();
        assert!(grown.is_ok_and(|grown| grown.success()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[test]
fn a_full_disk_is_told_as_such_and_what_runs_goes_on() {
    let images = Images::new();
    let Some(disk) = SmallDisk::mount(&images) else {
        return say_skipped("this user may not mount a small file system");
    };
    images.layout("big", &Image::new().file("/big", vec![7; 8 << 20], 0o644));
    images.plain("big", "command = ['wait']");
    let up = images.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    farrier: big-[TOKEN]: create, because it does not exist
    error[disk-full]: there is no space left for the image `oci:./big`: No space left on device (os error 28)
     --> [SCENE]/config/farrier/sidecars/big-[TOKEN].toml:2:9
      |
    2 | image = 'oci:./big'
      |         ^^^^^^^^^^^
      |
      = help: Remove images that nothing uses with `farrier engine prune`.
    ");
    assert!(images.programs.all().is_empty());
    disk.grow();
    images.farrier(["up"]).output().assert_code(0);
    let first = images.sidecar("big");
    // Somebody fills it.
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "bs=64k", &format!("of={}", images.store().join("filling").display())])
        .output();
    assert!(filled.is_ok_and(|filled| !filled.status.success()), "it is full");
    images.plain("big", "command = ['wait']\nenv = { LEVEL = '2' }");
    let up = images.farrier(["up"]).output().assert_code(125);
    assert_output!(up, @"
    exit code 125
    --- stdout
    --- stderr
    farrier: big-[TOKEN]: recreate, because env.LEVEL changed
    error[disk-full]: cannot create `farrier-big-[TOKEN]`: [SCENE]/state/farrier/native/instances/.[ID].: No space left on device (os error 28)
     |
     = help: Check who owns the folder, that only you may write to it, and that its disk is not full.
    ");
    assert_eq!(
        (&images.sidecar("big")["id"], &images.sidecar("big")["state"]),
        (&first["id"], &"running".into())
    );
    std::fs::remove_file(images.store().join("filling")).expect("removed");
    images.farrier(["up"]).output().assert_code(0);
    assert_ne!(images.sidecar("big")["id"], first["id"]);
    images.farrier(["down", "--yes"]).output().assert_code(0);
}
