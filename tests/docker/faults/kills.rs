//! Launches that are killed between any two requests to the engine.

use super::setup::{Form, Stage};
use crate::support::proxy::Request;
use crate::support::tables::step;
use crate::support::{Signal, Trouble};

/// Kills a launch at each request in turn: before the engine has it, and when it was carried out.
fn kill_at_each_request(form: Form, every: usize) {
    let Some(mut stage) = Stage::new(form) else { return };
    let (mut kills, mut outran, mut index) = (0, 0, 0);
    let data = {
        stage.prepare();
        stage.volume()
    };
    'requests: loop {
        for (turn, trouble) in [Trouble::HoldBefore, Trouble::HoldAfter].into_iter().enumerate() {
            if every > 1 && (index + turn) % 2 == 1 {
                // Of the ordinary run's requests each is hit from one side.
                continue;
            }
            stage.prepare();
            stage.proxy.at(index, trouble);
            let mut launch = stage.proxied().spawn();
            if !stage.proxy.wait_held(|| launch.has_ended()) {
                launch.wait().assert_code(0);
                break 'requests;
            }
            let process = launch.id();
            launch.signal(Signal::KILL);
            let ended = launch.wait();
            let request = stage.proxy.requests().get(index).map(Request::line).unwrap_or_default();
            stage.proxy.release();
            let what = format!("{form:?}: killed, {trouble:?} at {index}: {request}");
            // A look that a harness's end interrupts is not waited for: such a launch may end before the signal does it.
            match ended.code() {
                None => kills += 1,
                Some(code) => {
                    assert_eq!(code, 0, "{what}: {ended}");
                    outran += 1;
                    println!("{what}: had ended");
                }
            }
            stage.recovers(&what, process);
            assert_eq!(stage.volume(), data.clone().or_else(|| stage.volume()), "{what}: the volume is kept");
        }
        index += every;
    }
    println!("{form:?}: {kills} launches were killed at {index} requests, {outran} had ended, lost: 0");
    assert!(kills >= 3 && outran <= 2, "{kills} killed, {outran} had ended");
}

#[test]
fn between_any_two_requests_of_a_launch_that_creates() {
    kill_at_each_request(Form::Create, step(3));
}

#[test]
fn between_any_two_requests_of_a_launch_that_recreates() {
    kill_at_each_request(Form::Recreate, step(3));
}

#[test]
fn between_any_two_requests_of_a_launch_that_relays() {
    kill_at_each_request(Form::Relay, step(3));
}

#[test]
fn between_any_two_requests_of_a_launch_that_resumes() {
    kill_at_each_request(Form::Resume, step(3));
}
