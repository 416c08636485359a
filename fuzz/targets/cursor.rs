//! Cursors, ids and tickets as others hand them back to us: what is taken is written as it was meant.
#![no_main]

use std::{fmt, str::FromStr};

use chat_core::{Cursor, EntryId, Key, RoomId, UserId, command::Ticket, model::NodeId};
use fuzz::Words;
use serde_json::{from_str, to_string};

static WORDS: Words = Words::new();

fuzz::text_target!(judge);

fn judge(text: &str) {
    if let Ok(cursor) = from_str::<Cursor>(text) {
        assert_eq!(from_str::<Cursor>(&to_string(&cursor).unwrap()).unwrap(), cursor);
        assert!(cursor.seq.get() < 1 << 53, "JSON readers hold every position exactly");
    }
    if let Ok(ticket) = from_str::<Ticket>(text) {
        assert!(from_str::<Ticket>(&to_string(&ticket).unwrap()).unwrap() == ticket);
        assert_eq!(format!("{ticket:?}"), "Ticket", "a ticket is not shown");
    }
    id::<RoomId>(text);
    id::<EntryId>(text);
    id::<NodeId>(text);
    id::<Key>(text);
    id::<UserId>(text);
}

fn id<T: FromStr<Err: fmt::Display> + PartialEq + fmt::Debug + fmt::Display>(text: &str) {
    match text.parse::<T>() {
        Ok(id) => assert_eq!(id.to_string().parse::<T>().ok(), Some(id)),
        Err(error) => WORDS.hear(&error),
    }
}
