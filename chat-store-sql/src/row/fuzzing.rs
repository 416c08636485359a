//! What must hold for rows that somebody else may have changed.

use std::borrow::Cow;

use chat_core::{Body, Entry, RoomId, StoreError, UserId};

use super::{EntryRow, RoomRow, SummaryRow};

/// Reads a row made of these bytes in each way there is. Returns the errors.
///
/// The first eight bytes are the numbers, the next 32 are ids; what follows are the texts, one a line.
///
/// # Panics
/// If something does not hold.
pub fn row(data: &[u8]) -> Vec<StoreError> {
    let (number, rest) = data.split_at(data.len().min(8));
    let number = number.iter().fold(0, |number, byte| number << 8 | i64::from(*byte));
    let (ids, rest) = rest.split_at(rest.len().min(32));
    let texts: Vec<_> = rest.split(|byte| *byte == b'\n').map(String::from_utf8_lossy).collect();
    let room = RoomId::from_bytes([7; 16]);
    let with = text(&texts, 6).zip(text(&texts, 1));
    let shown = SummaryRow { room: room_row(number, &texts), last: Some(entry_row(number, ids, &texts)), with };
    let of = UserId::from(number);
    let results = [
        entry_row(number, ids, &texts).into_raw(room).map(|entry| hold(&entry)),
        entry_row(number, ids, &texts).into_shown(room).map(|entry| hold(&entry)),
        shown.into_summary(Some(&of)).map(|summary| assert!(summary.head.to_stored() >= 0)),
    ];
    results.into_iter().filter_map(Result::err).collect()
}

fn entry_row(number: i64, ids: &[u8], texts: &[Cow<'_, str>]) -> EntryRow {
    let (id, key) = ids.split_at(ids.len().min(16));
    EntryRow {
        seq: number,
        id: id.to_vec(),
        key: key.to_vec(),
        author: text(texts, 0).unwrap_or_default(),
        name: text(texts, 1).unwrap_or_default(),
        body: text(texts, 2).unwrap_or_default(),
        shown: text(texts, 3),
        at: number,
        sent_at: number,
    }
}

fn room_row(number: i64, texts: &[Cow<'_, str>]) -> RoomRow {
    RoomRow {
        record: text(texts, 4).unwrap_or_default(),
        head: number,
        guard: number,
        active: number,
        role: text(texts, 5),
        since: Some(number),
        member_name: text(texts, 1),
        read: number,
        unread: number,
    }
}

fn text(texts: &[Cow<'_, str>], at: usize) -> Option<String> {
    texts.get(at).map(|text| text.clone().into_owned())
}

/// An entry that was read is one that can be stored.
fn hold(entry: &Entry) {
    assert_eq!(Body::decode(&entry.body.encode()).as_ref(), Ok(&entry.body));
}
