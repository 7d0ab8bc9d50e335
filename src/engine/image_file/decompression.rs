//! Decompression by what the content begins with: media types and file names may say something else.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// How content begins that gzip compressed.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// How a frame of zstd begins.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// How a frame of zstd begins that is to be skipped, but for the lower half of its first byte.
const ZSTD_SKIPPED: &[u8] = &[0x50, 0x2a, 0x4d, 0x18];
/// Bytes that are read at once.
const CHUNK: usize = 128 << 10;

/// The content, decompressed if it is compressed.
pub fn decompressed<'a>(content: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut content = BufReader::with_capacity(CHUNK, content);
    let mut beginning = [0; 4];
    let read = read_up_to(&mut content, &mut beginning)?;
    let begins = beginning.get(..read).unwrap_or_default();
    let is_skipped = begins.len() == 4 && begins[0] & 0xf0 == 0x50 && begins[1..] == ZSTD_SKIPPED[1..];
    let is_zstd = begins == ZSTD || is_skipped;
    let is_gzip = begins.starts_with(GZIP);
    let whole = BufReader::with_capacity(CHUNK, Cursor::new(begins.to_vec()).chain(content));
    Ok(match () {
        () if is_gzip => Box::new(MultiGzDecoder::new(whole)),
        () if is_zstd => Box::new(Frames::of(whole)),
        () => Box::new(whole),
    })
}

/// Whether the content begins as compressed content does.
pub fn is_compressed(beginning: &[u8]) -> bool {
    beginning.starts_with(GZIP) || beginning.starts_with(ZSTD)
}

/// Fills the buffer as far as there is content.
fn read_up_to(content: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match content.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// All frames of zstd, one after the other: layers that can be read in parts have many, and some that are skipped.
struct Frames<R: BufRead> {
    content: R,
    decoder: FrameDecoder,
    /// Whether the decoder is within a frame.
    is_open: bool,
}

impl<R: BufRead> Frames<R> {
    fn of(content: R) -> Self {
        Self { content, decoder: FrameDecoder::new(), is_open: false }
    }

    /// Opens the next frame. Whether there is one.
    fn advance(&mut self) -> io::Result<bool> {
        while !self.content.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.content) {
                Ok(()) => {
                    self.is_open = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut (&mut self.content).take(length.into()), &mut io::sink())?;
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.is_open {
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    let decoded =
                        self.decoder.decode_blocks(&mut self.content, BlockDecodingStrategy::UptoBlocks(1));
                    decoded.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                }
                let read = self.decoder.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
                self.is_open = false;
            }
            if !self.advance()? {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn whole(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        decompressed(packed)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).expect("compressed");
        encoder.finish().expect("compressed")
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn content_is_read_whatever_compressed_it() {
        let content = b"0123456789".repeat(10_000);
        for packed in [
            content.clone(),
            gzip(&content),
            zstd(&content),
            [gzip(&content[..5]), gzip(&content[5..])].concat(),
            [zstd(&content[..5]), zstd(&content[5..])].concat(),
            // A frame that is skipped, before, between and behind.
            [
                &[0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..],
                &zstd(&content),
                &[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9],
            ]
            .concat(),
        ] {
            assert!(whole(&packed).expect("read") == content, "{:?}", &packed[..4]);
        }
        for short in [&b""[..], b"a", b"\x1f"] {
            assert_eq!(whole(short).expect("read"), short);
        }
    }

    #[test]
    fn what_is_cut_is_an_error() {
        let content = b"0123456789".repeat(10_000);
        for packed in [gzip(&content), zstd(&content)] {
            assert!(whole(&packed[..packed.len() / 2]).is_err());
        }
    }
}
