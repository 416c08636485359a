//! Stores that move logs, with one defect each.

use std::sync::Arc;

use async_trait::async_trait;
use chat_core::{
    Entry, LogStore, Member, Page, RoomId, RoomStore, RoomSummary, Seq, StoreError, UserId,
    conformance::restore::RestoreUnderTest,
    memory::MemoryStore,
    model::BodyHash,
    store::{Access, Append, Head, Kept, Listing, LogState, Outcome, Part, Restore},
};

use super::mutants;

mutants! { restore, under_test;
    logs_are_listed_by_id: ListsBackwards,
    a_state_is_as_of_the_last_entry: StandsStill,
    what_is_kept_is_given: ForgetsHashes,
    read_marks_are_listed_by_user_id: ListsBackwards,
    a_restored_log_is_the_same: LosesMembers,
    a_trimmed_log_is_restored: ForgetsWhatWasTrimmed,
    a_restored_log_goes_on: ForgetsHashes,
    a_restored_retry_is_known_by_what_was_sent: HashesBodies,
    restoring_twice_changes_nothing: TakesOnlyTheFirst,
    what_does_not_follow_is_refused: TakesAnything,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    ListsBackwards,
    StandsStill,
    ForgetsHashes,
    HashesBodies,
    LosesMembers,
    ForgetsWhatWasTrimmed,
    TakesOnlyTheFirst,
    TakesAnything,
}

fn under_test(defect: Defect) -> RestoreUnderTest {
    Broken { memory: Arc::new(MemoryStore::new()), defect }.into()
}

struct Broken {
    memory: Arc<MemoryStore>,
    defect: Defect,
}

impl Broken {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }
}

#[async_trait]
impl Restore for Broken {
    async fn logs(&self, after: Option<RoomId>, limit: u16) -> Result<Vec<RoomId>, StoreError> {
        let mut logs = self.memory.logs(after, limit).await?;
        if self.is(Defect::ListsBackwards) {
            logs.reverse();
        }
        Ok(logs)
    }

    async fn state(&self, room: RoomId) -> Result<Option<LogState>, StoreError> {
        let mut state = self.memory.state(room).await?;
        if let (Some(state), true) = (&mut state, self.is(Defect::StandsStill)) {
            state.guard = Seq::ZERO;
        }
        Ok(state)
    }

    async fn kept(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Kept>, StoreError> {
        let mut kept = self.memory.kept(room, after, limit).await?;
        if self.is(Defect::ForgetsHashes) {
            for kept in &mut kept {
                kept.hash = None;
            }
        }
        Ok(kept)
    }

    async fn marks(&self, room: RoomId, after: Option<&UserId>, limit: u16) -> Result<Vec<(UserId, Seq)>, StoreError> {
        let mut marks = self.memory.marks(room, after, limit).await?;
        if self.is(Defect::ListsBackwards) {
            marks.reverse();
        }
        Ok(marks)
    }

    async fn restore(&self, part: &Part) -> Result<(), StoreError> {
        let mut part = part.clone();
        match self.defect {
            Defect::ForgetsHashes => part.entries.iter_mut().for_each(|kept| kept.hash = None),
            Defect::HashesBodies => {
                part.entries.iter_mut().for_each(|kept| kept.hash = Some(BodyHash::of(&kept.entry.body)));
            }
            Defect::LosesMembers => part.members.clear(),
            Defect::ForgetsWhatWasTrimmed => part.state.trimmed_ms = None,
            Defect::TakesOnlyTheFirst if !part.entries.is_empty() && self.logs(None, 1).await?.len() == 1 => {
                return Ok(());
            }
            Defect::TakesAnything => {
                let taken = self.memory.restore(&part).await;
                return taken.or(Ok(()));
            }
            _ => {}
        }
        self.memory.restore(&part).await
    }
}

#[async_trait]
impl LogStore for Broken {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        self.memory.append(batch).await
    }
    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        self.memory.read(room, after, limit).await
    }
    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        self.memory.history(room, page).await
    }
    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        self.memory.heads(rooms).await
    }
    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        self.memory.trim(room, through).await
    }
}

#[async_trait]
impl RoomStore for Broken {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        self.memory.access(room, user).await
    }
    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.memory.members(room, page).await
    }
    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        self.memory.rooms(which, page).await
    }
    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        self.memory.mark(user, room, read).await
    }
    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.memory.project(entries).await
    }
}
