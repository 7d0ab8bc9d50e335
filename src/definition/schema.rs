//! The JSON Schema that editors use, and the list of known keys that the decoder checks against.
//!
//! The keys that make a container what it is come from their table (`keys`), all others from the structs below. These are
//! never filled: the decoder reads the tree itself, because it reports every problem of a file with its place. They
//! declare names, types and descriptions.

use std::sync::LazyLock;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::grants::SWITCHES;
use super::keys::{KEYS, Key, Words, in_table};
use super::{duration, size};

/// The JSON Schema of a definition file, in draft 7, which the TOML and YAML language servers know best.
#[must_use]
pub fn json_schema() -> serde_json::Value {
    let settings = SchemaSettings::draft07().with_transform(WithoutNull);
    let mut generator = settings.into_generator();
    let keys: Vec<(&Key, Schema)> = KEYS.iter().map(|key| (key, key.schema(&mut generator))).collect();
    let mut root = generator.into_root_schema_for::<DefinitionFile>().to_value();
    // All of its keys come from the table of keys.
    if let Some(resources) = root["definitions"]["Resources"].as_object_mut() {
        resources.entry("properties").or_insert_with(|| json!({}));
    }
    // Each of their keys may be absent, which `schema_with` hides from the generator.
    for table in ["Resources", "Readiness", "Limits"] {
        if let Some(table) = root["definitions"][table].as_object_mut() {
            table.remove("required");
        }
    }
    for switch in SWITCHES {
        if let Some(properties) = root.pointer_mut(&properties_of("readiness.grants")) {
            properties[switch.name] = json!({ "description": switch.documentation, "type": "boolean" });
        }
    }
    for (key, mut schema) in keys {
        schema.insert("description".to_owned(), key.documentation().into());
        let (table, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if let Some(properties) = root.pointer_mut(&properties_of(table)) {
            properties[name] = schema.to_value();
        }
    }
    root
}

/// Where the schema has the properties of the table at a path.
pub fn properties_of(table: &str) -> String {
    let name = match table {
        "" => return "/properties".to_owned(),
        "resources" => "Resources",
        "interface" => "Interface",
        "harness" => "Harness",
        "after" => "After",
        "readiness" => "Readiness",
        "readiness.grants" => "Grants",
        "readiness.grants.dirs" => "Directory",
        "readiness.grants.tls" => "Tls",
        _ => "Limits",
    };
    format!("/definitions/{name}/properties")
}

/// All keys of the top table (no name), of `resources` or of `interface`, which the decoder checks against.
pub fn known_keys(table: &str) -> &'static [&'static str] {
    // Put together once, and not for each definition.
    static OF_RESOURCES: LazyLock<Vec<&str>> = LazyLock::new(|| with_table("resources", Resources::KEYS, ""));
    static OF_INTERFACE: LazyLock<Vec<&str>> =
        LazyLock::new(|| with_table("interface", Interface::KEYS, "ports"));
    static OF_THE_TOP: LazyLock<Vec<&str>> = LazyLock::new(|| with_table("", DefinitionFile::KEYS, "image"));
    match table {
        "resources" => &OF_RESOURCES,
        "interface" => &OF_INTERFACE,
        _ => &OF_THE_TOP,
    }
}

/// A table's own keys, and those of the table of keys.
fn with_table(table: &str, own: &[&'static str], before: &str) -> Vec<&'static str> {
    let mut keys = own.to_vec();
    // Behind what people write before them.
    let at = keys.iter().position(|key| *key == before).map_or(0, |at| at + 1);
    keys.splice(at..at, in_table(table));
    keys
}

/// Optional keys are left out, not null.
#[derive(Clone, Debug)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        if let Some(serde_json::Value::Array(types)) = schema.get_mut("type") {
            types.retain(|one| one != "null");
            if let [single] = types.as_slice() {
                let single = single.clone();
                schema.insert("type".to_owned(), single);
            }
        }
        if let Some(serde_json::Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.retain(|one| *one != serde_json::json!({ "type": "null" }));
        }
    }
}

/// All keys of `readiness.grants`.
pub fn grant_keys() -> Vec<&'static str> {
    let mut keys = Grants::KEYS.to_vec();
    // Behind what the probe may reach by itself.
    let at = keys.iter().position(|key| *key == "exec").map_or(0, |exec| exec + 1);
    keys.splice(at..at, SWITCHES.iter().map(|switch| switch.name));
    keys
}

macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(JsonSchema)]
        $(#[$meta])*
        #[schemars(deny_unknown_fields)]
        #[expect(dead_code, reason = "declares names and types; the decoder reads the tree itself")]
        pub struct $name { $($(#[$field_meta])* $field: $type,)* }

        impl $name {
            /// The keys of this table.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($field),)*];
        }
    };
}

table! {
    /// A sidecar that farrier starts for a harness. The file name without its extension is the sidecar's name.
    #[schemars(title = "farrier sidecar definition", extend(
        "if" = { "properties": { "disable": { "const": true } }, "required": ["disable"] },
        "else" = {
            "required": ["interface"],
            "oneOf": [{ "required": ["image"] }, { "required": ["program"] }]
        },
    ))]
    DefinitionFile {
        /// What the sidecar is for.
        description: Option<String>,
        /// `shared`, the default: one container for all launches, left running. `session`: one for each launch, removed after
        /// it. The Python launcher's YAML requires the key.
        lifecycle: Option<Lifecycle>,
        /// The image: a reference, for example `postgres:16`, or the path of an image file: `oci:./layout`,
        /// `docker-archive:./image.tar`.
        #[schemars(length(min = 1))]
        image: Option<String>,
        /// The container's resource limits.
        resources: Option<Resources>,
        /// How the harness reaches the sidecar.
        interface: Option<Interface>,
        /// What the harness gets besides the sidecar's host and port.
        harness: Option<Harness>,
        /// How farrier decides that the sidecar is ready: one table, or several, whose probes must all report ready.
        readiness: Option<OneOrMany>,
        /// The sidecars that must be ready before this one starts: names, or `{ sidecar = "migrate", until = "succeeded" }` to
        /// wait for another state.
        after: Option<Vec<AfterEntry>>,
        /// What farrier does if the sidecar ends while the harness runs. `warn` (the default): it reports the end after the harness
        /// has ended. `stop`: it sends SIGTERM to the harness, kills it if it has not ended 10 s later, and exits with 125. `restart`: it starts the sidecar again.
        on_exit: Option<OnExit>,
        /// The profiles in which the sidecar takes part: `--profile debug` includes it. Without this key, the sidecar takes part in every launch.
        profiles: Option<Vec<String>>,
        /// In a trusted layer: the workspace cannot disable this sidecar.
        required: Option<bool>,
        /// Removes an earlier layer's definition of this name.
        disable: Option<bool>,
    }
}

/// The container's resource limits.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Resources {}

impl Resources {
    /// The keys of this table that are not of the other one.
    pub const KEYS: &'static [&'static str] = &[];
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum AfterEntry {
    Name(#[schemars(length(min = 1))] String),
    Table(After),
}

table! {
    /// A sidecar that another one comes after.
    After {
        /// Its name.
        sidecar: String,
        /// How far it has to be. Default: `ready`, which for a job means that it succeeded.
        until: Option<Until>,
    }
}

table! {
    /// How the harness reaches the sidecar.
    #[schemars(extend("required" = ["kind"], "allOf" = [
        { "if": { "properties": { "kind": { "const": "port" } } }, "then": { "required": ["port"] } },
        { "if": { "properties": { "kind": { "const": "mcp" } } }, "then": { "required": ["port", "name"] } },
        {
            "if": { "properties": { "kind": { "const": "volume" } } },
            "then": { "required": ["volume", "mountpoint"] }
        },
    ]))]
    Interface {
        /// `port`: through a TCP port. `none`: not at all. `mcp` and `volume` are not supported yet.
        kind: Option<InterfaceKind>,
        /// The TCP port on which the server listens.
        #[schemars(range(min = 1, max = 65535))]
        port: Option<u16>,
        /// More ports, by name: the harness gets `…_PORT_ADMIN` for `admin`.
        ports: Option<BTreeMap<String, u16>>,
        /// Additional names on the network.
        aliases: Option<Vec<String>>,
        /// For `mcp`: the alias, and the name in the harness's configuration.
        name: Option<String>,
        /// For `mcp`: the transport.
        transport: Option<Transport>,
        /// For `mcp`: the URL's path (`/mcp`).
        path: Option<String>,
        /// Has no effect.
        #[schemars(schema_with = "anything")]
        protocol: Option<String>,
        /// For `volume`: the volume's name.
        volume: Option<String>,
        /// For `volume`: the path in the harness.
        mountpoint: Option<String>,
    }
}

table! {
    /// What the harness gets besides the sidecar's host and port.
    Harness {
        /// Variables. In their values, farrier replaces `{host}`, `{port}`, `{port.NAME}` (from `interface.ports`) and
        /// `{env.NAME}` (from `env`); `{{` is a brace. The harness's own `-e` wins.
        env: Option<BTreeMap<String, String>>,
    }
}

table! {
    /// How farrier decides that the sidecar is ready.
    Readiness {
        /// `tcp`, `healthcheck`, `exec`, `skip`, `http`, `log`, `postgres`, `redis`, `mysql`, `memcached`, `amqp`, `nats`,
        /// `smtp`, `grpc`, `mcp`, the name of a custom probe, `./file.wasm`, or a probe in a registry
        /// (`oci://ghcr.io/acme/orders-ready:1.2`).
        #[schemars(length(min = 1))]
        probe: Option<String>,
        /// An alias of `probe`.
        #[schemars(length(min = 1))]
        mode: Option<String>,
        /// How long to wait, counted from the container's start, or from the beginning of the wait if the container was already running. Default: 30 s; for a job, 5 minutes.
        #[schemars(schema_with = "duration::schema")]
        timeout: Option<String>,
        /// How far a probe that reports progress may extend the wait. Default: twice the timeout.
        #[schemars(schema_with = "duration::schema")]
        max_timeout: Option<String>,
        /// How many consecutive polls must return ready. Default: 1.
        #[schemars(range(min = 1, max = 1000))]
        successes: Option<u32>,
        /// The minimum time between these polls. Needs `successes`. Default: 0 s.
        #[schemars(schema_with = "duration::interval_schema")]
        interval: Option<String>,
        /// For `exec`: the command to run in the container; exit code 0 means ready.
        command: Option<Words>,
        /// The SHA-256 that pins a custom component, as 64 hex digits. Required in the workspace layer, unless `probe` is in a registry and pinned by its digest or by `probes.lock`.
        #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
        sha256: Option<String>,
        /// The probe's settings. `farrier probe inspect NAME` shows which settings a probe has.
        settings: Option<BTreeMap<String, serde_json::Value>>,
        /// What the probe may do.
        grants: Option<Grants>,
        /// The limits of one poll.
        limits: Option<Limits>,
    }
}

table! {
    /// What a custom probe may do.
    Grants {
        /// Where the probe may connect: `self`, `self:PORT`, or `NAME:PORT` of another sidecar.
        dial: Option<Vec<String>>,
        /// Whether the probe may speak TLS where it may connect. `true`: farrier verifies the server's certificate with the
        /// authorities that this machine trusts. A table names files. `"insecure"`: farrier accepts any certificate.
        tls: Option<TlsOrFiles>,
        /// The commands that the probe may run in this container, as complete argument lists.
        exec: Option<Vec<Vec<String>>>,
        /// The folders that the probe may read.
        dirs: Option<Vec<Directory>>,
        /// The variables of this definition's `env` that the probe may read.
        env: Option<Vec<String>>,
    }
}

table! {
    /// The files that farrier uses for a probe's TLS. Their paths are relative to the definition's folder; in a trusted layer, they
    /// may also be absolute or begin with `~/`.
    Tls {
        /// The authorities that may vouch for the server, in place of those that this machine trusts (PEM).
        ca: Option<String>,
        /// The client certificate, followed by those of intermediate authorities (PEM).
        cert: Option<String>,
        /// The client certificate's private key (PEM).
        key: Option<String>,
        /// Accept any server certificate.
        insecure: Option<bool>,
    }
}

table! {
    /// A folder that a custom probe may read.
    Directory {
        /// The folder, relative to the definition's folder.
        host: String,
        /// The absolute path at which the probe sees it.
        guest: String,
    }
}

table! {
    /// The limits of one poll.
    Limits {
        /// Linear memory, 1 MiB to 1 GiB. Default: 64 MiB.
        #[schemars(schema_with = "size::schema")]
        memory: Option<String>,
        /// Time, 1 ms to 60 s. Default: 2 s; 30 s for `exec` and `healthcheck`.
        #[schemars(schema_with = "duration::schema")]
        poll: Option<String>,
    }
}

macro_rules! choice {
    ($name:ident { $($variant:ident)* }) => {
        #[derive(JsonSchema)]
        #[schemars(rename_all = "lowercase")]
        #[expect(dead_code, reason = "declares names; the decoder reads the tree itself")]
        enum $name { $($variant,)* }
    };
}

choice! { Lifecycle { Shared Session } }
choice! { OnExit { Warn Stop Restart } }
choice! { Until { Started Ready Succeeded } }
choice! { InterfaceKind { Port None Mcp Volume } }
choice! { Transport { Http } }
choice! { TlsWord { Insecure } }

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum OneOrMany {
    One(Box<Readiness>),
    Many(#[schemars(length(min = 1))] Vec<Readiness>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "declares types; the decoder reads the tree itself")]
enum TlsOrFiles {
    Switch(bool),
    Word(TlsWord),
    Files(Tls),
}

fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_and_the_known_keys_are_one_list() {
        let schema = json_schema();
        for (table, keys) in [
            ("", known_keys("").to_vec()),
            ("resources", known_keys("resources").to_vec()),
            ("interface", known_keys("interface").to_vec()),
            ("harness", Harness::KEYS.to_vec()),
            ("after", After::KEYS.to_vec()),
            ("readiness", Readiness::KEYS.to_vec()),
            ("readiness.grants", grant_keys()),
            ("readiness.grants.tls", Tls::KEYS.to_vec()),
            ("readiness.grants.dirs", Directory::KEYS.to_vec()),
            ("readiness.limits", Limits::KEYS.to_vec()),
        ] {
            let properties = schema.pointer(&properties_of(table)).and_then(serde_json::Value::as_object);
            let mut names: Vec<&str> =
                properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            let mut expected = keys;
            names.sort_unstable();
            expected.sort_unstable();
            assert_eq!(names, expected, "{table}");
        }
    }

    #[test]
    fn only_what_the_decoder_demands_is_required() {
        let schema = json_schema();
        assert_eq!(schema["required"], serde_json::Value::Null);
        assert_eq!(schema["else"]["required"], serde_json::json!(["interface"]));
        let runs = serde_json::json!([{ "required": ["image"] }, { "required": ["program"] }]);
        assert_eq!(schema["else"]["oneOf"], runs);
        for (name, table) in schema["definitions"].as_object().into_iter().flatten() {
            let demanded = match name.as_str() {
                "Interface" => serde_json::json!(["kind"]),
                "Directory" => serde_json::json!(["host", "guest"]),
                // One of several forms of a value.
                "After" => serde_json::json!(["sidecar"]),
                "UlimitPair" => serde_json::json!(["soft", "hard"]),
                "PublishTable" => serde_json::json!(["target"]),
                "VariableFileTable" => serde_json::json!(["path"]),
                _ => serde_json::Value::Null,
            };
            assert_eq!(table["required"], demanded, "{name}");
        }
    }

    #[test]
    fn no_key_may_be_null() {
        assert!(!json_schema().to_string().contains("\"null\""));
    }
}
