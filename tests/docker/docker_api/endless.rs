//! An engine that answers without end: each call ends with an error that says so, after a bounded number of bytes.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use farrier::engine::docker::address::EngineAddress;
use farrier::engine::docker::api::Api;
use farrier::engine::docker::client::Client;
use farrier::engine::{EngineErrorKind, EngineResult, ExecRequest, OutputRequest};
use futures_util::StreamExt;

/// More than any answer may have, with what lies in buffers on the way.
const MOST: u64 = 80 << 20;

/// Listens on a socket, and answers each request with a head, a beginning, and then the same bytes for ever.
struct Endless {
    _folder: tempfile::TempDir,
    address: EngineAddress,
    written: Arc<AtomicU64>,
}

impl Endless {
    fn open(beginning: &'static [u8], repeated: &'static [u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let written = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&written);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || answer(client, beginning, repeated, &counted));
            }
        });
        let host = format!("unix://{}", socket.display());
        let address = EngineAddress { host, ..EngineAddress::default() };
        Self { _folder: folder, address, written }
    }

    fn engine(&self) -> Client {
        self.written.store(0, Ordering::SeqCst);
        Client::open(&self.address).expect("an address")
    }

    fn assert_cut<T>(&self, call: &str, result: EngineResult<T>) {
        let Err(error) = result else { panic!("{call} had an answer") };
        assert_eq!(error.kind, EngineErrorKind::TimedOut, "{call}: {error}");
        assert!(error.message.contains("does not end"), "{call}: {error}");
        let written = self.written.load(Ordering::SeqCst);
        assert!(written < MOST, "{call} read {written} bytes");
    }
}

/// A command is given a name first, so that its output can be endless.
fn answer(mut client: UnixStream, beginning: &[u8], repeated: &[u8], counted: &AtomicU64) {
    let mut request = vec![0; 64 << 10];
    let count = client.read(&mut request).unwrap_or(0);
    let line = String::from_utf8_lossy(&request[..count]).lines().next().unwrap_or_default().to_owned();
    if line.starts_with("POST") && line.contains("/containers/") && line.contains("/exec ") {
        let body = "{\"Id\":\"e\"}";
        let head = format!("HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n", body.len());
        drop(client.write_all(format!("{head}{body}").as_bytes()));
        return;
    }
    let is_attached = line.contains("/start") || line.contains("/attach");
    let head = if is_attached {
        "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    } else {
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    };
    let block = repeated.repeat((64 << 10) / repeated.len());
    let mut result = client.write_all(head.as_bytes()).and_then(|()| client.write_all(beginning));
    while result.is_ok() {
        counted.fetch_add(block.len() as u64, Ordering::SeqCst);
        result = client.write_all(&block);
    }
}

#[tokio::test]
async fn an_answer_that_is_read_whole() {
    let endless = Endless::open(b"{\"Id\":\"", b"a");
    let engine = endless.engine();
    endless.assert_cut("info", engine.info().await);
    endless.assert_cut("container", endless.engine().container("db").await);
    endless.assert_cut("image", endless.engine().image("x").await);
    endless.assert_cut("inhabited", endless.engine().inhabited("net").await);
    let endless = Endless::open(b"[", b"{\"Id\":\"a\"},");
    endless.assert_cut("networks", endless.engine().networks("net").await);
    endless.assert_cut("labelled", endless.engine().labelled("farrier.sidecar").await);
}

#[tokio::test]
async fn a_line_or_frame_of_a_stream_that_has_no_end() {
    let endless = Endless::open(b"{\"status\":\"", b"a");
    endless.assert_cut("pull", endless.engine().pull("x:1", None, None, &|_| {}).await);
    let mut events = endless.engine().events("farrier.sidecar", "0").await.expect("a stream");
    endless.assert_cut("events", events.next().await.expect("an item"));
    // A frame of standard output that claims four gibibytes.
    let endless = Endless::open(b"\x01\0\0\0\xff\xff\xff\xff", b"a");
    let request = OutputRequest { follow: true, ..OutputRequest::default() };
    let mut output = endless.engine().output("db", &request).await.expect("a stream");
    endless.assert_cut("output", output.next().await.expect("an item"));
    let request = ExecRequest { arguments: vec!["x".to_owned()], output_limit: 10 };
    endless.assert_cut("exec", endless.engine().exec("db", &request).await);
    let mut attached = endless.engine().attach("db").await.expect("a stream");
    let failed = tokio::io::copy(&mut attached.output, &mut tokio::io::sink()).await.expect_err("it ends");
    assert!(failed.to_string().contains("does not end"), "{failed}");
}

/// A line of standard output with its time, in a frame of its own.
fn frame(text: &str) -> &'static [u8] {
    let line = format!("2026-03-01T12:00:00.000000001Z {text}\n");
    let length = u32::try_from(line.len()).expect("a short line").to_be_bytes();
    [&[1, 0, 0, 0], &length[..], line.as_bytes()].concat().leak()
}

#[tokio::test]
async fn more_lines_than_were_asked_for() {
    // Each is a whole frame; few long ones take a moment where many short ones would take most of a minute.
    let endless = Endless::open(b"", frame(&"x".repeat(8000)));
    endless.assert_cut("logs", endless.engine().logs("db", "", 20).await);
    let endless = Endless::open(b"", frame("x"));
    // Whoever follows reads as long as whole lines come.
    let request = OutputRequest { follow: true, ..OutputRequest::default() };
    let mut output = endless.engine().output("db", &request).await.expect("a stream");
    for _ in 0..100_000 {
        assert_eq!(output.next().await.expect("an item").expect("a line").bytes, b"x\n");
    }
}
