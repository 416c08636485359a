//! Reads the parts of a request; what cannot be read is answered in our own words and never repeated.

use std::{error::Error, time::Duration};

use axum::{
    RequestExt,
    body::Body,
    extract::{FromRequest, FromRequestParts, Query as AxumQuery, RawPathParams, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use chat_core::{Code, Identity, LocalHub, RoomId, Seq, UserId, protocol::parts::too_deep};
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::failure::Failure;
use crate::Chat;

/// A body fits in a frame, so it takes a round trip or two; who sends a byte a second is not waited for.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// How long a body that is too large is read on: a megabyte over a bad link.
const FORGET_WITHIN: Duration = Duration::from_secs(2);

/// Is who asks, as the host's extractor said.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) chat: Chat,
    pub(super) identity: Identity,
}

impl Caller {
    /// Returns the chat as the caller has it.
    pub(super) fn hub(&self) -> LocalHub {
        self.chat.hub(self.identity.clone())
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Code::Unauthenticated.into())
    }
}

/// Is the room in the path. What is no id names no room, so it is not found.
#[derive(Clone, Copy, Debug)]
pub(super) struct InRoom(pub(super) RoomId);

impl<S: Send + Sync> FromRequestParts<S> for InRoom {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        param(parts, state, "chat_room").await.map(Self)
    }
}

/// Is the room whose name is in the path. A name that no room can have is one of no room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named(pub(super) RoomId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        param(parts, state, "chat_name").await.map(|name: String| Self(RoomId::named(&name)))
    }
}

/// Is the position in the path. What is no position is none of a message, so it is not found.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtSeq(pub(super) Seq);

impl<S: Send + Sync> FromRequestParts<S> for AtSeq {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let seq = param(parts, state, "chat_seq").await.ok().and_then(Seq::new);
        seq.filter(|seq| *seq > Seq::ZERO).map(Self).ok_or_else(|| Code::NotFound.into())
    }
}

/// Is the user in the path.
#[derive(Clone, Debug)]
pub(super) struct WithUser(pub(super) UserId);

impl<S: Send + Sync> FromRequestParts<S> for WithUser {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        param(parts, state, "chat_user").await.map(Self)
    }
}

/// Looks a parameter up by name: the host may have nested the routes under a path with parameters of its own.
async fn param<T, S>(parts: &mut Parts, state: &S, name: &str) -> Result<T, Failure>
where
    T: std::str::FromStr,
    S: Send + Sync,
{
    let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| Code::NotFound)?;
    let value = params.iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok());
    value.ok_or_else(|| Code::NotFound.into())
}

/// Are the parameters that a route takes.
pub(super) trait Parameters: DeserializeOwned {
    /// What is said to whoever gives others.
    const KNOWN: &'static str;
}

/// Is the query string. Unknown, repeated and unreadable parameters are refused.
#[derive(Clone, Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: Parameters, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match AxumQuery::try_from_uri(&parts.uri) {
            Ok(AxumQuery(query)) => Ok(Self(query)),
            Err(_) => Err(Failure::invalid(T::KNOWN)),
        }
    }
}

/// Is a JSON body, read as all routes of the chat read theirs: one object, of the right content type, complete in time.
/// What cannot be read is answered in our own words, and none of it is repeated.
///
/// The content type must say so. That keeps other sites out, too: a browser sends JSON across origins only after
/// asking whether it may.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        if !is_json(request.headers()) {
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json"));
        }
        let read = timeout(BODY_WITHIN, read_body(request.into_limited_body())).await;
        let bytes = read.map_err(|_| Failure::new(StatusCode::REQUEST_TIMEOUT, "the body took too long"))??;
        read_json(&bytes).map(Self)
    }
}

/// Reads a body. One that is too large is read on for a moment and forgotten: who is still sending when the connection
/// closes does not hear why.
async fn read_body(mut body: Body) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(error) if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) => {
                let _ = timeout(FORGET_WITHIN, async { while body.frame().await.is_some() {} }).await;
                return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
            }
            Err(_) => return Err(Failure::invalid("the body cannot be read")),
        }
    }
    Ok(bytes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    if too_deep(bytes) {
        return Err(Failure::invalid("the body is nested at most 32 deep"));
    }
    // Without this check a list would do, too: it can be read as the fields of a struct in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Failure::invalid("the body is one JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        Failure::invalid(if error.is_data() {
            "a field is missing, given twice or of the wrong type"
        } else {
            "the body is one JSON object"
        })
    })
}
