//! Reads the parts that requests are made of: frames and REST bodies refuse the same things in the same words.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use super::{Code, HubError};
use crate::model::{Body, InvalidId, Key, Page, RoomSpec, UserId};

/// Deeper nesting than this is refused before parsing: nothing we define is deeper than 6.
const DEPTH_MAX: u32 = 32;

/// Tells whether JSON is nested deeper than any request may be; to be asked before it is parsed.
pub fn too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0u32, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Says that a request lacks something.
pub fn missing(what: &'static str) -> HubError {
    HubError::new(Code::Invalid, format!("this request needs {what}"))
}

/// Reads a key.
pub fn read_key(key: Option<&str>) -> Result<Key, HubError> {
    let key = key.ok_or_else(|| missing("`key`"))?;
    key.parse().map_err(|_: InvalidId| Code::InvalidKey.into())
}

/// Reads a body to be posted.
pub fn read_body(raw: Option<&RawValue>) -> Result<Body, HubError> {
    let raw = raw.ok_or_else(|| missing("`body`"))?;
    match Body::decode(raw.get()) {
        Ok(Body::Unknown(_)) => Err(HubError::new(Code::InvalidBody, "this kind of body is not known")),
        Ok(body) => Ok(body),
        Err(text) => Err(HubError::new(Code::InvalidBody, text)),
    }
}

/// Reads the description of a room.
pub fn read_spec(raw: Option<&RawValue>) -> Result<RoomSpec, HubError> {
    let raw = raw.ok_or_else(|| missing("`spec`"))?;
    serde_json::from_str::<Object<RoomSpec>>(raw.get()).map(|Object(spec)| spec).map_err(|_| {
        let known = "`name`, `title`, `visibility`, `history`, `members` (user ids) and `data`";
        HubError::new(Code::InvalidBody, format!("the `spec` is an object of {known}, each of its type"))
    })
}

/// Puts a page together; without a limit it holds 50.
pub fn read_page(
    before: Option<u64>,
    after: Option<u64>,
    after_user: Option<UserId>,
    limit: Option<u16>,
) -> Result<Page, HubError> {
    if before.is_some() && after.is_some() {
        return Err(HubError::new(Code::Invalid, "give `before` or `after`, not both"));
    }
    let limit = limit.unwrap_or(50);
    if limit == 0 || limit > Page::LIMIT_MAX {
        return Err(HubError::new(Code::Invalid, "`limit` is 1 to 200"));
    }
    let mut page = Page::newest(limit);
    (page.before, page.after, page.after_user) = (before, after, after_user);
    Ok(page)
}

/// Reads a JSON object and nothing else: a list would do, too, as the fields in their order, which nobody has promised.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Object<T>, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}
