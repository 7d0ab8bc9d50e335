//! One call over HTTP/2: everything is said at once, then read until the one stream ends.

use farrier_probe::stream::Stream;
use farrier_probe::{Denial, tls};
use loona_hpack::{Decoder, Encoder};

use crate::frame::{self, Frame, Head};

const METHOD: &[u8] = b"/grpc.health.v1.Health/Check";
/// The first stream of a client.
const STREAM: u32 = 1;
/// `SETTINGS_ENABLE_PUSH`, off.
const SETTINGS: [u8; 6] = [0, 2, 0, 0, 0, 0];
/// The last stream that the peer opened, none, and that nothing is wrong.
const FAREWELL: [u8; 8] = [0; 8];
/// The size of a decoder's table as long as its settings say nothing else.
const HEADER_TABLE: usize = 4096;
/// How much is read at once.
const READ: u32 = 4096;
/// How much a server may say. An answer with everything around it is a few hundred bytes.
const LONGEST_CONVERSATION: usize = 256 << 10;

/// What the server answered.
#[derive(Debug, Default)]
pub struct Answer {
    /// `:status`, as it stands there.
    pub http_status: Vec<u8>,
    /// `grpc-status`, which says how the call ended.
    pub grpc_status: Option<Vec<u8>>,
    /// `grpc-message`, percent-encoded.
    pub grpc_message: Vec<u8>,
    /// What came in between.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    /// There is no TLS.
    Tls(tls::Failure),
    /// Nothing was said, or not enough to tell what it is.
    NoGreeting(Denial),
    /// The connection ended or stalled after the server had greeted.
    NoAnswer(Denial),
    /// Its first bytes are not HTTP/2.
    Foreign(Vec<u8>),
    /// It ended the stream, for this reason of HTTP/2.
    Reset(u32),
    /// It takes no calls any more, for this reason of HTTP/2.
    GoingAway(u32),
    /// It broke the rules of HTTP/2: what it did.
    Broken(&'static str),
}

/// As a request names the server.
pub struct Origin {
    /// Name and port.
    pub authority: String,
    /// Whether it is asked without TLS.
    pub is_plain: bool,
}

/// Calls `Check` with this request.
///
/// # Errors
/// The call did not come to its end.
pub fn check(connection: &mut impl Stream, origin: &Origin, request: &[u8]) -> Result<Answer, Trouble> {
    let mut call = Call { server: connection, unread: Vec::new(), heard: 0, greeted: false };
    call.say(&opening(origin, request)).map_err(Trouble::NoGreeting)?;
    let answer = call.listen()?;
    let mut farewell = Vec::new();
    frame::write(&mut farewell, frame::GOAWAY, 0, 0, &FAREWELL);
    // The answer is there: whether the server still hears this changes nothing.
    drop(call.say(&farewell));
    Ok(answer)
}

fn opening(origin: &Origin, request: &[u8]) -> Vec<u8> {
    let headers: [(&[u8], &[u8]); 7] = [
        (b":method", b"POST"),
        (b":scheme", if origin.is_plain { &b"http"[..] } else { b"https" }),
        (b":path", METHOD),
        (b":authority", origin.authority.as_bytes()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"user-agent", concat!("farrier-probe-grpc/", env!("CARGO_PKG_VERSION")).as_bytes()),
    ];
    let headers = Encoder::new().encode(headers);
    let mut bytes = frame::PREFACE.to_vec();
    frame::write(&mut bytes, frame::SETTINGS, 0, 0, &SETTINGS);
    frame::write(&mut bytes, frame::HEADERS, frame::END_HEADERS, STREAM, &headers);
    frame::write(&mut bytes, frame::DATA, frame::END_STREAM, STREAM, request);
    bytes
}

struct Call<'a, S> {
    server: &'a mut S,
    /// What was received and not yet looked at.
    unread: Vec<u8>,
    /// How much was received.
    heard: usize,
    greeted: bool,
}

impl<S: Stream> Call<'_, S> {
    /// A server that has closed its side may have answered before: what it said is still to be read.
    fn say(&mut self, bytes: &[u8]) -> Result<(), Denial> {
        match self.server.send(bytes) {
            Err(Denial::Closed) => Ok(()),
            sent => sent,
        }
    }

    fn listen(&mut self) -> Result<Answer, Trouble> {
        let mut answer = Answer::default();
        let mut decoder = Decoder::new();
        decoder.set_max_allowed_table_size(HEADER_TABLE);
        loop {
            let frame = self.frame()?;
            let Head { kind, stream, .. } = frame.head;
            match kind {
                frame::SETTINGS if !frame.head.has(frame::ACK) => self.reply(frame::SETTINGS, &[])?,
                frame::PING if !frame.head.has(frame::ACK) => self.reply(frame::PING, &frame.payload)?,
                frame::GOAWAY => {
                    let (Some(last), Some(reason)) = (frame.number(0), frame.number(4)) else {
                        return Err(Trouble::Broken("its farewell is cut short"));
                    };
                    // A server that goes away may still answer what it had begun.
                    if last & 0x7fff_ffff < STREAM {
                        return Err(Trouble::GoingAway(reason));
                    }
                }
                frame::RST_STREAM if stream == STREAM => {
                    return Err(Trouble::Reset(frame.number(0).unwrap_or_default()));
                }
                frame::HEADERS if stream == STREAM => {
                    let block = self.header_block(&frame)?;
                    decoder
                        .decode_with_cb(&block, |name, value| answer.note(&name, &value))
                        .map_err(|_| Trouble::Broken("its headers cannot be decoded"))?;
                    if frame.head.has(frame::END_STREAM) {
                        return Ok(answer);
                    }
                }
                frame::DATA if stream == STREAM => {
                    let content = frame.content().ok_or(Trouble::Broken("its padding is too long"))?;
                    answer.body.extend_from_slice(content);
                    if frame.head.has(frame::END_STREAM) {
                        return Ok(answer);
                    }
                }
                frame::HEADERS | frame::DATA | frame::PUSH_PROMISE | frame::CONTINUATION => {
                    return Err(Trouble::Broken("it sent what nobody asked for"));
                }
                // Windows need no care: neither side ever says as much as the smallest of them holds. Kinds that
                // are not known are to be ignored.
                _ => {}
            }
        }
    }

    /// Acknowledges.
    fn reply(&mut self, kind: u8, payload: &[u8]) -> Result<(), Trouble> {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, kind, frame::ACK, 0, payload);
        self.say(&bytes).map_err(Trouble::NoAnswer)
    }

    /// What these headers and their continuations hold, which stand in one unbroken row.
    fn header_block(&mut self, first: &Frame) -> Result<Vec<u8>, Trouble> {
        let mut block = first.content().ok_or(Trouble::Broken("its padding is too long"))?.to_vec();
        let mut whole = first.head.has(frame::END_HEADERS);
        while !whole {
            let next = self.frame()?;
            if next.head.kind != frame::CONTINUATION || next.head.stream != STREAM {
                return Err(Trouble::Broken("its headers are cut short"));
            }
            block.extend_from_slice(&next.payload);
            whole = next.head.has(frame::END_HEADERS);
        }
        Ok(block)
    }

    /// Reads one whole frame. The first one tells whether this is HTTP/2 at all.
    fn frame(&mut self) -> Result<Frame, Trouble> {
        let head = loop {
            if let Some(bytes) = self.unread.first_chunk() {
                break Head::read(*bytes);
            }
            self.hear()?;
        };
        if !self.greeted && !head.greets() {
            return Err(Trouble::Foreign(std::mem::take(&mut self.unread)));
        }
        self.greeted = true;
        if head.length > frame::LARGEST_PAYLOAD {
            return Err(Trouble::Broken("one of its frames is too large"));
        }
        let end = frame::HEAD + head.length;
        while self.unread.len() < end {
            self.hear()?;
        }
        let payload = self.unread.drain(..end).skip(frame::HEAD).collect();
        Ok(Frame { head, payload })
    }

    fn hear(&mut self) -> Result<(), Trouble> {
        if self.heard > LONGEST_CONVERSATION {
            return Err(Trouble::Broken("it says more than an answer holds"));
        }
        let denial = match self.server.receive(READ) {
            Ok(bytes) if !bytes.is_empty() => {
                self.heard += bytes.len();
                self.unread.extend_from_slice(&bytes);
                return Ok(());
            }
            Ok(_) => Denial::Closed,
            Err(denial) => denial,
        };
        Err(if self.greeted {
            Trouble::NoAnswer(denial)
        } else if self.unread.is_empty() {
            Trouble::NoGreeting(denial)
        } else {
            Trouble::Foreign(std::mem::take(&mut self.unread))
        })
    }
}

impl Answer {
    fn note(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b":status" => self.http_status = value.to_vec(),
            b"grpc-status" => self.grpc_status = Some(value.to_vec()),
            b"grpc-message" => self.grpc_message = value.to_vec(),
            _ => {}
        }
    }
}
