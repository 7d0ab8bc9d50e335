//! Telling a port that speaks TLS from one that does not answer. Nothing here encrypts anything.

use alloc::vec::Vec;
use core::time::Duration;

use crate::dial;

/// The reason that every built-in probe gives for a port that speaks TLS. It names the setting `port`, which all
/// of them have.
pub const SPEAKS_TLS: &str = "the port speaks TLS, and this probe does not: name a port without TLS in \
                              `settings.port`, or use the probe `exec`";

/// A `ClientHello` that any server of TLS 1.0 to 1.3 answers, with its own hello or with an alert. Its random value
/// need not be one: the conversation ends with the answer.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\0\x76\x01\0\0\x72\x03\x03farrier asks whether this is TLS\0\
    \0\x16\x13\x01\x13\x02\x13\x03\xc0\x2f\xc0\x2b\xc0\x30\xc0\x2c\0\x9c\0\x9d\0\x2f\0\x35\x01\0\
    \0\x33\0\x0a\0\x08\0\x06\0\x1d\0\x17\0\x18\0\x0d\0\x14\0\x12\x04\x03\x05\x03\x06\x03\x08\x04\x08\x05\x08\x06\
    \x04\x01\x05\x01\x06\x01\0\x2b\0\x05\x04\x03\x04\x03\x03\0\x33\0\x02\0\0";

/// How long a connection and a read of the greeting may take. A server of TLS answers at once; of others, many wait for
/// more. A later poll asks again.
const PATIENCE: Duration = Duration::from_millis(250);

/// Whether these are the first bytes of a TLS record: a handshake or an alert, of any version.
#[must_use]
pub fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 3, ..])
}

/// Greets in TLS on a connection of its own, and gives the first bytes of the answer if they are TLS. Servers close
/// a connection that speaks plain text to them, or answer it with HTTP 400: ask then, and not before.
#[must_use]
pub fn greeting(host: &str, port: u16) -> Option<Vec<u8>> {
    let connection = dial::connect(host, port, Some(PATIENCE)).ok()?;
    connection.send(CLIENT_HELLO).ok()?;
    let mut said = Vec::new();
    while said.len() < 2 {
        let bytes = connection.receive_within(64, PATIENCE).ok().filter(|bytes| !bytes.is_empty())?;
        said.extend_from_slice(&bytes);
    }
    is_record(&said).then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Peer, Sidecar};

    #[test]
    fn the_greeting_is_as_long_as_it_says() {
        let length = |at: usize| usize::from(u16::from_be_bytes([CLIENT_HELLO[at], CLIENT_HELLO[at + 1]]));
        assert_eq!(length(3), CLIENT_HELLO.len() - 5, "the record");
        assert_eq!(length(7), CLIENT_HELLO.len() - 9, "the handshake");
        let ciphers = 9 + 2 + 32 + 1;
        let extensions = ciphers + 2 + length(ciphers) + 2;
        assert_eq!(length(extensions), CLIENT_HELLO.len() - extensions - 2, "the extensions");
        let mut at = extensions + 2;
        while at < CLIENT_HELLO.len() {
            at += 4 + length(at + 2);
        }
        assert_eq!(at, CLIENT_HELLO.len(), "the last extension");
    }

    #[test]
    fn only_tls_answers_it() {
        let rows: [(Peer, bool); 7] = [
            (Peer::new().sends(b"\x16\x03\x03\0\x7a\x02"), true),
            (Peer::new().sends(b"\x15\x03\x01\0\x02\x02\x50").in_pieces(1), true),
            (Peer::new().sends("HTTP/1.1 400 Bad Request\r\n\r\n"), false),
            (Peer::new().sends(b"\x16"), false),
            (Peer::new(), false),
            (Peer::new().stalls(), false),
            (Peer::refuses(), false),
        ];
        for (peer, expected) in rows {
            let told = std::format!("{peer:?}");
            let sidecar = Sidecar::new().accepts(443, peer);
            assert_eq!(sidecar.run(|| greeting("sidecar", 443)).is_some(), expected, "{told}");
        }
    }
}
