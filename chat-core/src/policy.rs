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
///
/// Most hosts add rules of their own to those of [`Members`]. Whoever does not override [`screen`](Self::screen) needs
/// no `async_trait`.
///
/// ```
/// use async_trait::async_trait;
/// use chat_core::{Action, Body, Code, Draft, Identity, Kind, Members, Policy, Role, RoomId, Visibility, store::Access};
///
/// struct Shop;
///
/// #[async_trait]
/// impl Policy for Shop {
///     fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code> {
///         Members::default().people_post_kinds(&["shop.wish"]).authorize(who, action, access)?;
///         let role = access.and_then(|access| access.member.as_ref()).map(|member| member.role);
///         match (action, access) {
///             _ if who.kind != Kind::Human => Ok(()),
///             (Action::Create(_), _) => Err(Code::Denied), // the shop makes the rooms
///             (Action::Post { body: Body::Text(_), .. }, Some(access))
///                 if access.room.visibility == Visibility::Public && role < Some(Role::Moderator) =>
///             {
///                 Err(Code::Denied) // everybody may read the news
///             }
///             _ => Ok(()),
///         }
///     }
///
///     async fn screen(&self, _: &Identity, _: RoomId, draft: &mut Draft) -> Result<(), Code> {
///         let has_link = draft.body.text().is_some_and(|text| text.contains("://"));
///         if has_link { Err(Code::Denied) } else { Ok(()) }
///     }
/// }
/// ```
#[async_trait]
pub trait Policy: Send + Sync {
    /// Answers `Ok` or why not: [`Code::Denied`]; [`Code::NotFound`] to hide that there is anything;
    /// [`Code::Retry`] when it cannot be told now. `access` is `None` when the room does not exist. Must not block: it is
    /// called by the tasks that carry the chat.
    ///
    /// **Posts:** every draft is asked about, with an access that may have been read earlier. The store
    /// compares its guard in the commit and has stale drafts judged again, so an answer that follows from the arguments
    /// alone is exact. What else the host looks at counts from the next draft on. Before a refusal the engine
    /// reads the access again and asks once more. Never asked about is what [the host itself](Kind::System) posts.
    ///
    /// **[`Action::Read`]:** asked when a session begins or resumes to follow a room, and for each page of history or
    /// members. While the session follows, the answer lasts. To take it away, let the host post that the user leaves
    /// ([`Membership::Leave`], as [`Identity::system`]), or [end their sessions](crate::Engine::revoke), which are asked
    /// about when they come again.
    ///
    /// All other actions are asked about each time.
    fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code>;

    /// Accepts, changes or refuses a draft of a person before it is stored. Has a deadline; see
    /// [`Limits::screen_within`](crate::Limits::screen_within).
    ///
    /// When a person's first private message is about to open a room for two, the room's
    /// [creation](RoomChange::Created) is looked at, too: its members say whom the message is for, and a host that knows
    /// nobody of that name answers [`Code::NotFound`]. Other members would be another room: a creation whose members are
    /// changed is refused the same way.
    async fn screen(&self, _who: &Identity, _room: RoomId, _draft: &mut Draft) -> Result<(), Code> {
        Ok(())
    }
}

/// Is the default: members read and post, moderators keep order, owners decide, public rooms are open.
///
/// People create rooms with titles, bots and the host also rooms with [names](RoomSpec::name): a room belongs to whoever
/// creates it, and a person who took the name `order:4711` first would own the room that the host meant by it.
///
/// Members post [bodies of the application's own](Body::Custom), too, of whatever kind: a client that shows `shop.order`
/// must look at who says so, or the host [says which kinds](Self::people_post_kinds) people may post.
///
/// Only messages are edited and deleted: what else the log says stays.
///
/// Everybody may leave, the last owner too; a room without one is the host's to mend.
#[derive(Clone, Copy, Debug, Default)]
pub struct Members {
    people_name_rooms: bool,
    kinds: Option<&'static [&'static str]>,
}

impl Members {
    /// Lets people name the rooms they create, too: names go to whoever asks first. For applications that give no room
    /// a name of their own.
    #[must_use]
    pub fn people_name_rooms(mut self) -> Self {
        self.people_name_rooms = true;
        self
    }

    /// Lets people post only these kinds of the application's own. Bots and the host post all of them.
    #[must_use]
    pub fn people_post_kinds(mut self, kinds: &'static [&'static str]) -> Self {
        self.kinds = Some(kinds);
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
            Action::Post { body: Body::Custom { kind, .. }, .. } if !self.may_post_kind(who, kind) => Err(Code::Denied),
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

    fn may_post_kind(self, who: &Identity, kind: &str) -> bool {
        who.kind != Kind::Human || self.kinds.is_none_or(|kinds| kinds.contains(&kind))
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
    let message = || target.filter(|target| target.body.is_message()).ok_or(Code::NotFound);
    let allowed = match body {
        Body::Text(_) | Body::Custom { .. } => true,
        Body::React(_) => target.ok_or(Code::NotFound)?.body.is_message(),
        Body::Edit(_) => message()?.author == who.user,
        Body::Delete(_) => message()?.author == who.user || role >= Role::Moderator,
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
