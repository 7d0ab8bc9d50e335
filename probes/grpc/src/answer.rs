//! What the server's answers mean.

use farrier_probe::{Denial, Line, Verdict, tls};
use percent_encoding::percent_decode;

use crate::call::{Answer, Trouble};
use crate::message::{self, Status};

/// gRPC's status codes, each at its number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The error codes of HTTP/2, each at its number.
const REASONS: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// What an answer about this service says.
pub fn verdict(answer: &Answer, service: &str) -> Verdict {
    if answer.http_status != b"200" {
        let line = Line::new().text("HTTP ").bytes(&answer.http_status);
        return Verdict::pending(line.text(" instead of an answer of gRPC"));
    }
    let Some(status) = &answer.grpc_status else {
        return Verdict::pending("the port answers HTTP/2, but not gRPC: `grpc-status` is missing");
    };
    let number = std::str::from_utf8(status).ok().and_then(|text| text.parse::<usize>().ok());
    match number.and_then(|number| CODES.get(number)).copied() {
        Some("OK") => of_status(message::response(&answer.body), service),
        Some("NOT_FOUND") => unknown_service(service),
        Some("UNIMPLEMENTED") => Verdict::failed(
            "the server has no health service: register grpc.health.v1.Health in it, or choose the probe `tcp`",
        ),
        Some(code @ ("UNAUTHENTICATED" | "PERMISSION_DENIED")) => Verdict::failed(
            Line::new()
                .text("the health check is refused (")
                .text(code)
                .text("): let grpc.health.v1.Health/Check through without credentials"),
        ),
        Some(code) => Verdict::pending(said(Line::new().text(code), answer)),
        None => Verdict::pending(said(Line::new().text("gRPC status ").bytes(status), answer)),
    }
}

/// Adds what the server says about its status.
fn said(line: Line, answer: &Answer) -> Line {
    if answer.grpc_message.is_empty() {
        return line;
    }
    let message: Vec<u8> = percent_decode(&answer.grpc_message).collect();
    line.text(": ").bytes(&message)
}

fn of_status(status: Option<Status>, service: &str) -> Verdict {
    match status {
        Some(Status::Serving) => Verdict::Ready,
        Some(Status::ServiceUnknown) => unknown_service(service),
        Some(Status::NotServing) => not_serving(service, "NOT_SERVING"),
        Some(Status::Unknown) => not_serving(service, "UNKNOWN"),
        None => Verdict::pending("the answer to the health check cannot be read"),
    }
}

fn not_serving(service: &str, status: &str) -> Verdict {
    let subject = if service.is_empty() { "the server" } else { service };
    Verdict::pending(Line::new().text(subject).text(" is ").text(status))
}

fn unknown_service(service: &str) -> Verdict {
    Verdict::pending(if service.is_empty() {
        Line::new()
            .text("the health service has no status for the server as a whole (yet): see `settings.service`")
    } else {
        Line::new().text("the health service does not know ").text(service).text(" (yet)")
    })
}

/// What it says that no answer came. Only a port that speaks something else cannot mend itself.
pub fn unanswered(trouble: &Trouble) -> Verdict {
    let line = Line::new();
    Verdict::pending(match trouble {
        Trouble::Tls(failure) => return failure.verdict(),
        Trouble::Foreign(bytes) => return foreign(bytes),
        Trouble::NoGreeting(Denial::TimedOut) => line.text("the port is open, no HTTP/2 answer yet"),
        Trouble::NoGreeting(Denial::Closed) => {
            line.text("the port is open, but connections are closed without an answer")
        }
        Trouble::NoAnswer(Denial::TimedOut) => {
            line.text("the server speaks HTTP/2, but does not answer the health check yet")
        }
        Trouble::NoAnswer(Denial::Closed) => {
            line.text("the server closed the connection before it answered the health check")
        }
        Trouble::NoGreeting(denial) | Trouble::NoAnswer(denial) => {
            line.text("the connection failed: ").text(denial.text())
        }
        Trouble::Reset(reason) => reasoned(line.text("the server broke the health check off: "), *reason),
        Trouble::GoingAway(reason) => reasoned(line.text("the server takes no calls: "), *reason),
        Trouble::Broken(what) => line.text("the server breaks the rules of HTTP/2: ").text(what),
    })
}

fn reasoned(line: Line, reason: u32) -> Line {
    let name = usize::try_from(reason).ok().and_then(|number| REASONS.get(number));
    match name {
        Some(name) => line.text(name),
        None => line.text("error ").text(&reason.to_string()),
    }
}

fn foreign(bytes: &[u8]) -> Verdict {
    if tls::is_record(bytes) {
        return Verdict::failed(tls::SPEAKS_TLS);
    }
    Verdict::failed(if bytes.starts_with(b"HTTP/1") {
        Line::new()
            .text("the port does not speak HTTP/2, but HTTP/1: correct the port, or choose the probe `http`")
    } else {
        Line::new().text("the port does not speak HTTP/2; it said: ").bytes(bytes)
    })
}
