//! One room, over the connection of its hub.

use async_trait::async_trait;
use chat_core::{
    Code, Cursor, Draft, Entry, Event, HubError, Member, Outgoing, Page, Posted, Room, RoomId, Start,
    protocol::{Request, Target},
};
use futures::stream::BoxStream;

use super::{RemoteHub, frames::Answer, link::Order};

/// Is one room as one user has it, far away.
#[derive(Debug)]
pub(super) struct RemoteRoom {
    pub(super) hub: RemoteHub,
    pub(super) target: Target,
    pub(super) id: RoomId,
}

#[async_trait]
impl Room for RemoteRoom {
    fn id(&self) -> RoomId {
        self.id
    }

    async fn post(&self, draft: Draft) -> Result<Posted, HubError> {
        let (room, target) = (self.id, self.target.clone());
        let done = self.hub.order(|answer| Order::Post { room, target, draft, answer }).await?;
        done.map(|(_, posted)| posted)
    }

    async fn signal(&self, signal: Outgoing) -> Result<(), HubError> {
        let room = self.id;
        let sent = self.hub.order(|answer| Order::Signal { room, signal, answer }).await?;
        if sent { Ok(()) } else { Err(HubError::new(Code::Retry, "not connected right now")) }
    }

    async fn history(&self, page: Page) -> Result<Vec<Entry>, HubError> {
        match self.hub.ask(Request::History { room: self.id, page }).await? {
            Answer::History(entries) => Ok(entries),
            _ => Err(Code::Invalid.into()),
        }
    }

    async fn members(&self, page: Page) -> Result<Vec<Member>, HubError> {
        match self.hub.ask(Request::Members { room: self.id, page }).await? {
            Answer::Members(members) => Ok(members),
            _ => Err(Code::Invalid.into()),
        }
    }

    fn events(&self, start: Start) -> BoxStream<'static, Event> {
        let after = match start {
            Start::Oldest => Some(Cursor::start(self.id)),
            Start::After(cursor) => Some(cursor),
            _ => None,
        };
        let room = self.id;
        self.hub.receive(Some(room), |receiver| Order::Receive { receiver, room, after })
    }
}
