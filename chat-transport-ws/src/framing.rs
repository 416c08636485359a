//! JSON in WebSocket text frames, as a server sends them: unmasked, so the same bytes fit every recipient.

use bytes::Bytes;
use chat_core::{Close, CloseCode, Encoding, protocol::ServerFrame};

/// Room for the longest header of an unmasked frame; JSON is written behind it and the header right before the JSON.
const HEADER_MAX: usize = 10;

pub(crate) const FIN_TEXT: u8 = 0x81;
#[cfg(feature = "echo")]
pub(crate) const FIN_BINARY: u8 = 0x82;
const FIN_CLOSE: u8 = 0x88;

/// An empty ping.
pub(crate) const PING: &[u8] = &[0x89, 0];

/// Encodes as JSON text frames.
#[derive(Debug, Default)]
pub(crate) struct JsonText;

impl Encoding for JsonText {
    fn encode(&self, frame: &ServerFrame<'_>) -> Bytes {
        let mut out = Vec::with_capacity(HEADER_MAX + 256);
        out.resize(HEADER_MAX, 0);
        // Cannot fail: all map keys are texts and the writer is memory.
        let _ = serde_json::to_writer(&mut out, frame);
        let start = write_header(FIN_TEXT, &mut out);
        Bytes::from(out).slice(start..)
    }
}

/// Frames a whole message; `first` is the byte with its kind.
#[cfg(feature = "echo")]
pub(crate) fn message(first: u8, payload: &[u8]) -> Bytes {
    let mut out = [&[0; HEADER_MAX], payload].concat();
    let start = write_header(first, &mut out);
    Bytes::from(out).slice(start..)
}

/// Writes the header into the end of the first [`HEADER_MAX`] bytes. Returns where it begins.
fn write_header(first: u8, out: &mut [u8]) -> usize {
    let length = out.len() - HEADER_MAX;
    let start = match length {
        0..=125 => HEADER_MAX - 2,
        126..=0xFFFF => HEADER_MAX - 4,
        _ => 0,
    };
    let header = &mut out[start..HEADER_MAX];
    let bytes = (length as u64).to_be_bytes();
    header[0] = first;
    match header.len() {
        2 => header[1] = bytes[7],
        4 => {
            header[1] = 126;
            header[2..].copy_from_slice(&bytes[6..]);
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&bytes);
        }
    }
    start
}

/// Returns a connection's last bytes: the `close` frame of the protocol, then the WebSocket's own.
pub(crate) fn closing(why: &Close) -> Vec<u8> {
    let mut out = JsonText.encode(&ServerFrame::Close(why)).to_vec();
    out.extend(close(why.code));
    out
}

/// Returns the WebSocket's own close frame. It carries the code and the reason, for clients that look no further.
pub(crate) fn close(code: CloseCode) -> Vec<u8> {
    let reason = code.reason().as_bytes();
    // A control frame's payload is at most 125 bytes; reasons are a few words.
    let length = u8::try_from(2 + reason.len()).unwrap_or(2).min(125);
    let mut out = vec![FIN_CLOSE, length];
    out.extend((code as u16).to_be_bytes());
    out.extend(&reason[..usize::from(length) - 2]);
    out
}

#[cfg(test)]
mod tests {
    use chat_core::{HubError, protocol};

    use super::*;

    fn error_of(length: usize) -> HubError {
        HubError::new(chat_core::Code::Invalid, "x".repeat(length))
    }

    #[test]
    fn the_header_has_the_shortest_form_for_every_length() {
        for (length, header) in [(1, 2), (200, 4), (60_000, 4), (70_000, 10)] {
            let error = error_of(length);
            let frame = ServerFrame::Error { reference: None, key: None, error: &error };
            let json = protocol::encode(&frame);
            let bytes = JsonText.encode(&frame);
            let expected = if json.len() < 126 { 2 } else { header };
            assert_eq!(bytes.len() - json.len(), expected, "{length}");
            assert_eq!(&bytes[expected..], json);
            let stated = match expected {
                2 => u64::from(bytes[1]),
                4 => u64::from(u16::from_be_bytes([bytes[2], bytes[3]])),
                _ => bytes[2..10].iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
            };
            assert_eq!((bytes[0], stated), (FIN_TEXT, json.len() as u64));
        }
    }

    #[test]
    fn a_connection_ends_with_both_close_frames() {
        for code in CloseCode::ALL {
            let bytes = closing(&Close::new(*code));
            let reason = code.reason().as_bytes();
            let control = &bytes[bytes.len() - reason.len() - 4..];
            assert_eq!(control[..2], [FIN_CLOSE, 2 + u8::try_from(reason.len()).unwrap_or(0)]);
            assert_eq!(control[2..4], (*code as u16).to_be_bytes());
            assert_eq!(&control[4..], reason);
            assert!(bytes.starts_with(&[FIN_TEXT]));
        }
    }
}
