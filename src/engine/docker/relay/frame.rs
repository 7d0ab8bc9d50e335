//! The frames between launcher and relay: `channel: u32, kind: u8, length: u32` and that many bytes, big-endian.
//! Compiled into both ends.

/// To the relay: dial; the payload is milliseconds (u32) and the address as text.
pub const OPEN: u8 = 0;
/// Both ways: bytes.
pub const DATA: u8 = 1;
/// Both ways: this connection is over.
pub const CLOSE: u8 = 2;
/// From the relay: connected.
pub const OPENED: u8 = 3;
/// From the relay: not connected; the payload is the reason.
pub const FAILED: u8 = 4;
/// Both ways: nothing more comes from this side, which still takes what the other one sends.
pub const END: u8 = 5;
/// Both ways: so many bytes (u32) were handed on, and as many more may be sent.
pub const TAKEN: u8 = 6;

/// How many bytes one side sends on a connection before the other one has handed them on.
pub const WINDOW: usize = 256 << 10;

/// What the relay answers where nothing listens.
pub const REFUSED: &str = "refused";
/// What it answers where nothing answers in time.
pub const TIMED_OUT: &str = "timed out";
/// Why a dial failed: no packet finds the way.
pub const UNREACHABLE: &str = "no route to the host";

/// No payload is larger.
pub const PAYLOAD_BYTES: usize = 64 << 10;
/// The length of what stands before a payload.
pub const HEAD_BYTES: usize = 9;

/// What stands before a payload of so many bytes.
pub fn head(channel: u32, kind: u8, length: usize) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&channel.to_be_bytes());
    head[4] = kind;
    head[5..].copy_from_slice(&u32::try_from(length).unwrap_or(0).to_be_bytes());
    head
}

/// A whole frame.
pub fn frame(channel: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    [&head(channel, kind, payload.len())[..], payload].concat()
}

/// Channel, kind and payload length of a head.
pub fn take_head(head: [u8; HEAD_BYTES]) -> (u32, u8, usize) {
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    (word(0), head[4], word(5) as usize)
}

/// How many bytes a payload of [`TAKEN`] names.
pub fn taken(payload: &[u8]) -> usize {
    payload.first_chunk().map_or(0, |count| u32::from_be_bytes(*count) as usize)
}

/// The frame that says that so many bytes were handed on.
pub fn taken_frame(channel: u32, count: usize) -> Vec<u8> {
    frame(channel, TAKEN, &u32::try_from(count).unwrap_or(0).to_be_bytes())
}
