//! The way of a draft from its sender to a lane or to a command.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Inner, check,
    people::Person,
    submission::{Order, Place, Right, Stored, Submission},
};
use crate::{
    command::{Parsed, parse},
    fanout::Seat,
    hub::Posted,
    model::{
        Body, Draft, Entry, Identity, Key, Kind, MemberChange, Membership, Notice, RoomChange, RoomId, RoomSpec,
        UserId, Visibility,
    },
    protocol::{Code, HubError, Target},
};

/// An inbox that cannot be told something is tried again after these waits; then the sender is told to retry.
const NOTICE_WAITS_MS: [u64; 4] = [0, 100, 500, 2_000];

/// Is who posts, and in what order.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) who: Arc<Identity>,
    pub(crate) person: Arc<Person>,
    /// The session, if there is one: its order holds, and whispers reach it.
    pub(crate) seat: Option<Arc<Seat>>,
    pub(crate) order: Option<Arc<Order>>,
}

/// Is a draft that may go on.
enum Admitted {
    Draft(Option<Place>),
    Command(String),
}

/// Is what became of a draft.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) room: RoomId,
    pub(crate) posted: Posted,
}

impl From<Stored> for Done {
    fn from(Stored { room, seq, id }: Stored) -> Self {
        Self { room, posted: Posted::Stored { seq, id } }
    }
}

impl Inner {
    /// Takes a draft; `answer` is called once, from any task.
    pub(crate) fn post(
        self: &Arc<Self>,
        sender: &Sender,
        target: Target,
        mut draft: Draft,
        answer: impl FnOnce(Result<Done, HubError>) + Send + Sync + 'static,
    ) {
        let taken = self.work.take(); // before it is looked whether the node drains, so that a drain that begins now waits
        let (room, right) = destination(&sender.who, target);
        let key = draft.key;
        match self.admit(sender, room, &mut draft) {
            Ok(Admitted::Draft(place)) => {
                let answer = |stored: Result<Stored, HubError>| answer(stored.map(Done::from));
                let submission = Submission::new(room, draft, sender.who.clone(), right, taken, answer);
                self.lane(room).submit(submission.at(place));
            }
            Ok(Admitted::Command(line)) => self.clone().carry_out(sender.clone(), room, key, line, answer),
            Err(error) => answer(Err(error)),
        }
    }

    /// Creates a room.
    pub(crate) fn create(
        self: &Arc<Self>,
        sender: &Sender,
        key: Key,
        mut spec: RoomSpec,
        answer: impl FnOnce(Result<Done, HubError>) + Send + Sync + 'static,
    ) {
        let taken = self.work.take(); // as in `post`
        let allowed = check::key(key, self.clock.now())
            .and_then(|()| check::spec(&spec, &self.limits))
            .and_then(|()| self.allow_send(sender));
        if let Err(error) = allowed {
            return answer(Err(error));
        }
        let room = match (spec.id.take().filter(|_| sender.who.kind == Kind::System), &spec.name) {
            (Some(id), _) => id,
            (None, Some(name)) => RoomId::named(name),
            // The same creation, sent again, is the same room.
            (None, None) => RoomId::named(&format!("\u{1f}{}\u{1f}{key}", sender.who.user)),
        };
        if spec.title.is_empty() {
            spec.title = spec.name.clone().unwrap_or_default();
        }
        let draft = Draft { key, body: Body::Room(RoomChange::Created(spec)) };
        let submission = Submission::new(room, draft, sender.who.clone(), Right::Judged, taken, |stored| {
            answer(stored.map(Done::from));
        });
        self.lane(room).submit(submission);
    }

    /// Posts the engine's own entry, such as a command's reply, and waits for what becomes of it.
    pub(super) async fn post_own(
        self: &Arc<Self>,
        room: RoomId,
        draft: Draft,
        who: Arc<Identity>,
        right: Right,
    ) -> Result<Stored, HubError> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let submission = Submission::new(room, draft, who, right, self.work.take(), |stored| {
            let _ = answer.send(stored); // nobody waits any more: the entry is stored all the same
        });
        self.lane(room).submit(submission);
        answered.await.unwrap_or_else(|_| Err(Code::Retry.into()))
    }

    /// Checks a draft, gives it its place, and tells whether it is a command. That has none: it is not stored, and if the
    /// queue of commands is away, what its sender says meanwhile must not wait for it.
    fn admit(&self, sender: &Sender, room: RoomId, draft: &mut Draft) -> Result<Admitted, HubError> {
        check::key(draft.key, self.clock.now())?;
        if let (Kind::Human, Body::Text(text)) = (sender.who.kind, &mut draft.body) {
            match parse(&text.text) {
                Parsed::Text(plain) => {
                    if plain.len() != text.text.len() {
                        text.text = plain.to_owned(); // an escaped slash
                    }
                }
                Parsed::Command(_) => {
                    self.allow_send(sender)?;
                    return Ok(Admitted::Command(std::mem::take(&mut text.text)));
                }
                Parsed::Invalid(error) => return Err(HubError::new(Code::InvalidCommand, error.to_string())),
            }
        }
        check::body(&draft.body, &self.limits)?;
        let place = sender.order.as_ref().map(|order| order.admit(room, draft.key)).transpose()?;
        self.allow_send(sender).inspect_err(|_| {
            if let Some(place) = &place {
                place.hold(); // too fast, or draining: both pass
            }
        })?;
        Ok(Admitted::Draft(place))
    }

    fn allow_send(&self, sender: &Sender) -> Result<(), HubError> {
        if self.draining.load(Ordering::Acquire) {
            return Err(Code::Draining.into());
        }
        if sender.who.kind == Kind::Human {
            sender.person.send().map_err(|wait| HubError::from(Code::RateLimited).after(wait))?;
        }
        Ok(())
    }

    /// Tells the inboxes of those whom membership entries concern, then calls `done`. For all other entries that is now.
    ///
    /// Keys follow from the cause, so telling twice is harmless; nobody is told `done` before everybody is told.
    pub(super) fn announce_members<'a>(
        self: Arc<Self>,
        entries: impl Iterator<Item = &'a Entry>,
        done: impl FnOnce(Result<(), HubError>) + Send + Sync + 'static,
    ) {
        let notices: Vec<_> = entries.flat_map(notices).collect();
        if notices.is_empty() {
            return done(Ok(()));
        }
        let taken = self.work.take();
        tokio::spawn(async move {
            let mut result = Ok(());
            for (cause, user, notice) in notices {
                result = self.tell_inbox(&user, cause, notice).await.or_else(told);
                if result.is_err() {
                    break;
                }
            }
            done(result);
            drop(taken);
        });
    }

    /// Writes one notice to a user's inbox.
    pub(super) async fn tell_inbox(
        self: &Arc<Self>,
        user: &UserId,
        cause: Key,
        notice: Notice,
    ) -> Result<(), HubError> {
        let body = Body::Inbox(notice);
        let draft = Draft { key: cause.derive(&body.encode()), body };
        let mut result = Ok(());
        for wait in NOTICE_WAITS_MS {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let right = Right::Opening(Box::new(inbox_spec(user)));
            let who = Arc::new(Identity::system());
            result = self.post_own(RoomId::inbox(user), draft.clone(), who, right).await.map(drop);
            if result.as_ref().map_or_else(|error| !error.code.is_retryable(), |()| true) {
                break;
            }
        }
        result
    }

    /// Answers the creation of a room whose name is taken: who may find it, gets it.
    pub(super) fn answer_existing(self: Arc<Self>, submission: Submission) {
        tokio::spawn(async move {
            let found = self.existing(submission.room, &submission.who).await;
            submission.reply(found);
        });
    }

    async fn existing(&self, room: RoomId, who: &Identity) -> Result<Stored, HubError> {
        let access = self.read_access(room, &who.user).await?.ok_or(Code::NotFound)?;
        if access.member.is_none() && access.room.visibility != Visibility::Public && who.kind != Kind::System {
            return Err(HubError::new(Code::Conflict, "this name is taken"));
        }
        let first =
            self.store.read(room, crate::model::Seq::ZERO, 1).await.map_err(|error| self.store_failed(&error))?;
        let first = first.first().ok_or(Code::NotFound)?;
        Ok(Stored { room, seq: first.seq, id: first.id })
    }
}

/// Returns the room that is meant, and whether the first draft creates it.
fn destination(who: &Identity, target: Target) -> (RoomId, Right) {
    match target {
        Target::Room(room) => (room, Right::Judged),
        Target::User(user) => {
            let spec = direct_spec(&who.user, &user);
            (RoomId::direct(&who.user, &user), Right::Opening(Box::new(spec)))
        }
    }
}

fn direct_spec(a: &UserId, b: &UserId) -> RoomSpec {
    RoomSpec { visibility: Visibility::Direct, ..RoomSpec::default() }.members([a.clone(), b.clone()])
}

fn inbox_spec(user: &UserId) -> RoomSpec {
    RoomSpec { visibility: Visibility::Inbox, ..RoomSpec::default() }.members([user.clone()])
}

/// Says what an inbox's refusal means to the sender of an entry that is stored, and must not be told it is not: an
/// inbox that holds the key, or held and trimmed it, was told; with anything else the sender tries again.
fn told(refusal: HubError) -> Result<(), HubError> {
    match refusal.code {
        Code::TooOld | Code::Conflict => Ok(()),
        code if code.is_retryable() => Err(refusal),
        _ => Err(Code::Retry.into()),
    }
}

/// Returns whom an entry concerns and what they have to be told, under the entry's key.
fn notices(entry: &Entry) -> Vec<(Key, UserId, Notice)> {
    let joined = |user: &UserId| (entry.key, user.clone(), Notice::Joined(entry.room));
    match &entry.body {
        Body::Room(RoomChange::Created(spec)) if spec.visibility != Visibility::Inbox => {
            let others = spec.members.iter().filter(|user| **user != entry.author);
            std::iter::once(&entry.author).chain(others).filter(|user| !user.is_reserved()).map(joined).collect()
        }
        Body::Member(MemberChange { user, change: Membership::Join }) => vec![joined(user)],
        Body::Member(MemberChange { user, change: Membership::Leave }) => {
            vec![(entry.key, user.clone(), Notice::Left(entry.room))]
        }
        _ => Vec::new(),
    }
}
