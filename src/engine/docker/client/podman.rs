//! Podman's answers in the words of Docker's API. Podman answers that API too, but some of its words are its own, and
//! some of its answers leave out what farrier decides by.

use std::collections::BTreeSet;
use std::time::Duration;

use bollard::BollardRequest;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::plan::sidecar::LABEL_CONFIGURATION;
use crate::system::digest::sha256_hex;

/// What only Podman's answers have.
const VERSION: &str = "libpod-api-version";
/// The oldest version of Podman's own API that has what is asked below.
const OWN_API: &str = "/v4.0.0/libpod";
/// Where Podman tells about itself.
pub(super) const ABOUT_ITSELF: &str = "/v4.0.0/libpod/info";
/// Capabilities that Docker gives to every container and Podman does not: it shows them as dropped.
const NOT_GIVEN: [&str; 3] = ["AUDIT_WRITE", "MKNOD", "NET_RAW"];

/// Annotations that Podman 5 gives each container, and how others of its own begin.
const OWN_ANNOTATIONS: [&str; 4] = [
    "io.container.manager",
    "org.opencontainers.image.stopSignal",
    "org.systemd.property.KillSignal",
    "org.systemd.property.TimeoutStopUSec",
];
const OWN_ANNOTATIONS_PREFIX: &str = "io.podman.annotations.";

/// How long after the end of a run Podman has started the next one, also on a busy machine: it does not pause between them.
const STARTED_AGAIN: Duration = Duration::from_secs(10);

/// An answer that is put into Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Containers,
    Container,
    Image,
    Engine,
}

/// Whether Podman gave this answer.
pub(super) fn is_podman(headers: &HeaderMap) -> bool {
    headers.contains_key(VERSION)
}

/// Whether this error is about something that changed while Podman looked, so that the same question has an answer: a container
/// that was listed and is gone, or a file of an image that is being written.
pub(super) fn is_of_the_moment(body: &[u8]) -> bool {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_said = |words: &str| {
        ["cause", "message"].iter().any(|name| error[name].as_str().is_some_and(|said| said.contains(words)))
    };
    is_said("no such container") || (is_said("locating item named") && is_said("file does not exist"))
}

/// What the answer to this request is; `None` if Podman answers it as Docker does.
pub(super) fn answer_to(path: &str) -> Option<Answer> {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["containers", "json"] => Some(Answer::Containers),
        ["containers", _, "json"] => Some(Answer::Container),
        ["images", name @ .., "json"] if !name.is_empty() => Some(Answer::Image),
        ["info"] => Some(Answer::Engine),
        _ => None,
    }
}

/// Whether the whole answer can be read at once.
pub(super) fn is_json<B>(response: &Response<B>) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    response.status().is_success() && kind.is_some_and(|kind| kind.starts_with("application/json"))
}

/// The path of Podman's own answer with what its answer for Docker leaves out: the runs of containers, the health test of an
/// image. `None` if it leaves out nothing.
pub(super) fn own_path(answer: Answer, request: &BollardRequest) -> Option<String> {
    match answer {
        Answer::Containers => {
            let query = request.uri().query().unwrap_or_default();
            Some(format!("{OWN_API}/containers/json?{query}"))
        }
        Answer::Image => Some(format!("{OWN_API}{}", request.uri().path())),
        Answer::Container | Answer::Engine => None,
    }
}

/// Puts an answer into Docker's words. `own` is Podman's own answer, where [`own_path`] names one.
pub(super) fn translate(answer: Answer, value: &mut Value, own: &Value) {
    match answer {
        Answer::Containers => value.as_array_mut().into_iter().flatten().for_each(|one| listed(one, own)),
        Answer::Container => inspected(value),
        Answer::Image => {
            if let (Some(configuration), test @ Value::Object(_)) =
                (value.get_mut("Config").and_then(Value::as_object_mut), &own["Healthcheck"])
            {
                configuration.insert("Healthcheck".to_owned(), test.clone());
            }
        }
        Answer::Engine => engine(value),
    }
}

/// Each answer has another id, which is made by chance. An engine is the same if it keeps the same containers.
fn engine(info: &mut Value) {
    let text = |name: &str| info[name].as_str().unwrap_or_default().to_owned();
    let id = sha256_hex(format!("podman {} {}", text("Name"), text("DockerRootDir")));
    set(info, "/ID", json!(id));
}

fn listed(container: &mut Value, runs: &Value) {
    let run = runs.as_array().into_iter().flatten().find(|run| run["Id"] == container["Id"]);
    let endpoint = run.and_then(|run| endpoint(run["Pid"].as_i64()?, run["StartedAt"].as_i64()?));
    endpoints(container, &endpoint.unwrap_or_default());
    change(container, "/State", state);
}

fn inspected(container: &mut Value) {
    let run = container.get("State").and_then(|state| {
        let started = state["StartedAt"].as_str()?.parse::<Timestamp>().ok()?;
        endpoint(state["Pid"].as_i64()?, started.as_second())
    });
    endpoints(container, &run.unwrap_or_default());
    change(container, "/State/Status", state);
    if is_between_runs(container, Timestamp::now()) {
        set(container, "/State/Status", json!("restarting"));
    }
    // Health states of its own, in which no test has spoken.
    change(container, "/State/Health/Status", |status| match status.as_str() {
        Some("stopped" | "reset") => json!("starting"),
        _ => status.clone(),
    });
    let declared = declared(container);
    let networks = container.pointer("/NetworkSettings/Networks").and_then(Value::as_object);
    let network = networks.and_then(|networks| networks.keys().next()).cloned();
    change(container, "/HostConfig/NetworkMode", |mode| match network {
        Some(network) if mode == "bridge" => json!(network),
        _ => mode.clone(),
    });
    for name in ["/HostConfig/PidMode", "/HostConfig/UTSMode"] {
        change(container, name, |mode| if mode == "private" { json!("") } else { mode.clone() });
    }
    annotations(container);
    capabilities(container, &declared);
    limits(container, &declared);
    change(container, "/Config/StopTimeout", |seconds| {
        if declared["stop_timeout"].is_null() && seconds == 0 { Value::Null } else { seconds.clone() }
    });
    change(container, "/Config/WorkingDir", |path| if path == "/" { json!("") } else { path.clone() });
}

fn set(value: &mut Value, pointer: &str, new: Value) {
    change(value, pointer, |_| new);
}

/// Puts another value in the place of what is there, if anything is.
fn change(value: &mut Value, pointer: &str, new: impl FnOnce(&Value) -> Value) {
    if let Some(found) = value.pointer_mut(pointer) {
        *found = new(found);
    }
}

/// The definition that the container says it was made from. What this leaves out of a container's answer only limits
/// it, so that nobody gains by a forged one.
fn declared(container: &Value) -> Value {
    let labels = container.pointer("/Config/Labels");
    let label = labels.and_then(|labels| labels[LABEL_CONFIGURATION].as_str()).unwrap_or_default();
    let stored: Value = serde_json::from_str(label).unwrap_or_default();
    stored["configuration"].clone()
}

/// What stands for a place on a network, of which Podman tells no id: the run of the container.
fn endpoint(process: i64, started: i64) -> Option<String> {
    (process > 0).then(|| format!("{process}.{started}"))
}

fn endpoints(container: &mut Value, endpoint: &str) {
    let networks = container.pointer_mut("/NetworkSettings/Networks").and_then(Value::as_object_mut);
    for place in networks.into_iter().flat_map(Map::values_mut) {
        set(place, "/EndpointID", json!(endpoint));
    }
}

fn state(state: &Value) -> Value {
    match state.as_str() {
        Some("stopped") => json!("exited"),
        Some("configured" | "initialized") => json!("created"),
        Some("unknown") => json!("dead"),
        _ => state.clone(),
    }
}

/// Whether Podman may be about to start it again, which Docker calls `restarting` and Podman `exited`. What it has not started
/// again soon, it does not start again: somebody stopped it, of which this API tells nothing. One that ended by SIGKILL or SIGTERM
/// although it is started again only after failures was probably stopped, too.
fn is_between_runs(container: &Value, now: Timestamp) -> bool {
    let number = |pointer: &str| container.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let text = |pointer: &str| container.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let is_started_again = match text("/HostConfig/RestartPolicy/Name") {
        "always" | "unless-stopped" => true,
        "on-failure" => {
            let most = number("/HostConfig/RestartPolicy/MaximumRetryCount");
            let is_left = most == 0 || number("/RestartCount") < most;
            is_left && ![0, 137, 143].contains(&number("/State/ExitCode"))
        }
        _ => false,
    };
    let ended: Option<Timestamp> = text("/State/FinishedAt").parse().ok();
    let is_recent = ended.is_some_and(|ended| now.duration_since(ended).unsigned_abs() < STARTED_AGAIN);
    text("/State/Status") == "exited" && is_started_again && is_recent
}

/// Without Podman's own.
fn annotations(container: &mut Value) {
    let pointer = "/HostConfig/Annotations";
    let found = container.pointer_mut(pointer).and_then(Value::as_object_mut);
    let Some(annotations) = found else { return };
    annotations.retain(|name, _| {
        !name.starts_with(OWN_ANNOTATIONS_PREFIX) && !OWN_ANNOTATIONS.contains(&name.as_str())
    });
    if annotations.is_empty() {
        set(container, pointer, Value::Null);
    }
}

/// Counted from what Docker gives: what Podman withholds from all is dropped only if the definition says so.
fn capabilities(container: &mut Value, declared: &Value) {
    let names = |list: Option<&Value>| -> BTreeSet<String> {
        let names = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        names.map(|name| name.trim_start_matches("CAP_").to_owned()).collect()
    };
    let (add, drop) = ("/HostConfig/CapAdd", "/HostConfig/CapDrop");
    let (mut added, mut dropped) = (names(container.pointer(add)), names(container.pointer(drop)));
    let (wanted, unwanted) = (names(declared.get("cap_add")), names(declared.get("cap_drop")));
    for name in NOT_GIVEN {
        if wanted.contains(name) && !dropped.contains(name) {
            added.insert(name.to_owned());
        }
        if !unwanted.contains(name) && !unwanted.contains("ALL") {
            dropped.remove(name);
        }
    }
    set(container, add, json!(added));
    set(container, drop, json!(dropped));
}

/// Without those that come from Podman's own configuration.
fn limits(container: &mut Value, declared: &Value) {
    if declared["pids"].is_null() {
        set(container, "/HostConfig/PidsLimit", Value::Null);
    }
    let limits = container.pointer_mut("/HostConfig/Ulimits").and_then(Value::as_array_mut);
    let Some(limits) = limits else { return };
    for limit in limits.iter_mut() {
        change(limit, "/Name", |name| {
            json!(name.as_str().unwrap_or_default().trim_start_matches("RLIMIT_").to_ascii_lowercase())
        });
    }
    limits.retain(|limit| limit["Name"].as_str().is_some_and(|name| !declared["ulimits"][name].is_null()));
}

/// The variables that Podman sets in every container, beside those of the image and the definition: HOME as the image's list of
/// users has it.
pub(super) fn own_variables(env: &[String], id: &str) -> Vec<String> {
    let host = format!("HOSTNAME={}", id.get(..12).unwrap_or(id));
    let own = |pair: &&String| {
        matches!(
            pair.as_str(),
            "TERM=xterm"
                | "container=podman"
                | "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        ) || pair.starts_with("HOME=")
            || **pair == host
    };
    env.iter().filter(own).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Podman 4.3 shows of a container, as far as it is translated.
    fn shown(configuration: &Value, host: &Value, status: &str) -> Value {
        let label = json!({"salt": "", "configuration": configuration}).to_string();
        json!({
            "Id": "4da950b572f711ecb20e652d6e1dcfd70511b92dae424ce18c3fcf58a50d1db5",
            "State": {"Status": status, "Pid": 14857, "StartedAt": "2026-11-29T06:47:17.338123148Z"},
            "Config": {"WorkingDir": "/", "StopTimeout": 0, "Labels": {LABEL_CONFIGURATION: label}},
            "HostConfig": host,
            "NetworkSettings": {"Networks": {"farrier": {"EndpointID": "", "IPAddress": "10.89.0.2"}}},
        })
    }

    fn translated(mut shown: Value) -> Value {
        translate(Answer::Container, &mut shown, &Value::Null);
        shown
    }

    #[test]
    fn what_podman_sets_by_itself_is_not_shown() {
        let host = json!({
            "NetworkMode": "bridge", "PidMode": "private", "UTSMode": "private", "CapAdd": [],
            "CapDrop": ["AUDIT_WRITE", "MKNOD", "NET_RAW"], "PidsLimit": 2048,
            "Ulimits": [{"Name": "RLIMIT_NOFILE", "Hard": 20000, "Soft": 20000}],
            "Annotations": {"io.container.manager": "libpod", "io.podman.annotations.pids-limit": "0"},
        });
        let found = translated(shown(&json!({}), &host, "running"));
        let expected = json!({
            "NetworkMode": "farrier", "PidMode": "", "UTSMode": "", "CapAdd": [], "CapDrop": [], "PidsLimit": null,
            "Ulimits": [], "Annotations": null,
        });
        assert_eq!(found["HostConfig"], expected);
        assert_eq!(
            (&found["Config"]["WorkingDir"], &found["Config"]["StopTimeout"]),
            (&json!(""), &Value::Null)
        );
        assert_eq!(found["NetworkSettings"]["Networks"]["farrier"]["EndpointID"], "14857.1795934837");
    }

    #[test]
    fn what_is_declared_and_what_gives_more_rights_is_shown() {
        let host = json!({
            "NetworkMode": "host", "PidMode": "host", "UTSMode": "host", "CapAdd": ["SYS_ADMIN"],
            "CapDrop": ["AUDIT_WRITE", "MKNOD"], "PidsLimit": 50,
            "Ulimits": [{"Name": "RLIMIT_NOFILE", "Hard": 200, "Soft": 100}, {"Name": "RLIMIT_NPROC", "Hard": 1, "Soft": 1}],
        });
        let configuration = json!({"cap_add": ["NET_RAW"], "cap_drop": ["MKNOD"], "pids": 50, "ulimits": {"nofile": [100, 200]}});
        let found = translated(shown(&configuration, &host, "stopped"));
        let expected = json!({
            "NetworkMode": "host", "PidMode": "host", "UTSMode": "host", "CapAdd": ["NET_RAW", "SYS_ADMIN"],
            "CapDrop": ["MKNOD"], "PidsLimit": 50, "Ulimits": [{"Name": "nofile", "Hard": 200, "Soft": 100}],
        });
        assert_eq!(found["HostConfig"], expected);
        assert_eq!(found["State"]["Status"], "exited");
    }

    #[test]
    fn what_failed_and_is_started_again_is_restarting() {
        let (now, before) = (Timestamp::now(), Timestamp::now() - Duration::from_secs(60));
        for (policy, code, restarts, most, ended, expected) in [
            ("on-failure", 7, 1, 2, now, "restarting"),
            ("on-failure", 7, 2, 2, now, "exited"),
            ("on-failure", 0, 0, 2, now, "exited"),
            ("on-failure", 143, 0, 2, now, "exited"),
            ("on-failure", 7, 9, 0, now, "restarting"),
            // Somebody stopped it, and its program answered the signal with a code of its own.
            ("on-failure", 7, 9, 0, before, "exited"),
            ("always", 0, 9, 0, now, "restarting"),
            ("unless-stopped", 137, 9, 0, now, "restarting"),
            ("always", 0, 9, 0, before, "exited"),
            ("no", 7, 0, 0, now, "exited"),
        ] {
            let host = json!({"RestartPolicy": {"Name": policy, "MaximumRetryCount": most}});
            let mut container = shown(&json!({}), &host, "exited");
            container["State"]["ExitCode"] = json!(code);
            container["State"]["FinishedAt"] = json!(ended.to_string());
            container["RestartCount"] = json!(restarts);
            assert_eq!(
                translated(container)["State"]["Status"],
                expected,
                "{policy} {code} {restarts} {most}"
            );
        }
    }

    #[test]
    fn a_listing_tells_each_run_from_the_next() {
        let list = json!([
            {"Id": "a", "State": "running", "NetworkSettings": {"Networks": {"net": {"EndpointID": ""}}}},
            {"Id": "b", "State": "stopped", "NetworkSettings": {"Networks": {"net": {"EndpointID": ""}}}},
            {"Id": "c", "State": "configured"},
        ]);
        let runs =
            json!([{"Id": "a", "Pid": 7, "StartedAt": 1_795_934_837}, {"Id": "b", "Pid": 0, "StartedAt": 1}]);
        let mut found = list;
        translate(Answer::Containers, &mut found, &runs);
        let endpoint =
            |index: usize| found[index]["NetworkSettings"]["Networks"]["net"]["EndpointID"].clone();
        assert_eq!((endpoint(0), endpoint(1)), (json!("7.1795934837"), json!("")));
        let states: Vec<&Value> = (0..3).map(|index| &found[index]["State"]).collect();
        assert_eq!(states, ["running", "exited", "created"]);
    }

    #[test]
    fn an_engine_has_one_id() {
        let ids = ["x", "y"].map(|id| {
            let mut info = json!({"ID": id, "Name": "host", "DockerRootDir": "/var/lib/containers/storage"});
            translate(Answer::Engine, &mut info, &Value::Null);
            info["ID"].clone()
        });
        assert_eq!(ids[0], ids[1]);
    }

    #[test]
    fn what_podman_sets_in_the_environment() {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let env = [
            "TERM=xterm",
            "container=podman",
            path,
            "HOME=/root",
            "HOSTNAME=4da950b572f7",
            "A=1",
            "TERM=dumb",
            "HOSTNAME=x",
        ];
        let env = env.map(str::to_owned);
        assert_eq!(own_variables(&env, "4da950b572f711ec"), env[..5]);
        assert!(own_variables(&env[4..], "4da9").is_empty());
    }

    #[test]
    fn nonsense_is_left_as_it_is() {
        for text in ["null", "[]", "3", "\"x\"", "{\"State\":3,\"HostConfig\":[]}", "[1,[2]]"] {
            for answer in [Answer::Containers, Answer::Container, Answer::Engine] {
                let mut value: Value = serde_json::from_str(text).expect("JSON");
                translate(answer, &mut value, &Value::Null);
            }
        }
    }

    #[test]
    fn an_image_has_its_health_test() {
        let test = json!({"Test": ["CMD", "/test"], "Interval": 1});
        for (own, expected) in [
            (json!({"Healthcheck": test}), test.clone()),
            (json!({"Healthcheck": null}), Value::Null),
            (json!([]), Value::Null),
        ] {
            let mut image = json!({"Config": {"Cmd": ["x"]}});
            translate(Answer::Image, &mut image, &own);
            assert_eq!(image["Config"]["Healthcheck"], expected, "{own}");
            assert_eq!(image["Config"]["Cmd"], json!(["x"]));
        }
    }

    #[test]
    fn what_changes_while_podman_looks_is_asked_again() {
        let image = "failed to convert ImageData to ImageInspect 'x:1': locating item named \"manifest\" for image with ID \
                     \"6aa1\" (consider removing the image to resolve the issue): file does not exist";
        for (error, expected) in [
            (
                json!({"cause": "no such container", "message": "no container with ID 4da9 found", "response": 500}),
                true,
            ),
            (json!({"cause": "file does not exist", "message": image, "response": 500}), true),
            (json!({"cause": "no such image", "message": "x:1: image not known", "response": 404}), false),
            (json!({"cause": "file does not exist", "message": "open /x: file does not exist"}), false),
            (json!("no such container"), false),
        ] {
            assert_eq!(is_of_the_moment(error.to_string().as_bytes()), expected, "{error}");
        }
    }

    #[test]
    fn only_some_answers_are_translated() {
        for (path, expected) in [
            ("/containers/json?all=true", Some(Answer::Containers)),
            ("/containers/abc/json", Some(Answer::Container)),
            ("/info", Some(Answer::Engine)),
            ("/containers/abc/logs", None),
            ("/images/a/b/json", Some(Answer::Image)),
            ("/images/json", None),
            ("/events", None),
        ] {
            assert_eq!(answer_to(path), expected, "{path}");
        }
    }
}
