//! A first definition as text: commented, valid as it stands, and made to be edited.

use super::known_images::{self, KnownImage};
use super::names::is_sidecar_host;

/// What an image that is present says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// The TCP ports that it exposes, in ascending order.
    pub ports: Vec<u16>,
    /// Whether it has a HEALTHCHECK.
    pub has_health_test: bool,
}

/// What a first definition says.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The image.
    pub image: String,
    /// The port; `None` for a sidecar that nobody connects to.
    pub port: Option<u16>,
    /// The probe.
    pub probe: String,
    known: Option<&'static KnownImage>,
    facts: ImageFacts,
    name: String,
}

impl Draft {
    /// A definition for this image under this name, with what is known about images of its name, and with what the
    /// image says of itself if it is present.
    #[must_use]
    pub fn of(image: &str, name: &str, facts: ImageFacts) -> Self {
        let known = known_images::find(image);
        let exposed = facts.ports.first().copied();
        let port = match known {
            Some(known) if facts.ports.is_empty() || facts.ports.contains(&known.port) => Some(known.port),
            _ => exposed,
        };
        // The protocol tells more than a test that the image's maker wrote, an open port less.
        let probe = match known.map(|known| known.probe) {
            Some(probe) if probe != "tcp" => probe,
            _ if facts.has_health_test => "healthcheck",
            _ if port.is_some() => "tcp",
            _ => "skip",
        };
        let (image, name) = (image.to_owned(), name.to_owned());
        Self { image, port, probe: probe.to_owned(), known, facts, name }
    }

    /// The same at another port, or at a port at all.
    #[must_use]
    pub fn at(mut self, port: u16) -> Self {
        if self.port.is_none() && self.probe == "skip" {
            "tcp".clone_into(&mut self.probe);
        }
        self.port = Some(port);
        self
    }

    /// Whether it says where the sidecar listens or what proves it ready; else that is left to the reader.
    #[must_use]
    pub fn says_something(&self) -> bool {
        self.port.is_some() || self.probe != "skip"
    }

    /// The text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        format!(
            "#:schema ./{SCHEMA_FILE}\n\
             # A sidecar for farrier: this file's name without the extension is the sidecar's name.\n\
             lifecycle = \"shared\"  # one container for all launches, left running\n\
             image = {image}\n{env}\n\
             # entrypoint = [\"/bin/server\"]\n{command}\n# resources = {{ memory = \"512MiB\" }}\n\
             \n[interface]\n{interface}\n\
             \n[readiness]\n\
             # The probe that decides readiness: tcp, healthcheck, exec, http, log, postgres, redis, mysql, memcached, amqp,\n\
             # nats, smtp, grpc, mcp, skip, or a custom component: \"./NAME.wasm\" (`farrier probe new NAME` creates a project).\n\
             {note}probe = {probe}\n{settings}{test}\n\
             timeout = \"{timeout}\"  # from the container's start, or from the first poll if it already runs\n",
            image = quoted(&self.image),
            env = self.env(),
            command = self.command(),
            interface = self.interface(),
            note = self.note(),
            probe = quoted(&self.probe),
            settings = self.settings(),
            test = self.test(),
            timeout = if self.known.is_some() { "2m" } else { "30s" },
        )
    }

    fn env(&self) -> String {
        let pairs = self.known.map(|known| known.env).unwrap_or_default();
        let pairs: Vec<(String, String)> = pairs
            .iter()
            .map(|(name, value)| (key(name), quoted(&value.replace("{name}", &self.name))))
            .collect();
        match pairs.as_slice() {
            [] => "# env = { NAME = \"value\" }".to_owned(),
            [(name, value)] => format!("env = {{ {name} = {value} }}"),
            pairs => {
                let lines: Vec<String> =
                    pairs.iter().map(|(name, value)| format!("env.{name} = {value}")).collect();
                lines.join("\n")
            }
        }
    }

    fn command(&self) -> String {
        let words = self.known.map(|known| known.command).unwrap_or_default();
        if words.is_empty() {
            return "# command = [\"--verbose\"]".to_owned();
        }
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        format!("command = [{}]", words.join(", "))
    }

    fn interface(&self) -> String {
        let Some(port) = self.port else {
            return "# Nothing connects to it. For a server: kind = \"port\" and port = 5432.\nkind = \"none\"".to_owned();
        };
        let others: Vec<String> =
            self.facts.ports.iter().filter(|other| **other != port).map(ToString::to_string).collect();
        let others = match others.as_slice() {
            [] => String::new(),
            others => format!("# The image also exposes {}.\n", others.join(", ")),
        };
        format!(
            "kind = \"port\"\n# The server's port in the container; nothing is published on this host.\n{others}port = {port}\n\
             # Additional names by which the harness can reach the sidecar.\n# aliases = [\"db.test\"]"
        )
    }

    /// What the reader must know about the probe.
    fn note(&self) -> &'static str {
        match self.probe.as_str() {
            "mcp" => {
                "# The harness cannot reach a server on standard input and output: with `command`, make the server use its\n\
                 # HTTP transport on the port above. For a path other than /mcp: settings = { path = \"/\" }.\n"
            }
            "healthcheck" if self.facts.has_health_test => "# The image has a HEALTHCHECK.\n",
            "skip" if self.port.is_none() => {
                "# farrier does not know this image: skip checks only that the container is running.\n"
            }
            _ => "",
        }
    }

    fn settings(&self) -> String {
        let of_known = self.known.filter(|known| known.probe == self.probe && !known.settings.is_empty());
        match (of_known, self.probe.as_str()) {
            (Some(known), _) => format!("settings = {}\n{}", known.settings, grant(known.settings)),
            (None, "http") => "# settings = { path = \"/\", status = [\"2xx\", \"3xx\"] }\n".to_owned(),
            (None, "log") => "settings = { text = \"ready\" }\n".to_owned(),
            _ => String::new(),
        }
    }

    fn test(&self) -> &'static str {
        match self.probe.as_str() {
            "exec" => "command = [\"true\"]  # runs in the container; exit code 0 means ready",
            _ => "# command = [\"pg_isready\"]  # for exec: runs in the container; exit code 0 means ready",
        }
    }
}

/// The line that grants the port which the settings name, if they name one.
fn grant(settings: &str) -> String {
    let settings: Option<toml::Table> = format!("settings = {settings}").parse().ok();
    let port = settings.as_ref().and_then(|table| table.get("settings")?.get("port"));
    port.map(|port| format!("grants = {{ dial = [\"self:{port}\"] }}\n")).unwrap_or_default()
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A key as TOML takes it.
fn key(name: &str) -> String {
    let is_bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// The file that editors check definitions against, beside them.
pub const SCHEMA_FILE: &str = "farrier.schema.json";

/// Whether a file of this name can be a sidecar that harnesses reach.
///
/// # Errors
/// Why not, in words.
pub fn check_name(name: &str) -> Result<(), String> {
    if is_sidecar_host(name) && name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err("it is not a host name, by which the harness could reach it".to_owned())
}
