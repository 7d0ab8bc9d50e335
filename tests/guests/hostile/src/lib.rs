//! A probe that tries what it must not. Its settings say what; its answer is what came of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use farrier_probe::bindings::farrier::probe::dial::{self, Connection};
use farrier_probe::{Context, Denial, Probe, Problem, Verdict, exec, log, logs, state};
use serde::Deserialize;

struct Hostile;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "try", content = "with")]
enum Attempt {
    /// Opens a stream to a name and port.
    Dial(String, u16),
    /// Reads from a connection that it has dropped.
    UseAfterDrop,
    DoubleDrop,
    /// Reads from a connection that it never had.
    ForgedHandle(u32),
    /// Opens connections and forgets them.
    Leak(u32),
    /// Opens connections and closes each.
    OpenAndClose(u32),
    /// Waits for a server that says nothing.
    ReadForEver,
    /// Sends to a server that reads nothing.
    WriteForEver,
    /// Asks for as many bytes as there can be.
    ReadAll,
    /// Sends so many bytes at once.
    WriteAtOnce(usize),
    /// The same over a socket of the standard library.
    SocketReadForEver(SocketAddr),
    SocketWriteForEver(SocketAddr),
    /// Runs a command.
    Exec(Vec<String>),
    /// Runs one with an argument of so many bytes.
    ExecLong(usize),
    /// Runs one with so many empty arguments.
    ExecMany(usize),
    /// Asks for the log's last lines.
    Logs(u32),
    /// Asks for the log's lines from this number on.
    LogFrom(u64),
    /// Asks for all of the log, page by page, so many times.
    LogAll(usize),
    /// Keeps so many bytes for the next poll.
    Keep(usize),
    /// Writes so many lines of so many bytes to the trace.
    Trace(usize, usize),
    /// Prints so many bytes that are no text, in one line.
    PrintBytes(usize),
    /// Answers with a reason of so many bytes.
    LongReason(usize),
    /// Answers with this reason.
    Reason(String),
    /// Allocates so many bytes.
    Allocate(usize),
    /// Allocates blocks of a kilobyte until there is no more memory.
    Fragment,
    Recurse(u64),
    SleepForEver,
    /// Sleeps a millisecond again and again.
    Nap,
}

farrier_probe::export!(Hostile with settings and no schema);

impl Probe for Hostile {
    type Settings = Attempt;

    fn validate(_: &Attempt) -> Result<(), Vec<Problem>> {
        Ok(())
    }

    fn check(context: &Context, attempt: Attempt) -> Verdict {
        match carry_out(context, attempt) {
            Ok(answer) => Verdict::pending(answer),
            Err(denial) => Verdict::pending(format!("denied: {denial:?}")),
        }
    }
}

fn connect(context: &Context) -> Result<Connection, Denial> {
    dial::connect(&context.host, context.port.unwrap_or_default(), None)
}

fn by_system(error: std::io::Error) -> Denial {
    Denial::Other(error.to_string())
}

fn deeper(levels: u64) -> u64 {
    let room = std::hint::black_box([levels; 64]);
    if levels == 0 { 0 } else { deeper(levels - 1) + room[(levels % 64) as usize] }
}

fn carry_out(context: &Context, attempt: Attempt) -> Result<String, Denial> {
    Ok(match attempt {
        Attempt::Dial(host, port) => {
            dial::connect(&host, port, None)?;
            "connected".to_owned()
        }
        Attempt::UseAfterDrop => {
            let handle = connect(context)?.take_handle();
            // SAFETY: none: that it is not the guest's any more is what is tried.
            drop(unsafe { Connection::from_handle(handle) });
            let gone = std::mem::ManuallyDrop::new(unsafe { Connection::from_handle(handle) });
            format!("read {:?}", gone.read(1))
        }
        Attempt::DoubleDrop => {
            let handle = connect(context)?.take_handle();
            // SAFETY: as above.
            drop(unsafe { Connection::from_handle(handle) });
            drop(unsafe { Connection::from_handle(handle) });
            "dropped twice".to_owned()
        }
        Attempt::ForgedHandle(handle) => {
            // SAFETY: as above.
            let forged = std::mem::ManuallyDrop::new(unsafe { Connection::from_handle(handle) });
            format!("read {:?}", forged.read(1))
        }
        Attempt::Leak(count) => {
            for _ in 0..count {
                std::mem::forget(connect(context)?);
            }
            format!("leaked {count}")
        }
        Attempt::OpenAndClose(count) => {
            for _ in 0..count {
                drop(connect(context)?);
            }
            format!("opened {count}")
        }
        Attempt::ReadForEver => format!("read {:?}", connect(context)?.read(1)?),
        Attempt::WriteForEver => {
            let connection = connect(context)?;
            loop {
                connection.write(&[0; 64 << 10])?;
            }
        }
        Attempt::ReadAll => format!("read {}", connect(context)?.read(u32::MAX)?.len()),
        Attempt::WriteAtOnce(bytes) => {
            connect(context)?.write(&vec![0; bytes])?;
            format!("wrote {bytes}")
        }
        Attempt::SocketReadForEver(address) => {
            let mut stream = TcpStream::connect(address).map_err(by_system)?;
            let _ = stream.set_read_timeout(Some(Duration::from_secs(3600)));
            format!("read {:?}", stream.read(&mut [0]))
        }
        Attempt::SocketWriteForEver(address) => {
            let mut stream = TcpStream::connect(address).map_err(by_system)?;
            loop {
                stream.write_all(&[0; 64 << 10]).map_err(by_system)?;
            }
        }
        Attempt::Exec(argv) => {
            let output = exec::run(&argv)?;
            let (stdout, stderr) = (output.stdout.len(), output.stderr.len());
            format!("exited {}, {stdout} + {stderr} bytes, truncated: {}", output.exit_code, output.truncated)
        }
        Attempt::ExecLong(bytes) => format!("ran {:?}", exec::run(&["x".repeat(bytes)])?.exit_code),
        Attempt::ExecMany(count) => format!("ran {:?}", exec::run(&vec![""; count])?.exit_code),
        Attempt::Logs(max) => {
            let lines = logs::tail(max)?;
            format!("{} lines, {} bytes: {}", lines.len(), lines.iter().map(String::len).sum::<usize>(), lines.join("|"))
        }
        Attempt::LogFrom(first) => {
            let lines = logs::read(first, u32::MAX)?;
            format!("{} lines, {} bytes", lines.len(), lines.iter().map(String::len).sum::<usize>())
        }
        Attempt::LogAll(times) => {
            let mut read = 0;
            for _ in 0..times {
                let mut next = 0;
                loop {
                    let lines = logs::read(next, u32::MAX)?.len();
                    if lines == 0 {
                        break;
                    }
                    next += lines as u64;
                }
                read += next;
            }
            format!("{read} lines")
        }
        Attempt::Keep(bytes) => {
            state::set(&vec![b'x'; bytes])?;
            format!("kept {} bytes", state::get().len())
        }
        Attempt::Trace(lines, bytes) => {
            let line = "x".repeat(bytes);
            (0..lines).for_each(|_| log::warn(&line));
            "traced".to_owned()
        }
        Attempt::PrintBytes(bytes) => {
            std::io::stdout().write_all(&vec![0xff; bytes]).map_err(by_system)?;
            std::io::stderr().write_all(&vec![0xfe; bytes]).map_err(by_system)?;
            std::io::stdout().flush().map_err(by_system)?;
            "printed".to_owned()
        }
        Attempt::LongReason(bytes) => "x".repeat(bytes),
        Attempt::Reason(reason) => reason,
        Attempt::Allocate(bytes) => format!("allocated {}", std::hint::black_box(vec![1_u8; bytes]).len()),
        Attempt::Fragment => {
            let mut blocks = Vec::new();
            loop {
                blocks.push(Box::new([1_u8; 1024]));
                std::hint::black_box(&blocks);
            }
        }
        Attempt::Recurse(levels) => format!("came back with {}", deeper(levels)),
        Attempt::SleepForEver => {
            std::thread::sleep(Duration::MAX);
            "slept for ever".to_owned()
        }
        Attempt::Nap => loop {
            std::thread::sleep(Duration::from_millis(1));
        },
    })
}
