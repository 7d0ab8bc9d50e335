//! From plain text to TLS, as PostgreSQL does it: the client asks, and the server answers with one byte.

use alloc::vec::Vec;

use farrier_probe::dial::Connection;
use farrier_probe::stream::{Failure, Stream};
use farrier_probe::{Denial, Verdict, tls};

use crate::message;
use crate::refusal::Refusal;

/// The request: its length, and a number that stands where a version would.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Asks for TLS, and goes on inside it. Gives the verdict if the server refuses.
///
/// # Errors
/// The connection failed, or the server speaks something else.
pub fn secure(mut server: Connection, name: &str) -> Result<Result<Connection, Verdict>, Failure> {
    server.send(&REQUEST)?;
    // One byte: what came with it would be plain text that somebody put before the server's own.
    let answer = server.receive(1)?;
    match answer.as_slice() {
        b"S" => Ok(tls::start(server, name, &[]).map_err(|failure| failure.verdict())),
        b"N" => Ok(Err(Verdict::failed(
            "the port does not speak TLS: PostgreSQL has `ssl = off`; turn it on, or remove TLS from the settings",
        ))),
        b"" => Err(Denial::Closed.into()),
        _ => {
            let mut begun = Begun { first: answer, rest: &mut server };
            let error = message::receive(&mut begun, b"E")?;
            Ok(Err(Verdict::pending(Refusal::parse(&error.body).line())))
        }
    }
}

/// A stream whose first byte was read already.
struct Begun<'a> {
    first: Vec<u8>,
    rest: &'a mut Connection,
}

impl Stream for Begun<'_> {
    fn receive(&mut self, max: u32) -> Result<Vec<u8>, Denial> {
        if self.first.is_empty() { self.rest.receive(max) } else { Ok(core::mem::take(&mut self.first)) }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        self.rest.send(bytes)
    }
}
