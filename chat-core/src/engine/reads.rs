//! What users read and signal, each behind the host's policy; shared by sessions, REST and bots.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde::Serialize;

use super::{Inner, check, post::Sender};
use crate::{
    fanout::Seat,
    hub::GapReason,
    model::{
        Body, Cursor, Entry, History, Identity, Kind, Member, Page, Role, RoomId, RoomRecord, RoomSpec, RoomSummary,
        Seq, Timestamp, UserId, Visibility,
    },
    policy::Action,
    protocol::{Code, HubError, Outgoing, Signal, Which},
    store::{Access, Listing, StoreError},
};

/// The host's authentication may ask a server of its own.
const AUTHENTICATE_WITHIN: Duration = Duration::from_secs(5);

/// So many edits of one message are told, from the first one on.
const VERSIONS_MAX: u16 = 200;

/// Is a text that a message had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Version {
    /// The position of the entry that gave it: the message itself, or an edit.
    pub seq: Seq,
    /// Who gave it.
    pub author: UserId,
    /// Their latest display name.
    pub name: Arc<str>,
    /// The text.
    pub text: String,
    /// When it was committed.
    pub at: Timestamp,
}

impl Version {
    fn of(entry: Entry) -> Option<Self> {
        let Entry { seq, author, name, body, at, .. } = entry;
        let text = match body {
            Body::Edit(edit) => edit.text,
            body => body.text()?.to_owned(),
        };
        Some(Self { seq, author, name, text, at })
    }
}

/// Is what a client without a connection missed in one room.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CatchUp {
    /// The entries after the cursor, oldest first.
    pub entries: Vec<Entry>,
    /// Positions before them that will not come: first, last, why.
    pub gap: Option<(Seq, Seq, GapReason)>,
    /// The cursor is not of this log: forget what you have of the room.
    pub reset: bool,
    /// There is more; ask again with the cursor of the last entry.
    pub more: bool,
}

impl Inner {
    /// Reads an access; a failure of the store is logged and becomes retry.
    pub(super) async fn read_access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, HubError> {
        self.store.access(room, user).await.map_err(|error| self.store_failed(&error))
    }

    /// Logs a failure of the store, and says what its user is told.
    pub(super) fn store_failed(&self, error: &StoreError) -> HubError {
        metrics::counter!("chat_store_errors_total").increment(1);
        if error.is_transient() && !self.store_answers.load(Ordering::Acquire) {
            tracing::debug!(%error, "the store still fails"); // that it does was said
        } else {
            tracing::warn!(%error, "the store failed");
        }
        if error.is_transient() {
            self.doubt_store(error);
            self.store_answers(false);
        }
        HubError::from(Code::Retry).after(Duration::from_secs(1))
    }

    pub(super) async fn authenticate(&self, token: &str) -> Result<Identity, HubError> {
        match tokio::time::timeout(AUTHENTICATE_WITHIN, self.authenticator.authenticate(token)).await {
            Ok(identity) => Ok(identity?),
            Err(_) => Err(Code::Retry.into()),
        }
    }

    /// Reads the access of somebody who may read the room.
    pub(super) async fn readable(&self, who: &Identity, room: RoomId) -> Result<Access, HubError> {
        let access = self.read_access(room, &who.user).await?;
        self.policy.authorize(who, &Action::Read, access.as_ref())?;
        access.ok_or_else(|| Code::NotFound.into())
    }

    pub(super) async fn list_rooms(
        &self,
        who: &Identity,
        which: Which,
        page: &Page,
    ) -> Result<Vec<RoomSummary>, HubError> {
        let listing = match which {
            Which::Mine => Listing::Of(who.user.clone()),
            Which::Public => Listing::Public(who.user.clone()),
        };
        let mut rooms = self.store.rooms(&listing, page).await.map_err(|error| self.store_failed(&error))?;
        for summary in &mut rooms {
            if summary.member.is_none() && who.kind != Kind::System {
                summary.last = None; // what is said in a room is its members' to read
            }
            hide_earlier(summary);
        }
        Ok(rooms)
    }

    /// Returns one room as lists show it. Who may not read a public room finds it in a list, and so here.
    pub(super) async fn summary(&self, who: &Identity, room: RoomId) -> Result<RoomSummary, HubError> {
        let denied = match self.readable(who, room).await {
            Err(error) if error.code != Code::Denied => return Err(error),
            readable => readable.err(),
        };
        let one = Listing::One(room, who.user.clone());
        let rooms = self.store.rooms(&one, &Page::newest(1)).await.map_err(|error| self.store_failed(&error))?;
        let mut summary = rooms.into_iter().next().ok_or(Code::NotFound)?;
        match denied {
            Some(error) if summary.room.visibility != Visibility::Public => return Err(error),
            Some(_) => summary.last = None,
            None => hide_earlier(&mut summary),
        }
        Ok(summary)
    }

    /// Lists members with whether they are online; the session is told when that changes.
    pub(super) async fn list_members(
        &self,
        who: &Identity,
        room: RoomId,
        page: &Page,
        seat: Option<&Arc<Seat>>,
    ) -> Result<Vec<(Member, bool)>, HubError> {
        self.readable(who, room).await?;
        let members = self.store.members(room, page).await.map_err(|error| self.store_failed(&error))?;
        let users: Vec<UserId> = members.iter().map(|member| member.user.clone()).collect();
        let online = self.watch(seat, room, &users).await;
        Ok(members.into_iter().zip(online).collect())
    }

    pub(super) async fn read_history(&self, who: &Identity, room: RoomId, page: &Page) -> Result<Vec<Entry>, HubError> {
        let access = self.readable(who, room).await?;
        let mut entries = self.store.history(room, page).await.map_err(|error| self.store_failed(&error))?;
        let since = visible_since(&access.room, access.member.as_ref());
        entries.retain(|entry| entry.seq >= since);
        Ok(entries)
    }

    /// Reads the texts that a message had, the first one first. Of a deleted message none is left.
    pub(super) async fn read_versions(
        &self,
        who: &Identity,
        room: RoomId,
        message: Seq,
    ) -> Result<Vec<Version>, HubError> {
        let one = Page::newest(1).after(message.prev().get()).before(message.next().get());
        let shown = self.read_history(who, room, &one).await?.pop().ok_or(Code::NotFound)?;
        if shown.folded.is_some_and(|folded| folded.deleted) {
            return Ok(Vec::new());
        }
        let written = self.raw(room, message.prev(), 1).await?.pop().filter(|entry| entry.seq == message);
        let mut versions: Vec<_> = written.into_iter().filter_map(Version::of).collect();
        let edits = self.store.edits(room, message, message, VERSIONS_MAX).await;
        versions.extend(edits.map_err(|error| self.store_failed(&error))?.into_iter().filter_map(Version::of));
        Ok(versions)
    }

    /// Reads what stands after a cursor, as [`follow`](super::follow) would send it.
    pub(super) async fn catch_up(&self, who: &Identity, cursor: Cursor, limit: u16) -> Result<CatchUp, HubError> {
        let access = self.readable(who, cursor.room).await?;
        let mut found = CatchUp::default();
        let mut after = cursor.seq;
        if cursor.seq > Seq::ZERO {
            let at = self.raw(cursor.room, cursor.seq.prev(), 1).await?;
            let known = at.first().is_some_and(|entry| {
                entry.seq > cursor.seq || (entry.seq == cursor.seq && Some(entry.id) == cursor.id)
            });
            if !known {
                return Ok(CatchUp { reset: true, ..found });
            }
        }
        let since = visible_since(&access.room, access.member.as_ref());
        if after.next() < since {
            found.gap = Some((after.next(), since.prev(), GapReason::NotVisible));
            after = since.prev();
        }
        let limit = limit.clamp(1, Page::LIMIT_MAX);
        found.entries = self.raw(cursor.room, after, limit).await?;
        found.more = found.entries.len() == usize::from(limit);
        if let Some(first) = found.entries.first().filter(|first| first.seq > after.next()) {
            let from = found.gap.map_or(after.next(), |(from, ..)| from);
            found.gap = Some((from, first.seq.prev(), GapReason::Retention));
        }
        Ok(found)
    }

    async fn raw(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, HubError> {
        self.store.read(room, after, limit).await.map_err(|error| self.store_failed(&error))
    }

    /// Passes a signal on, as far as its sender may and not too often.
    pub(super) async fn send_signal(&self, sender: &Sender, room: RoomId, signal: Outgoing) -> Result<(), HubError> {
        // The rate first: what is too much shall not cost a read of the store.
        let late = |wait| HubError::from(Code::RateLimited).after(wait);
        match &signal {
            Outgoing::Typing(on) if !sender.person.may_type(room, *on) => return Ok(()),
            Outgoing::Typing(_) => {}
            Outgoing::Read(_) => sender.person.mark().map_err(late)?,
            Outgoing::Custom { data, .. } => {
                check::data(data, &self.limits)?;
                sender.person.send().map_err(late)?;
            }
        }
        let access = self.readable(&sender.who, room).await?;
        self.policy.authorize(&sender.who, &Action::Signal, Some(&access))?;
        let user = sender.who.user.clone();
        let number = sender.seat.as_ref().map(|seat| seat.number);
        match signal {
            Outgoing::Typing(on) => {
                let name = sender.who.name.clone();
                self.spread(room, Signal::Typing { room, user, name, on }, number).await;
            }
            Outgoing::Read(seq) => {
                let seq = seq.min(access.as_of);
                self.store.mark(&user, room, seq).await.map_err(|error| self.store_failed(&error))?;
                self.spread(RoomId::inbox(&user), Signal::Read { room, seq }, number).await;
            }
            Outgoing::Custom { kind, data } => {
                self.spread(room, Signal::Custom { room, user, kind, data }, number).await;
            }
        }
        Ok(())
    }

    async fn spread(&self, room: RoomId, signal: Signal, except: Option<u64>) {
        if let Some(live) = self.rooms.get(room) {
            live.signal(&signal, except).await;
        }
        self.relay.signal(room, &signal);
    }
}

/// Returns the first position a member may read.
pub(super) fn visible_since(room: &RoomRecord, member: Option<&Member>) -> Seq {
    match (member, room.history) {
        (Some(member), History::SinceJoin) => member.since,
        _ => Seq::FIRST,
    }
}

/// Takes what was said before the user joined out of a summary, where the room hides that.
fn hide_earlier(summary: &mut RoomSummary) {
    let since = visible_since(&summary.room, summary.member.as_ref());
    summary.last.take_if(|entry| entry.seq < since);
}

/// Returns the access to an inbox that nobody has written to yet.
pub(super) fn empty_inbox(user: &UserId) -> Access {
    let spec = RoomSpec { visibility: Visibility::Inbox, ..RoomSpec::default() };
    let room = RoomRecord::new(RoomId::inbox(user), &spec, Timestamp(0));
    let member = Member::new(user.clone(), user.as_str(), Role::Member, Seq::FIRST);
    Access { room, member: Some(member), guard: Seq::ZERO, as_of: Seq::ZERO }
}
