use std::time::Duration;

use super::*;
use crate::definition::fuzzing::definition;
use crate::engine::PullProgress;
use crate::event::failure::until::Until;
use crate::plan::Cause;
use crate::plan::sidecar::Scopes;

const fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn plan(name: &str, action: Action, cause: Cause) -> SidecarPlan {
    let text = "image = 'x'\ninterface.kind = 'none'\nreadiness.probe = 'skip'\nlifecycle = 'shared'";
    let definition = definition(name, text).expect("a definition");
    let sidecar = std::sync::Arc::new(crate::plan::sidecar::Sidecar::new(definition, &Scopes::default()));
    SidecarPlan { sidecar, existing: None, action, causes: vec![cause], steps: Vec::new() }
}

/// A launch of three sidecars, up to a moment.
fn launch(until: Duration) -> Progress {
    let db = plan("db", Action::Recreate, Cause::Configuration(vec!["env.GREETING".to_owned()]));
    let cache = plan("cache", Action::Reuse, Cause::Matches);
    let broker = plan("broker", Action::Create, Cause::Absent);
    let pulled = PullProgress { current: 31 << 20, total: 120 << 20 };
    let [redis, postgres, http] = [6379, 5432, 80].map(|port| Until::from(format!("port {port} is open")));
    let waiting = |sidecar, until| Event::Waiting { sidecar, probe: "tcp", until, timeout: at(30_000) };
    let answered = |sidecar, probe, answer| Event::Answered {
        sidecar,
        probe,
        attempt: 1,
        answer,
        took: at(1),
        changed: true,
    };
    let ready = |sidecar, after| Event::Ready { sidecar, after: at(after), attempts: 1, last: None };
    let events = [
        (5, Event::Planned(&broker)),
        (5, Event::Planned(&cache)),
        (5, Event::Planned(&db)),
        (6, waiting("cache", &redis)),
        (8, ready("cache", 2)),
        (10, Event::Pulling { sidecar: "broker", image: "example/broker:1" }),
        (400, Event::PullProgress { sidecar: "broker", progress: pulled }),
        (500, Event::Started { sidecar: "db", container: "0123" }),
        (510, waiting("db", &postgres)),
        (520, answered("db", "tcp", "connection refused")),
        (4_000, Event::Pulled { sidecar: "broker", image: "example/broker:1" }),
        (4_600, ready("db", 4_090)),
        (5_000, Event::Started { sidecar: "broker", container: "4567" }),
        (5_001, waiting("broker", &http)),
        (5_010, ready("broker", 9)),
    ];
    let mut progress = Progress::default();
    for (when, event) in events.iter().take_while(|(when, _)| at(*when) <= until) {
        progress.note(at(*when), event);
    }
    progress
}

fn shown(until: u64, columns: usize, rows: usize) -> String {
    launch(at(until)).lines(at(until), columns, rows).join("\n")
}

#[test]
fn each_sidecar_says_what_happens_to_it() {
    insta::assert_snapshot!("planned", shown(5, 79, 24));
    insta::assert_snapshot!("pulling", shown(450, 79, 24));
    insta::assert_snapshot!("waiting", shown(600, 79, 24));
    insta::assert_snapshot!("waiting_long", shown(3_600, 79, 24));
}

#[test]
fn a_narrow_terminal_keeps_what_matters() {
    insta::assert_snapshot!("waiting_narrow", shown(3_600, 39, 24));
    insta::assert_snapshot!("waiting_tiny", shown(3_600, 20, 24));
}

#[test]
fn what_is_ready_gives_way_where_rows_are_few() {
    insta::assert_snapshot!("few_rows", shown(600, 79, 2));
}

#[test]
fn one_line_remains_in_the_longest_form_that_fits() {
    let progress = launch(at(6_000));
    let forms = [120, 79, 39, 20].map(|columns| progress.summary(at(5_012), columns));
    insta::assert_snapshot!(forms.join("\n"));
}

#[test]
fn the_time_in_which_somebody_thought_is_not_the_launch_s() {
    let mut progress = launch(at(6_000));
    progress.note(at(2), &Event::Asked { sidecar: "db", took: at(4_000) });
    assert!(progress.summary(at(5_012), 39).ends_with("ready after 1.0 s"));
}

#[test]
fn no_line_is_wider_than_the_terminal_or_holds_a_control_character() {
    let wide =
        plan("d\u{1b}[2Jb\u{65e5}\u{672c}", Action::Create, Cause::Drifted(vec!["\u{202e}".to_owned()]));
    for columns in 10..120 {
        let mut progress = launch(at(4_100));
        progress.note(at(0), &Event::Planned(&wide));
        let lines = progress.lines(at(9_000), columns, 24);
        let summary = progress.summary(at(9_000), columns);
        for line in lines.iter().chain([&summary]) {
            assert!(measure_text_width(line) <= columns, "{columns}: {line}");
            assert!(
                !line.chars().any(|character| character.is_control() || character == '\u{202e}'),
                "{line:?}"
            );
        }
    }
}

#[test]
fn a_start_that_takes_long_says_why_where_there_is_room() {
    let mut progress = launch(at(5));
    let reason = "no node has the task yet";
    progress.note(at(3_100), &Event::Delayed { sidecar: "db", reason });
    let shown = |columns| progress.lines(at(3_200), columns, 10).join("\n");
    assert!(shown(80).contains(&format!("not started yet: {reason}")), "{}", shown(80));
    assert!(
        shown(40).contains("not started yet") && !shown(40).contains("not started yet:"),
        "{}",
        shown(40)
    );
}
