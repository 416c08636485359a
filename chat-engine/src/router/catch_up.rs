//! Catching up without a connection: the same cursors, the same rules of what is visible.

use axum::http::StatusCode;
use chat_core::{
    CatchUp, Code, Cursor, HubError,
    protocol::{parts, to_json},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer,
    extract::{Caller, Json},
    failure::{Failure, error_frame},
    typed,
};

#[derive(Deserialize)]
pub(super) struct Cursors {
    cursors: Vec<Cursor>,
    limit: Option<u16>,
}

/// `POST /catchup`: for each cursor the log entries after it.
///
/// `limit` bounds the whole answer, so that many cursors cannot make it huge: rooms for which nothing is left are
/// answered with `more`. Asking again with the new cursors of all rooms that have `more` arrives at the end.
pub(super) async fn catch_up(caller: Caller, Json(asked): Json<Cursors>) -> Answer {
    if asked.cursors.len() > caller.chat.engine().limits().rooms_per_session_max {
        return Err(HubError::new(Code::TooMany, "these are too many cursors at once").into());
    }
    let mut left = parts::read_page(None, None, None, asked.limit)?.limit;
    let hub = caller.hub();
    let mut rooms = Vec::with_capacity(asked.cursors.len());
    for cursor in asked.cursors {
        let found = match left {
            0 => Ok(None),
            _ => hub.catch_up(cursor, left).await.map(Some),
        };
        match found {
            Ok(found) => {
                left = left.saturating_sub(found.as_ref().map_or(0, taken));
                rooms.push(room_json(cursor, found.as_ref()));
            }
            // What may work later fails as a whole: each further room would only wait for the same store.
            Err(error) if error.code.is_retryable() => return Err(Failure::from(error)),
            Err(error) => rooms.push(json!({ "room": cursor.room, "error": to_json(&error_frame(&error)) })),
        }
    }
    Ok(typed(StatusCode::OK, "catchup", json!({ "rooms": rooms })))
}

fn taken(found: &CatchUp) -> u16 {
    u16::try_from(found.entries.len()).unwrap_or(u16::MAX)
}

fn room_json(cursor: Cursor, found: Option<&CatchUp>) -> Value {
    let Some(found) = found else {
        return json!({ "room": cursor.room, "entries": [], "more": true });
    };
    let mut json = json!({ "room": cursor.room, "entries": to_json(&found.entries), "more": found.more });
    if let Some((from, to, why)) = &found.gap {
        json["gap"] = json!({ "from": from, "to": to, "why": why });
    }
    if found.reset {
        json["reset"] = true.into();
    }
    json
}
