//! The port to the host's rules: who may do what.

use async_trait::async_trait;

use crate::{
    model::{Body, Draft, Entry, Identity, Kind, Member, Membership, Role, RoomChange, RoomId, RoomSpec, Visibility},
    protocol::Code,
    store::Access,
};

/// Is what somebody wants to do.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Action<'a> {
    /// Create this room.
    Create(&'a RoomSpec),
    /// Post this.
    Post {
        /// What.
        body: &'a Body,
        /// The entry that an edit, delete or reaction is about, if it exists.
        target: Option<&'a Entry>,
        /// The member whom a change of membership is about, if they are one.
        subject: Option<&'a Member>,
    },
    /// Follow the room, read its history and its members.
    Read,
    /// Send a signal (typing, read marks, the application's own) to the room.
    Signal,
    /// Use this slash command in the room.
    Command(&'a str),
}

/// Decides what users may do, and looks at what they post.
#[async_trait]
pub trait Policy: Send + Sync {
    /// Answers `Ok` or why not: [`Code::Denied`]; [`Code::NotFound`] to hide that there is anything;
    /// [`Code::Retry`] when it cannot be told now. `access` is `None` when the room does not exist.
    ///
    /// Must be pure: the answer holds for as long as `access.guard` does, and is remembered that long. Before a
    /// refusal the engine reads the access again and asks once more.
    fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code>;

    /// Accepts, changes or refuses a draft of a person before it is stored. Has a deadline; see
    /// [`Limits::screen`](crate::Limits).
    async fn screen(&self, _who: &Identity, _room: RoomId, _draft: &mut Draft) -> Result<(), Code> {
        Ok(())
    }
}

/// Is the default: members read and post, moderators keep order, owners decide, public rooms are open.
///
/// People create rooms with titles, bots and the host also rooms with [names](RoomSpec::name): a room belongs to whoever
/// creates it, and a person who took the name `order:4711` first would own the room that the host meant by it.
///
/// Everybody may leave, the last owner too; a room without one is the host's to mend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Members {
    people_name_rooms: bool,
}

impl Members {
    /// Lets people name the rooms they create, too: names go to whoever asks first. For applications that give no room
    /// a name of their own.
    #[must_use]
    pub fn people_name_rooms(mut self) -> Self {
        self.people_name_rooms = true;
        self
    }
}

#[async_trait]
impl Policy for Members {
    fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code> {
        if who.kind == Kind::System {
            return Ok(());
        }
        if let Action::Create(spec) = action {
            return self.may_create(who, spec);
        }
        let access = access.ok_or(Code::NotFound)?;
        let Some(member) = &access.member else { return outsider(who, action, access) };
        match action {
            Action::Post { body, target, subject } => may_post(who, member.role, body, *target, *subject, access),
            _ => Ok(()),
        }
    }
}

impl Members {
    fn may_create(self, who: &Identity, spec: &RoomSpec) -> Result<(), Code> {
        let is_named = spec.name.is_some() && who.kind == Kind::Human && !self.people_name_rooms;
        if is_named || spec.id.is_some() || spec.visibility == Visibility::Inbox { Err(Code::Denied) } else { Ok(()) }
    }
}

/// Judges who is no member: a public room can be joined, everything else does not exist.
fn outsider(who: &Identity, action: &Action<'_>, access: &Access) -> Result<(), Code> {
    if access.room.visibility != Visibility::Public {
        return Err(Code::NotFound);
    }
    match action {
        Action::Post { body: Body::Member(change), .. } if change.user == who.user => match change.change {
            Membership::Join => Ok(()),
            _ => Err(Code::Denied),
        },
        _ => Err(Code::Denied),
    }
}

fn may_post(
    who: &Identity,
    role: Role,
    body: &Body,
    target: Option<&Entry>,
    subject: Option<&Member>,
    access: &Access,
) -> Result<(), Code> {
    let allowed = match body {
        Body::Text(_) | Body::Custom { .. } => true,
        Body::React(_) => target.ok_or(Code::NotFound)?.body.is_message(),
        Body::Edit(_) => target.ok_or(Code::NotFound)?.author == who.user,
        Body::Delete(_) => target.ok_or(Code::NotFound)?.author == who.user || role >= Role::Moderator,
        Body::Member(change) => {
            let oneself = change.user == who.user;
            match change.change {
                _ if access.room.visibility == Visibility::Direct => false,
                Membership::Join => oneself || role >= Role::Moderator || access.room.visibility == Visibility::Public,
                Membership::Leave if oneself => true,
                Membership::Leave => role == Role::Owner || role > subject.ok_or(Code::NotFound)?.role,
                Membership::Role(_) => !oneself && role == Role::Owner,
            }
        }
        Body::Room(RoomChange::Set { .. }) => role == Role::Owner,
        Body::Room(RoomChange::Created(_)) | Body::Erase(_) | Body::Inbox(_) | Body::Unknown(_) => false,
    };
    if allowed { Ok(()) } else { Err(Code::Denied) }
}
