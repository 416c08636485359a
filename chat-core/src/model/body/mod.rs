//! What an entry says.

mod encoding;
mod parts;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::Value;

pub use self::parts::{Edit, Erase, MemberChange, Membership, Notice, RawBody, React, RoomChange, Text};
use super::{Seq, UserId};

/// Is the content of one entry.
///
/// On the wire and in stores a body is one JSON object whose `kind` says how to read it:
///
/// ```
/// use chat_core::{Body, Text};
/// let body = Body::Text(Text::new("hello"));
/// assert_eq!(body.encode(), r#"{"kind":"text","text":"hello"}"#);
/// assert_eq!(Body::decode(&body.encode()).unwrap(), body);
/// ```
///
/// Kinds with a dot in their name belong to applications ([`Body::Custom`]) and are stored and delivered untouched.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Body {
    /// `text`: what people write.
    Text(Text),
    /// `edit`: another text for an earlier message.
    Edit(Edit),
    /// `delete`: the message at this position is blanked; its place in the log stays.
    Delete(Seq),
    /// `react`: a reaction to an earlier message, set or taken back.
    React(React),
    /// `erase`: a person is forgotten here; only the [host](crate::people) writes it.
    Erase(Erase),
    /// `member`: someone joined, left or got another role.
    Member(MemberChange),
    /// `room`: the room was created or changed.
    Room(RoomChange),
    /// `inbox`: what concerns one user, in that user's inbox log only.
    Inbox(Notice),
    /// An application's own kind.
    Custom {
        /// The kind; holds a dot, as in `shop.order`.
        kind: String,
        /// What a client shows that does not know the kind.
        text: String,
        /// The application's data.
        data: Value,
    },
    /// A kind that a newer version wrote; kept as it is.
    Unknown(RawBody),
}

impl Body {
    /// Returns the kind, as it stands in JSON.
    pub fn kind(&self) -> Cow<'_, str> {
        match self {
            Self::Text(_) => "text".into(),
            Self::Edit(_) => "edit".into(),
            Self::Delete(_) => "delete".into(),
            Self::React(_) => "react".into(),
            Self::Erase(_) => "erase".into(),
            Self::Member(_) => "member".into(),
            Self::Room(_) => "room".into(),
            Self::Inbox(_) => "inbox".into(),
            Self::Custom { kind, .. } => kind.into(),
            Self::Unknown(raw) => encoding::kind_of(raw.as_str()).unwrap_or("unknown".into()),
        }
    }

    /// Returns what people read of this body, if it is a message.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(Text { text, .. }) | Self::Custom { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Tells whether this is a message that history shows: a text or an application's own kind.
    pub fn is_message(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Custom { .. })
    }

    /// Tells whether an entry with this body takes a right away from somebody, so that it moves the room's guard.
    ///
    /// Joins do not; every other change of members or of the room counts, whether or not it did in fact, and a revoked login.
    pub fn restricts(&self) -> bool {
        match self {
            Self::Member(change) => change.change != Membership::Join,
            Self::Room(RoomChange::Set { .. }) | Self::Inbox(Notice::Revoked { .. }) => true,
            _ => false,
        }
    }

    /// Returns the earlier position this body changes, if it is about one message.
    pub fn target(&self) -> Option<Seq> {
        if let Self::Erase(_) = self { None } else { self.targets().first().copied() }
    }

    /// Returns the earlier positions this body changes.
    pub fn targets(&self) -> &[Seq] {
        match self {
            Self::Edit(edit) => std::slice::from_ref(&edit.target),
            Self::Delete(target) => std::slice::from_ref(target),
            Self::React(react) => std::slice::from_ref(&react.target),
            Self::Erase(erase) => &erase.targets,
            _ => &[],
        }
    }

    /// Tells whether this says something about `user`, beside who wrote it: as a member, or one of the first.
    pub fn names(&self, user: &UserId) -> bool {
        match self {
            Self::Member(change) => change.user == *user,
            Self::Room(RoomChange::Created(spec)) => spec.members.contains(user),
            _ => false,
        }
    }

    /// Puts another user in the place of one, wherever the body [names](Self::names) them.
    pub fn rename(&mut self, user: &UserId, other: &UserId) {
        match self {
            Self::Member(change) if change.user == *user => change.user = other.clone(),
            Self::Room(RoomChange::Created(spec)) => {
                spec.members.iter_mut().filter(|member| *member == user).for_each(|member| *member = other.clone());
            }
            _ => {}
        }
    }

    /// Removes everything that a person wrote: what stores do to a deleted message and to its edits.
    pub fn blank(&mut self) {
        match self {
            Self::Text(text) => *text = Text::default(),
            Self::Edit(edit) => edit.text.clear(),
            Self::Custom { text, data, .. } => (*text, *data) = (String::new(), Value::Null),
            _ => {}
        }
    }
}
