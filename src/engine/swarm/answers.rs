//! The API's answers as our own types. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::api::{Config, LABEL_MAKING, Mark, Node, Overlay, Service, SwarmInfo, Task, TaskState, Want};
use crate::engine::{EngineError, EngineErrorKind, EngineInfo, EngineResult};

const NO_SWARM: &str = "the engine is not part of a Swarm";
const NO_MANAGER: &str = "the engine is a worker of its Swarm, not a manager";
/// How an engine begins to refuse what only a manager does, and what only a worker says then.
const REFUSAL: &str = "This node is not a swarm manager";
const OF_WORKER: &str = "Worker nodes";
/// What to do about an engine that is part of no Swarm.
const MAKE_SWARM: &str =
    "Make the engine a Swarm with `docker swarm init`, or name a manager with DOCKER_HOST or a context.";
/// What to do about a node that does not manage its Swarm.
const NAME_MANAGER: &str = "Name a manager of the Swarm with DOCKER_HOST or a context.";
/// What to do about a manager that cannot speak for its Swarm.
const UNLOCK: &str = "See what `docker info` says about the Swarm; a locked one needs `docker swarm unlock`.";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(name, value)| (name.clone(), text(value))).collect()
}

fn moment(value: &Value) -> Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// There is no Swarm at the address, or none that can be used now.
fn absent(message: &str, hint: &'static str) -> EngineError {
    EngineError { hints: vec![hint], ..EngineError::new(EngineErrorKind::Unreachable, message) }
}

/// What an engine means that refuses what only a manager does; `None` if it refuses for another reason.
pub fn no_manager(message: &str) -> Option<EngineError> {
    let is_refusal = message.starts_with(REFUSAL);
    let is_worker = message.contains(OF_WORKER);
    is_refusal.then(
        || {
            if is_worker { absent(NO_MANAGER, NAME_MANAGER) } else { absent(NO_SWARM, MAKE_SWARM) }
        },
    )
}

/// The Swarm of the engine that says this of itself.
pub fn swarm_info(engine: EngineInfo, swarm: &Value) -> EngineResult<SwarmInfo> {
    match swarm["LocalNodeState"].as_str().unwrap_or_default() {
        "active" => {}
        "" | "inactive" => return Err(absent(NO_SWARM, MAKE_SWARM)),
        state => {
            let said = swarm["Error"].as_str().filter(|said| !said.is_empty());
            let said = said.map(|said| format!(": {said}")).unwrap_or_default();
            return Err(absent(&format!("the engine's node is {state} in its Swarm{said}"), UNLOCK));
        }
    }
    if swarm["ControlAvailable"] != true {
        return Err(absent(NO_MANAGER, NAME_MANAGER));
    }
    let Some(id) = swarm["Cluster"]["ID"].as_str().filter(|id| !id.is_empty()) else {
        return Err(absent("the manager cannot speak for its Swarm now", UNLOCK));
    };
    Ok(SwarmInfo {
        // Launches on other machines use it, too, whose files this host does not have: a definition that is not here may be there.
        engine: EngineInfo { id: format!("swarm-{id}"), local: false, ..engine },
        node: text(&swarm["NodeID"]),
        nodes: swarm["Nodes"].as_u64().unwrap_or_default(),
    })
}

/// A service; `None` without what every service has.
pub fn service(value: &Value) -> Option<Service> {
    let spec = value.get("Spec")?;
    Some(Service {
        id: value["ID"].as_str().filter(|id| !id.is_empty())?.to_owned(),
        version: value["Version"]["Index"].as_u64()?,
        name: text(&spec["Name"]),
        labels: labels(&spec["Labels"]),
        spec: spec.clone(),
    })
}

/// A task; `None` without what every task has.
pub fn task(value: &Value) -> Option<Task> {
    let status = &value["Status"];
    let attachments = value["NetworksAttachments"].as_array().into_iter().flatten();
    let address = |attachment: &Value| {
        let network = &attachment["Network"];
        let addresses = attachment["Addresses"].as_array().into_iter().flatten();
        // With the length of the network's prefix behind it.
        let mut addresses = addresses.filter_map(Value::as_str).filter_map(|text| text.split('/').next());
        let address = addresses.find_map(|text| text.parse::<IpAddr>().ok());
        (text(&network["Spec"]["Name"]), (text(&network["ID"]), address))
    };
    Some(Task {
        id: value["ID"].as_str().filter(|id| !id.is_empty())?.to_owned(),
        service: value["ServiceID"].as_str()?.to_owned(),
        making: text(&value["Spec"]["ContainerSpec"]["Labels"][LABEL_MAKING]),
        node: text(&value["NodeID"]),
        created_at: moment(&value["CreatedAt"]),
        state: TaskState::of(status["State"].as_str().unwrap_or_default()),
        wanted: TaskState::of(value["DesiredState"].as_str().unwrap_or_default()),
        since: moment(&status["Timestamp"]),
        error: text(&status["Err"]),
        exit_code: status["ContainerStatus"]["ExitCode"].as_i64().unwrap_or_default(),
        container: text(&status["ContainerStatus"]["ContainerID"]),
        addresses: attachments.map(address).collect(),
    })
}

/// A network.
pub fn overlay(value: &Value) -> Option<Overlay> {
    Some(Overlay {
        id: value["Id"].as_str()?.to_owned(),
        name: text(&value["Name"]),
        labels: labels(&value["Labels"]),
        is_attachable: value["Attachable"] == true,
        // Which driver it has is told once the Swarm has given it its addresses.
        is_overlay: value["Scope"] == "swarm"
            && value["Ingress"] != true
            && matches!(value["Driver"].as_str(), None | Some("" | "overlay")),
    })
}

/// The label on marks of use, with what is wanted of services, as JSON by their names.
pub const LABEL_USE: &str = "farrier.use";
const LABEL_MACHINE: &str = "farrier.use.machine";
const LABEL_HOST: &str = "farrier.use.host";
const LABEL_PROCESS: &str = "farrier.use.process";
const LABEL_COMMAND: &str = "farrier.use.command";
const LABEL_RENEWED: &str = "farrier.use.renewed";

/// A mark of use; `None` if it is none.
pub fn mark(value: &Value) -> Option<Mark> {
    let label = |name: &str| text(&value["Spec"]["Labels"][name]);
    Some(Mark {
        id: value["ID"].as_str()?.to_owned(),
        wants: serde_json::from_str(value["Spec"]["Labels"][LABEL_USE].as_str()?).ok()?,
        machine: label(LABEL_MACHINE),
        host: label(LABEL_HOST),
        process: label(LABEL_PROCESS).parse().ok()?,
        command: label(LABEL_COMMAND),
        created_at: moment(&value["CreatedAt"]),
        renewed_at: moment(&value["UpdatedAt"]),
    })
}

fn wants_label(wants: &BTreeMap<String, Want>) -> String {
    serde_json::to_string(wants).unwrap_or_default()
}

/// A mark as the API takes it, under a name that no other has. Its content says nothing, but has to be there.
pub fn mark_body(mark: &Mark, name: &str) -> Value {
    json!({
        "Name": name,
        "Labels": {
            LABEL_USE: wants_label(&mark.wants),
            LABEL_MACHINE: mark.machine,
            LABEL_HOST: mark.host,
            LABEL_PROCESS: mark.process.to_string(),
            LABEL_COMMAND: mark.command,
        },
        "Data": "dXNl",
    })
}

/// The mark with other labels, which are all that can be changed: the Swarm then tells another moment.
pub fn renewed(told: &Value, wants: &BTreeMap<String, Want>) -> Value {
    let mut spec = told["Spec"].clone();
    let count: u64 = text(&spec["Labels"][LABEL_RENEWED]).parse().unwrap_or_default();
    spec["Labels"][LABEL_RENEWED] = json!((count + 1).to_string());
    spec["Labels"][LABEL_USE] = json!(wants_label(wants));
    spec
}

/// A config.
pub fn config(value: &Value) -> Option<Config> {
    Some(Config {
        id: value["ID"].as_str()?.to_owned(),
        name: text(&value["Spec"]["Name"]),
        labels: serde_json::from_value(value["Spec"]["Labels"].clone()).unwrap_or_default(),
        created_at: moment(&value["CreatedAt"]),
    })
}

/// A node.
pub fn node(value: &Value) -> Option<Node> {
    Some(Node {
        id: value["ID"].as_str()?.to_owned(),
        hostname: text(&value["Description"]["Hostname"]),
        is_ready: value["Status"]["State"] == "ready",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine() -> EngineInfo {
        EngineInfo {
            id: "engine".to_owned(),
            time: String::new(),
            version: "20.10.24".to_owned(),
            architecture: "x86_64".to_owned(),
            local: true,
        }
    }

    #[test]
    fn only_a_manager_speaks_for_a_swarm() {
        let manager = json!({ "LocalNodeState": "active", "ControlAvailable": true, "NodeID": "n", "Nodes": 2,
                              "Cluster": { "ID": "c" } });
        let found = swarm_info(engine(), &manager).expect("a manager");
        assert_eq!((found.engine.id.as_str(), found.node.as_str(), found.nodes), ("swarm-c", "n", 2));
        assert!(!found.engine.local, "other machines have definitions, too");
        for (swarm, expected) in [
            (json!({}), "the engine is not part of a Swarm"),
            (json!({ "LocalNodeState": "inactive" }), "the engine is not part of a Swarm"),
            (
                json!({ "LocalNodeState": "locked", "Error": "unlock it" }),
                "the engine's node is locked in its Swarm: unlock it",
            ),
            (json!({ "LocalNodeState": "active" }), "the engine is a worker of its Swarm, not a manager"),
            (
                json!({ "LocalNodeState": "active", "ControlAvailable": true }),
                "the manager cannot speak for its Swarm now",
            ),
        ] {
            let error = swarm_info(engine(), &swarm).expect_err("no manager");
            assert_eq!((error.message.as_str(), error.hints.len()), (expected, 1), "{swarm}");
        }
    }

    #[test]
    fn a_task_tells_its_address_on_each_network() {
        let told = json!({
            "ID": "t", "ServiceID": "s", "NodeID": "n", "CreatedAt": "2026-11-29T21:49:48.84Z",
            "Spec": { "ContainerSpec": { "Labels": { LABEL_MAKING: "m" } } },
            "Status": { "State": "running", "Timestamp": "2026-11-29T21:49:49Z",
                        "ContainerStatus": { "ContainerID": "c", "ExitCode": 0 } },
            "DesiredState": "running",
            "NetworksAttachments": [
                { "Network": { "ID": "o", "Spec": { "Name": "net" } }, "Addresses": ["10.0.1.2/24"] },
                { "Network": { "ID": "p", "Spec": { "Name": "other" } } },
            ],
        });
        let task = task(&told).expect("a task");
        assert_eq!(task.addresses["net"], ("o".to_owned(), Some(IpAddr::from([10, 0, 1, 2]))));
        assert_eq!(task.addresses["other"].1, None);
        assert!(task.is_wanted() && task.state == TaskState::Running && task.making == "m");
        assert_eq!(super::task(&json!({ "ID": "t" })), None);
        assert_eq!(super::service(&json!({ "ID": "s", "Spec": {} })), None);
    }
}
