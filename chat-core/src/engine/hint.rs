//! What nodes tell each other, and the seal that says it comes from one of them.
//!
//! A payload is a version byte, 32 bytes of HMAC-SHA256 under the cluster's secret (zero without one) over what
//! follows, and JSON. Without a valid seal a hint is only a number: the log is read.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    model::{Entry, EntryId, Key, NodeId, RoomId, Seq, UserId},
    protocol::Signal,
    seal::Seal,
};

const VERSION: u8 = 1;
/// Payloads are kept below the 64 KiB that a link takes.
const PAYLOAD_BYTES_MAX: usize = 48 * 1024;

/// Is one thing a node tells the others.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Hint {
    /// These positions are in the log. `before` is the id of the entry before `first`; entries may be left out.
    Stored { room: RoomId, first: Seq, last: Seq, before: Option<EntryId>, entries: Vec<Arc<Entry>> },
    /// Something that is never stored, for the followers of a room.
    Signal { room: RoomId, signal: Signal },
    /// A worker has answered a command of this room; the node where its caller waits may say so.
    Answered { room: RoomId, answered: Answered },
}

/// Is the word that a command was answered, as far as the node that accepted it has to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) key: Key,
    pub(super) user: UserId,
    /// What only the caller is to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) whisper: Option<String>,
    /// What the caller did wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<String>,
}

/// Is an opened payload.
#[derive(Debug)]
pub(super) struct Hints {
    pub(super) node: NodeId,
    pub(super) sealed: bool,
    pub(super) list: Vec<Hint>,
}

/// One flat struct for all hints, so that a newer node may add fields.
#[derive(Default, Serialize, Deserialize)]
struct Wire {
    room: Option<RoomId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<EntryId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    entries: Vec<Arc<Entry>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<SignalWire>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answered: Option<Answered>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct SignalWire {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    room: Option<RoomId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<Seq>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    data: Value,
}

#[derive(Deserialize)]
struct Envelope {
    node: NodeId,
    hints: Vec<Wire>,
}

/// Seals and opens payloads.
#[derive(Clone)]
pub(super) struct Sealer(Seal);

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.can_seal() { "Sealer(secret)" } else { "Sealer(none)" })
    }
}

impl Sealer {
    pub(super) fn new(secret: Option<&[u8]>) -> Self {
        Self(Seal::new(VERSION, secret))
    }

    /// Tells whether what this node says can be told from what others say.
    pub(super) fn can_seal(&self) -> bool {
        self.0.can_seal()
    }

    /// Makes payloads of hints, as few as fit.
    pub(super) fn seal(&self, node: NodeId, hints: Vec<Hint>) -> Vec<Bytes> {
        let mut payloads = Vec::new();
        let mut text = String::new();
        for hint in hints {
            let Ok(hint) = serde_json::to_string(&Wire::from(hint)) else { continue };
            if !text.is_empty() && text.len() + hint.len() > PAYLOAD_BYTES_MAX {
                payloads.push(self.payload(node, &text));
                text.clear();
            }
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(&hint);
        }
        if !text.is_empty() {
            payloads.push(self.payload(node, &text));
        }
        payloads
    }

    fn payload(&self, node: NodeId, hints: &str) -> Bytes {
        let body = format!(r#"{{"node":"{node}","hints":[{hints}]}}"#);
        self.0.close(body.as_bytes())
    }

    /// Reads a payload; `None` when it is none of ours or of another version.
    pub(super) fn open(&self, payload: &[u8]) -> Option<Hints> {
        let (body, sealed) = self.0.open(payload)?;
        let Envelope { node, hints } = serde_json::from_slice(body).ok()?;
        Some(Hints { node, sealed, list: hints.into_iter().filter_map(Wire::into_hint).collect() })
    }
}

impl Hint {
    /// Makes the hint for a signal, if it is of a kind that travels.
    pub(super) fn signal(room: RoomId, signal: &Signal) -> Option<Self> {
        let travels = matches!(signal, Signal::Typing { .. } | Signal::Read { .. } | Signal::Custom { .. });
        travels.then(|| Self::Signal { room, signal: signal.clone() })
    }
}

impl From<Hint> for Wire {
    fn from(hint: Hint) -> Self {
        match hint {
            Hint::Stored { room, first, last, before, entries } => {
                Self { room: Some(room), first: Some(first), last: Some(last), before, entries, ..Self::default() }
            }
            Hint::Signal { room, signal } => Self { room: Some(room), signal: Some(signal.into()), ..Self::default() },
            Hint::Answered { room, answered } => Self { room: Some(room), answered: Some(answered), ..Self::default() },
        }
    }
}

impl Wire {
    fn into_hint(self) -> Option<Hint> {
        let room = self.room?;
        if let Some(signal) = self.signal {
            return Some(Hint::Signal { room, signal: signal.into_signal()? });
        }
        if let Some(answered) = self.answered {
            return Some(Hint::Answered { room, answered });
        }
        let (first, last, entries) = (self.first?, self.last?, self.entries);
        // Entries that do not fill exactly the positions announced are not worth believing.
        let dense = entries.iter().zip(first.get()..).all(|(entry, seq)| entry.seq.get() == seq && entry.room == room);
        let whole = entries.last().is_some_and(|entry| entry.seq == last);
        let entries = if dense && whole { entries } else { Vec::new() };
        Some(Hint::Stored { room, first, last, before: self.before, entries })
    }
}

impl From<Signal> for SignalWire {
    fn from(signal: Signal) -> Self {
        let kind = signal.kind().to_owned();
        let wire = Self { kind, ..Self::default() };
        match signal {
            Signal::Typing { room, user, name, on } => {
                Self { room: Some(room), user: Some(user), name: Some(name), on: Some(on), ..wire }
            }
            Signal::Read { room, seq } => Self { room: Some(room), seq: Some(seq), ..wire },
            Signal::Custom { room, user, data, .. } => Self { room: Some(room), user: Some(user), data, ..wire },
            Signal::Presence { .. } | Signal::Whisper { .. } => wire,
        }
    }
}

impl SignalWire {
    fn into_signal(self) -> Option<Signal> {
        let room = self.room?;
        Some(match &*self.kind {
            "typing" => Signal::Typing { room, user: self.user?, name: self.name?, on: self.on? },
            "read" => Signal::Read { room, seq: self.seq? },
            kind if kind.contains('.') => Signal::Custom { room, user: self.user?, kind: self.kind, data: self.data },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::{Draft, NewEntry, Timestamp};

    fn stored() -> Hint {
        let room = RoomId::named("r");
        let (user, id) = (UserId::new("ann").unwrap(), EntryId::new(1, [3; 10]));
        let draft = Draft { key: crate::model::Key::new(1, [4; 10]), ..Draft::text("hi") };
        let entry = NewEntry::new(id, draft, user, "Ann".into(), Timestamp(1)).into_entry(room, Seq::FIRST);
        Hint::Stored { room, first: Seq::FIRST, last: Seq::FIRST, before: None, entries: vec![Arc::new(entry)] }
    }

    #[test]
    fn a_sealed_hint_opens_under_the_same_secret_only() {
        let (ours, other) = (Sealer::new(Some(b"one secret")), Sealer::new(Some(b"another")));
        let payload = ours.seal(NodeId::random([1; 16]), vec![stored()]).remove(0);
        let opened = ours.open(&payload).unwrap();
        assert!(opened.sealed);
        assert_eq!(opened.list, [stored()]);
        assert!(!other.open(&payload).unwrap().sealed);
        assert!(!Sealer::new(None).open(&payload).unwrap().sealed);
        let mut forged = payload.to_vec();
        let at = forged.len() - 5;
        forged[at] ^= 1;
        assert!(ours.open(&forged).is_none_or(|hints| !hints.sealed));
    }

    proptest::proptest! {
        #[test]
        fn hints_are_heard_as_they_were_said(first in 1_u64..1_000_000, count in 0_u64..20, before: Option<[u8; 16]>) {
            let sealer = Sealer::new(Some(b"one secret"));
            let room = RoomId::named("r");
            let entries = (first..first + count).map(|seq| {
                let Hint::Stored { entries, .. } = stored() else { unreachable!("it is stored") };
                Arc::new(Entry { seq: Seq::new(seq).unwrap(), ..(*entries[0]).clone() })
            });
            let (first, last) = (Seq::new(first).unwrap(), Seq::new(first + count.max(1) - 1).unwrap());
            let before = before.map(EntryId::from_bytes);
            let hint = Hint::Stored { room, first, last, before, entries: entries.collect() };
            let said = sealer.seal(NodeId::random([1; 16]), vec![hint.clone(), hint.clone()]);
            let heard: Vec<_> = said.iter().flat_map(|payload| sealer.open(payload).unwrap().list).collect();
            proptest::prop_assert_eq!(heard, [hint.clone(), hint]);
        }

        #[test]
        fn any_payload_is_opened_or_refused(bytes: Vec<u8>) {
            let _ = Sealer::new(Some(b"one secret")).open(&bytes);
        }
    }

    #[test]
    fn what_is_no_payload_is_no_hint() {
        let sealer = Sealer::new(None);
        for bad in [&b""[..], b"\x01", b"\x02aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{}", &[1; 40]] {
            assert!(sealer.open(bad).is_none());
        }
    }

    #[test]
    fn many_hints_are_split_into_payloads_that_fit() {
        let payloads = Sealer::new(None).seal(NodeId::random([1; 16]), vec![stored(); 1_000]);
        assert!(payloads.len() > 1);
        assert!(payloads.iter().all(|payload| payload.len() <= 64 * 1024));
    }
}
