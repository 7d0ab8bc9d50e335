//! Devices of the engine's host, and graphics processors.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value as Json, json as value};

use super::ContainerKeys;
use super::kind::{Kind, ValueText};
use super::paths::normalised;
use crate::definition::node::{Node, ScalarKind, Value};
use crate::definition::reader::Reader;
use crate::report::error::{Code, Problem};
use crate::report::quoted::{listed, quoted};

/// What a container may do with a device if nothing else is said.
const EVERYTHING: &str = "rwm";

/// Device nodes, in the order of their paths inside.
pub struct Devices;

/// A device of the engine's host as docker's API has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Device {
    path_in_container: String,
    path_on_host: String,
    cgroup_permissions: String,
}

impl Device {
    /// The device's path on the engine's host, in its shortest form.
    #[must_use]
    pub fn on_host(&self) -> &str {
        &self.path_on_host
    }
}

/// Graphics processors.
pub struct Gpus;

/// Which graphics processors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum GpuSelection {
    /// As many as there are.
    All,
    /// Any of them, so many.
    Count(u32),
    /// These, by number or id.
    Ids(Vec<String>),
}

/// `HOST[:CONTAINER][:PERMISSIONS]`.
fn device(text: &str) -> Result<Device, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let is_permissions =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| EVERYTHING.as_bytes().contains(&byte));
    let (host, inside, permissions) = match parts.as_slice() {
        [host] => (*host, *host, EVERYTHING),
        [host, permissions] if is_permissions(permissions) => (*host, *host, *permissions),
        [host, inside] => (*host, *inside, EVERYTHING),
        [host, inside, permissions] if is_permissions(permissions) => (*host, *inside, *permissions),
        [_, _, permissions] => return Err(format!("`{permissions}` is not a part of `rwm`")),
        _ => return Err("it has too many parts".to_owned()),
    };
    for path in [host, inside] {
        if !path.starts_with('/') {
            return Err(format!("`{path}` is not an absolute path"));
        }
    }
    // Their order and number say nothing.
    let permissions = EVERYTHING.chars().filter(|permission| permissions.contains(*permission)).collect();
    Ok(Device {
        path_in_container: normalised(inside)?,
        path_on_host: normalised(host)?,
        cgroup_permissions: permissions,
    })
}

impl Kind for Devices {
    type Value = Vec<Device>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let (Some(texts), Value::List(items)) = (reader.strings(node, path), &node.value) else {
            return Vec::new();
        };
        let mut found: Vec<Device> = Vec::with_capacity(texts.len());
        for (index, (text, item)) in texts.iter().zip(items).enumerate() {
            match device(text) {
                Ok(device)
                    if found.iter().any(|other| other.path_in_container == device.path_in_container) =>
                {
                    reader.twice(path, &device.path_in_container, item);
                }
                Ok(device) => found.push(device),
                Err(reason) => {
                    let message = format!("`{path}[{index}]` is \"{text}\": {reason}");
                    let hint =
                        "Write `HOST[:CONTAINER][:rwm]`: \"/dev/fuse\", \"/dev/ttyUSB0:/dev/tty0:rw\".";
                    reader.report(Problem::error(Code::InvalidValue, message).hint(hint), &item.span);
                }
            }
        }
        found.sort();
        found
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Vec<String>>()
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let words = |device: &Device| {
            let Device { path_in_container, path_on_host, cgroup_permissions } = device;
            let (host, inside) = (quoted(path_on_host), quoted(path_in_container));
            format!("{host} of this machine as {inside}, {cgroup_permissions}")
        };
        let devices: Vec<String> = value.iter().map(words).collect();
        if devices.is_empty() { Vec::new() } else { ValueText::line(label, listed(&devices)) }
    }
}

/// `all`, a number, or `device=ID,ID`, also in the quotes that docker's command line wants around a list.
fn gpus(text: &str) -> Option<GpuSelection> {
    if text == "all" {
        return Some(GpuSelection::All);
    }
    if let Ok(count) = text.parse::<u32>() {
        return (count > 0 && i32::try_from(count).is_ok()).then_some(GpuSelection::Count(count));
    }
    let unquoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let ids: Vec<String> = unquoted.strip_prefix("device=")?.split(',').map(str::to_owned).collect();
    let is_id = |id: &String| {
        id.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
    };
    ids.iter().all(is_id).then_some(GpuSelection::Ids(ids))
}

impl Kind for Gpus {
    type Value = Option<GpuSelection>;

    fn decode(node: &Node, path: &str, reader: &mut Reader<'_>) -> Self::Value {
        let scalar = node
            .scalar()
            .filter(|scalar| matches!(scalar.kind, ScalarKind::String | ScalarKind::Integer(Some(_))));
        let found = scalar.and_then(|scalar| gpus(&scalar.text));
        if found.is_none() {
            let hint =
                "Write \"all\", a number, or \"device=0,1\" with numbers or ids of graphics processors.";
            reader.wrong(path, "a choice of graphics processors", node, hint);
        }
        found
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "oneOf": [
                { "type": "integer", "minimum": 1 },
                { "type": "string", "pattern": "^(all|[0-9]+|\"?device=[^\"]+\"?)$" },
            ]
        })
    }

    /// As docker's own client asks for them.
    fn engine_value(value: &Self::Value) -> Option<Json> {
        let (count, ids) = match value.as_ref()? {
            GpuSelection::All => (-1_i64, None),
            GpuSelection::Count(count) => (i64::from(*count), None),
            GpuSelection::Ids(ids) => (0, Some(ids)),
        };
        Some(value!([{
            "Driver": "", "Count": count, "DeviceIDs": ids, "Capabilities": [["gpu"]], "Options": {},
        }]))
    }

    /// What is absent, empty or nothing is the same.
    fn holds(told: &Json, shown: Option<&Json>) -> bool {
        let of = |request: &Json| {
            let ids = request["DeviceIDs"].as_array().cloned().unwrap_or_default();
            (request["Count"].as_i64().unwrap_or_default(), ids, request["Capabilities"].clone())
        };
        let all = |list: &Json| list.as_array().map(|list| list.iter().map(of).collect::<Vec<_>>());
        shown.is_some_and(|shown| all(told) == all(shown))
    }

    fn texts(label: &str, value: &Self::Value, _: &ContainerKeys) -> Vec<ValueText> {
        let text = |selection: &GpuSelection| match selection {
            GpuSelection::All => "all of this machine".to_owned(),
            GpuSelection::Count(count) => format!("{count} of this machine"),
            GpuSelection::Ids(ids) => format!("{} of this machine", quoted(ids)),
        };
        value.iter().flat_map(|selection| ValueText::line(label, text(selection))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_devices_as_docker_does() {
        let read = |text| {
            device(text).map(|device| {
                [device.path_on_host, device.path_in_container, device.cgroup_permissions].join(" ")
            })
        };
        for (text, expected) in [
            ("/dev/fuse", "/dev/fuse /dev/fuse rwm"),
            ("/dev/fuse:r", "/dev/fuse /dev/fuse r"),
            ("/dev/a:/dev/b", "/dev/a /dev/b rwm"),
            ("/dev/a:/dev/b:wr", "/dev/a /dev/b rw"),
            ("/dev//a/../b", "/dev/b /dev/b rwm"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        for text in
            ["", "dev/a", "/dev/a:b", "/dev/a:/dev/b:x", "/dev/a:/dev/b:r:w", "vendor.com/class=one", "/"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_graphics_processors_as_the_python_launcher_does() {
        for (text, expected) in [
            ("all", Some(GpuSelection::All)),
            ("2", Some(GpuSelection::Count(2))),
            ("002", Some(GpuSelection::Count(2))),
            ("device=0", Some(GpuSelection::Ids(vec!["0".to_owned()]))),
            ("\"device=0,GPU-1\"", Some(GpuSelection::Ids(vec!["0".to_owned(), "GPU-1".to_owned()]))),
            ("0", None),
            ("ALL", None),
            ("-1", None),
            ("device=", None),
            ("device=0, 1", None),
            ("driver=nvidia", None),
            ("2147483648", None),
        ] {
            assert_eq!(gpus(text), expected, "{text}");
        }
    }
}
