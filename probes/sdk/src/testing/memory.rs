//! A server in memory, for tests of one conversation.

use std::collections::VecDeque;
use std::vec::Vec;

use crate::stream::{Stream, Upgrade};
use crate::{Denial, tls};

/// A server that says what it was given, whatever it is told, and remembers what it was told. It says one byte at a time, as a
/// slow network may.
#[derive(Debug)]
pub struct MemoryStream {
    /// What the server has not said yet.
    pub says: VecDeque<u8>,
    /// What the probe told the server: its bytes, and the server's name where it began TLS.
    pub told: Vec<u8>,
    /// How the connection ends; `None`: the server closes it.
    then: Option<Denial>,
    /// The most bytes that one read gives.
    piece: usize,
}

impl MemoryStream {
    /// A server that says this, and then closes the connection.
    pub fn new(says: impl Into<Vec<u8>>) -> Self {
        Self { says: says.into().into(), told: Vec::new(), then: None, piece: 1 }
    }

    /// A server that says this, after which reads fail in this way.
    pub fn ending(says: impl Into<Vec<u8>>, then: Denial) -> Self {
        Self { then: Some(then), ..Self::new(says) }
    }

    /// A server that says as much at a time as it is asked for.
    pub fn in_one_piece(says: impl Into<Vec<u8>>) -> Self {
        Self { piece: usize::MAX, ..Self::new(says) }
    }
}

impl Stream for MemoryStream {
    fn receive(&mut self, max: u32) -> Result<Vec<u8>, Denial> {
        let count = self.says.len().min(max as usize).min(self.piece);
        match &self.then {
            Some(denial) if count == 0 => Err(denial.clone()),
            _ => Ok(self.says.drain(..count).collect()),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        self.told.extend_from_slice(bytes);
        Ok(())
    }
}

impl Upgrade for MemoryStream {
    fn secure(&mut self, server_name: &str) -> Result<(), tls::Failure> {
        self.told.extend_from_slice(server_name.as_bytes());
        Ok(())
    }
}
