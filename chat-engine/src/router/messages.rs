//! Messages: reading back and posting.

use axum::http::StatusCode;
use chat_core::{
    Draft, Hub, Posted,
    protocol::{ServerFrame, Target, parts, to_json},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    Answer,
    extract::{AtSeq, Caller, InRoom, Json, Parameters, Query, WithUser},
    failure::Failure,
    frame, typed,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MessagePage {
    before: Option<u64>,
    after: Option<u64>,
    limit: Option<u16>,
}

impl Parameters for MessagePage {
    const KNOWN: &'static str = "the query takes `before` or `after`, and `limit`, which are numbers, each once";
}

/// `GET /rooms/{id}/messages`: what people read, oldest first; without parameters the newest 50.
pub(super) async fn history(caller: Caller, InRoom(room): InRoom, Query(query): Query<MessagePage>) -> Answer {
    let page = parts::read_page(query.before, query.after, None, query.limit)?;
    let entries = caller.hub().room(room).await?.history(page).await?;
    Ok(frame(StatusCode::OK, &ServerFrame::History { reference: None, room, entries: &entries }))
}

/// `GET /rooms/{id}/messages/{seq}/edits`: the texts that a message had, the first one first.
pub(super) async fn edits(caller: Caller, InRoom(room): InRoom, AtSeq(seq): AtSeq) -> Answer {
    let texts = caller.hub().versions(room, seq).await?;
    Ok(typed(StatusCode::OK, "edits", json!({ "room": room, "seq": seq, "texts": to_json(&texts) })))
}

#[derive(Deserialize)]
pub(super) struct Posting {
    key: Option<String>,
    body: Option<Box<RawValue>>,
}

impl Posting {
    fn draft(&self) -> Result<Draft, Failure> {
        Ok(Draft { key: parts::read_key(self.key.as_deref())?, body: parts::read_body(self.body.as_deref())? })
    }
}

/// `POST /rooms/{id}/messages`: any durable change, as its author; a text that begins with `/` is a command.
pub(super) async fn send(caller: Caller, InRoom(room): InRoom, Json(posting): Json<Posting>) -> Answer {
    post(&caller, Target::Room(room), posting.draft()?).await
}

/// `POST /direct/{user}/messages`: the same to the private room with a user, which the first message creates.
pub(super) async fn send_direct(caller: Caller, WithUser(user): WithUser, Json(posting): Json<Posting>) -> Answer {
    post(&caller, Target::User(user), posting.draft()?).await
}

/// Posts, and answers with the frame that a connection would be sent.
pub(super) async fn post(caller: &Caller, target: Target, draft: Draft) -> Answer {
    let (reference, key) = (None, draft.key);
    let (room, posted) = caller.hub().post_to(target, draft).await?;
    Ok(match posted {
        Posted::Stored { seq, id } => frame(StatusCode::CREATED, &ServerFrame::Ack { reference, key, room, seq, id }),
        _ => frame(StatusCode::ACCEPTED, &ServerFrame::Accepted { reference, key }),
    })
}
