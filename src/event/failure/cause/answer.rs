//! What a probe's own answer says about the cause. The built-in probes begin such answers with fixed words, and the
//! Rust SDK's HTTP does so too; `tests/probes/built_in/databases.rs` and `tests/docker/failure_causes.rs` prove them on real
//! servers.

use super::Cause;

/// How answers begin, and what they mean.
const BEGINNINGS: [(&str, Cause); 18] = [
    ("the port speaks TLS", Cause::SpeaksTls),
    ("the port does not speak TLS", Cause::LacksTls),
    ("the server's certificate ", Cause::CertificateRefused),
    ("the server refuses the login: ", Cause::LoginRefused),
    ("Redis needs a password", Cause::LoginMissing),
    ("memcached needs a login", Cause::LoginMissing),
    ("NATS needs a login", Cause::LoginMissing),
    ("the query needs a login", Cause::LoginMissing),
    ("the server says whether the database is there only after a login", Cause::LoginMissing),
    ("the database \"", Cause::DatabaseMissing),
    ("the virtual host \"", Cause::DatabaseMissing),
    ("the query failed: ", Cause::QueryFails),
    ("the query did not end in time", Cause::QueryFails),
    ("HTTP 401", Cause::Unauthorized),
    ("the health check is refused (", Cause::Unauthorized),
    ("the port does not speak ", Cause::ProtocolFails),
    ("the answer is not HTTP: ", Cause::ProtocolFails),
    ("no MCP server: ", Cause::ProtocolFails),
];

/// The cause that this answer names; none if it speaks for itself.
pub(super) fn cause(answer: &str) -> Option<Cause> {
    let found = BEGINNINGS.iter().find(|(beginning, _)| answer.starts_with(beginning));
    found.map(|(_, cause)| cause.clone())
}
