//! A probe in ordinary Rust: `std::net`, `std::fs`, `std::env`. Its settings say what it tries, and its answer says
//! what came of it, so that tests see from outside what a guest can reach.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use farrier_probe::{Context, Line, Probe, Problem, Verdict};
use serde::Deserialize;

struct Standard;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "try", content = "with")]
enum Attempt {
    /// Sends a line to HOST:PORT and is ready when it comes back.
    Echo(String),
    /// The same at the context's own host and port.
    EchoOwn,
    /// Connects to an address literal.
    Connect(SocketAddr),
    Resolve(String),
    Listen(SocketAddr),
    Udp(SocketAddr),
    ReadFile(String),
    ListFolder(String),
    WriteFile(String),
    RemoveFile(String),
    Link([String; 2]),
    Variables,
    Arguments,
    Input,
    Folder,
    Print(usize),
    Panic,
    Exit(i32),
    Abort,
    Sleep(u64),
    Clock,
    Time,
    Random,
    Thread,
    Process,
    Connections(SocketAddr),
}

farrier_probe::export!(Standard with settings and no schema);

impl Probe for Standard {
    type Settings = Attempt;

    fn validate(_: &Attempt) -> Result<(), Vec<Problem>> {
        Ok(())
    }

    fn check(context: &Context, attempt: Attempt) -> Verdict {
        match run(context, attempt) {
            Ok(answer) if answer == "ready" => Verdict::Ready,
            Ok(answer) => Verdict::pending(Line::new().text(&answer)),
            Err(error) => Verdict::pending(Line::new().text("error: ").text(&error.to_string())),
        }
    }
}

fn echo(place: impl ToSocketAddrs) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(place)?;
    stream.write_all(b"ping\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(if answer == *b"ping\n" { "ready".to_owned() } else { format!("it says {answer:?}") })
}

fn run(context: &Context, attempt: Attempt) -> std::io::Result<String> {
    Ok(match attempt {
        Attempt::Echo(place) => echo(place)?,
        Attempt::EchoOwn => echo((context.host.as_str(), context.port.unwrap_or_default()))?,
        Attempt::Connect(address) => {
            TcpStream::connect(address)?;
            "connected".to_owned()
        }
        Attempt::Resolve(name) => {
            let found: Vec<_> = (name.as_str(), 1).to_socket_addrs()?.map(|found| found.ip().to_string()).collect();
            found.join(" ")
        }
        Attempt::Listen(address) => format!("listens on {}", TcpListener::bind(address)?.local_addr()?),
        Attempt::Udp(address) => {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            format!("sent {} bytes", socket.send_to(b"x", address)?)
        }
        Attempt::ReadFile(path) => std::fs::read_to_string(path)?,
        Attempt::ListFolder(path) => {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(path)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            names.sort();
            names.join(" ")
        }
        Attempt::WriteFile(path) => {
            std::fs::write(path, "x")?;
            "written".to_owned()
        }
        Attempt::RemoveFile(path) => {
            std::fs::remove_file(path)?;
            "removed".to_owned()
        }
        Attempt::Link([from, to]) => {
            std::fs::hard_link(from, to)?;
            "linked".to_owned()
        }
        Attempt::Variables => {
            let mut all: Vec<_> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
            all.sort();
            format!("variables: {}", all.join(" "))
        }
        Attempt::Arguments => format!("arguments: {:?}", std::env::args().collect::<Vec<_>>()),
        Attempt::Input => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            format!("input: {text:?}")
        }
        Attempt::Folder => std::env::current_dir()?.display().to_string(),
        Attempt::Print(lines) => {
            for number in 0..lines {
                println!("line {number}");
                eprintln!("line {number}");
            }
            "printed".to_owned()
        }
        Attempt::Panic => panic!("on purpose"),
        Attempt::Exit(code) => std::process::exit(code),
        Attempt::Abort => std::process::abort(),
        Attempt::Sleep(milliseconds) => {
            std::thread::sleep(Duration::from_millis(milliseconds));
            "slept".to_owned()
        }
        Attempt::Clock => {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(3600) {}
            "an hour has passed".to_owned()
        }
        Attempt::Time => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(std::io::Error::other)?;
            since.as_secs().to_string()
        }
        Attempt::Random => {
            use std::hash::{BuildHasher, Hasher, RandomState};
            RandomState::new().build_hasher().finish().to_string()
        }
        Attempt::Thread => {
            std::thread::Builder::new().spawn(|| ())?;
            "spawned".to_owned()
        }
        Attempt::Process => {
            std::process::Command::new("/bin/true").status()?;
            "ran".to_owned()
        }
        Attempt::Connections(address) => {
            let mut held = Vec::new();
            for _ in 0..10_000 {
                held.push(TcpStream::connect(address)?);
            }
            "ten thousand connections".to_owned()
        }
    })
}
