//! One session: start, log in, run a query, leave.

use farrier_probe::stream::{Failure, Stream};
use farrier_probe::{Denial, Line, Verdict};

use crate::Settings;
use crate::message::{self, Message};
use crate::password::{self, Scram};
use crate::refusal::Refusal;

/// The kinds of messages that may come first, until a session is there, and after a query.
const FIRST: &[u8] = b"RENv";
const LOGIN: &[u8] = b"RENvSKZA";
const QUERY: &[u8] = b"ENSZATDCIGHWdc";
/// More messages than any login has: PostgreSQL 18 sends 15 parameters, and whoever connects may get a few notices.
const MOST_MESSAGES: usize = 500;

/// How far a login is: it ends with a verdict or with a session.
enum Step {
    Over(Verdict),
    Session,
}

/// Holds the whole conversation.
///
/// # Errors
/// The connection failed, or the server speaks something else.
pub fn hold(server: &mut impl Stream, settings: &Settings, nonce: &str) -> Result<Verdict, Failure> {
    message::start(server, settings.user(), settings.database())?;
    if let Step::Over(verdict) = log_in(server, settings, nonce)? {
        return Ok(verdict);
    }
    let verdict = match &settings.query {
        Some(query) => run(server, query)?,
        None => Verdict::Ready,
    };
    // Terminate. Only a session takes it: before, closing is the polite end, which the server does not log.
    drop(message::send(server, b'X', &[]));
    Ok(verdict)
}

fn log_in(server: &mut impl Stream, settings: &Settings, nonce: &str) -> Result<Step, Failure> {
    let mut scram = None;
    let mut kinds = FIRST;
    for _ in 0..MOST_MESSAGES {
        let Message { kind, body } = message::receive(server, kinds)?;
        kinds = LOGIN;
        match kind {
            b'Z' => return Ok(Step::Session),
            b'E' => return Ok(Step::Over(Refusal::parse(&body).verdict(settings))),
            b'R' => {
                if let Some(verdict) = authenticate(server, &body, settings, nonce, &mut scram)? {
                    return Ok(Step::Over(verdict));
                }
            }
            // Notices, parameters, the key to cancel with.
            _ => {}
        }
    }
    Ok(Step::Over(Verdict::pending("the server sends parameters and notices, but no session begins")))
}

/// Answers one request for authentication; gives the verdict where the conversation is over with it.
fn authenticate(
    server: &mut impl Stream,
    body: &[u8],
    settings: &Settings,
    nonce: &str,
    scram: &mut Option<Scram>,
) -> Result<Option<Verdict>, Failure> {
    let Some((code, data)) = body.split_first_chunk() else { return Err(Failure::Foreign(body.to_vec())) };
    let request = u32::from_be_bytes(*code);
    if request == 0 {
        return Ok(None);
    }
    let Some(password) = &settings.password else {
        return Ok(Some(match (&settings.query, &settings.database) {
            (Some(_), _) => Verdict::failed("the query needs a login: add `settings.password`"),
            (None, Some(_)) => Verdict::failed(
                "the server says whether the database is there only after a login: add `settings.password`",
            ),
            (None, None) => Verdict::Ready,
        }));
    };
    let answer = match request {
        3 => Some([password.as_bytes(), b"\0"].concat()),
        5 => data.first_chunk().map(|salt| password::md5(settings.user(), password, *salt)),
        10 if data.split(|&byte| byte == 0).any(|name| name == b"SCRAM-SHA-256") => {
            Some(scram.insert(Scram::new(nonce)).begin())
        }
        11 => scram.as_mut().and_then(|scram| scram.prove(data, password)),
        12 if scram.as_ref().is_some_and(|scram| scram.accepts(data)) => return Ok(None),
        12 => {
            return Ok(Some(Verdict::failed(
                "the server does not know the password itself: is it the right server?",
            )));
        }
        _ => None,
    };
    let Some(answer) = answer else {
        return Ok(Some(Verdict::failed(
            Line::new()
                .text("the server asks for an authentication that this probe does not know (number ")
                .number(i32::try_from(request).unwrap_or(i32::MAX))
                .text("): leave `settings.password` out, or use the probe `exec`"),
        )));
    };
    message::send(server, b'p', &answer)?;
    Ok(None)
}

/// Runs the query to its end. What it lacks may still be made: a table, a row.
fn run(server: &mut impl Stream, query: &str) -> Result<Verdict, Failure> {
    message::send(server, b'Q', &[query.as_bytes(), b"\0"].concat())?;
    let mut verdict = Verdict::Ready;
    loop {
        let Message { kind, body } = match message::receive(server, QUERY) {
            Err(Failure::Connection(Denial::TimedOut)) => {
                return Ok(Verdict::pending("the query did not end in time; `limits.poll` gives it more"));
            }
            received => received?,
        };
        match kind {
            b'E' => {
                verdict = Verdict::pending(
                    Line::new().text("the query failed: ").bytes(Refusal::parse(&body).message),
                );
            }
            b'Z' => return Ok(verdict),
            b'G' | b'W' => return Ok(Verdict::failed("the query must not wait for data, as COPY does")),
            _ => {}
        }
    }
}
