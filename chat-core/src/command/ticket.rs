//! What an answer from elsewhere must bring along.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Sha256;

use super::{CommandResult, Invocation};
use crate::model::{Key, RoomId, Timestamp, UserId};

/// Proves that an answer belongs to a command that this cluster accepted: a MAC over the command's name, the key it
/// was sent under, room, user and deadline, which a worker only echoes.
///
/// Whoever can write to the queue of results, but does not know the cluster's secret, can thus answer nothing that
/// was not asked, and in no other room and for no other user. Not shown by `Debug`; verified by
/// [`CommandResult::decode`] in constant time, unlike by `==`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticket([u8; 32]);

/// Is what a ticket stands for.
struct Errand<'a> {
    name: &'a str,
    key: Key,
    room: RoomId,
    user: &'a UserId,
    deadline: Timestamp,
}

impl Ticket {
    /// Makes the ticket of an invocation; the ticket in it now does not count.
    pub fn issue(secret: &[u8], call: &Invocation) -> Self {
        let Invocation { name, key, room, user, deadline, .. } = call;
        let errand = Errand { name, key: *key, room: *room, user, deadline: *deadline };
        Self(errand.mac(secret).finalize().into_bytes().into())
    }

    /// Tells whether a result holds the ticket of what it says it answers, in the same time for every wrong one.
    pub(super) fn is_genuine(secret: &[u8], result: &CommandResult) -> bool {
        let CommandResult { name, key, room, user, deadline, ticket, .. } = result;
        let errand = Errand { name, key: *key, room: *room, user, deadline: *deadline };
        errand.mac(secret).verify_slice(&ticket.0).is_ok()
    }
}

impl Errand<'_> {
    fn mac(&self, secret: &[u8]) -> Hmac<Sha256> {
        #[allow(clippy::expect_used)] // HMAC takes keys of any length (RFC 2104, section 2)
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes any key");
        let deadline = self.deadline.0.to_be_bytes();
        let parts: [&[u8]; 5] =
            [self.name.as_bytes(), self.key.as_bytes(), self.room.as_bytes(), self.user.as_str().as_bytes(), &deadline];
        mac.update(b"chat.command.ticket");
        for part in parts {
            // With its length before each part, no two errands give the same bytes.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket")
    }
}

impl Serialize for Ticket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Ticket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(String::deserialize(deserializer)?, &mut bytes).map_err(de::Error::custom)?;
        Ok(Self(bytes))
    }
}
