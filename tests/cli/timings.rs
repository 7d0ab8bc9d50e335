//! `--timings`: where the start-up went.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::images::setup::Images;
use crate::support::launching::{idler, server};
use crate::support::{Image, Outcome, PATIENT, Scene, assert_output, fixture_image, wait_until};

/// The row of a sidecar: action, pull, create, start, to ready, total, before.
fn row(outcome: &Outcome, name: &str) -> Vec<String> {
    let text = outcome.stderr();
    let table = text.lines().skip_while(|line| !line.contains("farrier: where "));
    let line = table.skip(1).find(|line| line.contains(name));
    let line = line.unwrap_or_else(|| panic!("no row of {name}: {outcome}"));
    let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    cells.skip(1).map(str::to_owned).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn is_time(cell: &str) -> bool {
    cell.ends_with(" ms") || cell.ends_with(" s")
}

#[test]
fn each_part_of_the_start_is_told_and_compared_with_earlier_launches() {
    let Some(scene) = Scene::with_docker() else { return };
    let scene = scene.isolated();
    scene.define("db", &server(&fixture_image(), "command = [\"wait\"]"));
    scene.define("other", &idler(&fixture_image(), "command = [\"wait\"]"));
    let network = scene.network("net");
    let harness = scene.in_container(&network, &["exit", "0"]);
    let launch = || scene.launch_with(["--timings"], &harness);

    let first = launch().spawn();
    wait_until("it alone is not ready", PATIENT, || scene.has_event("ready") && scene.has_event("answered"));
    scene.listen("db");
    let first = first.wait().assert_code(0);
    let cells = row(&first, &scene.name("db"));
    assert_eq!((cells[0].as_str(), cells[1].as_str()), ("create", "-"), "{first}");
    assert!(cells[2..6].iter().all(|cell| is_time(cell)), "{cells:?}: {first}");
    assert_eq!(cells[6], "-", "nothing to compare with: {first}");
    let critical = format!("  * the last to be ready: {}, by ", scene.name("db"));
    assert!(first.stderr().contains(&critical), "{first}");
    assert!(first.stderr().contains("getting ready "), "{first}");
    assert!(first.stderr().contains("before the sidecars: "), "{first}");
    assert!(first.stderr().contains(&format!("* {}", scene.name("db"))), "{first}");
    assert!(first.stdout().is_empty());

    launch().output().assert_code(0);
    let (page, trace) = (text(&scene.path("report.html")), text(&scene.path("trace.json")));
    let files = ["--timings", "--timings-report", page.as_str(), "--trace", trace.as_str()];
    let third = scene.launch_with(files, &harness).output().assert_code(0);
    let cells = row(&third, &scene.name("db"));
    assert_eq!((cells[0].as_str(), cells[2].as_str(), cells[3].as_str()), ("reuse", "-", "-"), "{third}");
    assert!(
        cells[6].strip_suffix(" (of 1)").is_some_and(is_time),
        "the second launch is there to compare with: {cells:?}"
    );

    let page = std::fs::read_to_string(page).expect("a page");
    let heading = format!("<b>{}</b> <small>reuse</small>", scene.name("db"));
    for part in ["all sidecars were ready after", heading.as_str(), "an earlier launch: ", "tcp: ready"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let trace = std::fs::read_to_string(trace).expect("a trace");
    let trace: Value = serde_json::from_str(&trace).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    assert!(events.iter().any(|event| event["name"] == "wait" && event["ph"] == "X"), "{trace}");
    follows_the_format(&trace);
}

/// What the description of the format demands, and what viewers drop events for.
fn follows_the_format(trace: &Value) {
    let events = trace["traceEvents"].as_array().expect("events");
    assert_eq!(trace["displayTimeUnit"], "ms");
    let mut spans: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
    for event in events {
        let number = |key: &str| event[key].as_u64().unwrap_or_else(|| panic!("{key}: {event}"));
        assert!(event["name"].is_string() && number("pid") > 0, "{event}");
        match event["ph"].as_str().expect("a phase") {
            "M" => {
                let is_known = ["process_name", "thread_name"].iter().any(|name| event["name"] == *name);
                assert!(is_known && event["args"]["name"].is_string(), "{event}");
            }
            "X" => {
                spans.entry(number("tid")).or_default().push((number("ts"), number("ts") + number("dur")));
            }
            "i" => assert!(number("tid") < 1_000 && number("ts") > 0 && event["s"] == "t", "{event}"),
            other => panic!("{other}: {event}"),
        }
    }
    // Spans of one line lie within each other, or apart.
    for line in spans.values() {
        for (index, (from, to)) in line.iter().enumerate() {
            for (other_from, other_to) in &line[index + 1..] {
                let is_apart = to <= other_from || other_to <= from;
                let is_within =
                    (from <= other_from && other_to <= to) || (other_from <= from && to <= other_to);
                assert!(is_apart || is_within, "{from}-{to}, {other_from}-{other_to}: {trace:#}");
            }
        }
    }
}

/// One that comes after a job, which comes after a server.
#[test]
fn the_trace_of_an_ordered_launch_follows_the_format() {
    let images = Images::new();
    images.layout("box", &Image::new());
    let scene = &images.programs.scene;
    let define = |stem: &str, lines: &str, readiness: &str| {
        let text = format!("image = 'oci:./box'\n{lines}\n[interface]\nkind = 'none'\n{readiness}");
        images.programs.define(stem, &text);
    };
    let ready = "[readiness]\nprobe = 'skip'\n";
    define("db", "command = ['wait']", ready);
    define("job", &format!("command = ['exit', '0']\njob = 'once'\nafter = ['{}']", scene.name("db")), "");
    define("web", &format!("command = ['wait']\nafter = ['{}']", scene.name("job")), ready);
    let trace = scene.path("trace.json");
    images.farrier(["up", "--trace"]).arg(&trace).output().assert_code(0);
    let trace: Value =
        serde_json::from_str(&std::fs::read_to_string(&trace).expect("a trace")).expect("JSON");
    follows_the_format(&trace);
    let events = trace["traceEvents"].as_array().expect("events");
    for name in ["held", "create", "run"] {
        assert!(events.iter().any(|event| event["name"] == name), "{name}: {trace:#}");
    }
}

#[test]
fn a_history_that_cannot_be_kept_is_no_failure() {
    let Some(scene) = Scene::with_docker() else { return };
    let scene = scene.isolated();
    scene.define("other", &idler(&fixture_image(), "command = [\"wait\"]"));
    std::fs::create_dir_all(scene.state_home().join("farrier/timings.jsonl")).expect("a folder in its place");
    let outcome = scene.farrier(["up", "--timings"]).output().assert_code(0);
    assert_eq!(row(&outcome, &scene.name("other"))[0], "create");
}

#[test]
fn a_report_is_written_of_a_launch_that_fails_and_refused_where_it_cannot_be() {
    let scene = Scene::new().isolated();
    let program =
        "lifecycle = \"shared\"\nprogram = [\"sleep\", \"60\"]\ninterface = { kind = \"port\", port = 1 }\n";
    scene.define("db", &format!("{program}[readiness]\ntimeout = \"200ms\"\n"));
    let page = text(&scene.path("report.html"));
    let up = |path: &str| scene.farrier(["up", "--engine", "native", "--timings-report", path]).output();
    up(&page).assert_code(125);
    let written = std::fs::read_to_string(&page).expect("a page");
    for part in ["not all sidecars were ready", "class=\"failed\"", "class=\"failure\""] {
        assert!(written.contains(part), "{part}: {written}");
    }
    scene.farrier(["down", "--yes", "--engine", "native"]).output().assert_code(0);
    let refused = up(&text(&scene.path("no/such/folder.html"))).assert_code(2);
    assert_output!(refused, @"
    exit code 2
    --- stdout
    --- stderr
    error[usage]: cannot write timings to [SCENE]/no/such/folder.html: No such file or directory (os error 2)
     |
     = help: Name a file in a folder that exists.
    ");
}
