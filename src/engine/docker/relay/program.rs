//! The relay: a static program that dials on a container network for a launcher that has no route there.
//!
//! It speaks frames over standard input and output, and ends when its input ends. It does nothing but dial: which places may be dialled is decided
//! by the launcher, who alone writes to it.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use frame::{CLOSE, DATA, FAILED, HEAD_BYTES, OPEN, OPENED, PAYLOAD_BYTES, REFUSED, TIMED_OUT, frame, take_head};

mod frame;

type Output = Arc<Mutex<io::Stdout>>;
type Streams = Arc<Mutex<HashMap<u32, TcpStream>>>;

fn send(output: &Output, channel: u32, kind: u8, payload: &[u8]) -> io::Result<()> {
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    output.write_all(&frame(channel, kind, payload))?;
    output.flush()
}

fn dial(payload: &[u8]) -> io::Result<TcpStream> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let (limit, address) = payload.split_first_chunk::<4>().ok_or_else(invalid)?;
    let limit = Duration::from_millis(u32::from_be_bytes(*limit).max(1).into());
    let address = std::str::from_utf8(address).map_err(|_| invalid())?;
    let address: SocketAddr = address.parse().map_err(|_| invalid())?;
    let stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => REFUSED.to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => TIMED_OUT.to_owned(),
        _ => error.to_string(),
    }
}

/// Dials, then copies from the connection until it ends.
fn serve(channel: u32, payload: &[u8], output: &Output, streams: &Streams) -> io::Result<()> {
    let mut stream = match dial(payload) {
        Ok(stream) => stream,
        Err(error) => return send(output, channel, FAILED, reason(&error).as_bytes()),
    };
    let copy = stream.try_clone()?;
    streams.lock().unwrap_or_else(PoisonError::into_inner).insert(channel, copy);
    send(output, channel, OPENED, &[])?;
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return send(output, channel, CLOSE, &[]),
            Ok(count) => send(output, channel, DATA, &buffer[..count])?,
        }
    }
}

fn main() -> io::Result<()> {
    let output: Output = Arc::new(Mutex::new(io::stdout()));
    let streams: Streams = Arc::default();
    let mut input = io::stdin().lock();
    let mut head = [0; HEAD_BYTES];
    while input.read_exact(&mut head).is_ok() {
        let (channel, kind, length) = take_head(head);
        if length > PAYLOAD_BYTES {
            break;
        }
        let mut payload = vec![0; length];
        if input.read_exact(&mut payload).is_err() {
            break;
        }
        match kind {
            OPEN => {
                let (output, streams) = (Arc::clone(&output), Arc::clone(&streams));
                thread::spawn(move || serve(channel, &payload, &output, &streams));
            }
            DATA => {
                let stream = streams.lock().unwrap_or_else(PoisonError::into_inner).get(&channel).map(TcpStream::try_clone);
                if let Some(Ok(mut stream)) = stream
                    && stream.write_all(&payload).is_err()
                {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            CLOSE => {
                let stream = streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&channel);
                if let Some(stream) = stream {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            _ => break,
        }
    }
    Ok(())
}
