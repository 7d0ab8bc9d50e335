//! The probe `mcp` against a server of the official SDK, which comes from Python's package index; where it cannot be
//! had the test says so, and fails where `FARRIER_REQUIRE_PYPI=1`.

#![allow(clippy::panic, clippy::expect_used, reason = "where a helper fails, its test has failed")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::{Outcome, Scene, pypi};

/// The releases that were tried.
pub const PACKAGES: [&str; 4] = ["mcp==1.30.0", "uvicorn==0.54.0", "pydantic==2.14.3", "starlette==1.10.0"];
const SERVER: &str = include_str!("../../servers/mcp_server.py");

pub struct Server {
    process: Child,
    output: BufReader<ChildStdout>,
    pub address: String,
}

impl Server {
    /// A port that is open, behind which nothing answers yet.
    pub fn open(python: &Path, arguments: &[&str]) -> Self {
        let mut process = Command::new(python)
            .args(["-u", "-c", SERVER])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python runs");
        let mut output = BufReader::new(process.stdout.take().expect("piped"));
        let mut port = String::new();
        output.read_line(&mut port).expect("the port");
        let address = format!("127.0.0.1:{}", port.trim());
        Self { process, output, address }
    }

    pub fn run(&mut self) {
        let mut input = self.process.stdin.take().expect("piped");
        input.write_all(b"run\n").expect("it listens");
    }

    /// Reads what it prints until a line holds this.
    pub fn wait_for(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let count = self.output.read_line(&mut line).expect("text");
            assert!(count > 0, "it ended before it printed {words}");
        }
    }

    fn check(&self, settings: &str, timeout: &str) -> Outcome {
        let arguments = ["probe", "check", "mcp", "--watch", "--timeout", timeout, "--settings", settings];
        Scene::new().farrier(arguments).args(["--target", &self.address]).output()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_open_port_is_told_from_a_server_that_opens_sessions() {
    let Some(python) = pypi::python("mcp-server", &PACKAGES) else { return };
    for form in ["json", "events"] {
        let mut server = Server::open(&python, &[form]);
        let outcome = server.check("{}", "3s").assert_code(1);
        assert!(!outcome.stdout().contains(" ready"), "{outcome}");
        server.run();
        server.check("{}", "60s").assert_code(0);
        server.wait_for("\"DELETE /mcp HTTP/1.1\" 200");
        server.check(r#"{"tools": ["total"]}"#, "60s").assert_code(0);
        let outcome = server.check(r#"{"tools": ["total", "average"]}"#, "3s").assert_code(1);
        assert!(outcome.stdout().contains("does not list the tool `average`"), "{outcome}");
        let outcome = server.check(r#"{"path": "/other"}"#, "3s").assert_code(1);
        assert!(outcome.stdout().contains("HTTP 404"), "{outcome}");
    }
}
