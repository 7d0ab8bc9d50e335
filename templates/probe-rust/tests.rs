//! Runs the probe as an ordinary program, on a server that is only played. No container, no WebAssembly.

use std::collections::VecDeque;
use std::io;

use super::*;

/// Gives these answers, one a read, and then ends the stream.
struct Server {
    answers: VecDeque<&'static [u8]>,
    heard: Vec<u8>,
}

impl Server {
    fn answering<const N: usize>(answers: [&'static str; N]) -> Self {
        Self { answers: answers.map(str::as_bytes).into(), heard: Vec::new() }
    }
}

impl Read for Server {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let answer = self.answers.pop_front().unwrap_or_default();
        buffer[..answer.len()].copy_from_slice(answer);
        Ok(answer.len())
    }
}

impl Write for Server {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.heard.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn settings() -> Settings {
    Settings { send: "HELO\r\n".to_owned(), expect: "ready".to_owned() }
}

#[test]
fn it_is_ready_when_the_answer_comes_in_pieces() {
    let mut server = Server::answering(["220 rea", "dy\r\n"]);
    assert_eq!(converse(&mut server, &settings()), Verdict::Ready);
    assert_eq!(server.heard, b"HELO\r\n");
}

#[test]
fn it_waits_while_the_answer_is_another() {
    let verdict = converse(Server::answering(["503 starting\r\n"]), &settings());
    assert_eq!(verdict, Verdict::pending("the answer ends with: 503 starting"));
}
