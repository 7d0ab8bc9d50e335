//! What the server's replies mean.

use farrier_probe::stream::Failure;
use farrier_probe::{Line, Verdict};

use crate::SERVER;

/// What the reply to PING says; none if the server serves.
pub fn to_ping(reply: &[u8]) -> Option<Verdict> {
    if reply == b"+PONG" {
        return None;
    }
    let Some(error) = reply.strip_prefix(b"-") else { return Some(foreign(reply)) };
    // The second is what servers before 2.8 say.
    if error.starts_with(b"NOAUTH") || error.starts_with(b"ERR operation not permitted") {
        return Some(Verdict::failed("Redis needs a password: add `settings.password`"));
    }
    Some(if error.starts_with(b"NOPERM") {
        let line = login_refused(error);
        Verdict::pending(line.text(" (allow it with `ACL SETUSER … +ping`)"))
    } else {
        Verdict::pending(Line::new().bytes(error))
    })
}

/// What the reply to AUTH says; none if the login is accepted. Users and passwords may be made after the server has
/// begun to answer, so that no refusal is final.
pub fn to_auth(reply: &[u8]) -> Option<Verdict> {
    if reply == b"+OK" {
        return None;
    }
    let Some(error) = reply.strip_prefix(b"-") else { return Some(foreign(reply)) };
    // The third is what servers before 6.0 say; then, that the password is not set yet, by older and newer ones.
    let about_login =
        ["WRONGPASS", "NOPERM", "ERR invalid password", "ERR Client sent AUTH", "ERR AUTH <password> called"];
    let about_login = about_login.iter().any(|beginning| error.starts_with(beginning.as_bytes()));
    Some(Verdict::pending(if about_login { login_refused(error) } else { Line::new().bytes(error) }))
}

/// What INFO says of replication; none if this is no replica, or one that has synchronised with its master.
pub fn to_replication(info: &[u8]) -> Option<Verdict> {
    let value = |key: &[u8]| {
        let mut lines = info.split(|byte| matches!(byte, b'\r' | b'\n'));
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b":"))
    };
    if value(b"role") != Some(b"slave") {
        return None;
    }
    let line = Line::new().text("the replica has not synchronised with its master yet: ");
    match value(b"master_link_status") {
        Some(b"up") if value(b"master_sync_in_progress") == Some(b"1") => {
            Some(Verdict::pending(line.text("a synchronisation is in progress")))
        }
        Some(b"up") | None => None,
        Some(status) => Some(Verdict::pending(line.text("master_link_status is ").bytes(status))),
    }
}

fn login_refused(error: &[u8]) -> Line {
    Line::new().text("the server refuses the login: ").bytes(error)
}

fn foreign(reply: &[u8]) -> Verdict {
    Failure::Foreign(reply.to_vec()).verdict(SERVER)
}
