//! Whatever a Docker engine says.

use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::models::{ContainerInspectResponse, CreateImageInfo, EventMessage, ImageInspect};

use super::convert::{convert_container, convert_event, convert_image};
use super::convert_error;
use super::output::take_stamp;
use super::pull::{Layers, with_tag};
use crate::engine::EngineInfo;
use crate::engine::docker::api::Container;
use crate::engine::docker::classification::meaning;
use crate::engine::meaning_of_log;
use crate::event::failure::listeners::listening;
use crate::fuzzing::assert_json;

/// The first byte says what kind of answer the rest is.
pub fn engine_answers(data: &[u8]) {
    let Some((kind, said)) = data.split_first() else { return };
    match kind % 7 {
        0 => container(said),
        1 => image(said),
        2 => progress(said),
        3 => events(said),
        4 => output(said),
        5 => {
            let _ = listening(said);
        }
        _ => words(said),
    }
}

/// JSON, one value after the other.
fn values<T: serde::de::DeserializeOwned>(said: &[u8]) -> impl Iterator<Item = T> {
    serde_json::Deserializer::from_slice(said).into_iter().map_while(Result::ok)
}

fn container(said: &[u8]) {
    for inspected in values::<ContainerInspectResponse>(said) {
        let container: Container = convert_container(inspected);
        assert!(!container.name.starts_with('/'));
        let instance = container.instance();
        let start = instance.log_start();
        assert!(
            start == container.started_at
                || start.parse::<jiff::Timestamp>().is_ok()
                || start == container.finished_at
        );
        assert!(instance.since().is_none_or(|since| since > jiff::Timestamp::UNIX_EPOCH));
        assert!(container.networks.values().all(|endpoint| {
            endpoint.bridge.is_empty()
                || endpoint.network_id.starts_with(endpoint.bridge.trim_start_matches("br-"))
        }));
        assert_json(&serde_json::json!(container.privileges));
    }
}

fn image(said: &[u8]) {
    for inspected in values::<ImageInspect>(said) {
        let image = convert_image(inspected);
        assert!(image.volumes.is_sorted());
    }
}

fn progress(said: &[u8]) {
    let mut layers = Layers::default();
    for message in values::<CreateImageInfo>(said) {
        if let Some(found) = layers.note(message) {
            // What the sinks do with it.
            assert!(found.current.checked_mul(100).is_some() && found.total.checked_mul(100).is_some());
        }
    }
}

fn events(said: &[u8]) {
    for message in values::<EventMessage>(said) {
        let _ = convert_event(message);
    }
}

/// A part of a container's output is given as it was written, without the engine's stamp.
fn output(said: &[u8]) {
    for is_error in [false, true] {
        let message = said.to_vec().into();
        let part = if is_error { LogOutput::StdErr { message } } else { LogOutput::StdOut { message } };
        if let Some((stamp, written)) = take_stamp(part) {
            assert!(said.ends_with(&written.bytes) && written.bytes.len() < said.len());
            assert_eq!(written.is_error, is_error);
            let info = EngineInfo {
                id: String::new(),
                time: format!("{}.{:09}", stamp.as_second(), stamp.subsec_nanosecond()),
                version: String::new(),
                architecture: String::new(),
                local: false,
            };
            if stamp >= jiff::Timestamp::UNIX_EPOCH {
                assert_eq!(info.moment(), Some(stamp));
            }
        }
    }
}

fn words(said: &[u8]) {
    let text = String::from_utf8_lossy(said).into_owned();
    let _ = (meaning(&text), meaning_of_log(&text));
    assert!(with_tag(&text).starts_with(text.as_str()));
    let error =
        convert_error(BollardError::DockerResponseServerError { status_code: 500, message: text.clone() });
    assert_eq!(error.message, text);
    let error = convert_error(BollardError::DockerStreamError { error: text.clone() });
    assert_eq!(error.message, text);
}
