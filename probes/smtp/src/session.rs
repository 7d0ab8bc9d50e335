//! One session: the greeting, EHLO, TLS if it is asked for, and a recipient (RFC 5321 and 3207).

use alloc::format;

use farrier_probe::Verdict;
use farrier_probe::lines::Lines;
use farrier_probe::stream::{Failure, Upgrade};

use crate::Settings;
use crate::reply::Reply;

/// The longest line that is read, in bytes; the standard allows 512 (RFC 5321, 4.5.3.1.5).
const LONGEST_LINE: usize = 1024;
/// How the probe calls itself: an address literal, because it has no name (RFC 5321, 4.1.4).
const EHLO: &[u8] = b"EHLO [127.0.0.1]\r\n";
/// The server wants TLS first (RFC 3207, 4).
const NEEDS_TLS: u16 = 530;

/// Holds the whole conversation; with STARTTLS if there is a name for the server's certificate.
///
/// # Errors
/// The connection failed, or the server speaks something else.
pub fn hold(
    server: &mut impl Upgrade,
    settings: &Settings,
    server_name: Option<&str>,
) -> Result<Verdict, Failure> {
    let mut server = Lines::new(server, LONGEST_LINE);
    let greeting = Reply::receive(&mut server)?;
    let verdict =
        if greeting.code == 220 { serve(&mut server, settings, server_name)? } else { greeting.not_served() };
    // The polite end of a session, whatever became of it.
    drop(server.send(b"QUIT\r\n"));
    Ok(verdict)
}

/// What follows the greeting.
fn serve(
    server: &mut Lines<'_, impl Upgrade>,
    settings: &Settings,
    server_name: Option<&str>,
) -> Result<Verdict, Failure> {
    let mut hello = call(server, EHLO)?;
    if !hello.is_positive() {
        return Ok(hello.not_served());
    }
    if let Some(name) = server_name {
        if !hello.offers(b"STARTTLS") {
            return Ok(Verdict::failed(
                "the port does not speak TLS: the server does not offer STARTTLS; give it a certificate, or remove `tls` from \
                 the settings",
            ));
        }
        let answer = call(server, b"STARTTLS\r\n")?;
        if !answer.is_positive() {
            return Ok(answer.not_served());
        }
        if let Err(failure) = server.secure(name) {
            return Ok(failure.verdict());
        }
        hello = call(server, EHLO)?;
        if !hello.is_positive() {
            return Ok(hello.not_served());
        }
    }
    match &settings.recipient {
        Some(recipient) => accept(server, recipient, server_name.is_some()),
        None => Ok(Verdict::Ready),
    }
}

/// Begins a transaction for this recipient, and resets it. Mailboxes may be added after the port has opened.
fn accept(
    server: &mut Lines<'_, impl Upgrade>,
    recipient: &str,
    is_secured: bool,
) -> Result<Verdict, Failure> {
    let commands = ["MAIL FROM:<>\r\n".into(), format!("RCPT TO:<{recipient}>\r\n")];
    for command in commands {
        let answer = call(server, command.as_bytes())?;
        if answer.code == NEEDS_TLS && !is_secured {
            return Ok(Verdict::failed(
                answer.quoted("the server needs TLS before mail (add `tls = true`): "),
            ));
        }
        if !answer.is_positive() {
            return Ok(Verdict::pending(answer.quoted("the server does not accept the recipient: ")));
        }
    }
    call(server, b"RSET\r\n")?;
    Ok(Verdict::Ready)
}

fn call(server: &mut Lines<'_, impl Upgrade>, command: &[u8]) -> Result<Reply, Failure> {
    server.send(command)?;
    Reply::receive(server)
}
