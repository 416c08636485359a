//! What is written, inside a transaction.

use chat_core::{
    Entry, RoomId, Seq, StoreError, UserId,
    store::{Append, Consumer, Outcome, Part, Projected},
};

use crate::{
    append::{append, trim},
    connection::Db,
    feed,
    people::{forget, forget_in},
    project::{mark, project},
    repair,
    restore::restore,
    steps::Steps,
};

/// Is what a store is asked to write.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Append(Vec<Append>),
    Trim(RoomId, Seq),
    Mark(UserId, RoomId, Seq),
    Project(Vec<Entry>),
    Follow(Consumer),
    Advance(Consumer, Vec<(RoomId, Seq)>),
    Unfollow(Consumer),
    ForgetIn(RoomId, UserId, UserId),
    Forget(UserId, UserId),
    Restore(Part),
    SetRoom(Projected),
    SetMessage(Entry),
}

/// Is an outcome for each entry; empty for work other than appending.
pub(crate) type Answer = Vec<Vec<Outcome>>;

impl Work {
    fn batch(&self) -> Option<&Vec<Append>> {
        if let Self::Append(batch) = self { Some(batch) } else { None }
    }

    /// Does several works, all appends together.
    pub(crate) async fn carry_out<C: Steps>(works: &[Self], db: &mut Db<'_, C>) -> Result<Vec<Answer>, StoreError> {
        let batches: Vec<_> = works.iter().filter_map(Self::batch).collect();
        let mut appended = append(db, &batches).await?.into_iter();
        let mut answers = Vec::with_capacity(works.len());
        for work in works {
            let mut answer = Answer::new();
            match work {
                Self::Append(_) => answer = appended.next().unwrap_or_default(),
                Self::Trim(room, through) => trim(db, *room, *through).await?,
                Self::Mark(user, room, read) => mark(db, user, *room, *read).await?,
                Self::Project(entries) => project(db, entries).await?,
                Self::Follow(consumer) => feed::follow(db, consumer).await?,
                Self::Advance(consumer, places) => feed::advance(db, consumer, places).await?,
                Self::Unfollow(consumer) => feed::forget(db, consumer).await?,
                Self::ForgetIn(room, user, stand_in) => forget_in(db, *room, user, stand_in).await?,
                Self::Forget(user, stand_in) => forget(db, user, stand_in).await?,
                Self::Restore(part) => restore(db, part).await?,
                Self::SetRoom(room) => repair::set_room(db, room).await?,
                Self::SetMessage(message) => repair::set_message(db, message).await?,
            }
            answers.push(answer);
        }
        Ok(answers)
    }
}
