//! Stores that put right what they made of their logs, with one defect each.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use async_trait::async_trait;
use chat_core::{
    Entry, LogStore, Member, Page, PeopleStore, RoomId, RoomStore, RoomSummary, Seq, StoreError, UserId,
    conformance::repair::RepairUnderTest,
    memory::MemoryStore,
    model::Person,
    store::{
        Access, Append, Behind, Consumer, Feed, Head, Kept, Listing, LogState, Outcome, Part, Projected, Repair,
        Restore,
    },
};

use super::mutants;

mutants! { repair, broken;
    a_room_becomes_what_it_is_set_to: KeepsRecords | KeepsGuards | KeepsTimes | KeepsWhoShouldGo | AddsNobody | LosesMarks,
    a_room_whose_log_goes_on_is_left_alone: TakesWhatIsOld,
    a_message_becomes_what_it_is_set_to: KeepsMessages | KeepsWhatWasDone,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    KeepsRecords,
    KeepsGuards,
    KeepsTimes,
    KeepsWhoShouldGo,
    AddsNobody,
    LosesMarks,
    TakesWhatIsOld,
    KeepsMessages,
    KeepsWhatWasDone,
}
use Defect::*;

struct Broken {
    inner: MemoryStore,
    defect: Defect,
    /// Whether read marks are gone.
    lost: AtomicBool,
}

fn broken(defect: Defect) -> RepairUnderTest {
    Broken { inner: MemoryStore::new(), defect, lost: AtomicBool::new(false) }.into()
}

#[async_trait]
impl Repair for Broken {
    async fn set_room(&self, room: &Projected) -> Result<(), StoreError> {
        let (mut room, id) = (room.clone(), room.record.id);
        if let Some(is) = self.inner.state(id).await? {
            let members = self.inner.members(id, &Page::newest(100)).await?;
            let is_member = |who: &Member| members.iter().any(|member| member.user == who.user);
            match self.defect {
                KeepsRecords => room.record = is.room,
                KeepsGuards => room.guard = is.guard,
                KeepsTimes => room.active = is.active,
                KeepsWhoShouldGo => {
                    room.members.retain(|member| !is_member(member));
                    room.members.extend(members);
                }
                AddsNobody => room.members.retain(is_member),
                TakesWhatIsOld => room.head = is.head,
                _ => {}
            }
        }
        self.inner.set_room(&room).await?;
        self.lost.store(self.defect == LosesMarks, SeqCst);
        Ok(())
    }

    async fn set_message(&self, message: &Entry) -> Result<(), StoreError> {
        let mut message = message.clone();
        if self.defect == KeepsMessages {
            return Ok(());
        }
        if self.defect == KeepsWhatWasDone {
            let shown = self.inner.history(message.room, &Page::newest(100)).await?;
            message.folded = shown.into_iter().find(|shown| shown.seq == message.seq).and_then(|shown| shown.folded);
        }
        self.inner.set_message(&message).await
    }
}

#[async_trait]
impl LogStore for Broken {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        self.inner.append(batch).await
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.inner.read(room, after, limit).await
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        self.inner.history(room, page).await
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        self.inner.heads(rooms).await
    }

    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        self.inner.trim(room, through).await
    }
}

#[async_trait]
impl RoomStore for Broken {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        self.inner.access(room, user).await
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.inner.members(room, page).await
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        let mut rooms = self.inner.rooms(which, page).await?;
        if self.lost.load(SeqCst) {
            for summary in &mut rooms {
                summary.read = Seq::ZERO;
            }
        }
        Ok(rooms)
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.inner.mark(user, room, read).await
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.inner.project(entries).await
    }
}

#[async_trait]
impl PeopleStore for Broken {
    async fn person(&self, user: &UserId) -> Result<Option<Person>, StoreError> {
        self.inner.person(user).await
    }

    async fn rooms_of(&self, user: &UserId, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        self.inner.rooms_of(user, after, limit).await
    }

    async fn forget_in(&self, room: RoomId, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.inner.forget_in(room, user, stand_in).await
    }

    async fn forget(&self, user: &UserId, stand_in: &UserId) -> Result<(), StoreError> {
        self.inner.forget(user, stand_in).await
    }
}

#[async_trait]
impl Restore for Broken {
    async fn logs(&self, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        self.inner.logs(after, limit).await
    }

    async fn state(&self, room: RoomId) -> Result<Option<LogState>, StoreError> {
        self.inner.state(room).await
    }

    async fn kept(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Kept>, StoreError> {
        self.inner.kept(room, after, limit).await
    }

    async fn marks(&self, room: RoomId, after: Option<&UserId>, limit: u16) -> Result<Vec<(UserId, Seq)>, StoreError> {
        self.inner.marks(room, after, limit).await
    }

    async fn restore(&self, part: &Part) -> Result<(), StoreError> {
        self.inner.restore(part).await
    }
}

#[async_trait]
impl Feed for Broken {
    async fn behind(&self, consumer: &Consumer, limit: u16) -> Result<Vec<Behind>, StoreError> {
        self.inner.behind(consumer, limit).await
    }

    async fn advance(&self, consumer: &Consumer, places: &[(RoomId, Seq)]) -> Result<(), StoreError> {
        self.inner.advance(consumer, places).await
    }

    async fn leave(&self, consumer: &Consumer) -> Result<(), StoreError> {
        self.inner.leave(consumer).await
    }
}
