//! The chat as one user has it, in this process.

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};

use super::{
    CatchUp, Engine, Inner, Peer, Version, check,
    local::{Events, LocalOutbox, NoBytes},
    post::{Done, Sender},
    session::First,
};
use crate::{
    hub::{Event, Hub, Posted, Room, Start},
    model::{Cursor, Draft, Entry, Identity, Key, Member, Page, RoomId, RoomSpec, RoomSummary, Seq, UserId},
    protocol::{Code, HubError, Outgoing, Target, Which},
};

/// Is the chat as one user has it: [`Hub`], and what a REST interface needs beside it.
///
/// Cheap to make and to clone; it holds no connection. Policy and limits are those of every other way in.
#[derive(Clone, Debug)]
pub struct LocalHub {
    engine: Engine,
    sender: Sender,
}

impl Engine {
    /// Returns the chat as this user has it. A person under a name that is [reserved](UserId::is_reserved) may not act
    /// here.
    pub fn hub(&self, identity: Identity) -> LocalHub {
        let who = Arc::new(identity);
        let person = self.inner().people.person(&who.user);
        LocalHub { engine: self.clone(), sender: Sender { who, person, seat: None, order: None } }
    }
}

impl LocalHub {
    /// Returns whom this hub acts for.
    pub fn identity(&self) -> &Identity {
        &self.sender.who
    }

    /// Lists rooms: the user's own or all public ones.
    pub async fn list(&self, which: Which, page: Page) -> Result<Vec<RoomSummary>, HubError> {
        self.inner().list_rooms(&self.sender.who, which, &page).await
    }

    /// Returns one room as a list shows it: to who may read it, and a public one to everybody.
    pub async fn summary(&self, room: RoomId) -> Result<RoomSummary, HubError> {
        self.inner().summary(&self.sender.who, room).await
    }

    /// Reads what a client without a connection missed after a cursor.
    pub async fn catch_up(&self, cursor: Cursor, limit: u16) -> Result<CatchUp, HubError> {
        self.inner().catch_up(&self.sender.who, cursor, limit).await
    }

    /// Reads the texts that a message had, the first one first, up to 200 of its edits. Of a deleted message none is left.
    pub async fn versions(&self, room: RoomId, message: Seq) -> Result<Vec<Version>, HubError> {
        self.inner().read_versions(&self.sender.who, room, message).await
    }

    /// Lists members with whether each is online.
    pub async fn members_online(&self, room: RoomId, page: Page) -> Result<Vec<(Member, bool)>, HubError> {
        self.inner().list_members(&self.sender.who, room, &page, None).await
    }

    /// Posts to a room, or to a user whose private room the first post creates. Returns the room with the answer.
    ///
    /// # Cancel safety
    /// As [`Room::post`].
    pub async fn post_to(&self, target: Target, draft: Draft) -> Result<(RoomId, Posted), HubError> {
        self.ask(|inner, sender, answer| inner.post(sender, target, draft, answer)).await
    }

    /// Creates a room under a key of the caller's, so that it can be tried again.
    pub async fn create_under(&self, key: Key, spec: RoomSpec) -> Result<(RoomId, Posted), HubError> {
        self.ask(|inner, sender, answer| inner.create(sender, key, spec, answer)).await
    }

    async fn ask(
        &self,
        request: impl FnOnce(&Arc<Inner>, &Sender, Box<dyn FnOnce(Result<Done, HubError>) + Send + Sync>),
    ) -> Result<(RoomId, Posted), HubError> {
        check::author(&self.sender.who)?;
        let (answer, answered) = tokio::sync::oneshot::channel();
        request(
            self.inner(),
            &self.sender,
            Box::new(|done| {
                let _ = answer.send(done); // the caller has left; the draft goes on
            }),
        );
        let done = answered.await.unwrap_or_else(|_| Err(Code::Retry.into()))?;
        Ok((done.room, done.posted))
    }

    fn inner(&self) -> &Arc<Inner> {
        self.engine.inner()
    }

    fn at(&self, target: Target, id: RoomId) -> Arc<dyn Room> {
        Arc::new(LocalRoom { hub: self.clone(), target, id })
    }

    /// Begins a session in this process.
    fn session(&self, first: First) -> BoxStream<'static, Event> {
        let outbox = Arc::new(LocalOutbox::default());
        let peer = Peer::known(None, (*self.sender.who).clone());
        let session = self.engine.connect(peer, outbox.clone(), self.inner().no_bytes.clone());
        session.begin(first);
        Events::new(session, outbox).boxed()
    }
}

/// Returns the one encoding that all local sessions share.
pub(super) fn no_bytes() -> Arc<dyn crate::fanout::Encoding> {
    Arc::new(NoBytes)
}

#[async_trait]
impl Hub for LocalHub {
    async fn create(&self, spec: RoomSpec) -> Result<Arc<dyn Room>, HubError> {
        let (room, _) = self.create_under(Key::generate(), spec).await?;
        Ok(self.at(Target::Room(room), room))
    }

    async fn room(&self, id: RoomId) -> Result<Arc<dyn Room>, HubError> {
        self.inner().readable(&self.sender.who, id).await?;
        Ok(self.at(Target::Room(id), id))
    }

    fn direct(&self, with: &UserId) -> Arc<dyn Room> {
        let id = RoomId::direct(&self.sender.who.user, with);
        self.at(Target::User(with.clone()), id)
    }

    async fn rooms(&self, page: Page) -> Result<Vec<RoomSummary>, HubError> {
        self.list(Which::Mine, page).await
    }

    fn events(&self, resume: Vec<Cursor>) -> BoxStream<'static, Event> {
        self.session(First::All(resume))
    }
}

/// Is one room as one user has it, in this process.
#[derive(Clone, Debug)]
struct LocalRoom {
    hub: LocalHub,
    target: Target,
    id: RoomId,
}

#[async_trait]
impl Room for LocalRoom {
    fn id(&self) -> RoomId {
        self.id
    }

    async fn post(&self, draft: Draft) -> Result<Posted, HubError> {
        self.hub.post_to(self.target.clone(), draft).await.map(|(_, posted)| posted)
    }

    async fn signal(&self, signal: Outgoing) -> Result<(), HubError> {
        check::author(&self.hub.sender.who)?;
        self.hub.inner().send_signal(&self.hub.sender, self.id, signal).await
    }

    async fn history(&self, page: Page) -> Result<Vec<Entry>, HubError> {
        self.hub.inner().read_history(&self.hub.sender.who, self.id, &page).await
    }

    async fn members(&self, page: Page) -> Result<Vec<Member>, HubError> {
        let members = self.hub.members_online(self.id, page).await?;
        Ok(members.into_iter().map(|(member, _)| member).collect())
    }

    fn events(&self, start: Start) -> BoxStream<'static, Event> {
        self.hub.session(First::Room(self.id, start))
    }
}
