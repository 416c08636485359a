//! What an entry does to the room: the one place that says how a log becomes rooms, members and messages.
//!
//! Every store applies exactly these changes, so that all of them agree and `fsck` can compare.

use std::sync::Arc;

use serde_json::Value;

use super::{
    Body, Entry, Folded, Member, MemberChange, Membership, Reaction, Role, RoomChange, RoomRecord, Seq, UserId,
};

/// Is one effect of an entry on the projection.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// The room comes to be; its first members follow as [`Change::Join`].
    Create(RoomRecord),
    /// This member is added; who is a member already stays as they are.
    Join(Member),
    /// This user is a member no more.
    Leave(UserId),
    /// This member, if there is one, has another role.
    Role(UserId, Role),
    /// The room's record changes where a value is given.
    Set {
        /// Another title.
        title: Option<Arc<str>>,
        /// Another topic.
        topic: Option<Arc<str>>,
        /// Other data.
        data: Option<Value>,
    },
    /// The message at this position changes: read it, [`fold`] the entry into it, write it back.
    Fold(Seq),
}

/// Returns what `entry` does to its room, in order.
pub fn changes(entry: &Entry) -> Vec<Change> {
    match &entry.body {
        Body::Room(RoomChange::Created(spec)) => {
            let mut all = vec![Change::Create(RoomRecord::new(entry.room, spec, entry.at))];
            // The host creates rooms for others and is no member of them.
            if entry.author != UserId::system() {
                all.push(Change::Join(Member::new(entry.author.clone(), entry.name.clone(), Role::Owner, entry.seq)));
            }
            let others = spec.members.iter().filter(|user| **user != entry.author);
            all.extend(others.map(|user| Change::Join(joined(user, user.as_str().into(), entry.seq))));
            all
        }
        Body::Room(RoomChange::Set { title, topic, data }) => {
            vec![Change::Set { title: title.clone(), topic: topic.clone(), data: data.clone() }]
        }
        Body::Member(MemberChange { user, change }) => vec![match change {
            Membership::Join => {
                let name = if *user == entry.author { entry.name.clone() } else { user.as_str().into() };
                Change::Join(joined(user, name, entry.seq))
            }
            Membership::Leave => Change::Leave(user.clone()),
            Membership::Role(role) => Change::Role(user.clone(), *role),
        }],
        body => body.targets().iter().copied().map(Change::Fold).collect(),
    }
}

fn joined(user: &UserId, name: Arc<str>, since: Seq) -> Member {
    Member::new(user.clone(), name, Role::Member, since)
}

/// Applies an edit, delete, erasure or reaction to a message it is about. A deleted message stays deleted and blank.
///
/// Returns whether `target` changed. The caller checks that `by` is about `target`.
pub fn fold(target: &mut Entry, by: &Entry) -> bool {
    let deleted = target.folded.as_ref().is_some_and(|folded| folded.deleted);
    if deleted || !target.body.is_message() {
        return false;
    }
    let folded = target.folded.get_or_insert_default();
    match &by.body {
        Body::Edit(edit) => {
            match &mut target.body {
                Body::Text(text) => text.text.clone_from(&edit.text),
                Body::Custom { text, .. } => text.clone_from(&edit.text),
                _ => {}
            }
            folded.edited = Some(by.at);
        }
        Body::Delete(_) | Body::Erase(_) => {
            **folded = Folded { deleted: true, ..Folded::default() };
            target.body.blank();
        }
        Body::React(react) => set_reaction(&mut folded.reactions, &react.emoji, &by.author, react.on),
        _ => return false,
    }
    true
}

fn set_reaction(reactions: &mut Vec<Reaction>, emoji: &str, user: &UserId, on: bool) {
    let at = reactions.iter().position(|reaction| reaction.emoji == emoji);
    match (at, on) {
        (Some(at), true) => {
            if !reactions[at].users.contains(user) {
                reactions[at].users.push(user.clone());
            }
        }
        (None, true) => reactions.push(Reaction { emoji: emoji.to_owned(), users: vec![user.clone()] }),
        (Some(at), false) => {
            reactions[at].users.retain(|other| other != user);
            if reactions[at].users.is_empty() {
                reactions.remove(at);
            }
        }
        (None, false) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::{Draft, Edit, EntryId, NewEntry, React, RoomId, RoomSpec, Timestamp};

    fn entry(author: &str, seq: u64, body: Body) -> Entry {
        let author = UserId::new(author).unwrap();
        let name = author.as_str().into();
        let id = EntryId::new(1, [0; 10]);
        NewEntry::new(id, Draft::new(body), author, name, Timestamp(9)).at(RoomId::named("r"), Seq::new(seq).unwrap())
    }

    #[test]
    fn a_creation_makes_the_author_owner_and_the_others_members() {
        let bob = UserId::new("bob").unwrap();
        let spec = RoomSpec::private("g").members([bob.clone()]);
        let all = changes(&entry("ann", 1, Body::Room(RoomChange::Created(spec))));
        assert!(matches!(&all[0], Change::Create(record) if &*record.title == "g"));
        assert!(matches!(&all[1], Change::Join(member) if member.role == Role::Owner));
        assert!(matches!(&all[2], Change::Join(member) if member.user == bob && member.since == Seq::FIRST));
    }

    #[test]
    fn folding_edits_reacts_and_deletes_for_good() {
        let mut message = entry("ann", 2, Body::Text(crate::model::Text::new("helo")));
        let target = message.seq;
        assert!(fold(&mut message, &entry("ann", 3, Body::Edit(Edit { target, text: "hello".into() }))));
        let react = |on| Body::React(React { target, emoji: "👍".into(), on });
        fold(&mut message, &entry("bob", 4, react(true)));
        fold(&mut message, &entry("bob", 5, react(true)));
        assert_eq!(message.body.text(), Some("hello"));
        assert_eq!(message.folded.as_ref().unwrap().reactions[0].users.len(), 1);
        fold(&mut message, &entry("bob", 6, react(false)));
        assert!(message.folded.as_ref().unwrap().reactions.is_empty());
        fold(&mut message, &entry("ann", 7, Body::Delete(target)));
        assert!(!fold(&mut message, &entry("ann", 8, Body::Edit(Edit { target, text: "back".into() }))));
        assert_eq!(message.body.text(), Some(""));
        assert!(message.folded.unwrap().deleted);
    }
}
