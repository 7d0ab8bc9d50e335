//! The server that `benches/lag` measures: it opens its port when it is told to, and tells when it did.
//!
//! It uses only std, so that `rustc` alone makes a static binary of it that runs in an otherwise empty image.
//!
//! - `server serve PORT CONTROL` listens on CONTROL. A line `MS WORD` there closes PORT, is answered with `closed`,
//!   and MS milliseconds later PORT is open again: then `accepting WORD` is printed, and `opened SECONDS` is answered,
//!   the Unix time of the moment from which on a connection would be accepted. Each connection to PORT gets an answer
//!   of HTTP without content.
//! - `server healthy PORT` exits with 0 where 127.0.0.1:PORT accepts, else with 1.
//! - Started under the name of docker it is the harness, and does nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if Path::new(&arguments[0]).file_name().is_some_and(|name| name == "docker") {
        return ExitCode::SUCCESS;
    }
    let ports: Vec<u16> = arguments[2..].iter().map(|port| port.parse().expect("a port")).collect();
    match arguments[1].as_str() {
        "serve" => serve(ports[0], ports[1]),
        _ => match TcpStream::connect((Ipv4Addr::LOCALHOST, ports[0])) {
            Ok(_) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock behind 1970").as_secs_f64()
}

fn listen(port: u16) -> TcpListener {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("the port is free")
}

fn serve(port: u16, control: u16) -> ExitCode {
    let mut open: Option<Open> = None;
    for stream in listen(control).incoming().flatten() {
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).expect("a line");
        let (pause, word) = line.trim().split_once(' ').expect("a pause and a word");
        if let Some(open) = open.take() {
            open.close();
        }
        (&stream).write_all(b"closed\n").expect("a reader");
        thread::sleep(Duration::from_millis(pause.parse().expect("milliseconds")));
        // Before it is so, so that no lag comes out shorter than it was.
        let at = now();
        let listener = listen(port);
        println!("accepting {word}");
        open = Some(Open::new(listener, port));
        (&stream).write_all(format!("opened {at:.6}\n").as_bytes()).expect("a reader");
    }
    ExitCode::FAILURE
}

struct Open {
    closing: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    port: u16,
}

impl Open {
    fn new(listener: TcpListener, port: u16) -> Self {
        let closing = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closing);
        let thread = thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                thread::spawn(move || {
                    // Nobody is answered who asked nothing, and nobody is cut off before they have read.
                    let mut request = [0; 4096];
                    if stream.read(&mut request).is_ok_and(|length| length > 0) {
                        drop(stream.write_all(ANSWER));
                    }
                });
            }
        });
        Self { closing, thread, port }
    }

    fn close(self) {
        self.closing.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))));
        self.thread.join().expect("the thread that accepts");
    }
}
