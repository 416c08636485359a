//! Broken stores: each is the one in memory with one defect.

use async_trait::async_trait;
use chat_core::{
    Body, Draft, Entry, Key, LogStore, Member, Page, RoomId, RoomStore, RoomSummary, Seq, StoreError, StoreErrorKind,
    Text, UserId,
    conformance::store::StoreUnderTest,
    memory::MemoryStore,
    model::{BodyHash, Edit, NewEntry, Person},
    store::{Access, Append, Head, Listing, Outcome},
};
use parking_lot::Mutex;

use super::mutants;

mutants! { store, broken;
    append_numbers_densely: CountsFromZero,
    a_batch_spans_rooms: AnswersInReverse,
    a_long_share_is_stored_whole: StoresAHundred,
    a_known_key_answers_its_position: ForgetsKeys,
    a_known_key_with_another_body_conflicts: ForgetsHashes,
    a_retry_is_known_by_what_was_sent: HashesBodies,
    keys_belong_to_one_room_and_author: SharesKeys,
    an_old_guard_is_stale: IgnoresTheGuard,
    no_guard_stores_nothing: NeedsNoGuard,
    a_stored_prefix: JudgesEachAlone,
    only_a_creation_begins_a_log: MissesNothing,
    a_second_creation_is_refused: CallsItStale,
    a_restriction_moves_the_guard: MovesNoGuard,
    append_projects: ProjectsLate,
    concurrent_appends_keep_one_order: AnswersTheNext,
    concurrent_creations_make_one_room: CreatesTwice,
    crossing_batches_do_not_block: RefusesOtherOrders,
    readers_see_a_prefix: LeavesHoles,
    read_returns_the_log_in_order: ReadsBackwards,
    every_body_comes_back_as_written: ForgetsWhenSent,
    users_differ_by_every_byte: FoldsCase,
    read_pages: IgnoresTheLimit,
    a_deleted_message_reads_blank: KeepsTexts,
    a_delete_takes_the_edits_along: KeepsEdits,
    edits_of_a_message_are_read_in_order: ReadsBackwards,
    history_returns_the_newest_messages_oldest_first: ShowsEverything,
    history_pages_back: IgnoresBefore,
    history_pages_forward: IgnoresAfter,
    history_folds_edits_deletes_and_reactions: LosesFolds,
    an_entry_changes_only_earlier_ones: ChangesLaterOnes,
    names_are_the_latest_seen: LosesNames,
    heads_follow_the_log: HeadsLag,
    trim_forgets_the_old: TrimsNothing,
    trim_keeps_the_creation_and_the_last: TrimsTheLast,
    a_trimmed_key_is_too_old: CallsItStale,
    tails_are_what_lists_show: CountsOneMore,
    access_follows_the_log: LosesTopics,
    a_second_join_changes_nothing: JoinsAgain,
    members_page_by_user_id: IgnoresAfter,
    rooms_are_listed_by_activity: ListsBackwards,
    rooms_page_by_activity: IgnoresBefore,
    unread_counts_messages_of_others: CountsOneMore,
    a_room_of_two_tells_the_other_one: NamesEverybody,
    one_room_is_listed_alone: ForgetsTheOne,
    memberships_are_the_access_to_each_room: IgnoresTheLimit,
    read_marks_only_rise: KeepsTheLastMark,
    a_read_mark_ends_at_the_head: KeepsTheLastMark,
    projecting_twice_changes_nothing: ProjectsAgain,
    projecting_needs_no_log: ProjectsNothing,
    state_follows_from_the_log: LosesFolds,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    CountsFromZero,
    AnswersInReverse,
    StoresAHundred,
    ForgetsKeys,
    ForgetsHashes,
    HashesBodies,
    SharesKeys,
    IgnoresTheGuard,
    NeedsNoGuard,
    JudgesEachAlone,
    MissesNothing,
    CallsItStale,
    MovesNoGuard,
    ProjectsLate,
    AnswersTheNext,
    CreatesTwice,
    RefusesOtherOrders,
    LeavesHoles,
    ReadsBackwards,
    ForgetsWhenSent,
    FoldsCase,
    IgnoresTheLimit,
    KeepsTexts,
    KeepsEdits,
    ShowsEverything,
    IgnoresBefore,
    IgnoresAfter,
    LosesFolds,
    ChangesLaterOnes,
    LosesNames,
    HeadsLag,
    TrimsNothing,
    TrimsTheLast,
    LosesTopics,
    JoinsAgain,
    ListsBackwards,
    CountsOneMore,
    NamesEverybody,
    ForgetsTheOne,
    KeepsTheLastMark,
    ProjectsAgain,
    ProjectsNothing,
}
use Defect::*;

struct Broken {
    inner: MemoryStore,
    defect: Defect,
    last_mark: Mutex<Option<Seq>>,
}

fn broken(defect: Defect) -> StoreUnderTest {
    Broken { inner: MemoryStore::new(), defect, last_mark: Mutex::default() }.into()
}

impl Broken {
    /// Breaks what is asked for.
    async fn bend(&self, share: &mut Append) {
        let guard = self.inner.heads(&[share.room]).await.unwrap()[0].guard;
        match self.defect {
            StoresAHundred => share.entries.truncate(100),
            IgnoresTheGuard => share.guard = share.guard.map(|_| guard),
            NeedsNoGuard => share.guard = share.guard.or(Some(guard)),
            _ => {}
        }
        for new in &mut share.entries {
            match self.defect {
                ForgetsKeys => new.key = Key::generate(),
                ForgetsHashes => new.hash = BodyHash([0; 16]),
                HashesBodies => new.hash = BodyHash::of(&new.body),
                SharesKeys => new.author = UserId::system(),
                ForgetsWhenSent => new.sent_at = new.at,
                _ => {}
            }
        }
    }

    /// Breaks what is answered.
    fn twist(&self, outcome: Outcome) -> Outcome {
        match (self.defect, outcome) {
            (CountsFromZero, Outcome::Stored(seq)) => Outcome::Stored(seq.prev()),
            (MissesNothing, Outcome::Missing) | (CallsItStale, Outcome::Exists | Outcome::TooOld) => {
                Outcome::Stale(Seq::ZERO)
            }
            (AnswersTheNext, Outcome::Duplicate(seq, id)) => Outcome::Duplicate(seq.next(), id),
            (CreatesTwice, Outcome::Exists) => Outcome::Stored(Seq::FIRST),
            _ => outcome,
        }
    }

    async fn one_by_one(&self, share: &Append) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for new in &share.entries {
            let guard = Some(self.inner.heads(&[share.room]).await.unwrap()[0].guard);
            let alone = Append { room: share.room, guard, entries: vec![new.clone()] };
            outcomes.extend(self.inner.append(&[alone]).await.unwrap().concat());
        }
        outcomes
    }

    fn page(&self, page: &Page) -> Page {
        let mut page = page.clone();
        match self.defect {
            IgnoresBefore => page.before = None,
            IgnoresAfter => (page.after, page.after_user) = (None, None),
            _ => {}
        }
        page
    }

    fn deface(&self, mut entry: Entry) -> Entry {
        match (self.defect, &mut entry.body) {
            (LosesNames, _) => entry.name = entry.author.as_str().into(),
            (KeepsTexts, Body::Text(text)) if text.text.is_empty() => *text = Text::new("secret"),
            (KeepsEdits, Body::Edit(Edit { text, .. })) if text.is_empty() => text.push_str("secret"),
            _ => {}
        }
        entry
    }
}

#[async_trait]
impl LogStore for Broken {
    async fn append(&self, batch: &[Append]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        if self.defect == RefusesOtherOrders && !batch.is_sorted_by_key(|share| share.room) {
            return Err(StoreError::new(StoreErrorKind::Other, "lock rooms in another order"));
        }
        if self.defect == JudgesEachAlone && batch.len() == 1 {
            return Ok(vec![self.one_by_one(&batch[0]).await]);
        }
        let mut batch = batch.to_vec();
        for share in &mut batch {
            self.bend(share).await;
        }
        let mut answers = self.inner.append(&batch).await?;
        for outcome in answers.iter_mut().flatten() {
            *outcome = self.twist(*outcome);
        }
        if self.defect == AnswersInReverse {
            answers.reverse();
        }
        Ok(answers)
    }

    async fn read(&self, room: RoomId, after: Seq, limit: u16) -> Result<Vec<Entry>, StoreError> {
        let limit = if self.defect == IgnoresTheLimit { u16::MAX } else { limit };
        let read = self.inner.read(room, after, limit).await?;
        let mut read: Vec<_> = read.into_iter().map(|entry| self.deface(entry)).collect();
        match self.defect {
            LeavesHoles if read.len() > 2 => drop(read.remove(1)),
            ReadsBackwards => read.reverse(),
            TrimsTheLast if read.len() == 1 => read.clear(),
            _ => {}
        }
        Ok(read)
    }

    async fn history(&self, room: RoomId, page: &Page) -> Result<Vec<Entry>, StoreError> {
        let log = self.inner.read(room, Seq::ZERO, u16::MAX).await?;
        if self.defect == ShowsEverything {
            return Ok(log);
        }
        let mut history = self.inner.history(room, &self.page(page)).await?;
        let changed =
            |message: &Entry| log.iter().any(|by| by.body.target() == Some(message.seq) && by.seq < message.seq);
        match self.defect {
            ChangesLaterOnes => history.retain(|message| !changed(message)),
            LosesFolds => history.iter_mut().for_each(|message| message.folded = None),
            _ => {}
        }
        Ok(history)
    }

    async fn heads(&self, rooms: &[RoomId]) -> Result<Vec<Head>, StoreError> {
        let mut heads = self.inner.heads(rooms).await?;
        for head in &mut heads {
            match self.defect {
                HeadsLag => head.seq = head.seq.prev(),
                MovesNoGuard => head.guard = Seq::ZERO,
                _ => {}
            }
        }
        Ok(heads)
    }

    async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        if self.defect == TrimsNothing { Ok(()) } else { self.inner.trim(room, through).await }
    }
}

#[async_trait]
impl RoomStore for Broken {
    async fn access(&self, room: RoomId, user: &UserId) -> Result<Option<Access>, StoreError> {
        let lower = UserId::new(user.as_str().to_lowercase()).unwrap();
        let access = self.inner.access(room, if self.defect == FoldsCase { &lower } else { user }).await?;
        Ok(access.map(|mut access| {
            match (self.defect, &mut access.member) {
                (ProjectsLate, _) => access.as_of = access.as_of.prev(),
                (LosesTopics, _) => access.room.topic = "".into(),
                (JoinsAgain, Some(member)) => member.since = access.as_of,
                _ => {}
            }
            access
        }))
    }

    async fn members(&self, room: RoomId, page: &Page) -> Result<Vec<Member>, StoreError> {
        self.inner.members(room, &self.page(page)).await
    }

    async fn rooms(&self, which: &Listing, page: &Page) -> Result<Vec<RoomSummary>, StoreError> {
        let mut rooms = self.inner.rooms(which, &self.page(page)).await?;
        for summary in &mut rooms {
            match self.defect {
                CountsOneMore => summary.unread += 1,
                NamesEverybody => summary.with = Some(Person::new(UserId::system(), "somebody")),
                KeepsTheLastMark => summary.read = self.last_mark.lock().unwrap_or(summary.read),
                _ => {}
            }
        }
        match (self.defect, which) {
            (ListsBackwards, _) => rooms.reverse(),
            (ForgetsTheOne, Listing::One(..)) => rooms.clear(),
            _ => {}
        }
        Ok(rooms)
    }

    async fn memberships(&self, user: &UserId, rooms_max: u16) -> Result<Vec<Access>, StoreError> {
        self.inner.memberships(user, if self.defect == IgnoresTheLimit { u16::MAX } else { rooms_max }).await
    }

    async fn mark(&self, user: &UserId, room: RoomId, read: Seq) -> Result<(), StoreError> {
        *self.last_mark.lock() = Some(read);
        self.inner.mark(user, room, read).await
    }

    async fn project(&self, entries: &[Entry]) -> Result<(), StoreError> {
        match (self.defect, entries) {
            (ProjectsNothing, _) => Ok(()),
            (ProjectsAgain, [first, ..]) => {
                let guard = Some(self.inner.heads(&[first.room]).await?[0].guard);
                let new = NewEntry::new(first.id, Draft::text("again"), first.author.clone(), "".into(), first.at);
                self.inner.append(&[Append { room: first.room, guard, entries: vec![new] }]).await.map(drop)
            }
            _ => self.inner.project(entries).await,
        }
    }
}

#[tokio::test]
async fn a_mutant_passes_the_cases_that_do_not_concern_its_defect() {
    chat_core::conformance::store::projecting_twice_changes_nothing(broken(TrimsNothing)).await;
    chat_core::conformance::store::concurrent_appends_keep_one_order(broken(ListsBackwards)).await;
    chat_core::conformance::store::rooms_are_listed_by_activity(broken(ReadsBackwards)).await;
}
