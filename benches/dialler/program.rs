//! The helper of `benches/engines`: it dials from inside an engine's network, if the benchmark's host has no route there.
//!
//! It uses only std, so that `rustc` alone makes a static binary of it that runs in an otherwise empty image. It reads lines
//! `ADDRESS:PORT` from its standard input, dials each until somebody accepts, and then writes the line back. It ends with its
//! input.

use std::io::{BufRead, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// How long one dial may take, and the pause after it.
const DIAL: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);

fn main() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(place) = line.trim().parse::<SocketAddr>() else { continue };
        thread::spawn(move || {
            while TcpStream::connect_timeout(&place, DIAL).is_err() {
                thread::sleep(PAUSE);
            }
            let mut output = std::io::stdout().lock();
            let _ = writeln!(output, "{place}").and_then(|()| output.flush());
        });
    }
}
