//! The engine restarts while a launch waits; its stream of events breaks.

use std::thread;
use std::time::Duration;

use super::setup::{Form, Stage};
use crate::support::engine::is_running;
use crate::support::{PATIENT, Trouble, docker, wait_until};

/// How long the server takes to listen, so that there is a wait to be disturbed.
const SLOW: Duration = Duration::from_secs(3);

#[test]
fn a_wait_outlasts_an_engine_that_is_away_for_two_seconds() {
    for form in [Form::Create, Form::Relay] {
        let Some(mut stage) = Stage::new(form) else { return };
        stage.prepare();
        stage.define(SLOW);
        let launch = stage.proxied().spawn();
        wait_until("it is waited for", PATIENT, || stage.scene.has_event("started"));
        stage.proxy.down(true);
        thread::scope(|scope| {
            scope.spawn(|| {
                // As long as an engine takes to restart.
                thread::park_timeout(Duration::from_secs(2));
                stage.proxy.down(false);
            });
        });
        let process = launch.id();
        let outcome = launch.wait();
        assert_eq!(outcome.code(), Some(0), "{form:?}:\n{outcome}");
        stage.recovers(&format!("{form:?}: away"), process);
    }
}

#[test]
fn without_a_stream_of_events_launches_are_ready_and_ends_are_noticed() {
    let garbage = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"a\":\u{1b}[}\r\n0\r\n\r\n";
    for trouble in [Trouble::Drop, Trouble::Cut(0), Trouble::Cut(30), Trouble::Hang, Trouble::Answer(garbage)]
    {
        let Some(mut stage) = Stage::new(Form::Create) else { return };
        stage.prepare();
        stage.define(Duration::from_millis(300));
        stage.proxy.everywhere("/events", trouble);
        let outcome = stage.proxied().output();
        assert_eq!(outcome.code(), Some(0), "{trouble:?}:\n{outcome}");

        stage.prepare();
        // Neither is reached before the launch itself is killed for taking too long.
        stage.define_until(Duration::from_mins(60), "60m");
        stage.proxy.everywhere("/events", trouble);
        let mut launch = stage.proxied().spawn();
        wait_until("it is waited for", PATIENT, || stage.scene.has_event("answered") || launch.has_ended());
        assert!(!launch.has_ended(), "{trouble:?}: it ended before it was waited for");
        docker(["kill", &stage.scene.container("db")]);
        let outcome = launch.wait();
        assert_eq!(outcome.code(), Some(125), "{trouble:?}:\n{outcome}");
        assert!(outcome.stderr().contains("sidecar-exited"), "{trouble:?}:\n{outcome}");
    }
}

#[test]
fn connections_that_break_again_and_again_only_delay_a_launch() {
    let Some(mut stage) = Stage::new(Form::Create) else { return };
    stage.prepare();
    stage.define(Duration::from_secs(2));
    let mut launch = stage.proxied().spawn();
    wait_until("it is waited for", PATIENT, || stage.scene.has_event("answered"));
    let mut seen = stage.proxy.requests().len();
    while !launch.has_ended() {
        stage.proxy.break_connections();
        stage.proxy.wait_requests(seen + 2, || launch.has_ended() || stage.scene.has_event("ready"));
        if stage.scene.has_event("ready") {
            break;
        }
        seen = stage.proxy.requests().len();
    }
    launch.wait().assert_code(0);
    assert!(is_running(&stage.scene.container("db")));
}
