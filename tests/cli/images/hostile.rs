//! Containers whose processes mean harm, or whose moments make no sense.

use serde_json::Value;

use super::setup::Images;
use crate::support::host_programs::with_shell;
use crate::support::{PATIENT, wait_until};

#[test]
fn what_kills_floods_and_closes_harms_only_itself() {
    let images = Images::new();
    images.layout("box", &with_shell());
    let script = |stem: &str, script: &str| {
        let text = format!(
            "image = 'oci:./box'\nstop_timeout = '1s'\nentrypoint = ['/bin/sh', '-c', '''{script}''']\n\
             [interface]\nkind = 'none'\n[readiness]\nprobe = 'skip'\n"
        );
        images.programs.define(stem, &text);
    };
    // The first process of a container is farrier's. The shell itself is in its own group.
    script(
        "killer",
        "trap \"\" TERM; sleep 1000 & kill -KILL 1; kill -STOP 1; kill -TERM 0 2>&1 & kill -KILL -1; echo all; exec sleep 1000",
    );
    script("closer", "exec <&- >&- 2>&-; exec sleep 1000");
    script(
        "flooder",
        "line=x; while [ ${#line} -lt 60000 ]; do line=$line$line; done; while :; do echo $line; done",
    );
    images.farrier(["up"]).output().assert_code(0);
    let log = |stem: &str, name: &str| {
        let id = images.sidecar(stem)["id"].as_str().expect("an id").to_owned();
        images.store().join("instances").join(id).join(name)
    };
    wait_until("the older half of the log is dropped", PATIENT, || log("flooder", "log.1").exists());
    for name in ["log", "log.1"] {
        let size = std::fs::metadata(log("flooder", name)).map_or(0, |found| found.len());
        assert!(size <= 8 << 20, "{name}: {size}");
    }
    for stem in ["closer", "flooder"] {
        assert_eq!(images.sidecar(stem)["state"], "running", "{stem}");
    }
    // It has ended itself or goes on, and is told as it is.
    let killer = images.sidecar("killer")["state"].clone();
    assert!(killer == "running" || killer == "exited", "{killer}");
    images.farrier(["down", "--yes"]).output().assert_code(0);
    let left = std::fs::read_dir(images.store().join("instances")).expect("a folder").count();
    assert_eq!(left, 0);
}

#[test]
fn a_process_debugs_its_own_children_and_not_farriers_process_1() {
    let images = Images::new();
    images.layout("box", &with_shell());
    let log = images.script(
        "box",
        "/fixture trace 1\n\
         cat /proc/1/mem >/dev/null 2>&1 || echo refused to read its memory\n\
         for file in /proc/1/fd/* /proc/1/root /proc/1/cwd; do ls $file/ >/dev/null 2>&1 && echo opened $file; done",
    );
    assert_eq!(log, "may debug its child, may not debug 1\nrefused to read its memory\nwhole\n");
}

#[test]
fn a_clock_that_was_set_back_disturbs_nothing() {
    let images = Images::new();
    images.layout("box", &with_shell());
    images.plain("box", "entrypoint = ['/bin/sh', '-c', 'echo up; exec sleep 1000']");
    images.farrier(["up"]).output().assert_code(0);
    images.programs.wait_for_log("box", "up\n");
    let id = images.sidecar("box")["id"].as_str().expect("an id").to_owned();
    let file = images.store().join("instances").join(&id).join("state.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).expect("a state")).expect("JSON");
    state["started_at"] = "2999-01-01T00:00:00.000000000Z".into();
    std::fs::write(&file, state.to_string()).expect("written");
    let plan = images.farrier(["plan"]).output().assert_code(0).stdout();
    assert!(plan.contains("reuse, because it is running and matches its definition"), "{plan}");
    images.farrier(["launch", "--", "true"]).output().assert_code(0);
    assert_eq!(images.sidecar("box")["id"], id.as_str());
    images.farrier(["down", "--yes"]).output().assert_code(0);
}
