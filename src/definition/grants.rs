//! What a definition can grant to its probe. A grant that only says yes or no is one line of [`SWITCHES`], from which the
//! decoder, the schema, the documents and the question for approval follow.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// A grant that is either given or not: its capability has nothing to choose.
#[derive(Debug)]
pub struct Switch {
    /// Its key within `grants`, and the name of the capability.
    pub name: &'static str,
    /// What it allows, for the schema and the documents.
    pub documentation: &'static str,
    /// What the probe may do, and to what extent, as the question for approval puts it.
    pub question: (&'static str, &'static str),
}

/// All of them, in the order in which people read them.
pub const SWITCHES: &[Switch] = &[
    Switch {
        name: "health",
        documentation: "The engine's health status and the image's HEALTHCHECK.",
        question: ("use its health", "the engine's status, and the image's own test"),
    },
    Switch {
        name: "logs",
        documentation: "The log since the container's start.",
        question: ("read its log", "since the container's start"),
    },
];

/// The capabilities that a definition grants to its probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// The addresses that it may dial.
    pub dial: Vec<DialGrant>,
    /// How it may speak TLS there.
    pub tls: Option<TlsGrant>,
    /// The argument lists that it may execute in the container, each as a whole.
    pub exec: Vec<Vec<String>>,
    /// The switches that are on, by name.
    pub switches: BTreeSet<&'static str>,
    /// The folders that it may read.
    pub dirs: Vec<DirGrant>,
    /// The variables of the definition's own `env` that it may read.
    pub env: Vec<String>,
}

impl Grants {
    /// Whether the switch of this name is on.
    #[must_use]
    pub fn allows(&self, switch: &str) -> bool {
        self.switches.contains(switch)
    }
}

/// An address that a probe may dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialGrant {
    /// This sidecar at this port, or at its declared port if `None`.
    This(Option<u16>),
    /// Another sidecar of the launch.
    Sidecar {
        /// Its name.
        name: String,
        /// The port.
        port: u16,
    },
}

/// TLS for a probe: who may vouch for the server, and as whom the probe speaks. farrier itself reads the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsGrant {
    /// Whether farrier accepts any certificate.
    pub insecure: bool,
    /// The file of the authorities that may vouch for the server, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The client certificate.
    pub client: Option<ClientCertificate>,
}

/// The files of a client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, with those of intermediate authorities behind it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How the settings of a built-in probe ask for TLS. They say otherwise what the probe checks itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsSetting {
    /// With a certificate that farrier verifies.
    Verified,
    /// With any certificate.
    Insecure,
}

impl TlsSetting {
    /// Of the built-in probe of this name; `None` if these settings ask for no TLS.
    #[must_use]
    pub fn of(probe: &str, settings: &serde_json::Map<String, serde_json::Value>) -> Option<Self> {
        let text = |key: &str| settings.get(key).and_then(serde_json::Value::as_str);
        let is_set = |key: &str| settings.get(key).and_then(serde_json::Value::as_bool) == Some(true);
        let verified = is_set("tls").then_some(Self::Verified);
        let insecure = (text("tls") == Some("insecure")).then_some(Self::Insecure);
        match probe {
            "postgres" if text("sslmode") == Some("verify-full") => Some(Self::Verified),
            "postgres" if text("sslmode") == Some("require") => Some(Self::Insecure),
            "postgres" | "redis" | "mysql" | "memcached" | "amqp" | "nats" | "smtp" | "grpc" | "mcp" => {
                verified.or(insecure)
            }
            "http" if text("scheme") != Some("https") => None,
            "http" if is_set("insecure") => Some(Self::Insecure),
            "http" => Some(Self::Verified),
            _ => None,
        }
    }
}

/// A folder that a probe may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirGrant {
    /// The folder's path, relative to the definition's folder.
    pub host: PathBuf,
    /// The absolute path by which the probe sees it.
    pub guest: String,
}
