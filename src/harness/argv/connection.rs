//! Which engine a command of docker or podman uses, by its own words.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::engine::kinds::{Client, TlsOptions};
use crate::harness::flag_scan::Scanned;
use crate::report::error::{Code, Problem};

/// What chooses the engine: the client and its options, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The client.
    pub client: Client,
    /// `-H`, `--host`, or podman's `--url`: an address; empty means the default socket.
    pub host: Option<OsString>,
    /// `-c`, `--context`, or podman's `--connection`: a name.
    pub context: Option<OsString>,
    /// `--config`: the folder of docker's configuration.
    pub config: Option<OsString>,
    /// What they say about encryption.
    pub tls: TlsOptions,
}

impl Connection {
    /// Reads it off the client's own options.
    ///
    /// # Errors
    /// `harness-shape` for what docker rejects.
    pub(super) fn read(client: Client, global: &Scanned) -> Result<Self, Problem> {
        let last = |name| global.values(name).next_back().map(OsStr::to_owned);
        if let Client::Podman { is_remote } = client {
            let is_remote = is_remote || global.is_on("remote");
            let (host, context) = (last("url"), last("connection"));
            return Ok(Self { client: Client::Podman { is_remote }, host, context, ..Self::default() });
        }
        if global.values("host").count() > 1 {
            return Err(Problem::error(
                Code::HarnessShape,
                "the harness gives docker more than one `--host`",
            )
            .hint("Keep the one that the harness should use: docker accepts only one."));
        }
        let connection = Self {
            client,
            host: last("host"),
            context: last("context"),
            config: last("config"),
            tls: TlsOptions {
                is_on: global.is_on("tls") || global.has("tlsverify"),
                authorities: last("tlscacert"),
                certificate: last("tlscert"),
                key: last("tlskey"),
            },
        };
        if connection.host.is_some() && connection.context.is_some() {
            return Err(Problem::error(
                Code::HarnessShape,
                "the harness gives docker both `--host` and `--context`",
            )
            .hint("Keep the one that the harness should use: docker accepts only one of them."));
        }
        Ok(connection)
    }
}

/// The client that a program's name means; `None` if it is none whose commands are rewritten.
pub(super) fn client_of(program: &OsStr) -> Option<Client> {
    match program.as_bytes() {
        b"docker" => Some(Client::Docker),
        b"podman" => Some(Client::Podman { is_remote: false }),
        b"podman-remote" => Some(Client::Podman { is_remote: true }),
        _ => None,
    }
}
