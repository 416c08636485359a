//! Who may post what: the host's policy against an access that holds until the room's guard moves.

use std::collections::HashMap;

use futures::FutureExt;

use super::{
    Inner,
    submission::{Right, Submission},
};
use crate::{
    model::{
        Body, Draft, Entry, Identity, Kind, Member, Role, RoomChange, RoomId, RoomRecord, RoomSpec, Seq, UserId,
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
        let remembered = self.rooms.get(&room).and_then(|known| known.users.get(&who.user));
        let permit = match remembered.map(|access| decide(engine, submission, access.as_ref(), &about)) {
            Some(Ok(permit)) => permit,
            _ => decide(engine, submission, self.read(engine, room, &who.user).await?, &about)?,
        };
        match &submission.right {
            Right::Opening(spec) if permit.opens => screen_opening(engine, submission, spec).await?,
            _ => {}
        }
        Ok(permit)
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

/// Lets the host look at what people post. What it refuses goes on in its order too, with the refusal: an earlier try
/// of it may be stored. Only what cannot be told now is answered here.
pub(super) async fn screen(engine: &Inner, batch: Vec<Submission>) -> Vec<Submission> {
    let looks = batch.into_iter().map(async |mut submission: Submission| {
        if submission.who.kind != Kind::Human || submission.right == Right::Own {
            return Some(submission);
        }
        let who = submission.who.clone();
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
    });
    futures::future::join_all(looks).await.into_iter().flatten().collect()
}

/// Lets the host look at whom a first private message is for. The room's id follows from its members, so a host that would
/// have others means another room.
async fn screen_opening(engine: &Inner, submission: &Submission, spec: &RoomSpec) -> Result<(), HubError> {
    if submission.who.kind != Kind::Human {
        return Ok(());
    }
    let creation = Body::Room(RoomChange::Created(spec.clone()));
    let mut draft = Draft::new(creation.clone());
    look(engine, &submission.who, submission.room, &mut draft).await?;
    if draft.body == creation { Ok(()) } else { Err(Code::NotFound.into()) }
}

/// Asks the host, which may take its time, fail, or panic.
async fn look(engine: &Inner, who: &Identity, room: RoomId, draft: &mut Draft) -> Result<(), Code> {
    let look = std::panic::AssertUnwindSafe(engine.policy.screen(who, room, draft)).catch_unwind();
    match tokio::time::timeout(engine.limits.screen_within, look).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) | Err(_) if engine.limits.screen_fails_open => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Code::Retry),
    }
}
