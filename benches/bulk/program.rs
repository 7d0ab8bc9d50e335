//! The server that `benches/throughput` measures. It uses only std, so that `rustc` alone makes a static binary of it.
//!
//! - `bulk serve PORT`: each connection begins with a number (u64, big-endian). That many bytes are answered, or, if it is zero,
//!   everything that comes is read, and its length is the answer.
//! - `bulk say COUNT`: writes that many bytes to standard output.
//! - `bulk take`: reads standard input to its end, and writes its length.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::thread;

/// Written and read at once.
const PIECE_BYTES: usize = 64 << 10;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = || arguments[2].parse::<u64>().expect("a number");
    match arguments[1].as_str() {
        "serve" => serve(u16::try_from(number()).expect("a port")),
        // As it is: `Stdout` would look for ends of lines.
        "say" => say(number(), &mut File::from(io::stdout().as_fd().try_clone_to_owned()?)),
        _ => {
            let length = take(&mut io::stdin())?;
            io::stdout().write_all(&length.to_be_bytes())
        }
    }
}

fn serve(port: u16) -> io::Result<()> {
    for stream in TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?.incoming() {
        let mut stream = stream?;
        thread::spawn(move || -> io::Result<()> {
            let mut count = [0; 8];
            stream.read_exact(&mut count)?;
            match u64::from_be_bytes(count) {
                0 => {
                    let length = take(&mut stream)?;
                    stream.write_all(&length.to_be_bytes())
                }
                count => say(count, &mut stream),
            }
        });
    }
    Ok(())
}

/// Bytes of all kinds, ends of lines too: what writes line by line would be slow with them.
fn say(mut count: u64, to: &mut impl Write) -> io::Result<()> {
    let piece: Vec<u8> = (0..PIECE_BYTES).map(|number| (number * 7 % 251) as u8).collect();
    while count > 0 {
        let now = usize::try_from(count).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        to.write_all(&piece[..now])?;
        count -= now as u64;
    }
    to.flush()
}

fn take(from: &mut impl Read) -> io::Result<u64> {
    let (mut piece, mut length) = (vec![0; PIECE_BYTES], 0);
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(length),
            count => length += count as u64,
        }
    }
}
