//! Conversations with servers in memory, as captured from real ones and as malformed.

use farrier_probe::testing::MemoryStream;

use super::*;
use crate::frame::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, write,
};

fn asked(says: impl Into<Vec<u8>>, then: Denial, service: &str) -> Verdict {
    health(&mut MemoryStream::ending(says, then), &plain("orders:50051"), service)
        .unwrap_or_else(|trouble| answer::unanswered(&trouble))
}

fn hexadecimal(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, kind, flags, stream, payload);
    bytes
}

fn headers(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    loona_hpack::Encoder::new().encode(fields)
}

/// The settings, then an answer that consists of headers only.
fn refusal(fields: &[(&str, &str)]) -> Vec<u8> {
    let answer = frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers(fields));
    [frame(SETTINGS, 0, 0, &[]), answer].concat()
}

/// What grpcio 1.85 (gRPC's core, which codes no string by Huffman) says first.
const CORE: &str = "000018040000000000000400400000000500400000000600004000fe0300000001000004080000000000003f0001\
                    00000004010000000000000408000000000000000005000008060000000000fd3dba7a7ccee517";
const CORE_HEADERS: &str = "00004e01040000000188400c636f6e74656e742d74797065106170706c69636174696f6e2f677270634014677270\
                            632d6163636570742d656e636f64696e67176964656e746974792c206465666c6174652c20677a6970";
const CORE_OK: &str = "00001e010500000001400b677270632d7374617475730130000c677270632d6d65737361676500";
const CORE_UNKNOWN: &str = "00001e010500000001400b677270632d7374617475730135000c677270632d6d65737361676500";
const CORE_UNIMPLEMENTED: &str = "00005001050000000188400c636f6e74656e742d74797065106170706c69636174696f6e2f67727063400b67\
                                  7270632d737461747573023132000c677270632d6d657373616765114d6574686f64206e6f7420666f756e6421";
/// What etcd 3.4 (gRPC for Go, which codes strings by Huffman) says first.
const GO: &str = "00000c0400000000000005000040000003ffffffff000000040100000000000004080000000000000000050000080600000000\
                  0002041010090e0707";
const GO_OK: &str = "00000e010400000001885f8b1d75d0620d263d4c4d65640000070000000000010000000002080100001801050000000140889a\
                     cac8b21234da8f013040899acac8b5254207317f00";
const GO_UNKNOWN: &str = "000031010500000001885f8b1d75d0620d263d4c4d656440889acac8b21234da8f013540899acac8b5254207317f8b\
                          b6aeb51fc54a20b677310b";

fn plain(authority: &str) -> Origin {
    Origin { authority: authority.to_owned(), is_plain: true }
}

#[test]
fn what_real_servers_said_is_understood() {
    let serving = "000007000000000001000000000208 01";
    let rows = [
        ("", format!("{CORE}{CORE_HEADERS}{serving}{CORE_OK}"), Verdict::Ready),
        (
            "",
            format!("{CORE}{CORE_HEADERS}{}{CORE_OK}", serving.replace(" 01", "02")),
            Verdict::pending("the server is NOT_SERVING"),
        ),
        (
            "nobody",
            format!("{CORE}{CORE_HEADERS}{CORE_UNKNOWN}"),
            Verdict::pending("the health service does not know nobody (yet)"),
        ),
        (
            "",
            format!("{CORE}{CORE_UNIMPLEMENTED}"),
            Verdict::failed(
                "the server has no health service: register grpc.health.v1.Health in it, or choose the probe `tcp`",
            ),
        ),
        ("", format!("{GO}{GO_OK}"), Verdict::Ready),
        (
            "nobody",
            format!("{GO}{GO_UNKNOWN}"),
            Verdict::pending("the health service does not know nobody (yet)"),
        ),
    ];
    for (service, says, expected) in rows {
        assert_eq!(asked(hexadecimal(&says), Denial::TimedOut, service), expected, "{says}");
    }
}

#[test]
fn a_server_is_told_what_http_2_wants() {
    let mut server = MemoryStream::ending(hexadecimal(&format!("{GO}{GO_OK}")), Denial::TimedOut);
    assert_eq!(health(&mut server, &plain("etcd:2379"), "orders").ok(), Some(Verdict::Ready));
    let told = server.told.strip_prefix(PREFACE).expect("the preface comes first");
    assert!(told.starts_with(&frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 0])));
    let question = b"\0\0\0\0\x08\x0a\x06orders";
    let acknowledgements = [
        frame(DATA, END_STREAM, 1, question),
        frame(SETTINGS, 1, 0, &[]),
        frame(PING, 1, 0, &[2, 4, 0x10, 0x10, 9, 0xe, 7, 7]),
        frame(GOAWAY, 0, 0, &[0; 8]),
    ];
    assert!(told.ends_with(&acknowledgements.concat()), "{told:?}");
}

#[test]
fn each_status_has_its_verdict() {
    let rows = [
        ("7", "", Verdict::failed(refused("PERMISSION_DENIED"))),
        ("16", "", Verdict::failed(refused("UNAUTHENTICATED"))),
        ("14", "warming%20up%0A50%25", Verdict::pending("UNAVAILABLE: warming up 50%")),
        ("4", "", Verdict::pending("DEADLINE_EXCEEDED")),
        ("99", "odd", Verdict::pending("gRPC status 99: odd")),
        ("x", "", Verdict::pending("gRPC status x")),
        ("0", "", Verdict::pending("the answer to the health check cannot be read")),
        (
            "5",
            "",
            Verdict::pending(
                "the health service has no status for the server as a whole (yet): see `settings.service`",
            ),
        ),
    ];
    for (status, message, expected) in rows {
        let says = refusal(&[(":status", "200"), ("grpc-status", status), ("grpc-message", message)]);
        assert_eq!(asked(says, Denial::TimedOut, ""), expected, "{status}");
    }
    let rows = [
        (vec![(":status", "503")], "HTTP 503 instead of an answer of gRPC"),
        (vec![(":status", "200")], "the port answers HTTP/2, but not gRPC: `grpc-status` is missing"),
    ];
    for (fields, expected) in rows {
        assert_eq!(asked(refusal(&fields), Denial::TimedOut, ""), Verdict::pending(expected));
    }
}

fn refused(code: &str) -> String {
    format!(
        "the health check is refused ({code}): let grpc.health.v1.Health/Check through without credentials"
    )
}

#[test]
fn a_message_is_read_to_the_byte() {
    let body = |bytes: &[u8]| {
        let end = headers(&[("grpc-status", "0")]);
        let begin = headers(&[(":status", "200")]);
        let frames = [
            frame(SETTINGS, 0, 0, &[]),
            frame(HEADERS, END_HEADERS, 1, &begin),
            frame(DATA, 0, 1, bytes),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &end),
        ];
        asked(frames.concat(), Denial::TimedOut, "orders")
    };
    let unread = Verdict::pending("the answer to the health check cannot be read");
    let rows: [(&[u8], Verdict); 8] = [
        (b"\0\0\0\0\x02\x08\x01", Verdict::Ready),
        (b"\0\0\0\0\0", Verdict::pending("orders is UNKNOWN")),
        (b"\0\0\0\0\x02\x08\x03", Verdict::pending("the health service does not know orders (yet)")),
        (b"\0\0\0\0\x04\x08\x01\x10\x05", Verdict::Ready),
        (b"\0\0\0\0\x02\x08\x09", unread.clone()),
        (b"\0\0\0\0\x03\x08\x01", unread.clone()),
        (b"\x01\0\0\0\x02\x08\x01", unread.clone()),
        (b"\0\0\0\0\x02\x08\xff", unread),
    ];
    for (bytes, expected) in rows {
        assert_eq!(body(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn padding_priority_and_continuations_are_understood() {
    let begin = headers(&[(":status", "200")]);
    let end = headers(&[("grpc-status", "0")]);
    let (first, second) = end.split_at(4);
    let padded = [&[2, 0, 0, 0, 0, 9][..], &begin, &[0, 0]].concat();
    let frames = [
        frame(SETTINGS, 0, 0, &[]),
        frame(HEADERS, END_HEADERS | 0x8 | 0x20, 1, &padded),
        frame(0xbe, 0xff, 7, b"a kind that nobody knows"),
        frame(DATA, 0x8, 1, b"\x03\0\0\0\0\x02\x08\x01\0\0\0"),
        frame(HEADERS, END_STREAM, 1, first),
        frame(CONTINUATION, END_HEADERS, 1, second),
    ];
    assert_eq!(asked(frames.concat(), Denial::TimedOut, ""), Verdict::Ready);
}

#[test]
fn a_conversation_without_an_answer_says_how_far_it_came() {
    let greeting = frame(SETTINGS, 0, 0, &[]);
    let then = |more: Vec<u8>| [greeting.clone(), more].concat();
    let broken = |what: &str| format!("the server breaks the rules of HTTP/2: {what}");
    let rows = [
        (vec![], Denial::TimedOut, "the port is open, no HTTP/2 answer yet".to_owned()),
        (vec![], Denial::Closed, "the port is open, but connections are closed without an answer".to_owned()),
        (vec![], Denial::Other("no route".into()), "the connection failed: no route".to_owned()),
        (
            greeting.clone(),
            Denial::TimedOut,
            "the server speaks HTTP/2, but does not answer the health check yet".to_owned(),
        ),
        (
            greeting.clone(),
            Denial::Closed,
            "the server closed the connection before it answered the health check".to_owned(),
        ),
        (
            then(frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])),
            Denial::Closed,
            "the server takes no calls: ENHANCE_YOUR_CALM".to_owned(),
        ),
        (
            then(frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0])),
            Denial::Closed,
            "the server closed the connection before it answered the health check".to_owned(),
        ),
        (
            then(frame(RST_STREAM, 0, 1, &[0, 0, 0, 7])),
            Denial::Closed,
            "the server broke the health check off: REFUSED_STREAM".to_owned(),
        ),
        (
            then(frame(RST_STREAM, 0, 1, &[0, 0, 1, 0])),
            Denial::Closed,
            "the server broke the health check off: error 256".to_owned(),
        ),
        (then(frame(GOAWAY, 0, 0, &[0; 4])), Denial::Closed, broken("its farewell is cut short")),
        (
            then(frame(HEADERS, END_HEADERS, 1, &[0x80])),
            Denial::Closed,
            broken("its headers cannot be decoded"),
        ),
        (then(frame(HEADERS, 0x8, 1, &[9, 0])), Denial::Closed, broken("its padding is too long")),
        (then(frame(HEADERS, 0, 1, &greeting)), Denial::Closed, unanswered_close()),
        (then(frame(DATA, 0, 3, &[])), Denial::Closed, broken("it sent what nobody asked for")),
        (
            then(frame(DATA, 0, 1, &[0; frame::LARGEST_PAYLOAD + 1])),
            Denial::Closed,
            broken("one of its frames is too large"),
        ),
        (
            then(frame(DATA, 0, 1, &[0; frame::LARGEST_PAYLOAD]).repeat(20)),
            Denial::Closed,
            broken("it says more than an answer holds"),
        ),
    ];
    for (says, denial, expected) in rows {
        assert_eq!(asked(says, denial, ""), Verdict::pending(expected));
    }
}

fn unanswered_close() -> String {
    "the server closed the connection before it answered the health check".to_owned()
}

#[test]
fn a_port_that_speaks_something_else_has_failed() {
    let other = "the port does not speak HTTP/2; it said: ";
    let rows: [(&[u8], String); 5] = [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "the port does not speak HTTP/2, but HTTP/1: correct the port, or choose the probe `http`".into(),
        ),
        (b"\x15\x03\x01\0\x02\x02\x46", tls::SPEAKS_TLS.into()),
        (b"-ERR x\r\n", format!("{other}-ERR x  ")),
        (b"SSH-2.0-OpenSSH_9\r\n", format!("{other}SSH-2.0-O")),
        (
            b"\0\0\0\x04\x01\0\0\0\0",
            format!(r"{other}\u{{0}}\u{{0}}\u{{0}}\u{{4}}\u{{1}}\u{{0}}\u{{0}}\u{{0}}\u{{0}}"),
        ),
    ];
    for (says, expected) in rows {
        match asked(says, Denial::Closed, "") {
            Verdict::Failed(reason) => assert!(reason.starts_with(&expected), "{reason}"),
            verdict => panic!("{verdict:?}"),
        }
    }
}

#[test]
fn senseless_settings_are_refused_by_field() {
    let rows = [
        (r"{}", vec![]),
        (r#"{"service": "orders.v1.Orders", "port": 9090}"#, vec![]),
        (r#"{"port": 0}"#, vec!["port"]),
        (r#"{"port": 70000}"#, vec!["port"]),
        (r#"{"service": "my service", "port": 0}"#, vec!["service", "port"]),
        (r#"{"service": "/grpc.health.v1.Health/Check"}"#, vec!["service"]),
        (r#"{"service": 3}"#, vec!["service"]),
        (r#"{"servise": "x"}"#, vec!["servise"]),
    ];
    for (settings, expected) in rows {
        let problems = farrier_probe::export::validate::<Grpc>(settings).err().unwrap_or_default();
        let paths: Vec<String> = problems.into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, expected, "{settings}");
    }
    let long = Settings { service: "x".repeat(LONGEST_SERVICE + 1), ..Settings::default() };
    assert!(Grpc::validate(&long).is_err());
}

#[test]
fn tls_agrees_on_http2() {
    let settings = r#"{"tls": true, "server_name": "orders.test"}"#;
    let peer = farrier_probe::testing::Peer::new().shakes_hands();
    let sidecar =
        farrier_probe::testing::Sidecar::new().port(443).settings(settings).accepts(443, peer).tls();
    // It closes; nothing asks whether it speaks TLS.
    assert!(matches!(sidecar.check::<Grpc>(), Verdict::Pending(_)));
    assert_eq!(sidecar.handshakes(), [("orders.test".to_owned(), vec!["h2".to_owned()])]);
    let refused = tls::Failure::WrongName("the server's certificate is for `a`".to_owned());
    let peer = farrier_probe::testing::Peer::new().fails_tls(refused);
    let sidecar =
        farrier_probe::testing::Sidecar::new().port(443).settings(settings).accepts(443, peer).tls();
    assert_eq!(sidecar.check::<Grpc>(), Verdict::failed("the server's certificate is for `a`"));
}
