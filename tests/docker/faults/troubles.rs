//! Requests that fail, hang, are answered late or with nonsense, on a real engine.

use std::time::Duration;

use super::setup::{Form, Stage, ended_in_words};
use crate::support::proxy::Request;
use crate::support::tables::step;
use crate::support::{Signal, Trouble};

const REFUSED: &str = "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n\
                       Content-Length: 41\r\n\r\n{\"message\":\"the engine has a bad moment\"}";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const NO_JSON: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n\x1b[2J{";
const EMPTY: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
const NO_HTTP: &str = "\u{1}\u{2} this is no HTTP \u{1b}[31m\r\n\r\n";
/// Well-formed, and of no use: ids that are none, a status that no engine has, numbers beyond all.
const STRANGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 140\r\n\r\n\
    {\"Id\":\"../..\",\"ID\":\"\",\"State\":{\"Status\":\"levitating\",\"ExitCode\":99999999999999999999},\
    \"Created\":-1,\"SystemTime\":\"never\",\"Name\":\"/\\u001b[2J\"}";

const TROUBLES: [Trouble; 9] = [
    Trouble::Drop,
    Trouble::DropAfter,
    Trouble::Cut(20),
    Trouble::Answer(REFUSED),
    Trouble::AnswerAfter(UNAVAILABLE),
    Trouble::Answer(NO_JSON),
    Trouble::AnswerAfter(EMPTY),
    Trouble::Answer(NO_HTTP),
    Trouble::AnswerAfter(STRANGE),
];

#[test]
fn the_nonsense_is_as_long_as_it_says() {
    for text in [REFUSED, UNAVAILABLE, NO_JSON, EMPTY, STRANGE] {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let length = head.rsplit_once("Content-Length: ").expect("a length").1;
        assert_eq!(length.parse(), Ok(body.len()), "{text}");
    }
}

/// Every trouble at every request; `every` so manieth case of the whole table.
fn at_each_request(form: Form, every: usize) {
    let Some(mut stage) = Stage::new(form) else { return };
    stage.prepare();
    stage.proxied().output().assert_code(0);
    let length = stage.proxy.requests().len();
    let cases = (0..length).flat_map(|index| TROUBLES.map(|trouble| (index, trouble)));
    let mut ran = 0;
    for (index, trouble) in cases.step_by(every) {
        stage.prepare();
        stage.proxy.at(index, trouble);
        let launch = stage.proxied().spawn();
        let process = launch.id();
        let outcome = launch.wait();
        let request = stage.proxy.requests().get(index).map(Request::line).unwrap_or_default();
        let what = format!("{form:?}: {trouble:?} at {index}: {request}");
        ended_in_words(&stage.scene, &outcome, &what);
        stage.recovers(&what, process);
        ran += 1;
    }
    println!("{form:?}: {ran} of {} cases of trouble", length * TROUBLES.len());
}

#[test]
fn whatever_happens_to_a_request_of_a_launch_that_creates() {
    at_each_request(Form::Create, step(29));
}

#[test]
fn whatever_happens_to_a_request_of_a_launch_that_recreates() {
    at_each_request(Form::Recreate, step(31));
}

#[test]
fn whatever_happens_to_a_request_of_a_launch_that_relays() {
    at_each_request(Form::Relay, step(37));
}

#[test]
fn a_request_that_hangs_can_be_interrupted_and_the_next_launch_works() {
    let Some(mut stage) = Stage::new(Form::Create) else { return };
    stage.prepare();
    stage.proxied().output().assert_code(0);
    let length = stage.proxy.requests().len();
    for (turn, index) in (0..length).step_by(step(4)).enumerate() {
        stage.prepare();
        let trouble = if turn % 2 == 0 { Trouble::Hang } else { Trouble::HangAfter };
        stage.proxy.at(index, trouble);
        let mut launch = stage.proxied().spawn();
        let process = launch.id();
        stage.proxy.wait_requests(index + 1, || launch.has_ended());
        let what = format!("{trouble:?} at {index}");
        if launch.has_ended() {
            ended_in_words(&stage.scene, &launch.wait(), &what);
        } else {
            launch.signal(Signal::INT);
            let outcome = launch.wait();
            // A hang that does not matter, as of the events, may be over before the signal comes.
            assert!(matches!(outcome.code(), Some(130 | 0)), "{what}:\n{outcome}");
        }
        stage.recovers(&what, process);
    }
}

#[test]
fn an_engine_that_is_slow_with_everything_is_waited_for() {
    for form in [Form::Create, Form::Recreate, Form::Relay] {
        let Some(mut stage) = Stage::new(form) else { return };
        stage.prepare();
        stage.proxy.everywhere("/", Trouble::Late(Duration::from_millis(150)));
        stage.proxied().output().assert_code(0);
        stage.recovers("late", 0);
    }
}
