//! The suite of [`Restore`].

// What a case shows is said once: beside its name in the documentation of the port.
#![allow(missing_docs)]

use std::{any::Any, fmt, sync::Arc};

use super::{
    store::{
        StoreUnderTest,
        setting::{
            NOW, Setting, again, creation, delete, edit, entry, join, member, react, screened, sent_as_stored, seq,
            stored, text, topic, user,
        },
    },
    suite,
};
use crate::{
    LogStore,
    memory::MemoryStore,
    model::{Body, Key, Membership, NewEntry, Page, Role, RoomId, RoomSpec, RoomSummary, Seq, Visibility},
    store::{Kept, Listing, LogState, Outcome, Part, Restore, StoreErrorKind, copy_log},
};

suite! {
    ($)
    /// Runs the suite of [`Restore`](crate::store::Restore): `restore_conformance!(name, factory)`, where the factory gives a
    /// fresh store, or a pair of one and what must outlive it, such as a temporary folder.
    ///
    /// ```
    /// use chat_core::memory::MemoryStore;
    /// chat_core::restore_conformance!(memory, || async { MemoryStore::new() });
    /// ```
    restore_conformance in restore:
    logs_are_listed_by_id,
    a_state_is_as_of_the_last_entry,
    what_is_kept_is_given,
    read_marks_are_listed_by_user_id,
    a_restored_log_is_the_same,
    a_trimmed_log_is_restored,
    a_restored_log_goes_on,
    a_restored_retry_is_known_by_what_was_sent,
    restoring_twice_changes_nothing,
    what_does_not_follow_is_refused,
}

/// Is a fresh, empty store to be tested.
#[derive(Clone)]
pub struct RestoreUnderTest {
    store: Arc<dyn Restore>,
    keep: Arc<dyn Any + Send + Sync>,
}

impl<S: Restore + 'static> From<S> for RestoreUnderTest {
    fn from(store: S) -> Self {
        (store, ()).into()
    }
}

impl<S: Restore + 'static, K: Send + Sync + 'static> From<(S, K)> for RestoreUnderTest {
    fn from((store, keep): (S, K)) -> Self {
        Self { store: Arc::new(store), keep: Arc::new(keep) }
    }
}

impl fmt::Debug for RestoreUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestoreUnderTest").finish_non_exhaustive()
    }
}

impl RestoreUnderTest {
    /// Returns the same store as the suite of stores sees it.
    fn plain(&self) -> StoreUnderTest {
        (self.store.clone(), self.keep.clone()).into()
    }
}

/// Is everything that can be read of a room.
#[derive(Debug, PartialEq)]
struct Whole {
    state: Option<LogState>,
    kept: Vec<Kept>,
    log: Vec<crate::Entry>,
    history: Vec<crate::Entry>,
    members: Vec<crate::Member>,
    marks: Vec<(crate::UserId, Seq)>,
    listed: Vec<RoomSummary>,
}

async fn whole(store: &dyn Restore, room: RoomId) -> Whole {
    let mut listed = Vec::new();
    for who in ["ann", "bob", "eve", "stranger"] {
        listed.extend(store.rooms(&Listing::One(room, user(who)), &Page::default()).await.unwrap());
    }
    Whole {
        state: store.state(room).await.unwrap(),
        kept: store.kept(room, Seq::ZERO, 1_000).await.unwrap(),
        log: store.read(room, Seq::ZERO, 1_000).await.unwrap(),
        history: store.history(room, &Page::newest(200)).await.unwrap(),
        members: store.members(room, &Page::newest(200)).await.unwrap(),
        marks: store.marks(room, None, 1_000).await.unwrap(),
        listed,
    }
}

/// Fills a store with a room in which everything has happened, and returns what was appended.
async fn tea(store: &StoreUnderTest) -> (Setting, Vec<NewEntry>) {
    let tea = Setting::at(store, "tea");
    let spec = RoomSpec::public("Tea").named("tea").members([user("bob"), user("eve")]);
    let news = vec![
        creation("ann", spec),
        NewEntry { sent_at: crate::Timestamp(-1), ..text("ann", "2") },
        text("bob", "to be deleted"),
        edit("bob", 3, "still to be deleted"),
        react("eve", 2, "👍", true),
        edit("ann", 2, "two"),
        delete("ann", 3),
        member("ann", "eve", Membership::Leave),
        member("ann", "bob", Membership::Role(Role::Moderator)),
        topic("bob", "green"),
        join("fay"),
        entry("fay", Body::decode(r#"{ "kind":"poll",  "options":[1, 2.0, "é"] }"#).unwrap()),
        text("fay", "13"),
        react("bob", 13, "👍", true),
    ];
    tea.append_each(news.clone()).await;
    tea.mark("bob", 5).await;
    tea.mark("eve", 3).await;
    tea.mark("stranger", 2).await;
    tea.mark("nobody", 0).await;
    (tea, news)
}

async fn copy(from: &dyn Restore, to: &dyn Restore, room: RoomId) {
    copy_log(from, to, room, |_| {}).await.unwrap();
}

pub async fn logs_are_listed_by_id(under_test: RestoreUnderTest) {
    let (plain, store) = (under_test.plain(), under_test.store);
    assert_eq!(store.logs(None, 10).await.unwrap(), []);
    let mut all = Vec::new();
    for name in ["tea", "milk", "sugar", "lemon"] {
        let room = Setting::at(&plain, name);
        let visibility = if name == "milk" { Visibility::Inbox } else { Visibility::Private };
        room.create("ann", RoomSpec { visibility, ..RoomSpec::private(name) }).await;
        all.push(room.room);
    }
    // What was addressed, and never created, is no log.
    Setting::at(&plain, "none").append_under(None, [text("ann", "hello?")]).await;
    all.sort();
    assert_eq!(store.logs(None, 10).await.unwrap(), all);
    assert_eq!(store.logs(None, 3).await.unwrap(), all[..3]);
    assert_eq!(store.logs(Some(all[0]), 2).await.unwrap(), all[1..3]);
    assert_eq!(store.logs(Some(all[3]), 2).await.unwrap(), []);
}

pub async fn a_state_is_as_of_the_last_entry(under_test: RestoreUnderTest) {
    let store = under_test.store.clone();
    let (tea, news) = tea(&under_test.plain()).await;
    let state = store.state(tea.room).await.unwrap().unwrap();
    assert_eq!((state.head, state.guard, state.first), (seq(14), seq(10), seq(1)));
    assert_eq!((state.active, state.trimmed_ms, &*state.room.topic), (news[0].at, None, "green"));
    tea.append([topic("ann", "black")]).await;
    store.trim(tea.room, seq(4)).await.unwrap();
    let state = store.state(tea.room).await.unwrap().unwrap();
    assert_eq!((state.head, state.guard, state.first, &*state.room.topic), (seq(15), seq(15), seq(5), "black"));
    assert_eq!(state.trimmed_ms, news[1..4].iter().map(|new| new.key.unix_ms()).max());
    assert_eq!(store.state(RoomId::named("none")).await.unwrap(), None);
}

pub async fn what_is_kept_is_given(under_test: RestoreUnderTest) {
    let store = under_test.store.clone();
    let (tea, news) = tea(&under_test.plain()).await;
    let kept = store.kept(tea.room, Seq::ZERO, 100).await.unwrap();
    assert_eq!(kept.iter().map(|kept| kept.entry.clone()).collect::<Vec<_>>(), tea.log().await);
    for (kept, new) in kept.iter().zip(&news) {
        let blank = matches!(kept.entry.seq.get(), 3 | 4);
        assert_eq!(kept.hash, (!blank).then_some(new.hash), "{}", kept.entry.seq);
        assert_eq!(kept.shown.is_some(), matches!(kept.entry.seq.get(), 2 | 3 | 13), "{}", kept.entry.seq);
    }
    let (body, folded) = kept[1].shown.as_ref().unwrap();
    assert_eq!((body.text(), folded.reactions.len()), (Some("two"), 1));
    assert_eq!(store.kept(tea.room, seq(3), 4).await.unwrap(), kept[3..7]);
    store.trim(tea.room, seq(5)).await.unwrap();
    assert_eq!(store.kept(tea.room, Seq::ZERO, 3).await.unwrap(), [&kept[..1], &kept[5..7]].concat());
    assert_eq!(store.kept(tea.room, seq(1), 3).await.unwrap(), kept[5..8]);
    assert_eq!(store.kept(RoomId::named("none"), Seq::ZERO, 3).await.unwrap(), []);
}

pub async fn read_marks_are_listed_by_user_id(under_test: RestoreUnderTest) {
    let store = under_test.store.clone();
    let (tea, _) = tea(&under_test.plain()).await;
    let all = [(user("bob"), seq(5)), (user("eve"), seq(3)), (user("stranger"), seq(2))];
    assert_eq!(store.marks(tea.room, None, 10).await.unwrap(), all);
    assert_eq!(store.marks(tea.room, None, 2).await.unwrap(), all[..2]);
    assert_eq!(store.marks(tea.room, Some(&user("bob")), 2).await.unwrap(), all[1..]);
    assert_eq!(store.marks(RoomId::named("none"), None, 10).await.unwrap(), []);
}

pub async fn a_restored_log_is_the_same(under_test: RestoreUnderTest) {
    let (from, store) = (MemoryStore::new(), under_test.store);
    let shared = Arc::new(from);
    let (tea, _) = tea(&shared.clone().into()).await;
    let inbox = Setting::at(&shared.clone().into(), "inbox");
    inbox.create("ann", RoomSpec { visibility: Visibility::Inbox, ..RoomSpec::private("") }).await;
    let back = MemoryStore::new();
    for room in [tea.room, inbox.room] {
        let before = whole(&*shared, room).await;
        copy(&*shared, &*store, room).await;
        assert_eq!(whole(&*store, room).await, before);
        copy(&*store, &back, room).await;
        assert_eq!(whole(&back, room).await, before);
    }
}

pub async fn a_trimmed_log_is_restored(under_test: RestoreUnderTest) {
    let (from, store) = (Arc::new(MemoryStore::new()), under_test.store.clone());
    let (tea, news) = tea(&from.clone().into()).await;
    from.trim(tea.room, seq(11)).await.unwrap();
    let before = whole(&*from, tea.room).await;
    copy(&*from, &*store, tea.room).await;
    assert_eq!(whole(&*store, tea.room).await, before);
    let back = MemoryStore::new();
    copy(&*store, &back, tea.room).await;
    assert_eq!(whole(&back, tea.room).await, before);

    let restored = Setting::at(&under_test.plain(), "tea");
    let asked = [again(&news[1]), again(&news[0]), again(&news[12])];
    let answers = [Outcome::TooOld, Outcome::Duplicate(seq(1), news[0].id), Outcome::Duplicate(seq(13), news[12].id)];
    assert_eq!(restored.append(asked).await, answers);
    // A key from later than what was trimmed.
    let late = NewEntry { key: Key::new(NOW.0 * 2, [1; 10]), ..text("eve", "still here?") };
    assert_eq!(restored.append_under(Some(9), [late]).await, [Outcome::Stale(seq(10))]);
}

pub async fn a_restored_log_goes_on(under_test: RestoreUnderTest) {
    let from = Arc::new(MemoryStore::new());
    let (tea, news) = tea(&from.clone().into()).await;
    copy(&*from, &*under_test.store, tea.room).await;
    let tea = Setting::at(&under_test.plain(), "tea");
    for (new, at) in news.iter().zip(1..) {
        assert_eq!(tea.append([again(new)]).await, [Outcome::Duplicate(seq(at), new.id)]);
    }
    let other = NewEntry { key: news[1].key, ..text("ann", "other") };
    assert_eq!(tea.append([other]).await, [Outcome::Conflict]);
    assert_eq!(tea.append_under(Some(9), [text("bob", "late")]).await, [Outcome::Stale(seq(10))]);
    assert_eq!(tea.append([text("bob", "15"), edit("ann", 2, "zwei")]).await, stored(15..=16));
    tea.append([member("ann", "bob", Membership::Leave)]).await;
    assert_eq!(tea.append([join("eve"), react("eve", 2, "👍", false)]).await, stored(18..=19));
    let second = &tea.history(Page::newest(1).before(3)).await[0];
    assert_eq!((second.body.text(), second.folded.as_ref().map(|it| it.reactions.len())), (Some("zwei"), Some(0)));
    let members = under_test.store.members(tea.room, &Page::default()).await.unwrap();
    assert_eq!(members.iter().map(|it| it.user.as_str()).collect::<Vec<_>>(), ["ann", "eve", "fay"]);
    assert_eq!(tea.listed("fay").await.map(|room| (room.head, room.unread)), Some((seq(19), 1)));
}

pub async fn a_restored_retry_is_known_by_what_was_sent(under_test: RestoreUnderTest) {
    let (from, store) = (Arc::new(MemoryStore::new()), under_test.store.clone());
    let tea = Setting::new(from.clone().into()).await;
    let [moved, later] = ["darned tea", "darned milk"].map(|sent| screened("ann", sent, "***"));
    tea.append([moved.clone()]).await;
    copy(&*from, &*store, tea.room).await;
    let tea = Setting::at(&under_test.plain(), "tea");
    tea.append([later.clone()]).await;
    for (at, new) in [(2, moved), (3, later)] {
        let asked = [again(&new), sent_as_stored(&new)];
        assert_eq!(tea.append(asked).await, [Outcome::Duplicate(seq(at), new.id), Outcome::Conflict]);
        let kept = store.kept(tea.room, seq(at - 1), 1).await.unwrap().remove(0);
        assert_eq!((kept.entry.body, kept.hash), (new.body, Some(new.hash)));
    }
}

pub async fn restoring_twice_changes_nothing(under_test: RestoreUnderTest) {
    let (from, store) = (Arc::new(MemoryStore::new()), under_test.store.clone());
    let (tea, _) = tea(&from.clone().into()).await;
    let state = from.state(tea.room).await.unwrap().unwrap();
    let entries = from.kept(tea.room, Seq::ZERO, 100).await.unwrap();
    for cut in [&entries[..1], &entries[..6], &entries[4..9]] {
        store.restore(&Part { state: state.clone(), entries: cut.to_vec(), members: Vec::new() }).await.unwrap();
    }
    assert_eq!(store.state(tea.room).await.unwrap().unwrap().head, seq(9));
    let before = whole(&*from, tea.room).await;
    for _ in 0..2 {
        copy(&*from, &*store, tea.room).await;
        assert_eq!(whole(&*store, tea.room).await, before);
    }
}

pub async fn what_does_not_follow_is_refused(under_test: RestoreUnderTest) {
    let (from, store) = (Arc::new(MemoryStore::new()), under_test.store.clone());
    let (tea, _) = tea(&from.clone().into()).await;
    let state = from.state(tea.room).await.unwrap().unwrap();
    let entries = from.kept(tea.room, Seq::ZERO, 100).await.unwrap();
    let refused = async |entries: &[Kept]| {
        let part = Part { state: state.clone(), entries: entries.to_vec(), members: Vec::new() };
        let error = store.restore(&part).await.expect_err("what leaves a hole is refused");
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    };
    refused(&entries[1..]).await;
    refused(&[]).await;
    assert_eq!(store.logs(None, 10).await.unwrap(), []);
    store.restore(&Part { state: state.clone(), entries: entries[..3].to_vec(), members: Vec::new() }).await.unwrap();
    refused(&entries[4..]).await;
    refused(&[&entries[3..4], &entries[5..]].concat()).await;
    assert_eq!(store.state(tea.room).await.unwrap().unwrap().head, seq(3));
}
