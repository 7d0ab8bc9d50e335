//! The frames of HTTP/2 (RFC 9113, section 4.1), as they lie on the wire.

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The size of what comes before each payload.
pub const HEAD: usize = 9;
/// The largest payload that a peer may send to whoever allowed no more.
pub const LARGEST_PAYLOAD: usize = 16_384;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

/// Of SETTINGS and PING.
pub const ACK: u8 = 0x1;
/// Of DATA and HEADERS.
pub const END_STREAM: u8 = 0x1;
/// Of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 0x4;
/// Of DATA and HEADERS.
const PADDED: u8 = 0x8;
/// Of HEADERS.
const PRIORITY: u8 = 0x20;

/// What comes before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Head {
    /// Reads the first bytes of a frame.
    pub fn read(bytes: [u8; HEAD]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = bytes;
        let length = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
        // The highest bit is reserved.
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        Self { length, kind, flags, stream }
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether this can begin what a server says: its settings.
    pub fn greets(&self) -> bool {
        self.kind == SETTINGS
            && self.stream == 0
            && !self.has(ACK)
            && self.length.is_multiple_of(6)
            && self.length <= LARGEST_PAYLOAD
    }
}

/// A whole frame.
#[derive(Debug)]
pub struct Frame {
    pub head: Head,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The payload of DATA and HEADERS without padding and priority; none where they do not fit.
    pub fn content(&self) -> Option<&[u8]> {
        let mut content = self.payload.as_slice();
        let mut padding = 0;
        if self.head.has(PADDED) {
            let (length, rest) = content.split_first()?;
            padding = usize::from(*length);
            content = rest;
        }
        if self.head.kind == HEADERS && self.head.has(PRIORITY) {
            content = content.get(5..)?;
        }
        content.get(..content.len().checked_sub(padding)?)
    }

    /// The number that this many bytes into the payload stands.
    pub fn number(&self, offset: usize) -> Option<u32> {
        let bytes = self.payload.get(offset..)?.first_chunk()?;
        Some(u32::from_be_bytes(*bytes))
    }
}

/// Appends a frame. The payloads of this probe are far below the largest that is allowed.
pub fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}
