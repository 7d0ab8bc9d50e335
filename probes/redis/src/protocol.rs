//! As much of RESP2 as PING and AUTH need.

use alloc::{format, vec::Vec};

use farrier_probe::Denial;

use crate::stream::Stream;

/// The longest reply that is read. Errors of real servers are a few hundred bytes.
const LONGEST_REPLY: usize = 1024;
/// How much is read at once.
const READ: u32 = 256;

/// Sends one command and reads the first line of its reply, without its end.
///
/// # Errors
/// The connection ended or failed before the line was whole.
pub fn call(server: &mut impl Stream, words: &[&str]) -> Result<Vec<u8>, Denial> {
    server.send(&command(words))?;
    line(server)
}

/// An array of bulk strings.
fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    bytes
}

/// Reads up to a line's end, or as much as a reply may hold: what is longer is none, and its beginning says so.
/// A server that says something and then closes is quoted too.
fn line(server: &mut impl Stream) -> Result<Vec<u8>, Denial> {
    let mut line = Vec::new();
    while line.len() < LONGEST_REPLY {
        match server.receive(READ) {
            Ok(bytes) if !bytes.is_empty() => line.extend_from_slice(&bytes),
            _ if !line.is_empty() => break,
            Ok(_) => return Err(Denial::Closed),
            Err(denial) => return Err(denial),
        }
        if let Some(end) = line.iter().position(|&byte| byte == b'\n') {
            line.truncate(end);
            break;
        }
    }
    while line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}
