//! A draft on its way through a lane, and who waits for it.

use std::{collections::HashMap, fmt, sync::Arc};

use parking_lot::Mutex;

use super::drain::Taken;
use crate::{
    model::{Body, Draft, EntryId, Identity, Key, RoomId, RoomSpec, Seq},
    protocol::{Code, HubError},
};

/// Is where a draft was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) room: RoomId,
    pub(crate) seq: Seq,
    pub(crate) id: EntryId,
}

/// Says by what right a draft is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Right {
    /// The policy decides.
    Judged,
    /// The policy decides, and if the room does not exist yet, this creates it.
    Opening(Box<RoomSpec>),
    /// The engine's own: replies of commands.
    Own,
}

/// Is a draft in a lane. Whoever drops it unanswered answers retry.
pub(crate) struct Submission {
    pub(crate) room: RoomId,
    pub(crate) draft: Draft,
    pub(crate) who: Arc<Identity>,
    pub(crate) right: Right,
    /// How often it was judged and had to be judged again.
    pub(crate) judgements: u8,
    key: Key,
    order: Option<Arc<Order>>,
    reply: Reply,
    _taken: Taken,
}

type Answer = Box<dyn FnOnce(Result<Stored, HubError>) + Send + Sync>;

struct Reply(Option<Answer>);

impl Reply {
    fn send(&mut self, result: Result<Stored, HubError>) {
        if let Some(answer) = self.0.take() {
            answer(result);
        }
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        if self.reply.0.is_some() {
            self.refuse_now(&Code::Retry.into());
        }
    }
}

impl Submission {
    pub(crate) fn new(
        room: RoomId,
        draft: Draft,
        who: Arc<Identity>,
        right: Right,
        taken: Taken,
        answer: impl FnOnce(Result<Stored, HubError>) + Send + Sync + 'static,
    ) -> Self {
        let key = draft.key;
        let reply = Reply(Some(Box::new(answer)));
        Self { room, draft, who, right, judgements: 0, key, order: None, reply, _taken: taken }
    }

    /// Holds the draft to the order of its sender's session.
    #[must_use]
    pub(crate) fn in_order(mut self, order: Arc<Order>) -> Self {
        self.order = Some(order);
        self
    }

    /// Takes the draft out, to be stored; key and sender stay.
    pub(crate) fn take_draft(&mut self) -> Draft {
        let body = std::mem::replace(&mut self.draft.body, Body::Delete(Seq::ZERO));
        Draft { key: self.key, body }
    }

    pub(crate) fn reply(mut self, result: Result<Stored, HubError>) {
        match result {
            Ok(stored) => self.reply.send(Ok(stored)),
            Err(error) => self.refuse_now(&error),
        }
    }

    pub(crate) fn refuse(mut self, error: impl Into<HubError>) {
        self.refuse_now(&error.into());
    }

    /// Answers the sender although the draft may go on.
    pub(crate) fn refuse_now(&mut self, error: &HubError) {
        if let (true, Some(order)) = (error.code.is_retryable(), &self.order) {
            order.hold(self.room, self.key);
        }
        self.reply.send(Err(error.clone()));
    }

    /// Tells whether an earlier draft of the same session to this room has to come again first.
    pub(crate) fn waits_behind(&self) -> Option<HubError> {
        let order = self.order.as_ref()?;
        order.is_behind(self.room, self.key).then(|| Code::Behind.into())
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").field("room", &self.room).field("key", &self.key).finish_non_exhaustive()
    }
}

/// Keeps one session's order: after a refusal that may be retried, later drafts to that room wait until the refused
/// one has come again.
#[derive(Debug, Default)]
pub(crate) struct Order {
    held: Mutex<HashMap<RoomId, Key>>,
}

impl Order {
    /// Notes that this draft has to come again first, unless an earlier one has to.
    pub(crate) fn hold(&self, room: RoomId, key: Key) {
        self.held.lock().entry(room).or_insert(key);
    }

    /// Tells whether a draft comes out of turn.
    fn is_behind(&self, room: RoomId, key: Key) -> bool {
        self.held.lock().get(&room).is_some_and(|held| *held != key)
    }

    /// Takes a draft that comes in: the one that was held frees the room, any other is out of turn.
    pub(crate) fn admit(&self, room: RoomId, key: Key) -> Result<(), HubError> {
        let mut held = self.held.lock();
        match held.get(&room) {
            Some(first) if *first == key => {
                held.remove(&room);
                Ok(())
            }
            Some(_) => Err(Code::Behind.into()),
            None => Ok(()),
        }
    }
}
