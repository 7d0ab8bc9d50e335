//! A first definition as text: commented, valid as it stands, and made to be edited.

use super::names::is_sidecar_host;

/// What a first definition says.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The image.
    pub image: String,
    /// The port; none for a sidecar that nobody connects to.
    pub port: Option<u16>,
    /// The probe; its own settings are left to the reader.
    pub probe: String,
    /// Environment that such an image does not start without.
    pub env: Vec<(&'static str, &'static str)>,
}

/// What is known about images by the last part of their name: the port they listen on, the probe that speaks
/// their protocol, and what they do not start without. From the images' own documentation on Docker Hub.
type Known = (&'static [&'static str], u16, &'static str, &'static [(&'static str, &'static str)]);

const KNOWN: &[Known] = &[
    (&["postgres", "postgis", "pgvector", "timescaledb"], 5432, "postgres", &[("POSTGRES_PASSWORD", "dev")]),
    (&["redis", "valkey"], 6379, "redis", &[]),
    (&["mysql"], 3306, "mysql", &[("MYSQL_ROOT_PASSWORD", "dev")]),
    (&["mariadb"], 3306, "mysql", &[("MARIADB_ROOT_PASSWORD", "dev")]),
    (&["nginx", "httpd", "caddy"], 80, "http", &[]),
    (&["mongo"], 27017, "tcp", &[]),
    (&["rabbitmq"], 5672, "tcp", &[]),
    (&["memcached"], 11211, "tcp", &[]),
];

impl Draft {
    /// A definition for this image, with what is known about images of its name.
    #[must_use]
    pub fn of(image: &str) -> Self {
        let path = image.split(['@']).next().unwrap_or(image);
        let last = path.rsplit('/').next().unwrap_or(path);
        let base = last.split(':').next().unwrap_or(last);
        let known = KNOWN.iter().find(|(names, ..)| names.contains(&base));
        let (port, probe, env) =
            known.map_or((None, None, &[][..]), |(_, port, probe, env)| (Some(*port), Some(*probe), *env));
        Self {
            image: image.to_owned(),
            port,
            probe: probe.unwrap_or(if port.is_some() { "tcp" } else { "skip" }).to_owned(),
            env: env.to_vec(),
        }
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

    /// The text.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let env: Vec<String> =
            self.env.iter().map(|(name, value)| format!("{name} = {}", quoted(value))).collect();
        let env = if env.is_empty() {
            "# env = { NAME = \"value\" }".to_owned()
        } else {
            format!("env = {{ {} }}", env.join(", "))
        };
        let interface = match self.port {
            Some(port) => format!(
                "kind = \"port\"\n# Where it listens in its container; nothing is published on this host.\nport = {port}\n\
                 # More names for the harness to reach it by, beside the name of this file.\n# aliases = [\"db.test\"]"
            ),
            None => {
                "# Nobody connects to it. For a server: kind = \"port\" and port = 5432.\nkind = \"none\""
                    .to_owned()
            }
        };
        let command = match self.probe.as_str() {
            "exec" => "command = [\"true\"]  # what to run in it: exit code 0 is ready",
            _ => "# command = [\"pg_isready\"]  # for exec: what to run in it; exit code 0 is ready",
        };
        let settings = match self.probe.as_str() {
            "http" => "# settings = { path = \"/\", status = [\"2xx\", \"3xx\"] }\n",
            "log" => "settings = { text = \"ready\" }\n",
            _ => "",
        };
        format!(
            "#:schema ./{SCHEMA_FILE}\n\
             # A sidecar of farrier: the name of this file is its name.\n\
             lifecycle = \"shared\"  # one container for all launches, left running for the next one\n\
             image = {image}\n{env}\n\
             # entrypoint = [\"/bin/server\"]\n# command = [\"--verbose\"]\n# resources = {{ memory = \"512MiB\" }}\n\
             \n[interface]\n{interface}\n\
             \n[readiness]\n\
             # What proves that it is ready: tcp, healthcheck, exec, http, log, postgres, redis, mysql, grpc, mcp, skip,\n\
             # or a component of your own: \"./NAME.wasm\" (`farrier probe new NAME` begins one).\n\
             probe = {probe}\n{settings}{command}\n\
             timeout = \"30s\"  # from the container's start, pulls excluded; if it runs already, from the first poll\n",
            image = quoted(&self.image),
            probe = quoted(&self.probe),
        )
    }
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
