//! What a body must be before anybody's right to post it is judged.

use serde_json::Value;

use super::Limits;
use crate::{
    model::{Body, Identity, Key, Kind, Membership, RoomChange, RoomSpec, Timestamp, UserId, Visibility},
    protocol::{Code, HubError},
};

/// Longest title and topic, in characters: what fits a line and a short paragraph.
const TITLE_CHARS_MAX: usize = 128;
const TOPIC_CHARS_MAX: usize = 512;
/// Longest reaction: one emoji with skin tones and joiners.
const EMOJI_BYTES_MAX: usize = 32;
/// Longest name of an application's own kind.
const KIND_BYTES_MAX: usize = 64;

/// A key made by a clock this far ahead is refused: once trimmed, it would make all later keys of the room too old.
const KEY_AHEAD_MS_MAX: i64 = 24 * 60 * 60 * 1_000;

/// Checks that nobody comes under a name that is kept for the engine's own authors: readers believe those.
pub(super) fn author(who: &Identity) -> Result<(), HubError> {
    let is_taken = match who.kind {
        Kind::Human => who.user.is_reserved(),
        Kind::Bot => who.user == UserId::system(),
        Kind::System => false,
    };
    if is_taken { Err(HubError::new(Code::Unauthenticated, "this name is reserved")) } else { Ok(()) }
}

/// Checks the time in a sender's key.
pub(super) fn key(key: Key, now: Timestamp) -> Result<(), HubError> {
    if key.unix_ms() > now.0.saturating_add(KEY_AHEAD_MS_MAX) {
        return Err(HubError::new(Code::InvalidKey, "the time in the key is more than a day ahead"));
    }
    Ok(())
}

/// Checks what a client wants to post.
pub(super) fn body(body: &Body, limits: &Limits) -> Result<(), HubError> {
    match body {
        Body::Text(text) => {
            visible(&text.text, limits)?;
            data(&text.data, limits)
        }
        Body::Edit(edit) => visible(&edit.text, limits),
        Body::React(react) if react.emoji.is_empty() || react.emoji.len() > EMOJI_BYTES_MAX => {
            Err(refused("a reaction is 1 to 32 bytes"))
        }
        Body::React(react) => plain(&react.emoji, 8, "a reaction"),
        Body::Room(RoomChange::Set { title, topic, data: new }) => {
            title.as_deref().map_or(Ok(()), check_title)?;
            topic.as_ref().map_or(Ok(()), |topic| plain(topic, TOPIC_CHARS_MAX, "a topic"))?;
            new.as_ref().map_or(Ok(()), |new| data(new, limits))
        }
        Body::Room(RoomChange::Created(_)) => Err(refused("rooms are created by a request of their own")),
        Body::Member(change) if change.change != Membership::Leave && change.user.is_reserved() => {
            Err(refused("this name is reserved"))
        }
        Body::Delete(_) | Body::Member(_) => Ok(()),
        Body::Custom { kind, text, data: own } => {
            custom_kind(kind)?;
            plain(text, limits.text_chars_max, "a text")?;
            data(own, limits)
        }
        Body::Erase(_) | Body::Inbox(_) | Body::Unknown(_) => Err(refused("this kind of body cannot be sent")),
    }
}

/// Checks the description of a new room.
pub(super) fn spec(spec: &RoomSpec, limits: &Limits) -> Result<(), HubError> {
    if let Some(name) = &spec.name {
        crate::protocol::check_room_name(name)?;
    }
    check_title(&spec.title)?;
    if spec.members.len() > limits.members_at_creation_max {
        return Err(refused("too many first members"));
    }
    if matches!(spec.visibility, Visibility::Direct | Visibility::Inbox) {
        return Err(refused("a private room of two is created by its first message"));
    }
    if spec.members.iter().any(crate::model::UserId::is_reserved) {
        return Err(refused("this name is reserved"));
    }
    data(&spec.data, limits)
}

/// Checks the application's own data in a signal.
pub(super) fn data(data: &Value, limits: &Limits) -> Result<(), HubError> {
    if data.is_null() {
        return Ok(());
    }
    let size = serde_json::to_vec(data).map_or(usize::MAX, |bytes| bytes.len());
    if size > limits.data_bytes_max { Err(refused("`data` is too large")) } else { Ok(()) }
}

fn custom_kind(kind: &str) -> Result<(), HubError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    if kind.len() > KIND_BYTES_MAX || !kind.contains('.') || !kind.chars().all(allowed) {
        return Err(refused("a kind of your own is at most 64 of a-z 0-9 . _ - with a dot in it"));
    }
    Ok(())
}

/// Checks a room's title. It may be none; then nobody takes it for one that is.
fn check_title(title: &str) -> Result<(), HubError> {
    if !title.is_empty() && is_blank(title) {
        return Err(refused("nothing is seen of the title"));
    }
    plain(title, TITLE_CHARS_MAX, "a title")
}

/// Checks a text that people are to read: something must be seen of it.
fn visible(text: &str, limits: &Limits) -> Result<(), HubError> {
    if is_blank(text) {
        return Err(refused("the text is empty"));
    }
    plain(text, limits.text_chars_max, "a text")
}

fn plain(text: &str, chars_max: usize, what: &'static str) -> Result<(), HubError> {
    // A character has at most four bytes: most texts need not be counted.
    if text.len() > chars_max && text.chars().count() > chars_max {
        return Err(refused(format!("{what} is at most {chars_max} characters")));
    }
    if text.chars().any(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || is_override(c)) {
        return Err(refused(format!("{what} must not hold control characters")));
    }
    Ok(())
}

fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || is_invisible(c))
}

/// Tells zero-width characters, which make an empty text look like one that is not.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{00ad}' | '\u{034f}' | '\u{2800}' | '\u{3164}')
}

/// Tells the characters that turn the reading direction of what follows, by which a text can be made to lie.
fn is_override(c: char) -> bool {
    matches!(c, '\u{202d}' | '\u{202e}')
}

fn refused(text: impl Into<std::borrow::Cow<'static, str>>) -> HubError {
    HubError::new(Code::InvalidBody, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Text;

    fn text(text: &str) -> bool {
        body(&Body::Text(Text::new(text)), &Limits::default()).is_ok()
    }

    #[test]
    fn a_text_must_show_something() {
        assert!(text("ok") && text("a\nb") && text("שלום") && text("👩‍👩‍👧"));
        for bad in ["", " ", "\n\t", "\u{200b}\u{200b}", "a\0b", "a\u{202e}b", "\u{7f}x"] {
            assert!(!text(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_title_is_none_or_shows_something() {
        let both = |title: &str| {
            let set = RoomChange::Set { title: Some(title.into()), topic: None, data: None };
            let set = body(&Body::Room(set), &Limits::default());
            assert_eq!(set, spec(&RoomSpec::public(title), &Limits::default()), "{title:?}");
            set.is_ok()
        };
        assert!(both("") && both("tea"));
        for bad in [" ", "\u{200b}", "\n", "a\0b"] {
            assert!(!both(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_key_may_be_old_but_not_of_the_future() {
        let now = Timestamp(1_800_000_000_000);
        assert!(key(Key::new(0, [1; 10]), now).is_ok() && key(Key::new(now.0 + 60_000, [1; 10]), now).is_ok());
        assert!(key(Key::new(now.0 + 2 * KEY_AHEAD_MS_MAX, [1; 10]), now).is_err());
    }

    #[test]
    fn a_text_is_counted_in_characters() {
        assert!(text(&"ü".repeat(4_000)));
        assert!(!text(&"u".repeat(4_001)));
    }
}
