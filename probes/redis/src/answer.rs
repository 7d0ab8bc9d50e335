//! What the server's replies mean.

use farrier_probe::{Line, Verdict};

/// Errors that pass by themselves, by how they begin. `MISCONF` follows a save that failed, `BUSY` is a script,
/// and the last two come before the server listens to what is asked.
const PASSING: [&str; 7] = [
    "LOADING",
    "MASTERDOWN",
    "BUSY",
    "MISCONF",
    "TRYAGAIN",
    "ERR max number of clients",
    "ERR Error accepting",
];

/// What the reply to PING says.
pub fn to_ping(reply: &[u8]) -> Verdict {
    if reply == b"+PONG" {
        return Verdict::Ready;
    }
    let Some(error) = reply.strip_prefix(b"-") else { return foreign(reply) };
    if passes(error) {
        return Verdict::pending(Line::new().bytes(error));
    }
    // The second is what servers before 2.8 say.
    if error.starts_with(b"NOAUTH") || error.starts_with(b"ERR operation not permitted") {
        return Verdict::failed("Redis needs a password: add `settings.password`");
    }
    if error.starts_with(b"NOPERM") {
        return Verdict::failed(
            Line::new().text("the user may not run PING: allow it with `ACL SETUSER … +ping`: ").bytes(error),
        );
    }
    refused(error)
}

/// What a reply to AUTH other than `+OK` says.
pub fn to_auth(reply: &[u8]) -> Verdict {
    let Some(error) = reply.strip_prefix(b"-") else { return foreign(reply) };
    if passes(error) {
        return Verdict::pending(Line::new().bytes(error));
    }
    // The second is what servers before 6.0 say.
    if error.starts_with(b"WRONGPASS") || error.starts_with(b"ERR invalid password") {
        return Verdict::failed(
            Line::new()
                .text("Redis refuses the password: correct `settings.password` or `settings.username`: ")
                .bytes(error),
        );
    }
    refused(error)
}

fn passes(error: &[u8]) -> bool {
    PASSING.iter().any(|beginning| error.starts_with(beginning.as_bytes()))
}

fn refused(error: &[u8]) -> Verdict {
    Verdict::failed(Line::new().text("Redis refuses: ").bytes(error))
}

fn foreign(reply: &[u8]) -> Verdict {
    Verdict::failed(Line::new().text("the port does not speak the protocol of Redis; it said: ").bytes(reply))
}
