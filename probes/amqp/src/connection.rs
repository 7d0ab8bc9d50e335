//! One connection: the handshake, the login, a virtual host, and a polite end (AMQP 0-9-1, 2.2.4).

use alloc::vec::Vec;

use farrier_probe::stream::{Failure, Stream};
use farrier_probe::{Line, Verdict};

use crate::Settings;
use crate::frame::{self, Fields, Method, Said, long_text, short_text};
use crate::refusal::Refusal;

/// Methods of the class `connection`.
const START: u16 = 10;
const START_OK: u16 = 11;
const TUNE: u16 = 30;
const TUNE_OK: u16 = 31;
const OPEN: u16 = 40;
const OPEN_OK: u16 = 41;
const CLOSE: u16 = 50;
const CLOSE_OK: u16 = 51;

/// Holds the whole conversation.
///
/// # Errors
/// The connection failed, or the server speaks something else.
pub fn hold(server: &mut impl Stream, settings: &Settings) -> Result<Verdict, Failure> {
    server.send(&frame::PROTOCOL)?;
    let start = match frame::receive(server)? {
        Said::Method(start) => start,
        Said::OtherVersion(version) => return Ok(speaks(version)),
    };
    if let Some(verdict) = refused_mechanism(&start, settings)? {
        return Ok(verdict);
    }
    frame::send(server, START_OK, &start_ok(settings))?;
    let tune = match expect(server, TUNE)? {
        Ok(tune) => tune,
        Err(refusal) => return Ok(refusal.verdict(settings)),
    };
    frame::send(server, TUNE_OK, &tuned(&tune)?)?;
    let open = [short_text(settings.vhost().as_bytes()), short_text(b""), alloc::vec![0]].concat();
    frame::send(server, OPEN, &open)?;
    if let Err(refusal) = expect(server, OPEN_OK)? {
        return Ok(refusal.verdict(settings));
    }
    leave(server);
    Ok(Verdict::Ready)
}

/// What a server says that speaks another version of AMQP: 1.0 has an identifier of 0, 2 or 3 (TLS, SASL) and then its numbers.
fn speaks([_, first, second, third]: [u8; 4]) -> Verdict {
    let line = Line::new().text("the port does not speak AMQP 0-9-1, but AMQP ").number(first.into());
    let line = line.text(".").number(second.into()).text(".").number(third.into());
    Verdict::failed(line.text(": use the probe `tcp` or `log`"))
}

/// The verdict if the server offers no login with a password. Then only another client can tell whether it serves.
fn refused_mechanism(start: &Method, settings: &Settings) -> Result<Option<Verdict>, Failure> {
    let mut fields = Fields(&start.arguments);
    // The protocol's major and minor number, then the server's properties.
    let mechanisms = fields.short().and_then(|_| fields.long_text()).and_then(|_| fields.long_text());
    let Some(mechanisms) = mechanisms.filter(|_| start.number == START) else {
        return Err(Failure::Foreign(start.arguments.clone()));
    };
    if mechanisms.split(|&byte| byte == b' ').any(|mechanism| mechanism == b"PLAIN") {
        return Ok(None);
    }
    Ok(Some(if settings.wants_a_session() {
        let line =
            Line::new().text("the broker offers no login with a password (PLAIN), only ").bytes(mechanisms);
        Verdict::failed(line)
    } else {
        Verdict::Ready
    }))
}

/// The answer to the server's properties: who asks, and the login. A client of this capability is told why its login fails;
/// for others, the server closes the connection.
fn start_ok(settings: &Settings) -> Vec<u8> {
    let capability = [&short_text(b"authentication_failure_close")[..], b"t\x01"].concat();
    let properties = [
        &short_text(b"product")[..],
        b"S",
        &long_text(b"farrier"),
        &short_text(b"capabilities"),
        b"F",
        &long_text(&capability),
    ];
    let login = [&b"\0"[..], settings.user().as_bytes(), b"\0", settings.password().as_bytes()].concat();
    [long_text(&properties.concat()), short_text(b"PLAIN"), long_text(&login), short_text(b"en_US")].concat()
}

/// The server's limits, accepted as they are; no heartbeats, because the connection ends at once.
fn tuned(tune: &Method) -> Result<Vec<u8>, Failure> {
    let (limits, _heartbeat) =
        tune.arguments.split_first_chunk::<6>().ok_or_else(|| Failure::Foreign(tune.arguments.clone()))?;
    Ok([limits.as_slice(), &[0, 0]].concat())
}

/// Reads this method, or the refusal that the server sends in its place.
fn expect(server: &mut impl Stream, number: u16) -> Result<Result<Method, Refusal>, Failure> {
    let Said::Method(method) = frame::receive(server)? else {
        return Err(Failure::Foreign(b"AMQP".to_vec()));
    };
    if method.number == number {
        return Ok(Ok(method));
    }
    match Refusal::parse(&method.arguments).filter(|_| method.number == CLOSE) {
        Some(refusal) => {
            // The server waits for this before it closes.
            drop(frame::send(server, CLOSE_OK, &[]));
            Ok(Err(refusal))
        }
        None => Err(Failure::Foreign(method.arguments)),
    }
}

/// Closes the connection as the protocol asks for; otherwise, the broker logs a warning for each poll.
fn leave(server: &mut impl Stream) {
    let success = [&200_u16.to_be_bytes()[..], &short_text(b"farrier is done"), &[0; 4]].concat();
    if frame::send(server, CLOSE, &success).is_ok() {
        drop(expect(server, CLOSE_OK));
    }
}
