//! As much of HTTP as the tests of registries need: one request at a time, and a server that answers as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A request, or the answer to one.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The first line's words: `GET /path HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub first: Vec<String>,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn path(&self) -> &str {
        self.first.get(1).map(String::as_str).unwrap_or_default()
    }

    pub fn status(&self) -> u16 {
        self.first.get(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    fn read(stream: impl Read) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut message =
            Self { first: line.split_whitespace().map(str::to_owned).collect(), ..Self::default() };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            message.headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = message.header("content-length").parse().unwrap_or(0);
        reader.take(length).read_to_end(&mut message.body).ok()?;
        Some(message)
    }
}

/// Makes a request to a server of this host.
pub fn request(address: &str, first: &str, headers: &str, body: &[u8]) -> Message {
    let mut stream = TcpStream::connect(address).expect("the server accepts");
    let head = format!(
        "{first} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("sent");
    Message::read(stream).expect("an answer")
}

/// What a server answers with.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Lines, each with its end.
    pub headers: String,
    pub body: Vec<u8>,
    /// How many bytes are announced; as many as there are if `None`.
    pub announced: Option<usize>,
    /// After the body, the connection stays open until the other side closes it.
    pub stalls: bool,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: String::new(), body: body.into(), announced: None, stalls: false }
    }

    pub fn status(status: u16) -> Self {
        Self { status, ..Self::ok("") }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// As much of the body as this, though all of it is announced.
    pub fn cut(mut self, length: usize) -> Self {
        self.announced = Some(self.body.len());
        self.body.truncate(length);
        self
    }

    pub fn stalling(mut self) -> Self {
        self.stalls = true;
        self
    }
}

type Answer = dyn Fn(&Message) -> Reply + Send + Sync;

/// A server on this host's loopback without TLS, for as long as the test runs.
pub struct Server {
    pub address: String,
    requests: Arc<Mutex<Vec<Message>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Message) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests: Arc<Mutex<Vec<Message>>> = Arc::default();
        let (noted, answer): (_, Arc<Answer>) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &noted, answer.as_ref()));
            }
        });
        Self { address, requests }
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Message> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of them were for a path with this in it.
    pub fn count(&self, part: &str) -> usize {
        self.requests().iter().filter(|request| request.path().contains(part)).count()
    }
}

fn serve(mut stream: TcpStream, noted: &Mutex<Vec<Message>>, answer: &Answer) {
    let mut first = [0; 1];
    // Who wants TLS gets what a server without it says.
    if stream.peek(&mut first).is_ok_and(|read| read == 1) && first == [0x16] {
        drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"));
        return;
    }
    let Some(request) = Message::read(&stream) else { return };
    noted.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let Reply { status, headers, body, announced, stalls } = answer(&request);
    let length = announced.unwrap_or(body.len());
    let head =
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
    let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    if sent.is_ok() && stalls {
        drop(stream.read(&mut first));
    }
}
