//! Reads along on a WebSocket: just enough to see whole text frames in one direction of a connection.
//!
//! Both the client and the server of this workspace send each message in one frame without compression.

/// The end of an HTTP head.
const BLANK_LINE: &[u8] = b"\r\n\r\n";
const TEXT: u8 = 0x81;

/// Collects bytes into frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    /// The HTTP head is over.
    is_open: bool,
}

impl Frames {
    /// Takes more bytes and returns the texts that are complete now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.bytes.extend_from_slice(bytes);
        if !self.is_open {
            let Some(end) = self.bytes.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE) else {
                return Vec::new();
            };
            self.bytes.drain(..end + BLANK_LINE.len());
            self.is_open = true;
        }
        let mut texts = Vec::new();
        while let Some((first, payload, end)) = frame(&self.bytes) {
            if first == TEXT {
                texts.push(payload);
            }
            self.bytes.drain(..end);
        }
        texts
    }
}

/// Returns the first byte of the first frame, its payload unmasked, and where the next one begins.
fn frame(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (length, at) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?), 10),
        short => (u64::from(short), 2),
    };
    let length = usize::try_from(length).ok()?;
    let (mask, at) = if second & 0x80 == 0 { (&[0; 4][..], at) } else { (bytes.get(at..at + 4)?, at + 4) };
    let payload = bytes.get(at..at.checked_add(length)?)?;
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some((first, payload, at + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_however_the_bytes_are_cut() {
        let mut stream = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec();
        stream.extend([0x81, 0x02, b'h', b'i']);
        stream.extend([0x89, 0x00]); // a ping
        stream.extend([0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'o' ^ 2]); // masked
        stream.extend([0x81, 126, 0, 200]);
        stream.extend([b'x'; 200]);
        let expected = [b"hi".to_vec(), b"ho".to_vec(), vec![b'x'; 200]];
        for size in [1, 2, 3, 7, 1_000] {
            let mut frames = Frames::default();
            let texts: Vec<_> = stream.chunks(size).flat_map(|chunk| frames.push(chunk)).collect();
            assert_eq!(texts, expected, "in pieces of {size}");
        }
    }
}
