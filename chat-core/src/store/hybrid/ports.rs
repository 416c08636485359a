//! The ports of two stores as those of one.

use async_trait::async_trait;

use super::Hybrid;
use crate::{
    model::{Entry, Member, Page, RoomId, RoomSummary, Seq, UserId},
    store::{Access, Append, Behind, Consumer, Feed, Head, Listing, LogStore, Outcome, RoomStore, StoreError, Tail},
};

/// Returns what of a batch was stored, as it stands in the logs.
fn stored(batch: &[Append], answers: &[Vec<Outcome>]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (share, outcomes) in batch.iter().zip(answers) {
        for (new, outcome) in share.entries.iter().zip(outcomes) {
            if let Outcome::Stored(seq) = outcome {
                entries.push(new.at(share.room, *seq));
            }
        }
    }
    entries
}

#[async_trait]
impl<L: LogStore + Feed, R: RoomStore> LogStore for Hybrid<L, R> {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        let answers = self.log.append(batch).await?;
        let stored = stored(batch, &answers);
        if !stored.is_empty() {
            self.follow(&stored).await;
        }
        Ok(answers)
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.log.read(room, after, limit).await
    }

    async fn edits(&self, room: RoomId, target: Seq, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.log.edits(room, target, after, limit).await
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        self.log.history(room, page).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        self.log.heads(rooms).await
    }

    /// Lets the room follow first: what is forgotten cannot be projected any more.
    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        for head in self.log.heads(&[room]).await? {
            self.catch_up_in(room, head.seq).await?;
        }
        self.log.trim(room, through).await
    }

    async fn tails(&self, user: Option<&UserId>, after: &[(RoomId, Seq)]) -> Result<Vec<Tail>, StoreError> {
        self.log.tails(user, after).await
    }
}

#[async_trait]
impl<L: LogStore + Feed, R: RoomStore> RoomStore for Hybrid<L, R> {
    /// Catches up first when the room is behind its log.
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        let rooms = [room];
        let (heads, access) = futures::try_join!(self.log.heads(&rooms), self.rooms.access(room, user))?;
        let head = heads.first().map_or(Seq::ZERO, |head| head.seq);
        let as_of = access.as_ref().map_or(Seq::ZERO, |access| access.as_of);
        if as_of >= head || self.catch_up_in(room, head).await? == 0 {
            return Ok(access);
        }
        self.rooms.access(room, user).await
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.rooms.members(room, page).await
    }

    /// Completes the rooms' list by what only the logs know.
    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        if let Listing::One(room, user) = which {
            self.access(*room, user).await?; // which catches up
        }
        let mut rooms = self.rooms.rooms(which, page).await?;
        let user = match which {
            Listing::Of(user) | Listing::Public(user) | Listing::One(_, user) => Some(user),
            Listing::All => None,
        };
        let after = |summary: &RoomSummary| match &summary.member {
            Some(member) => summary.read.max(member.since),
            None => summary.head, // nothing is counted for who is no member
        };
        let places: Vec<_> = rooms.iter().map(|summary| (summary.room.id, after(summary))).collect();
        let tails = self.log.tails(user, &places).await?;
        for (summary, tail) in rooms.iter_mut().zip(tails) {
            summary.unread = if summary.member.is_some() { tail.unread } else { 0 };
            summary.last = tail.last;
        }
        Ok(rooms)
    }

    async fn memberships(&self, user: &UserId, rooms_max: u16) -> Result<Vec<Access>, StoreError> {
        self.rooms.memberships(user, rooms_max).await
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.rooms.mark(user, room, read).await
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.rooms.project(entries).await
    }
}

/// The feed of the log.
#[async_trait]
impl<L: LogStore + Feed, R: RoomStore> Feed for Hybrid<L, R> {
    async fn behind(&self, consumer: &Consumer, limit: u16) -> Result<Vec<Behind>, StoreError> {
        self.log.behind(consumer, limit).await
    }

    async fn advance(&self, consumer: &Consumer, places: &[(RoomId, Seq)]) -> Result<(), StoreError> {
        self.log.advance(consumer, places).await
    }

    async fn leave(&self, consumer: &Consumer) -> Result<(), StoreError> {
        self.log.leave(consumer).await
    }
}
