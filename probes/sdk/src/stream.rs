//! Conversations with a server over a stream of bytes, for probes that speak a protocol of their own.
//!
//! A conversation is a function of a [`Stream`], so that a test holds it with a
//! [`MemoryStream`](crate::testing::MemoryStream), and gives a verdict or a [`Failure`], which becomes a verdict, too.

use alloc::vec::Vec;

use crate::dial::{self, Connection};
use crate::{Context, Denial, Line, Verdict, tls};

/// How much is quoted of a server that speaks something else, in bytes.
const QUOTED: usize = 128;
/// How much is read at once while a server is quoted, in bytes.
const QUOTED_AT_ONCE: u32 = 64;

/// An open stream of bytes.
pub trait Stream {
    /// Reads 1 to `max` bytes; an empty list is the end of the stream.
    ///
    /// # Errors
    /// Why nothing could be read.
    fn receive(&mut self, max: u32) -> Result<Vec<u8>, Denial>;

    /// Writes all bytes.
    ///
    /// # Errors
    /// Why they could not all be written.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Denial>;
}

/// A stream that begins in plain text, and may go on inside TLS.
pub trait Upgrade: Stream {
    /// Performs the TLS handshake with a server of this name. What follows is inside TLS.
    ///
    /// # Errors
    /// Why there is no TLS. Afterwards, the stream is closed.
    fn secure(&mut self, server_name: &str) -> Result<(), tls::Failure>;
}

impl Stream for Connection {
    fn receive(&mut self, max: u32) -> Result<Vec<u8>, Denial> {
        Self::receive(self, max)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        Self::send(self, bytes)
    }
}

/// A dialled connection that can be secured while it is lent; none once its handshake has failed.
#[derive(Debug)]
pub struct Upgradable(Option<Connection>);

impl Upgradable {
    /// The connection, in plain text so far.
    #[must_use]
    pub const fn new(connection: Connection) -> Self {
        Self(Some(connection))
    }
}

impl Stream for Upgradable {
    fn receive(&mut self, max: u32) -> Result<Vec<u8>, Denial> {
        self.0.as_ref().ok_or(Denial::Closed)?.receive(max)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        self.0.as_ref().ok_or(Denial::Closed)?.send(bytes)
    }
}

impl Upgrade for Upgradable {
    fn secure(&mut self, server_name: &str) -> Result<(), tls::Failure> {
        let plain = self.0.take().ok_or(tls::Failure::Denied(Denial::Closed))?;
        self.0 = Some(tls::start(plain, server_name, &[])?);
        Ok(())
    }
}

/// The port to dial: the one in the settings, or else the interface's.
///
/// # Errors
/// The verdict if there is neither.
pub fn port(probe: &str, setting: Option<u16>, context: &Context) -> Result<u16, Verdict> {
    setting.or(context.port).ok_or_else(|| {
        let line = Line::new().text("the ").text(probe).text(
            " probe needs a port, and the interface declares none: set `interface.port`, or `port` in the probe's \
             settings",
        );
        Verdict::failed(line)
    })
}

/// Dials a port of the sidecar.
///
/// # Errors
/// The verdict if there is no connection. Only a missing grant cannot mend itself while the server starts.
pub fn connect(context: &Context, port: u16) -> Result<Connection, Verdict> {
    dial::connect(&context.host, port, None).map_err(|denial| match denial {
        Denial::NotGranted(text) => {
            Verdict::failed(Line::new().text("the dial was not granted: ").text(&text))
        }
        denial => Verdict::pending(Line::new().text(denial.text())),
    })
}

/// A server, as verdicts name it.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The probe's name.
    pub probe: &'a str,
    /// What the protocol is called after.
    pub protocol: &'a str,
    /// Who does not answer.
    pub name: &'a str,
}

impl Server<'_> {
    /// Dials, and holds a conversation from beginning to end: inside TLS if there is a name for the server's certificate, else
    /// in plain text. `port` is the one in the settings.
    pub fn hold(
        self,
        context: &Context,
        port: Option<u16>,
        server_name: Option<&str>,
        conversation: impl FnOnce(&mut Connection) -> Result<Verdict, Failure>,
    ) -> Verdict {
        let (mut connection, port) = match self::port(self.probe, port, context)
            .and_then(|port| Ok((connect(context, port)?, port)))
        {
            Ok(dialled) => dialled,
            Err(verdict) => return verdict,
        };
        if let Some(name) = server_name {
            connection = match tls::start(connection, name, &[]) {
                Ok(secured) => secured,
                Err(failure) => return failure.verdict(),
            };
        }
        conversation(&mut connection).unwrap_or_else(|failure| match server_name {
            Some(_) => failure.verdict(self),
            None => failure.verdict_in_plain_text(self, context, port),
        })
    }
}

/// Why a conversation ended without an answer.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// The connection ended or failed.
    Connection(Denial),
    /// The server does not speak this protocol; what it said.
    Foreign(Vec<u8>),
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        Self::Connection(denial)
    }
}

impl Failure {
    /// What a poll says of it. A server that speaks another protocol never becomes ready.
    #[must_use]
    pub fn verdict(&self, server: Server<'_>) -> Verdict {
        match self {
            Self::Foreign(said) if tls::is_record(said) => Verdict::failed(tls::SPEAKS_TLS),
            Self::Foreign(said) => Verdict::failed(
                Line::new()
                    .text("the port does not speak the protocol of ")
                    .text(server.protocol)
                    .text("; it said: ")
                    .bytes(said),
            ),
            Self::Connection(denial) => Verdict::pending(match denial {
                Denial::TimedOut => Line::new()
                    .text("the port accepts connections, but ")
                    .text(server.name)
                    .text(" does not answer yet"),
                Denial::Closed => {
                    Line::new().text("the port accepts connections, but closes them without an answer")
                }
                denial => Line::new().text("the connection failed: ").text(denial.text()),
            }),
        }
    }

    /// Like [`verdict`](Self::verdict), after a conversation in plain text: a port that speaks TLS closes it, so the probe
    /// asks that port in TLS.
    #[must_use]
    pub fn verdict_in_plain_text(&self, server: Server<'_>, context: &Context, port: u16) -> Verdict {
        match self {
            Self::Connection(Denial::Closed) if tls::greeting(&context.host, port).is_some() => {
                Verdict::failed(tls::SPEAKS_TLS)
            }
            failure => failure.verdict(server),
        }
    }
}

/// Reads this many bytes, or as far as the connection goes.
///
/// # Errors
/// There was nothing at all; [`Denial::Closed`] if the stream ended.
pub fn take(server: &mut impl Stream, count: u32) -> Result<Vec<u8>, Denial> {
    let mut taken = Vec::new();
    while taken.len() < count as usize {
        let missing = count.saturating_sub(u32::try_from(taken.len()).unwrap_or(u32::MAX));
        match server.receive(missing) {
            Ok(bytes) if bytes.is_empty() && taken.is_empty() => return Err(Denial::Closed),
            Err(denial) if taken.is_empty() => return Err(denial),
            Ok(bytes) if !bytes.is_empty() => taken.extend_from_slice(&bytes),
            _ => break,
        }
    }
    Ok(taken)
}

/// Adds what a foreign server says next, up to a line's end and at most 128 bytes in all.
pub fn quote(server: &mut impl Stream, said: &mut Vec<u8>) {
    while said.len() < QUOTED && !said.contains(&b'\n') {
        match server.receive(QUOTED_AT_ONCE) {
            Ok(bytes) if !bytes.is_empty() => said.extend_from_slice(&bytes),
            _ => break,
        }
    }
    let end = said.iter().position(|&byte| byte == b'\n').unwrap_or(said.len()).min(QUOTED);
    said.truncate(end);
}

#[cfg(test)]
mod tests;
