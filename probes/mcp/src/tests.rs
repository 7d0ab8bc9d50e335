use std::cell::RefCell;
use std::rc::Rc;

use farrier_probe::Verdict;
use farrier_probe::testing::{Peer, Sidecar};

use super::Mcp;

const INITIALIZED: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-03-26","serverInfo":{"name":"x"}}}"#;

fn json(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: s1\r\n\r\n{body}")
}

fn stream(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n: hi\r\n\r\n{body}")
}

/// Answers each connection with the next of these, and the ones after them with 202.
fn server(answers: Vec<String>) -> Peer {
    let left = Rc::new(RefCell::new(answers.into_iter()));
    Peer::answers(move |request| {
        if request.is_empty() {
            // All of it was said: the connection ends.
            return Some(Vec::new());
        }
        let next = left.borrow_mut().next();
        Some(next.unwrap_or_else(|| "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".into()).into_bytes())
    })
}

fn sidecar(settings: &str, answers: &[String]) -> Sidecar {
    Sidecar::new().port(8000).settings(settings).accepts(8000, server(answers.to_vec()))
}

#[test]
fn a_stream_that_tells_other_things_without_end_is_left() {
    let endless = stream(&": x\n\n".repeat(1 << 20));
    let reason = "no MCP server: the answer is not within the first 4 MiB of its stream";
    assert_eq!(sidecar("{}", &[endless]).check::<Mcp>(), Verdict::pending(reason));
}

#[test]
fn a_session_is_opened_and_ended() {
    let events = |text: &str| stream(&format!("event: message\r\nid: 7\r\ndata: {text}\r\n\r\n"));
    let split = r#"{"jsonrpc":"2.0","method":"notifications/message"}"#;
    let rows = [
        json(INITIALIZED),
        events(INITIALIZED),
        stream(&format!("data: {split}\n\ndata:{}\ndata: {}\n\n", &INITIALIZED[..17], &INITIALIZED[17..])),
    ];
    for answer in rows {
        assert_eq!(sidecar("{}", std::slice::from_ref(&answer)).check::<Mcp>(), Verdict::Ready, "{answer}");
    }
    let sidecar = sidecar("{}", &[json(INITIALIZED)]);
    assert_eq!(sidecar.check::<Mcp>(), Verdict::Ready);
    let sent: Vec<String> = sidecar.sent().iter().map(|sent| String::from_utf8_lossy(sent).into()).collect();
    let [first, second, third] = &sent[..] else { panic!("three requests: {sent:#?}") };
    assert!(first.starts_with("POST /mcp HTTP/1.1\r\nUser-Agent: farrier-probe\r\nHost: localhost:8000\r\n"));
    assert!(first.contains("\r\nAccept: application/json, text/event-stream\r\n") && !first.contains("s1"));
    assert!(second.contains("notifications/initialized") && second.contains("\r\nMcp-Session-Id: s1\r\n"));
    assert!(second.contains("\r\nMCP-Protocol-Version: 2025-03-26\r\n"), "{second}");
    assert!(third.starts_with("DELETE /mcp ") && third.contains("\r\nMcp-Session-Id: s1\r\n"), "{third}");
}

#[test]
fn tools_are_looked_for_on_every_page() {
    let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_owned();
    let pages = [
        json(INITIALIZED),
        accepted,
        json(r#"{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a"}],"nextCursor":"p"}}"#),
        json(r#"{"jsonrpc":"2.0","id":3,"result":{"tools":[{"name":"b"}]}}"#),
    ];
    let rows = [
        (r#"{"tools": ["b", "a"]}"#, Verdict::Ready),
        (r#"{"tools": ["a", "c"]}"#, Verdict::pending("the server does not list the tool `c`")),
    ];
    for (settings, expected) in rows {
        let sidecar = sidecar(settings, &pages);
        assert_eq!(sidecar.check::<Mcp>(), expected);
        assert_eq!(sidecar.sent().len(), 5, "and the end of the session");
    }
}

#[test]
fn what_is_no_session_says_why() {
    let rows = [
        ("HTTP/1.1 503 No\r\n\r\nstarting".into(), Verdict::pending("HTTP 503 to initialize: starting")),
        ("HTTP/1.1 404 Not Found\r\n\r\n".into(), Verdict::pending("HTTP 404 to initialize")),
        (
            "HTTP/1.1 401 Unauthorized\r\n\r\n".into(),
            Verdict::failed(
                "HTTP 401 to initialize: the server wants authorization: set `headers.Authorization` in the \
                 probe's settings",
            ),
        ),
        (
            "HTTP/1.1 421 Misdirected\r\n\r\n".into(),
            Verdict::failed(
                "HTTP 421 to initialize: the server does not answer to this host: set `host` in the probe's \
                 settings",
            ),
        ),
        (
            json(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"not yet"}}"#),
            Verdict::pending("initialize: not yet"),
        ),
        (json("<html>"), Verdict::pending("no MCP server: the answer is not the JSON-RPC answer to it")),
        (
            json(r#"{"jsonrpc":"2.0","id":1,"result":{"serverInfo":{"name":"x"}}}"#),
            Verdict::pending("no MCP server: the answer names no `protocolVersion`"),
        ),
        (
            json(r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"x"}}"#),
            Verdict::pending("no MCP server: the answer names no `serverInfo`"),
        ),
        (
            stream("data: {}\n\n"),
            Verdict::pending("no MCP server: the answer is a stream that ends without it"),
        ),
    ];
    for (answer, expected) in rows {
        assert_eq!(sidecar("{}", std::slice::from_ref(&answer)).check::<Mcp>(), expected, "{answer}");
    }
    let silent = Sidecar::new().port(8000).accepts(8000, Peer::new().stalls());
    assert_eq!(
        silent.check::<Mcp>(),
        Verdict::pending("the port accepts connections, but does not answer HTTP yet")
    );
}

#[test]
fn senseless_settings_name_their_field() {
    let rows = [
        (
            r#"{"path": "/", "host": "a.test", "headers": {"Authorization": "Bearer x"}, "tools": ["a"]}"#,
            vec![],
        ),
        (r#"{"port": 0, "path": "mcp", "host": "a b"}"#, vec!["port", "path", "host"]),
        (r#"{"host": "", "headers": {"": "x"}, "tools": ["a", ""]}"#, vec!["host", "headers.", "tools[1]"]),
        (r#"{"tools": ["a", 1]}"#, vec!["tools[1]"]),
        (r#"{"tool": []}"#, vec!["tool"]),
    ];
    for (settings, fields) in rows {
        let problems = Sidecar::new().settings(settings).validate::<Mcp>().err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(found, fields, "{settings} {problems:?}");
    }
}

#[test]
fn a_session_inside_tls_shakes_hands_for_each_request() {
    let inside = sidecar(r#"{"tls": true, "server_name": "tools.test"}"#, &[json(INITIALIZED)]).tls();
    assert_eq!(inside.check::<Mcp>(), Verdict::Ready);
    assert!(inside.handshakes().iter().all(|(name, _)| name == "tools.test"));
    assert_eq!(inside.handshakes().len(), inside.sent().len());
    let problems =
        Sidecar::new().settings(r#"{"server_name": "a"}"#).validate::<Mcp>().err().unwrap_or_default();
    assert_eq!(problems.len(), 1, "{problems:?}");
}
