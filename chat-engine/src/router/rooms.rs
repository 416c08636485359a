//! Rooms and the people in them.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use chat_core::{
    Body, Draft, RoomSummary, UserId,
    model::{MemberChange, Membership},
    protocol::{ServerFrame, Target, Which, parts, summary_json},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Answer,
    extract::{Caller, InRoom, Json, Named, Parameters, Query},
    frame,
    messages::post,
    typed,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listing {
    which: Option<Which>,
    before: Option<u64>,
    limit: Option<u16>,
}

impl Parameters for Listing {
    const KNOWN: &'static str =
        "the query takes `which` (`mine` or `public`), `before` and `limit` (numbers), each once";
}

/// `GET /rooms`: the caller's rooms, or all public ones, the most recently active first.
pub(super) async fn list(caller: Caller, Query(listing): Query<Listing>) -> Answer {
    let page = parts::read_page(listing.before, None, None, listing.limit)?;
    let rooms = caller.hub().list(listing.which.unwrap_or_default(), page).await?;
    Ok(frame(StatusCode::OK, &ServerFrame::Rooms { reference: None, rooms: &rooms }))
}

#[derive(Deserialize)]
pub(super) struct Creation {
    key: Option<String>,
    spec: Option<Box<RawValue>>,
}

/// `POST /rooms`: a new room, or the one that has this name or was created under this key.
pub(super) async fn create(caller: Caller, Json(creation): Json<Creation>) -> Answer {
    let key = parts::read_key(creation.key.as_deref())?;
    let spec = parts::read_spec(creation.spec.as_deref())?;
    let hub = caller.hub();
    let (room, _) = hub.create_under(key, spec).await?;
    let mut response = one(StatusCode::CREATED, &hub.summary(room).await?);
    // Relative to `…/rooms`, so that it is right wherever the host has put these routes.
    if let Ok(location) = HeaderValue::try_from(format!("rooms/{room}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// `GET /rooms/{id}`: one room as a list shows it.
pub(super) async fn summary(caller: Caller, InRoom(room): InRoom) -> Answer {
    Ok(one(StatusCode::OK, &caller.hub().summary(room).await?))
}

/// `GET /rooms/named/{name}`: the room that has this name of the host's own.
pub(super) async fn named(caller: Caller, Named(room): Named) -> Answer {
    Ok(one(StatusCode::OK, &caller.hub().summary(room).await?))
}

/// Answers with one room.
fn one(status: StatusCode, summary: &RoomSummary) -> Response {
    typed(status, "room", summary_json(summary))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberPage {
    after_user: Option<UserId>,
    limit: Option<u16>,
}

impl Parameters for MemberPage {
    const KNOWN: &'static str = "the query takes `after_user` and `limit` (a number), each once";
}

/// `GET /rooms/{id}/members`: the members by user id, each with whether they are online.
pub(super) async fn members(caller: Caller, InRoom(room): InRoom, Query(query): Query<MemberPage>) -> Answer {
    let page = parts::read_page(None, None, query.after_user, query.limit)?;
    let members = caller.hub().members_online(room, page).await?;
    Ok(frame(StatusCode::OK, &ServerFrame::Members { reference: None, room, members: &members }))
}

#[derive(Deserialize)]
pub(super) struct Keyed {
    key: Option<String>,
}

/// `POST /rooms/{id}/join`: the caller becomes a member.
pub(super) async fn join(caller: Caller, room: InRoom, keyed: Json<Keyed>) -> Answer {
    change(caller, room, keyed, Membership::Join).await
}

/// `POST /rooms/{id}/leave`: the caller is a member no more.
pub(super) async fn leave(caller: Caller, room: InRoom, keyed: Json<Keyed>) -> Answer {
    change(caller, room, keyed, Membership::Leave).await
}

async fn change(caller: Caller, InRoom(room): InRoom, Json(keyed): Json<Keyed>, change: Membership) -> Answer {
    let key = parts::read_key(keyed.key.as_deref())?;
    let body = Body::Member(MemberChange { user: caller.identity.user.clone(), change });
    post(&caller, Target::Room(room), Draft { key, body }).await
}
