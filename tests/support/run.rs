//! Runs the farrier binary (or another program) the way a user does: as a process, with a known environment.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use super::running::{Input, Outcome, Running, Stream};
use super::scene::Scene;

/// How long a program may take unless a test says otherwise.
const TIMEOUT: Duration = Duration::from_mins(10);
/// Variables of the test's own environment that decide which engine is used.
const ENGINE: &[&str] = &["DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"];

/// A program, its arguments and its surroundings, before it is started.
pub struct Run {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    directory: PathBuf,
    input: Stdin,
    timeout: Duration,
}

/// What a program finds on its stdin.
enum Stdin {
    Empty,
    Content(Vec<u8>),
    Open,
}

impl Run {
    /// farrier, in the workspace of the scene. Of the test's own environment it gets PATH, and what names the
    /// engine; HOME and the XDG folders are the scene's.
    pub fn farrier(scene: &Scene) -> Self {
        Self::program(scene, env!("CARGO_BIN_EXE_farrier"))
    }

    /// Another program in the same surroundings.
    pub fn program(scene: &Scene, program: impl Into<PathBuf>) -> Self {
        let run = Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: engine_environment(),
            directory: scene.workspace(),
            input: Stdin::Empty,
            timeout: TIMEOUT,
        };
        run.env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", scene.home())
            .env("XDG_CONFIG_HOME", scene.config_home())
            .env("XDG_CACHE_HOME", scene.cache_home())
            .env("XDG_STATE_HOME", scene.state_home())
    }

    pub fn arg(self, argument: impl AsRef<OsStr>) -> Self {
        self.args([argument])
    }

    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Starts it by another program, whose words these are.
    pub fn started_by<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut words = words.into_iter().map(OsString::from);
        let program = PathBuf::from(words.next().expect("a program"));
        let program = std::mem::replace(&mut self.program, program);
        self.arguments.splice(..0, words.chain([program.into_os_string()]));
        self
    }

    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.remove(name.as_ref());
        self
    }

    /// The working directory.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    /// What it reads; without this its stdin is empty.
    pub fn stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        self.input = Stdin::Content(content.into());
        self
    }

    /// Leaves its stdin open, for `Running::type_text`.
    pub fn open_stdin(mut self) -> Self {
        self.input = Stdin::Open;
        self
    }

    /// How long it may take before it is killed and the test fails (120 s otherwise).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it to its end.
    pub fn output(self) -> Outcome {
        self.spawn().wait()
    }

    /// Starts it, as the leader of a process group of its own.
    pub fn spawn(self) -> Running {
        let mut command = self.command(&[]);
        command.process_group(0);
        command.stdin(if matches!(self.input, Stdin::Empty) { Stdio::null() } else { Stdio::piped() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let line = self.line();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        let stdout = Stream::read(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Stream::read(child.stderr.take().expect("stderr is a pipe"));
        let input = match (self.input, child.stdin.take()) {
            (Stdin::Open, Some(pipe)) => Input::Pipe(pipe),
            (Stdin::Content(content), Some(mut pipe)) => {
                // It may end without reading everything, which is its own affair.
                std::thread::spawn(move || drop(io::Write::write_all(&mut pipe, &content)));
                Input::Closed
            }
            _ => Input::Closed,
        };
        Running::new(child, input, stdout, stderr, line, self.timeout)
    }

    /// Starts it on a terminal of its own, of this size, as its session's leader: what it writes to either
    /// stream is then its stdout, with the terminal's `\r\n`, and `type_text("\u{3}")` is Ctrl-C.
    pub fn spawn_on_terminal(self, columns: u16, rows: u16) -> Running {
        let (master, terminal) =
            open_terminal(columns, rows).unwrap_or_else(|error| panic!("no terminal: {error}"));
        // Only a new session can take a terminal for its own, which the standard library cannot start.
        let mut command = self.command(&["setsid", "--ctty"]);
        if !self.environment.contains_key(OsStr::new("TERM")) {
            command.env("TERM", "xterm-256color");
        }
        let duplicate = || Stdio::from(terminal.try_clone().expect("a file descriptor is free"));
        command.stdin(duplicate()).stdout(duplicate()).stderr(duplicate());
        let line = self.line();
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        // The end of the output is seen only once nobody here holds the terminal open.
        drop((command, terminal));
        let reader = master.try_clone().expect("a file descriptor is free");
        let stdout = Stream::read(std::fs::File::from(reader));
        let input = Input::Terminal(std::fs::File::from(master));
        Running::new(child, input, stdout, Stream::empty(), line, self.timeout)
    }

    /// The program behind these words in front of it.
    fn command(&self, before: &[&str]) -> Command {
        let mut words: Vec<&OsStr> = before.iter().map(OsStr::new).collect();
        if ignores_signals() {
            // By its path: a test may give the program a PATH of its own.
            words.extend(["/usr/bin/env", "--default-signal=HUP,INT,QUIT"].map(OsStr::new));
        }
        words.push(self.program.as_os_str());
        words.extend(self.arguments.iter().map(OsString::as_os_str));
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().envs(&self.environment).current_dir(&self.directory);
        command
    }

    fn line(&self) -> String {
        let words: Vec<String> = self.arguments.iter().map(|word| word.display().to_string()).collect();
        format!("{} {}", self.program.display(), words.join(" "))
    }
}

/// The engine that the tests' own `docker` talks to, also where a context in the user's HOME names it.
fn engine_environment() -> BTreeMap<OsString, OsString> {
    static CONTEXT: LazyLock<Option<String>> = LazyLock::new(|| {
        let host = super::docker::run(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]);
        host.ok().filter(|host| host != "unix:///var/run/docker.sock")
    });
    let mut environment: BTreeMap<OsString, OsString> =
        ENGINE.iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))).collect();
    if let (false, Some(host)) = (environment.contains_key(OsStr::new("DOCKER_HOST")), &*CONTEXT) {
        environment.insert("DOCKER_HOST".into(), host.into());
    }
    environment
}

/// Whether the tests were started where the signals of a terminal are ignored, as by `nohup` or by a script's
/// `&`: the programs would inherit that, and Ctrl-C would not end them.
fn ignores_signals() -> bool {
    static IGNORES: LazyLock<bool> = LazyLock::new(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
        // Bit 0 is signal 1: HUP, INT and QUIT are the first three.
        ignored & 0b111 != 0
    });
    *IGNORES
}

/// Both ends of a new pseudo-terminal.
fn open_terminal(columns: u16, rows: u16) -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let size = rustix::termios::Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size)?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
    let terminal = rustix::fs::open(ptsname(&master, Vec::new())?, flags, rustix::fs::Mode::empty())?;
    Ok((master, terminal))
}
