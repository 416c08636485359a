//! How a batch of payloads travels in one message.
//!
//! A byte for the version, then for each payload: its topic (2 bytes), its length (4 bytes), itself. One message costs
//! the broker much the same whether it holds one payload or fifty.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use chat_core::broker::Topic;

const VERSION: u8 = 1;
/// A message is closed when it has reached this size: two of the frames that RabbitMQ cuts it into.
const MESSAGE_BYTES: usize = 256 * 1024;

/// Is a message with the topics that it is for, each once.
pub(crate) struct Message {
    pub(crate) topics: Vec<Topic>,
    pub(crate) bytes: Bytes,
}

/// Packs a batch into as few messages as it needs, in its order.
pub(crate) fn pack(batch: &[(Topic, Bytes)]) -> Vec<Message> {
    let (mut messages, mut topics, mut open) = (Vec::new(), Vec::new(), BytesMut::new());
    for (topic, payload) in batch {
        if open.is_empty() {
            open.put_u8(VERSION);
        }
        open.put_u16(topic.number());
        open.put_u32(u32::try_from(payload.len()).unwrap_or(u32::MAX)); // payloads are at most 64 KiB
        open.put_slice(payload);
        topics.push(*topic);
        if open.len() >= MESSAGE_BYTES {
            messages.push(close(&mut topics, &mut open));
        }
    }
    if !open.is_empty() {
        messages.push(close(&mut topics, &mut open));
    }
    messages
}

fn close(topics: &mut Vec<Topic>, open: &mut BytesMut) -> Message {
    topics.sort_unstable();
    topics.dedup();
    Message { topics: std::mem::take(topics), bytes: open.split().freeze() }
}

/// Reads a message, which anybody may have written; `None` if it cannot be read.
pub(crate) fn unpack(message: impl Into<Bytes>) -> Option<Vec<(Topic, Bytes)>> {
    let mut rest = message.into();
    if rest.try_get_u8().ok()? != VERSION {
        return None;
    }
    let mut batch = Vec::new();
    while rest.has_remaining() {
        let topic = Topic::new(rest.try_get_u16().ok()?)?;
        let length = usize::try_from(rest.try_get_u32().ok()?).ok()?;
        if length > rest.remaining() {
            return None;
        }
        batch.push((topic, rest.split_to(length)));
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn topic(number: u16) -> Topic {
        Topic::new(number).unwrap()
    }

    #[test]
    fn a_batch_comes_out_as_it_was_packed() {
        let payloads = [(7, &b"one"[..]), (1023, b""), (7, b"three")];
        let batch: Vec<_> = payloads.map(|(number, bytes)| (topic(number), Bytes::from_static(bytes))).into();
        let [message] = &pack(&batch)[..] else { panic!("one message") };
        assert_eq!(message.topics, [topic(7), topic(1023)]);
        assert_eq!(unpack(message.bytes.clone()), Some(batch));
    }

    #[test]
    fn a_large_batch_is_several_messages_in_its_order() {
        let batch: Vec<_> = (0..20).map(|number| (topic(number), Bytes::from(vec![0; 60_000]))).collect();
        let messages = pack(&batch);
        assert!(messages.len() > 1 && messages.iter().all(|message| message.bytes.len() < 2 * MESSAGE_BYTES));
        let unpacked: Vec<_> = messages.into_iter().flat_map(|message| unpack(message.bytes).unwrap()).collect();
        assert_eq!(unpacked, batch);
    }

    #[test]
    fn what_others_wrote_is_refused_and_harms_nobody() {
        let unreadable: [&'static [u8]; 7] = [
            b"",
            b"\x02",
            b"\x01\x00",
            b"\x01\x04\x01\x00\x00\x00\x00",         // there is no topic 1025
            b"\x01\x00\x07\x00\x00\x00\x02x",        // shorter than it says
            b"\x01\x00\x07\xff\xff\xff\xffx",        // by four gigabytes
            b"\x01\x00\x07\x00\x00\x00\x01xrubbish", // and something after it
        ];
        for bytes in unreadable {
            assert_eq!(unpack(bytes), None, "{bytes:?}");
        }
        assert_eq!(unpack(&b"\x01"[..]), Some(Vec::new()));
    }
}
