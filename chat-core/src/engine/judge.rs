//! Who may post what: the host's policy against an access that holds until the room's guard moves.

use std::collections::HashMap;

use futures::FutureExt;
use tokio::time::{Instant, timeout_at};

use super::{
    Inner,
    submission::{Right, Submission},
};
use crate::{
    model::{
        Body, Draft, Entry, Identity, Key, Kind, Member, Role, RoomChange, RoomId, RoomRecord, RoomSpec, Seq, UserId,
        Visibility,
    },
    policy::Action,
    protocol::{Code, HubError},
    store::Access,
};

/// Rooms and users per room whose access is remembered. Beyond that all is forgotten: reading again is cheap.
const ROOMS_MAX: usize = 4_096;
const USERS_MAX: usize = 256;

/// Remembers accesses for one lane.
#[derive(Default)]
pub(super) struct Judge {
    rooms: HashMap<RoomId, Known>,
}

struct Known {
    guard: Seq,
    users: HashMap<UserId, Option<Access>>,
}

/// Is what a draft is about, beside the room.
#[derive(Default)]
struct About {
    /// The entry that an edit, delete or reaction is about.
    target: Option<Entry>,
    /// The member whom a change of membership is about.
    subject: Option<Member>,
    /// The guard under which `subject` was read.
    guard: Option<Seq>,
}

/// Is the right to store a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permit {
    /// Under this guard.
    pub(super) guard: Seq,
    /// After creating the room.
    pub(super) opens: bool,
}

impl Judge {
    /// Forgets a room, because something in it changed who may do what.
    pub(super) fn forget(&mut self, room: RoomId) {
        self.rooms.remove(&room);
    }

    /// Decides about one draft. A refusal is never given on remembered facts.
    pub(super) async fn authorize(&mut self, engine: &Inner, submission: &Submission) -> Result<Permit, HubError> {
        let (room, who) = (submission.room, &submission.who);
        if let Some(refusal) = submission.refusal {
            return Err(refusal.into());
        }
        if submission.right == Right::Own || who.kind == Kind::System {
            return self.own(engine, submission).await;
        }
        let about = self.about(engine, submission).await?;
        let remembered =
            self.remembered(room, &who.user).map(|access| decide(engine, submission, Some(access), &about));
        let permit = match remembered {
            Some(Ok(permit)) => permit,
            _ => decide(engine, submission, self.read(engine, room, &who.user).await?, &about)?,
        };
        if permit.opens && who.kind == Kind::Human {
            submission.opening.unwrap_or(Err(Code::Retry))?;
        }
        Ok(permit)
    }

    /// Returns a remembered access. That there is none is not relied on: another node may have made the room since.
    fn remembered(&self, room: RoomId, user: &UserId) -> Option<&Access> {
        self.rooms.get(&room)?.users.get(user)?.as_ref()
    }

    /// Lets the host look at what people post, at all of it at once, and at the rooms that it may open.
    pub(super) async fn screen(&mut self, engine: &Inner, batch: Vec<Submission>, until: Instant) -> Vec<Submission> {
        let mut looks = Vec::with_capacity(batch.len());
        for submission in batch {
            let opens =
                matches!(submission.right, Right::Opening(_)) && !self.is_there(engine, &submission, until).await;
            looks.push(screen(engine, submission, opens));
        }
        futures::future::join_all(looks).await.into_iter().flatten().collect()
    }

    /// Tells whether the room is known to exist. What cannot be told now is told when the draft is judged.
    async fn is_there(&mut self, engine: &Inner, submission: &Submission, until: Instant) -> bool {
        let (room, user) = (submission.room, &submission.who.user);
        self.remembered(room, user).is_some()
            || matches!(timeout_at(until, self.read(engine, room, user)).await, Ok(Ok(Some(_))))
    }

    /// The engine's and the host's own entries need no permission, only a guard.
    async fn own(&mut self, engine: &Inner, submission: &Submission) -> Result<Permit, HubError> {
        let room = submission.room;
        if !self.rooms.contains_key(&room) {
            self.read(engine, room, &UserId::system()).await?;
        }
        let known = self.rooms.get(&room);
        let exists = known.is_some_and(|known| known.users.values().any(Option::is_some));
        let opens = !exists && matches!(submission.right, Right::Opening(_));
        Ok(Permit { guard: known.map_or(Seq::ZERO, |known| known.guard), opens })
    }

    async fn read(&mut self, engine: &Inner, room: RoomId, user: &UserId) -> Result<Option<&Access>, HubError> {
        let access = engine.read_access(room, user).await?;
        let guard = access.as_ref().map_or(Seq::ZERO, |access| access.guard);
        if self.rooms.len() >= ROOMS_MAX {
            self.rooms.clear();
        }
        let known = self.rooms.entry(room).or_insert_with(|| Known { guard, users: HashMap::new() });
        if known.guard != guard || known.users.len() >= USERS_MAX {
            *known = Known { guard, users: HashMap::new() };
        }
        Ok(known.users.entry(user.clone()).insert_entry(access).into_mut().as_ref())
    }

    /// Reads what the policy has to know beside the author's access.
    async fn about(&mut self, engine: &Inner, submission: &Submission) -> Result<About, HubError> {
        let (room, body) = (submission.room, &submission.draft.body);
        if let Body::Member(change) = body {
            let access = self.read(engine, room, &change.user).await?;
            let guard = access.map(|access| access.guard);
            return Ok(About { subject: access.and_then(|access| access.member.clone()), guard, target: None });
        }
        let Some(seq) = body.target().filter(|seq| *seq > Seq::ZERO) else { return Ok(About::default()) };
        let found = engine.store.read(room, seq.prev(), 1).await.map_err(|error| engine.store_failed(&error))?;
        Ok(About { target: found.into_iter().next().filter(|entry| entry.seq == seq), ..About::default() })
    }
}

fn decide(engine: &Inner, submission: &Submission, access: Option<&Access>, about: &About) -> Result<Permit, HubError> {
    let (who, body) = (&submission.who, &submission.draft.body);
    let create = |spec| engine.policy.authorize(who, &Action::Create(spec), None).map_err(HubError::from);
    let post = |access| {
        let (target, subject) = (about.target.as_ref(), about.subject.as_ref());
        engine.policy.authorize(who, &Action::Post { body, target, subject }, access).map_err(HubError::from)
    };
    if let Body::Room(RoomChange::Created(spec)) = body {
        create(spec)?;
        return Ok(Permit { guard: access.map_or(Seq::ZERO, |access| access.guard), opens: false });
    }
    if let (None, Right::Opening(spec)) = (access, &submission.right) {
        create(spec)?;
        post(Some(&as_opened(engine, submission, spec)))?;
        return Ok(Permit { guard: Seq::ZERO, opens: true });
    }
    if let Some(inbox) = access.filter(|access| access.room.visibility == Visibility::Inbox) {
        // The engine relies on what inboxes say: no policy lets anybody else write there.
        return Err(if inbox.member.is_some() { Code::Denied } else { Code::NotFound }.into());
    }
    post(access)?;
    let access = access.ok_or(Code::NotFound)?;
    // Both were judged by: if they were read under different guards, the older one makes the store refuse.
    let guard = about.guard.map_or(access.guard, |guard| guard.min(access.guard));
    Ok(Permit { guard, opens: false })
}

/// Returns the author's access to the room that a first entry is about to create.
fn as_opened(engine: &Inner, submission: &Submission, spec: &RoomSpec) -> Access {
    let who = &submission.who;
    Access {
        room: RoomRecord::new(submission.room, spec, engine.clock.now()),
        member: Some(Member::new(who.user.clone(), who.name.clone(), Role::Member, Seq::FIRST)),
        guard: Seq::ZERO,
        as_of: Seq::FIRST,
    }
}

/// Lets the host look at one draft. What it refuses goes on in its order too, with the refusal: an earlier try of it may
/// be stored. Only what cannot be told now is answered here.
async fn screen(engine: &Inner, mut submission: Submission, opens: bool) -> Option<Submission> {
    let who = submission.who.clone();
    if who.kind != Kind::Human || submission.right == Right::Own {
        return Some(submission);
    }
    if let (true, Right::Opening(spec)) = (opens, &mut submission.right) {
        let key = opening_key(submission.draft.key);
        submission.opening = Some(screen_opening(engine, &who, submission.room, key, spec).await);
    }
    match look(engine, &who, submission.room, &mut submission.draft).await {
        Ok(()) => Some(submission),
        Err(code) if code.is_retryable() => {
            submission.refuse(code);
            None
        }
        Err(code) => {
            submission.refusal = Some(code);
            Some(submission)
        }
    }
}

/// Lets the host look at whom a first private message is for. The room's id follows from its members, so a host that would
/// have others means another room.
async fn screen_opening(
    engine: &Inner,
    who: &Identity,
    room: RoomId,
    key: Key,
    spec: &mut RoomSpec,
) -> Result<(), Code> {
    let mut draft = Draft { key, body: Body::Room(RoomChange::Created(spec.clone())) };
    look(engine, who, room, &mut draft).await?;
    match draft.body {
        Body::Room(RoomChange::Created(screened))
            if (&screened.members, screened.visibility) == (&spec.members, spec.visibility) =>
        {
            *spec = screened;
            Ok(())
        }
        _ => Err(Code::NotFound),
    }
}

/// Returns the key of the entry that opens a room: it follows from that of the first message.
pub(super) fn opening_key(first: Key) -> Key {
    first.derive("opening")
}

/// Asks the host, which may take its time, fail, or panic.
async fn look(engine: &Inner, who: &Identity, room: RoomId, draft: &mut Draft) -> Result<(), Code> {
    let before = engine.limits.screen_fails_open.then(|| draft.clone());
    let verdict = std::panic::AssertUnwindSafe(engine.policy.screen(who, room, draft)).catch_unwind();
    match (tokio::time::timeout(engine.limits.screen_within, verdict).await, before) {
        (Ok(Ok(verdict)), _) => verdict,
        (_, Some(before)) => {
            *draft = before; // it may be half changed
            Ok(())
        }
        (_, None) => Err(Code::Retry),
    }
}
