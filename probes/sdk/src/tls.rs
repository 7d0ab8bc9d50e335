//! TLS over connections that [`dial`](crate::dial) opened: farrier shakes hands and verifies the server, as the grant says.
//! And telling a port that speaks TLS from one that does not answer.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::dial::{self, Connection};
use crate::imports::tls as import;
use crate::{Denial, Line, Verdict};

pub use crate::bindings::farrier::probe::tls::Failure;

/// Performs the TLS handshake over an open connection, and gives the connection inside TLS. `server_name` is the name or address that the
/// certificate must be for; `protocols` are offered via ALPN, the preferred one first.
///
/// # Errors
/// Why there is no TLS; [`Failure::verdict`] says so in a verdict.
pub fn start(connection: Connection, server_name: &str, protocols: &[&str]) -> Result<Connection, Failure> {
    let protocols: Vec<String> = protocols.iter().map(|name| (*name).into()).collect();
    import::start(connection.0, server_name, &protocols).map(Connection)
}

/// The protocol that the server chose via ALPN; `None` if it chose none, or the connection is not inside TLS.
#[must_use]
pub fn protocol(connection: &Connection) -> Option<String> {
    import::protocol(&connection.0)
}

impl Failure {
    /// What to say about it: what farrier saw, and what to do.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Denied(Denial::TimedOut) => {
                "the port accepts connections, but does not finish the TLS handshake: does it speak TLS?"
            }
            Self::Denied(Denial::Closed) => {
                "the port accepts connections, but closes them during the TLS handshake: does it speak TLS?"
            }
            Self::Denied(denial) => denial.text(),
            Self::NotTls(text)
            | Self::Untrusted(text)
            | Self::Expired(text)
            | Self::WrongName(text)
            | Self::Handshake(text) => text,
        }
    }

    /// What a poll says of it. A server that speaks other TLS, or has another certificate, does not mend itself while it
    /// starts.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let line = Line::new().text(self.text());
        match self {
            Self::Denied(Denial::NotGranted(_)) => Verdict::failed(line),
            Self::Denied(_) => Verdict::pending(line),
            _ => Verdict::failed(line),
        }
    }
}

/// `tls` in the settings of a probe: `true`, or `"insecure"` for any certificate. farrier reads the settings of built-in
/// probes, too, and trusts accordingly.
#[cfg(feature = "settings")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Setting {
    /// In plain text.
    #[default]
    Off,
    /// With a certificate that farrier verifies.
    Verified,
    /// With any certificate.
    Insecure,
}

#[cfg(feature = "settings")]
impl Setting {
    /// The name that the server's certificate must be for: this one, or else the sidecar's. `None` if there is no TLS.
    #[must_use]
    pub fn name<'a>(self, server_name: Option<&'a str>, context: &'a crate::Context) -> Option<&'a str> {
        (self != Self::Off).then_some(server_name.unwrap_or(&context.host))
    }

    /// What is wrong with a `server_name` beside it.
    #[must_use]
    pub fn problem(self, server_name: Option<&str>) -> Option<crate::Problem> {
        let message = match server_name? {
            "" => "it is empty: leave it out",
            _ if self == Self::Off => "it is for TLS: add `tls = true`",
            _ => return None,
        };
        Some(crate::Problem::new("server_name", message))
    }
}

#[cfg(feature = "settings")]
impl crate::Schema for Setting {
    const SHAPE: crate::schema::Shape =
        crate::schema::Shape::OneOf { values: &["true", "false", "\"insecure\""] };
    const DEFAULT: Option<&'static str> = Some("false");
}

#[cfg(feature = "settings")]
impl<'de> serde::Deserialize<'de> for Setting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}

#[cfg(feature = "settings")]
struct SettingVisitor;

#[cfg(feature = "settings")]
impl serde::de::Visitor<'_> for SettingVisitor {
    type Value = Setting;

    fn expecting(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("true, false, or \"insecure\" for any certificate")
    }

    fn visit_bool<E: serde::de::Error>(self, is_on: bool) -> Result<Setting, E> {
        Ok(if is_on { Setting::Verified } else { Setting::Off })
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Setting, E> {
        match word {
            "insecure" => Ok(Setting::Insecure),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
        }
    }
}

/// The reason that every built-in probe gives for a port that speaks TLS while the probe's settings ask for none.
pub const SPEAKS_TLS: &str = "the port speaks TLS, and the probe does not: ask for TLS in the settings \
                              (`scheme = \"https\"` for `http`, else `tls = true`), or name a port without TLS in \
                              `settings.port`";

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
    fn what_only_a_person_can_mend_ends_the_wait() {
        let text = || "why".into();
        let rows = [
            (Failure::NotTls(text()), Verdict::failed("why")),
            (Failure::Untrusted(text()), Verdict::failed("why")),
            (Failure::Expired(text()), Verdict::failed("why")),
            (Failure::WrongName(text()), Verdict::failed("why")),
            (Failure::Handshake(text()), Verdict::failed("why")),
            (Failure::Denied(Denial::NotGranted(text())), Verdict::failed("why")),
            (Failure::Denied(Denial::Other(text())), Verdict::pending("why")),
        ];
        for (failure, expected) in rows {
            assert_eq!(failure.verdict(), expected);
        }
        for denial in [Denial::TimedOut, Denial::Closed] {
            assert!(matches!(Failure::Denied(denial).verdict(), Verdict::Pending(_)));
        }
    }

    #[test]
    fn a_peer_that_shakes_hands_goes_on_inside_tls() {
        let peer = Peer::new().expects("STARTTLS").sends("+").shakes_hands().expects("hello").sends("world");
        let talk = || {
            let plain = dial::connect("sidecar", 25, None).unwrap();
            plain.send(b"STARTTLS").unwrap();
            assert_eq!(plain.receive(1).unwrap(), b"+");
            let secured = start(plain, "mail.test", &["smtp"])?;
            assert_eq!(protocol(&secured).as_deref(), Some("smtp"));
            secured.send(b"hello").unwrap();
            Ok(secured.receive(9).unwrap())
        };
        let sidecar = Sidecar::new().accepts(25, peer.clone()).tls();
        assert_eq!(sidecar.run(talk), Ok(b"world".to_vec()));
        assert_eq!(sidecar.handshakes(), [("mail.test".into(), std::vec!["smtp".into()])]);
        let ungranted = Sidecar::new().accepts(25, peer).run(talk);
        assert!(matches!(ungranted, Err(Failure::Denied(Denial::NotGranted(_)))), "{ungranted:?}");
        let refused = Failure::Expired("long ago".into());
        let refusing = Peer::new().expects("STARTTLS").sends("+").fails_tls(refused.clone());
        assert_eq!(Sidecar::new().accepts(25, refusing).tls().run(talk), Err(refused));
        let plain = Peer::new().expects("STARTTLS").sends("+").sends("no");
        assert!(matches!(Sidecar::new().accepts(25, plain).tls().run(talk), Err(Failure::NotTls(_))));
    }

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
