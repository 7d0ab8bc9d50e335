//! A server in Python that prints its port, and then does what it is told on its standard input.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running server; ended when dropped.
pub struct PythonServer {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Where it listens, as HOST:PORT.
    pub address: String,
}

impl PythonServer {
    /// Runs this source with these arguments, and waits until it has printed its port.
    pub fn start(python: &Path, source: &str, arguments: &[&str]) -> Self {
        let mut process = Command::new(python)
            .args(["-c", source])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server");
        let input = process.stdin.take().expect("its input");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let mut server = Self { process, input, output, address: String::new() };
        server.address = format!("127.0.0.1:{}", server.line());
        server
    }

    /// Gives it this line, and returns the line that it answers.
    pub fn tell(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("the server listens");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
