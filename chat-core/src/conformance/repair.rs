//! The suite of [`Repair`](crate::store::Repair), with which [`fsck`](crate::store::fsck) goes.

// What a case shows is said once: beside its name in the documentation of the port.
#![allow(missing_docs)]

use std::{any::Any, fmt, sync::Arc};

use super::{
    store::{
        StoreUnderTest,
        setting::{Setting, delete, edit, join, member, react, seq, stored, text, topic, user},
    },
    suite,
};
use crate::{
    model::{EntryId, Member, Membership, Page, Role, RoomId, Timestamp},
    store::{
        FullStore, Projected, StoreErrorKind,
        fsck::{Finding, fsck, fsck_room},
    },
};

suite! {
    ($)
    /// Runs the suite of [`Repair`](crate::store::Repair): `repair_conformance!(name, factory)`, where the factory gives what that of
    /// [`store_conformance!`](crate::store_conformance) gives.
    ///
    /// ```
    /// use chat_core::memory::MemoryStore;
    /// chat_core::repair_conformance!(memory, || async { MemoryStore::new() });
    /// ```
    repair_conformance in repair:
    a_room_becomes_what_it_is_set_to,
    a_room_whose_log_goes_on_is_left_alone,
    a_message_becomes_what_it_is_set_to,
}

/// Is a fresh, empty store to be tested.
#[derive(Clone)]
pub struct RepairUnderTest {
    full: Arc<dyn FullStore>,
    store: StoreUnderTest,
}

impl<S: FullStore + 'static> From<S> for RepairUnderTest {
    fn from(store: S) -> Self {
        (store, ()).into()
    }
}

impl<S: FullStore + 'static, K: Any + Send + Sync> From<(S, K)> for RepairUnderTest {
    fn from((store, keep): (S, K)) -> Self {
        let full = Arc::new(store);
        Self { full: full.clone(), store: (full, keep).into() }
    }
}

impl RepairUnderTest {
    async fn findings(&self, room: RoomId, repair: bool) -> Vec<Finding> {
        fsck_room(&*self.full, room, repair).await.unwrap().findings
    }

    /// Returns the room as the store has it.
    async fn projected(&self, tea: &Setting) -> Projected {
        let (access, members) =
            (tea.access("ann").await, self.store.members(tea.room, &Page::default()).await.unwrap());
        let head = self.store.heads(&[tea.room]).await.unwrap()[0];
        Projected {
            record: access.room,
            members,
            head: head.seq,
            head_id: head.id.unwrap_or(EntryId::from_bytes([7; 16])),
            guard: access.guard,
            active: tea.listed("ann").await.unwrap().active,
        }
    }
}

impl fmt::Debug for RepairUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepairUnderTest").finish_non_exhaustive()
    }
}

/// A room in which all happened that leaves something behind.
async fn lived_in(test: &RepairUnderTest) -> Setting {
    let tea = Setting::new(test.store.clone()).await;
    tea.append_each([text("ann", "2"), join("eve"), text("eve", "4"), edit("ann", 2, "two")]).await;
    tea.append_each([react("bob", 4, "x", true), member("ann", "eve", Membership::Leave), topic("ann", "green")]).await;
    tea.append_each([text("bob", "9"), delete("bob", 9), join("dan"), text("dan", "12")]).await;
    tea.append_each([member("ann", "dan", Membership::Role(Role::Moderator))]).await;
    tea.mark("bob", 4).await;
    tea
}

pub async fn a_room_becomes_what_it_is_set_to(test: RepairUnderTest) {
    let tea = lived_in(&test).await;
    let right = test.projected(&tea).await;
    assert_eq!(test.findings(tea.room, false).await, []);

    let mut wrong = right.clone();
    wrong.record.title = "coffee".into();
    (wrong.guard, wrong.active) = (seq(3), Timestamp(7));
    wrong.members.retain(|member| member.user != user("bob"));
    wrong.members.push(Member::new(user("eve"), "eve", Role::Member, seq(3)));
    wrong.members.iter_mut().filter(|member| member.user == user("dan")).for_each(|dan| dan.role = Role::Owner);
    test.full.set_room(&wrong).await.unwrap();
    let access = tea.access("eve").await;
    assert_eq!((&*access.room.title, access.guard, access.as_of), ("coffee", seq(3), seq(13)));
    assert_eq!(access.member.map(|eve| (eve.role, eve.since)), Some((Role::Member, seq(3))));
    assert_eq!(tea.access("bob").await.member, None);

    let differs = ["bob", "dan", "eve"].map(|who| Finding::Member(user(who)));
    let found = [vec![Finding::Record, Finding::Guard(seq(3)), Finding::Active], differs.to_vec()].concat();
    assert_eq!(test.findings(tea.room, false).await, found);
    assert_eq!(test.findings(tea.room, true).await, found);
    assert_eq!(test.findings(tea.room, false).await, []);
    assert_eq!(test.projected(&tea).await, right);
    assert_eq!((tea.listed("eve").await, tea.listed("bob").await.unwrap().read), (None, seq(4)));
    assert_eq!(tea.append([join("eve"), text("ann", "15")]).await, stored([14, 15]));
    assert!(tea.access("eve").await.member.is_some());
    assert!(fsck(&*test.full, false, |_| {}).await.unwrap().is_clean());
}

pub async fn a_room_whose_log_goes_on_is_left_alone(test: RepairUnderTest) {
    let tea = lived_in(&test).await;
    let old = test.projected(&tea).await;
    tea.append([member("ann", "bob", Membership::Leave)]).await;
    // Where the log is kept elsewhere nobody can tell, and the room follows it once more.
    let kind = test.full.set_room(&old).await.map_err(|refused| refused.kind());
    assert!(matches!(kind, Ok(()) | Err(StoreErrorKind::Contended)), "{kind:?}");
    assert_eq!((tea.access("bob").await.member, tea.access("bob").await.as_of), (None, seq(14)));
    assert_eq!(test.findings(tea.room, false).await, []);
}

pub async fn a_message_becomes_what_it_is_set_to(test: RepairUnderTest) {
    let tea = lived_in(&test).await;
    let right = tea.history(Page::default()).await;
    let raw = tea.log().await;
    for (at, wrong) in [(1, raw[1].clone()), (3, right[0].clone()), (11, right[1].clone())] {
        let mut wrong = wrong;
        wrong.seq = seq(at + 1);
        test.full.set_message(&wrong).await.unwrap();
    }
    let shown = tea.history(Page::default()).await;
    assert_eq!((shown[0].body.text(), &shown[0].folded), (Some("2"), &None));
    assert_eq!(shown[1].body.text(), Some("two"));
    assert!(shown[3].folded.is_some());
    let found = [2, 4, 12].map(|at| Finding::Message(seq(at)));
    assert_eq!(test.findings(tea.room, true).await, found);
    assert_eq!(test.findings(tea.room, false).await, []);
    assert_eq!(tea.history(Page::default()).await, right);

    // Of a trimmed room, what is kept is compared.
    tea.store.trim(tea.room, seq(8)).await.unwrap();
    assert_eq!(test.findings(tea.room, false).await, []);
    let mut wrong = test.projected(&tea).await;
    wrong.members.retain(|member| member.user != user("dan"));
    test.full.set_room(&wrong).await.unwrap();
    test.full.set_message(&raw[11].clone()).await.unwrap();
    assert_eq!(test.findings(tea.room, true).await, [Finding::Member(user("dan"))]);
    assert_eq!(test.findings(tea.room, false).await, []);
    assert_eq!(tea.access("bob").await.member.map(|bob| bob.since), Some(seq(1)));
}
