use farrier_probe::testing::{Peer, Sidecar};
use farrier_probe::{Denial, Problem, Verdict, tls};

use super::Http;

fn answered(answer: &str, settings: &str) -> Verdict {
    let peer = Peer::new().sends(answer);
    Sidecar::new().port(80).settings(settings).accepts(80, peer).check::<Http>()
}

fn body(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn the_answer_decides() {
    let health = body("200 OK", r#"{"status": "starting", "checks": [{"up": 1.0}], "long": [1]}"#);
    let rows = [
        ("{}", body("200 OK", "x"), Ok(())),
        ("{}", body("302 Found", ""), Ok(())),
        ("{}", body("503 No", "still loading\nmore"), Err("HTTP 503: still loading")),
        ("{}", "HTTP/1.1 404 Not Found\r\n\r\n<html>".into(), Err("HTTP 404")),
        (r#"{"status": 404}"#, body("404 Not Found", ""), Ok(())),
        (r#"{"status": [204, "5xx"]}"#, body("503 No", ""), Ok(())),
        (r#"{"status": "2xx"}"#, body("302 Found", ""), Err("HTTP 302")),
        (r#"{"body": "stat"}"#, health.clone(), Ok(())),
        (r#"{"body": "pong"}"#, body("200 OK", "\n ping "), Err("the body does not hold `pong`: ping")),
        (r#"{"body": "pong"}"#, body("200 OK", ""), Err("the body does not hold `pong`: it is empty")),
        (
            r#"{"json": [{"pointer": "/status", "equals": "ok"}]}"#,
            health.clone(),
            Err(r#"`/status` is "starting", not "ok""#),
        ),
        (r#"{"json": [{"pointer": "/status", "equals": "starting"}]}"#, health.clone(), Ok(())),
        (r#"{"json": [{"pointer": "/checks", "equals": [{"up": 1}]}]}"#, health.clone(), Ok(())),
        (r#"{"json": [{"pointer": "/checks/0/up", "exists": true}]}"#, health.clone(), Ok(())),
        (
            r#"{"json": [{"pointer": "/checks", "exists": false}]}"#,
            health.clone(),
            Err("`/checks` is still there: a list"),
        ),
        (r#"{"json": [{"pointer": "/gone", "exists": true}]}"#, health, Err("`/gone` is not in the body")),
        (
            r#"{"json": [{"pointer": "", "exists": true}]}"#,
            body("200 OK", "<html>"),
            Err("the body is not JSON: <html>"),
        ),
    ];
    for (settings, answer, expected) in rows {
        let expected = expected.map_or_else(Verdict::pending, |()| Verdict::Ready);
        assert_eq!(answered(&answer, settings), expected, "{settings} {answer}");
    }
    let long = body("200 OK", &"a".repeat(300 << 10));
    assert_eq!(
        answered(&long, r#"{"json": [{"pointer": "", "exists": true}]}"#),
        Verdict::pending("the body is longer than 256 KiB, so that it is not read as JSON")
    );
}

#[test]
fn a_port_that_is_open_is_not_an_answer() {
    let rows = [
        (Peer::refuses(), Verdict::pending("connection refused")),
        (Peer::denies(Denial::Unresolved), Verdict::pending("the name does not resolve")),
        (
            Peer::new().stalls(),
            Verdict::pending("the port accepts connections, but does not answer HTTP yet"),
        ),
        (Peer::new(), Verdict::pending("the port accepts connections, but closes them without an answer")),
        (
            Peer::new().sends("SSH-2.0-OpenSSH\r\n"),
            Verdict::pending("the answer is not HTTP: SSH-2.0-OpenSSH"),
        ),
        (Peer::new().sends([0x15, 3, 1, 0, 2, 2, 70]), Verdict::failed(farrier_probe::tls::SPEAKS_TLS)),
        // As nginx, Apache and Go do it at their ports for TLS.
        (
            Peer::answers(|said| {
                let plain = b"HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port";
                Some(if said.starts_with(&[0x16, 3]) { vec![0x16, 3, 3, 0, 1] } else { plain.to_vec() })
            }),
            Verdict::failed(farrier_probe::tls::SPEAKS_TLS),
        ),
        (
            Peer::new().sends("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
            Verdict::pending("HTTP 400"),
        ),
    ];
    for (peer, expected) in rows {
        assert_eq!(Sidecar::new().port(80).accepts(80, peer).check::<Http>(), expected);
    }
    let Verdict::Failed(reason) = Sidecar::new().port(80).check::<Http>() else {
        panic!("what is not granted stays so");
    };
    assert!(reason.contains("grants = { dial"), "{reason}");
    assert!(matches!(Sidecar::new().check::<Http>(), Verdict::Failed(reason) if reason.contains("port")));
}

#[test]
fn the_request_is_as_the_settings_say() {
    let settings = r#"{"port": 81, "path": "/up?x", "method": "OPTIONS", "headers": {"Host": "a.test"}}"#;
    let peer = Peer::new().sends("HTTP/1.1 200 OK\r\n\r\n");
    let sidecar = Sidecar::new().port(80).settings(settings).accepts(81, peer);
    assert_eq!(sidecar.check::<Http>(), Verdict::Ready);
    let sent = String::from_utf8(sidecar.sent().concat()).unwrap();
    assert!(sent.starts_with("OPTIONS /up?x HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("\r\nHost: a.test\r\n") && sent.matches("ost:").count() == 1, "{sent}");
}

#[test]
fn senseless_settings_name_their_field() {
    let rows = [
        ("{}", vec![]),
        (r#"{"status": [200, "3XX"], "json": [{"pointer": "/a", "equals": false}]}"#, vec![]),
        (r#"{"port": 0, "path": "up", "method": "G T"}"#, vec!["port", "path", "method"]),
        (r#"{"headers": {"A B": "c", "Ok": "a\nb"}}"#, vec!["headers.A B", "headers.Ok"]),
        (r#"{"status": []}"#, vec!["status"]),
        (r#"{"status": 99}"#, vec!["status"]),
        (r#"{"status": [200, "6xx"]}"#, vec!["status[1]"]),
        (r#"{"body": ""}"#, vec!["body"]),
        (r#"{"method": "HEAD", "body": "a"}"#, vec!["body"]),
        (
            r#"{"json": [{"pointer": "/a", "exists": true}, {"pointer": "a"}]}"#,
            vec!["json[1].pointer", "json[1]"],
        ),
        (r#"{"json": [{"pointer": "/a", "exists": "yes"}]}"#, vec!["json[0].exists"]),
        (r#"{"json": [{"path": "/a"}]}"#, vec!["json[0].path"]),
        (r#"{"pfad": "/"}"#, vec!["pfad"]),
        (r#"{"scheme": "https", "insecure": true, "server_name": "a.test"}"#, vec![]),
        (r#"{"insecure": true, "server_name": "a.test"}"#, vec!["insecure", "server_name"]),
        (r#"{"scheme": "ftp", "server_name": ""}"#, vec!["scheme", "server_name"]),
    ];
    for (settings, fields) in rows {
        let problems = Sidecar::new().settings(settings).validate::<Http>().err().unwrap_or_default();
        let found: Vec<&str> = problems.iter().map(|Problem { path, .. }| path.as_str()).collect();
        assert_eq!(found, fields, "{settings} {problems:?}");
    }
}

#[test]
fn https_asks_inside_tls() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let sidecar =
        |settings: &str, peer: Peer| Sidecar::new().port(443).settings(settings).accepts(443, peer).tls();
    let ready = sidecar(r#"{"scheme": "https"}"#, Peer::new().shakes_hands().sends(answer));
    assert_eq!(ready.check::<Http>(), Verdict::Ready);
    assert_eq!(ready.handshakes(), [("sidecar".into(), vec!["http/1.1".into()])]);
    let sent = String::from_utf8(ready.sent().concat()).unwrap();
    assert!(sent.contains("\r\nHost: sidecar\r\n"), "{sent}");
    let named =
        sidecar(r#"{"scheme": "https", "server_name": "a.test"}"#, Peer::new().shakes_hands().sends(answer));
    assert_eq!(named.check::<Http>(), Verdict::Ready);
    assert_eq!(named.handshakes()[0].0, "a.test");
    let refused = tls::Failure::Expired("the server's certificate has expired".into());
    let expired = sidecar(r#"{"scheme": "https"}"#, Peer::new().fails_tls(refused));
    assert_eq!(expired.check::<Http>(), Verdict::failed("the server's certificate has expired"));
    let stalled = sidecar(r#"{"scheme": "https"}"#, Peer::new().stalls());
    let told = "the port accepts connections, but does not finish the TLS handshake: does it speak TLS?";
    assert_eq!(stalled.check::<Http>(), Verdict::pending(told));
    // What was not asked for was not granted.
    let ungranted = Sidecar::new().port(443).settings(r#"{"scheme": "https"}"#).accepts(443, Peer::new());
    assert!(matches!(ungranted.check::<Http>(), Verdict::Failed(reason) if reason.contains("tls = true")));
}
