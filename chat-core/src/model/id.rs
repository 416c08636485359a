//! Names of things: rooms, users, entries, positions.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};
use unicode_normalization::is_nfc;
use uuid::{Builder, Uuid, Variant, Version};

/// Says why a text is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// A user id or room name is empty or longer than 128 bytes.
    #[error("must be 1 to 128 bytes long")]
    Length,
    /// A user id or room name holds a control character.
    #[error("must not hold control characters")]
    Control,
    /// A user id or room name is not in Unicode normal form C, so that two spellings would be two users.
    #[error("must be in Unicode normal form C")]
    NotNormal,
    /// A room or entry id is not a UUID.
    #[error("must be a UUID")]
    NotUuid,
    /// A key is a UUID, but of neither version 7 nor 8, so that its age is unknown.
    #[error("must be a UUID of version 7 or 8")]
    KeyVersion,
}

/// Checks a name that the host chose: a user id or the name of a room.
pub(crate) fn check_name(name: &str) -> Result<(), InvalidId> {
    if name.is_empty() || name.len() > 128 {
        return Err(InvalidId::Length);
    }
    if name.chars().any(char::is_control) {
        return Err(InvalidId::Control);
    }
    if is_nfc(name) { Ok(()) } else { Err(InvalidId::NotNormal) }
}

/// Hashes `parts` into a UUID of version 8. Each part is preceded by its length, so that no two lists collide.
fn hashed(domain: &str, parts: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(domain.as_bytes());
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Builder::from_custom_bytes(first_16(&hash.finalize())).into_uuid()
}

pub(super) fn first_16(digest: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes
}

macro_rules! uuid_text {
    ($name:ident) => {
        impl $name {
            /// Wraps 16 bytes that an adapter stored earlier.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// Returns the 16 bytes, as adapters store them.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map_err(|_| InvalidId::NotUuid).and_then(Self::checked)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Uuid::deserialize(deserializer).and_then(|id| Self::checked(id).map_err(de::Error::custom))
            }
        }
    };
}

/// Names one room and its log, in 16 bytes.
///
/// A room of the host's own is addressed by the host's own name; nobody has to keep a table of ids:
///
/// ```
/// use chat_core::RoomId;
/// assert_eq!(RoomId::named("order:4711"), RoomId::named("order:4711"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomId(Uuid);

uuid_text!(RoomId);

impl RoomId {
    /// Makes an id out of 16 random bytes.
    pub fn random(entropy: [u8; 16]) -> Self {
        Self(Builder::from_random_bytes(entropy).into_uuid())
    }

    /// Returns the id of the room with this name.
    pub fn named(name: &str) -> Self {
        Self(hashed("chat.room.named", &[name.as_bytes()]))
    }

    /// Returns the id of the private room of two users, in whichever order they are given.
    pub fn direct(a: &UserId, b: &UserId) -> Self {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        Self(hashed("chat.room.direct", &[low.as_str().as_bytes(), high.as_str().as_bytes()]))
    }

    /// Returns the id of a user's inbox: the log that tells all sessions of that user what concerns them.
    pub fn inbox(user: &UserId) -> Self {
        Self(hashed("chat.room.inbox", &[user.as_str().as_bytes()]))
    }

    #[allow(clippy::unnecessary_wraps)] // the shape that `uuid_text!` needs
    fn checked(id: Uuid) -> Result<Self, InvalidId> {
        Ok(Self(id))
    }
}

/// Names one entry for ever: assigned when the entry is handed to the store, kept by export and import.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(Uuid);

uuid_text!(EntryId);

impl EntryId {
    /// Makes an id (UUID version 7) of a time in ms and ten random bytes.
    pub fn new(unix_ms: i64, entropy: [u8; 10]) -> Self {
        Self(version_7(unix_ms, entropy))
    }

    #[allow(clippy::unnecessary_wraps)] // the shape that `uuid_text!` needs
    fn checked(id: Uuid) -> Result<Self, InvalidId> {
        Ok(Self(id))
    }
}

/// Makes a sender's retries harmless: the same author and key in the same room are stored once.
///
/// A UUID of version 7, whose first 48 bits are the time it was made, or of version 8 when it was
/// [derived](Key::derive) from another. Keep the key with the draft and send it again under the same key
/// until an answer arrives, however long that takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Uuid);

uuid_text!(Key);

impl Key {
    /// Makes a key of a time in ms and ten random bytes.
    pub fn new(unix_ms: i64, entropy: [u8; 10]) -> Self {
        Self(version_7(unix_ms, entropy))
    }

    /// Makes a key from this process's clock and random source.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Derives the key of what follows from this one, such as the one reply to a command.
    ///
    /// The parent's 48 time bits are kept, so that both grow too old together.
    #[must_use]
    pub fn derive(self, label: &str) -> Self {
        let mut bytes = *hashed("chat.key", &[self.0.as_bytes(), label.as_bytes()]).as_bytes();
        bytes[..6].copy_from_slice(&self.0.as_bytes()[..6]);
        Self(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Returns the time in the key, in ms since 1970.
    pub fn unix_ms(self) -> i64 {
        let bytes = self.0.as_bytes();
        bytes[..6].iter().fold(0, |ms, byte| ms << 8 | i64::from(*byte))
    }

    fn checked(id: Uuid) -> Result<Self, InvalidId> {
        let known = matches!(id.get_version(), Some(Version::SortRand | Version::Custom));
        if known && id.get_variant() == Variant::RFC4122 { Ok(Self(id)) } else { Err(InvalidId::KeyVersion) }
    }
}

fn version_7(unix_ms: i64, entropy: [u8; 10]) -> Uuid {
    Builder::from_unix_timestamp_millis(unix_ms.max(0).cast_unsigned(), &entropy).into_uuid()
}

/// Names one process that runs an engine, anew at each start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Uuid);

uuid_text!(NodeId);

impl NodeId {
    /// Makes an id out of 16 random bytes.
    pub fn random(entropy: [u8; 16]) -> Self {
        Self(Builder::from_random_bytes(entropy).into_uuid())
    }

    #[allow(clippy::unnecessary_wraps)] // the shape that `uuid_text!` needs
    fn checked(id: Uuid) -> Result<Self, InvalidId> {
        Ok(Self(id))
    }
}

/// Is a position in a room's log: 1, 2, 3…, without holes. `Seq::ZERO` stands before the first entry.
///
/// Never above 2^53−1, so that every JSON reader holds it exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    /// The position before the first entry.
    pub const ZERO: Self = Self(0);
    /// The position of the entry that creates a room.
    pub const FIRST: Self = Self(1);
    /// The highest position there can be.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// Makes a position; numbers above [`Seq::MAX`] give `None`.
    pub const fn new(number: u64) -> Option<Self> {
        if number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// Reads a position that an adapter stored; what no log can hold is clamped into range.
    pub fn from_stored(number: i64) -> Self {
        Self(number.max(0).cast_unsigned().min(Self::MAX.0))
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the number as databases hold it.
    #[allow(clippy::missing_panics_doc)] // cannot wrap: at most 2^53−1
    pub const fn to_stored(self) -> i64 {
        self.0.cast_signed()
    }

    /// Returns the position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns the position before this one, `ZERO` at the start.
    #[must_use]
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("must be at most 2^53-1"))
    }
}

/// Begins the ids of those who stand for somebody who is erased.
const ERASED: &str = "erased:";

/// Is the host's own name for a user: 1 to 128 bytes in normal form C, without control characters.
///
/// `bot:…`, `erased:…` and `system` are reserved for the engine's own authors: a person under such a name is refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct UserId(Arc<str>);

impl UserId {
    /// Checks and wraps the host's name.
    pub fn new(name: impl Into<Arc<str>>) -> Result<Self, InvalidId> {
        let name = name.into();
        check_name(&name)?;
        Ok(Self(name))
    }

    /// Returns the author of what the engine itself writes.
    pub fn system() -> Self {
        Self("system".into())
    }

    /// Returns the author under which the bot with this name posts.
    pub fn bot(name: &str) -> Result<Self, InvalidId> {
        Self::new(format!("bot:{name}"))
    }

    /// Returns the author of what somebody wrote who is [erased](crate::people); `random` tells such authors apart.
    pub fn stand_in(random: [u8; 8]) -> Self {
        Self(format!("{ERASED}{:016x}", u64::from_be_bytes(random)).into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether the name is kept for the engine's own authors.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with("bot:") || self.is_stand_in() || &*self.0 == "system"
    }

    /// Tells whether this stands for somebody who is erased.
    pub fn is_stand_in(&self) -> bool {
        self.0.starts_with(ERASED)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserId({:?})", self.0)
    }
}

impl FromStr for UserId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

macro_rules! user_id_from {
    ($($number:ty),+) => {$(
        /// Takes the number under which the host's database has the user; every number is a valid id.
        impl From<$number> for UserId {
            fn from(number: $number) -> Self {
                Self(number.to_string().into())
            }
        }
    )+};
}

user_id_from!(i32, i64, u32, u64);

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    #[test]
    fn a_direct_room_is_the_same_for_both_and_for_nobody_else() {
        let (ann, bob, eve) = (user("ann"), user("bob"), user("eve"));
        assert_eq!(RoomId::direct(&ann, &bob), RoomId::direct(&bob, &ann));
        assert_ne!(RoomId::direct(&ann, &bob), RoomId::direct(&ann, &eve));
        assert_ne!(RoomId::direct(&user("a"), &user("bc")), RoomId::direct(&user("ab"), &user("c")));
        assert_ne!(RoomId::inbox(&ann), RoomId::named("ann"));
    }

    #[test]
    fn room_ids_are_pinned_since_they_are_stored() {
        assert_eq!(RoomId::named("order:4711").to_string(), "33299aa6-6f98-859d-8863-19731fb11c8f");
    }

    #[test]
    fn a_key_must_carry_its_age() {
        assert!("01890a5d-ac96-774b-bcce-b302099a8057".parse::<Key>().is_ok());
        assert_eq!("5f2c1f2e-0d0d-4d0d-8d0d-0d0d0d0d0d0d".parse::<Key>(), Err(InvalidId::KeyVersion));
        assert_eq!("hello".parse::<Key>(), Err(InvalidId::NotUuid));
    }

    #[test]
    fn a_derived_key_keeps_its_parents_time_and_differs_by_label() {
        let parent = Key::new(1_700_000_000_123, [7; 10]);
        let reply = parent.derive("reply");
        assert_eq!(reply.unix_ms(), 1_700_000_000_123);
        assert_eq!(reply, parent.derive("reply"));
        assert_ne!(reply, parent.derive("notice"));
        assert!(reply.to_string().parse::<Key>().is_ok());
    }

    #[test]
    fn user_ids_have_one_spelling() {
        assert_eq!(UserId::new(""), Err(InvalidId::Length));
        assert_eq!(UserId::new("x".repeat(129)), Err(InvalidId::Length));
        assert_eq!(UserId::new("a\nb"), Err(InvalidId::Control));
        assert_eq!(UserId::new("e\u{301}"), Err(InvalidId::NotNormal));
        assert!(UserId::stand_in([1; 8]).is_reserved());
        assert!(user("bot:stock").is_reserved() && user("system").is_reserved() && !user("bottle").is_reserved());
    }

    #[test]
    fn a_database_number_is_a_user_id() {
        assert_eq!(UserId::from(4711_i64), user("4711"));
        assert_eq!(UserId::from(u64::MAX).as_str().parse(), Ok(UserId::from(u64::MAX)));
    }

    #[test]
    fn a_seq_never_leaves_what_json_holds_exactly() {
        assert_eq!(Seq::new(1 << 53), None);
        assert!(serde_json::from_str::<Seq>("9007199254740992").is_err());
        assert!(serde_json::from_str::<Seq>("-1").is_err());
        assert!(serde_json::from_str::<Seq>("1.5").is_err());
        assert_eq!(Seq::from_stored(-4), Seq::ZERO);
    }
}
