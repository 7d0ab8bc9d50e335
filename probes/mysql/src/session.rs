//! One session: the handshake, then the database and the query that are asked for.

use farrier_probe::stream::{Failure, Stream, Upgrade};
use farrier_probe::{Denial, Verdict};

use crate::Settings;
use crate::handshake::{self, Shaken};
use crate::packet::{self, Packet};
use crate::refusal::Refusal;

/// Commands of the protocol.
const QUIT: u8 = 1;
const INIT_DB: u8 = 2;
const QUERY: u8 = 3;
/// The first byte of an answer: done; an error; the end of columns or rows, in a short packet.
const DONE: u8 = 0x00;
const ERROR: u8 = 0xff;
const END: u8 = 0xfe;
const SHORT: usize = 9;
/// The server wants a file of the client's.
const WANTS_A_FILE: u8 = 0xfb;

/// Holds the whole conversation, with a server of this name.
///
/// # Errors
/// The connection failed, or the server speaks something else.
pub fn hold(server: &mut impl Upgrade, settings: &Settings, name: &str) -> Result<Verdict, Failure> {
    if let Shaken::Over(verdict) = handshake::shake(server, settings, name)? {
        return Ok(verdict);
    }
    let verdict = match ask(server, settings) {
        Err(Failure::Connection(Denial::TimedOut)) => {
            return Ok(Verdict::pending("the query did not end in time; `limits.poll` gives it more"));
        }
        answer => answer?.unwrap_or(Verdict::Ready),
    };
    drop(packet::send(server, 0, &[QUIT]));
    Ok(verdict)
}

/// Asks for what the settings ask for, and gives the first answer that is not the one they want.
fn ask(server: &mut impl Stream, settings: &Settings) -> Result<Option<Verdict>, Failure> {
    for (command, text) in [(INIT_DB, &settings.database), (QUERY, &settings.query)] {
        let Some(text) = text else { continue };
        packet::send(server, 0, &[&[command], text.as_bytes()].concat())?;
        if let Some(verdict) = answer(server, settings)? {
            return Ok(Some(verdict));
        }
    }
    Ok(None)
}

/// Reads the answer to a command to its end: one packet, or columns and then rows, each with an end. None if it
/// succeeded.
fn answer(server: &mut impl Stream, settings: &Settings) -> Result<Option<Verdict>, Failure> {
    let mut ends = 0;
    let mut first = true;
    let mut continues = false;
    loop {
        let Packet { body, whole, .. } = packet::receive_any(server)?;
        let begins = !core::mem::replace(&mut continues, !whole);
        match body.split_first() {
            Some((&ERROR, error)) if begins => {
                let refusal = Refusal::parse(error).ok_or_else(|| Failure::Foreign(body.clone()))?;
                return Ok(Some(refusal.in_session(settings)));
            }
            Some((&DONE, _)) if first => return Ok(None),
            Some((&WANTS_A_FILE, _)) if first => {
                return Ok(Some(Verdict::failed(
                    "the query must not ask for a file, as LOAD DATA LOCAL does",
                )));
            }
            Some((&END, _)) if begins && body.len() < SHORT => {
                ends += 1;
                if ends == 2 {
                    return Ok(None);
                }
            }
            _ => {}
        }
        first = false;
    }
}
