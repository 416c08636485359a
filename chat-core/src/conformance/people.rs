//! The suite of [`PeopleStore`](crate::PeopleStore).

// What a case shows is said once: beside its name in the documentation of the port.
#![allow(missing_docs)]

use std::{any::Any, fmt, ops::Deref, sync::Arc};

use super::{
    store::{
        StoreUnderTest,
        setting::{Setting, again, entry, join, member, positions, screened, sent_as_stored, seq, stored, text, user},
    },
    suite,
};
use crate::{
    model::{Body, BodyHash, Membership, NewEntry, Notice, RoomId, RoomSpec, UserId, Visibility},
    people,
    store::{Outcome, Personal},
};

suite! {
    ($)
    /// Runs the suite of [`PeopleStore`](crate::PeopleStore): `people_conformance!(name, factory)`, with the factory of
    /// [`store_conformance!`](crate::store_conformance).
    people_conformance in people:
    a_person_is_known_by_the_latest_name,
    rooms_of_a_person_are_found,
    rooms_that_only_name_a_person_are_found,
    rooms_of_a_person_come_in_pages,
    a_forgotten_person_is_named_no_more_in_the_room,
    a_forgotten_person_is_a_stranger,
    a_forgotten_person_may_come_back,
    what_others_sent_is_known_as_before,
}

/// Is a fresh, empty store to be tested.
#[derive(Clone)]
pub struct PeopleUnderTest {
    store: Arc<dyn Personal>,
    _keep: Arc<dyn Any + Send + Sync>,
}

impl<S: Personal + 'static> From<S> for PeopleUnderTest {
    fn from(store: S) -> Self {
        (store, ()).into()
    }
}

impl<S: Personal + 'static, K: Send + Sync + 'static> From<(S, K)> for PeopleUnderTest {
    fn from((store, keep): (S, K)) -> Self {
        Self { store: Arc::new(store), _keep: Arc::new(keep) }
    }
}

impl Deref for PeopleUnderTest {
    type Target = dyn Personal;

    fn deref(&self) -> &Self::Target {
        &*self.store
    }
}

impl fmt::Debug for PeopleUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeopleUnderTest").finish_non_exhaustive()
    }
}

impl PeopleUnderTest {
    fn room(&self, name: &str) -> Setting {
        Setting::at(&StoreUnderTest::from(self.store.clone()), name)
    }

    async fn rooms_of(&self, who: &str) -> Vec<RoomId> {
        self.store.rooms_of(&user(who), None, 100).await.unwrap()
    }

    /// Writes to the inbox of a user, which is created.
    async fn inbox(&self, who: &str) -> Setting {
        let inbox = Setting { room: RoomId::inbox(&user(who)), ..self.room("any") };
        let spec = RoomSpec { visibility: Visibility::Inbox, ..RoomSpec::default() };
        inbox.create("system", spec.members([user(who)])).await;
        inbox.append([entry("system", Body::Inbox(Notice::Joined(RoomId::named("tea"))))]).await;
        inbox
    }

    /// Forgets somebody as [`people::erase`] does, but for the entries that blank what they wrote.
    async fn forget(&self, who: &str) -> UserId {
        let stand_in = UserId::stand_in([7; 8]);
        for room in self.rooms_of(who).await {
            self.store.forget_in(room, &user(who), &stand_in).await.unwrap();
        }
        self.store.forget(&user(who), &stand_in).await.unwrap();
        stand_in
    }
}

pub async fn a_person_is_known_by_the_latest_name(store: PeopleUnderTest) {
    let tea = store.room("tea");
    tea.create("ann", RoomSpec::public("tea").members([user("bob")])).await;
    let name = async |who| store.person(&user(who)).await.unwrap().map(|person| person.name.to_string());
    assert_eq!(name("bob").await.as_deref(), Some("bob"));
    tea.append([text("bob", "hello")]).await;
    assert_eq!((name("bob").await.as_deref(), name("eve").await), (Some("BOB"), None));
}

pub async fn rooms_of_a_person_are_found(store: PeopleUnderTest) {
    let [wrote, member, read, other] = ["wrote", "member", "read", "other"].map(|name| store.room(name));
    member.create("ann", RoomSpec::private("member").members([user("bob")])).await;
    for room in [&wrote, &read, &other] {
        room.create("ann", RoomSpec::public("room")).await;
    }
    wrote.append([text("bob", "hello")]).await;
    read.mark("bob", 1).await;
    let inbox = store.inbox("bob").await;
    let mut expected = vec![wrote.room, member.room, read.room, inbox.room];
    expected.sort();
    assert_eq!(store.rooms_of("bob").await, expected);
    assert_eq!(store.rooms_of("eve").await, []);
}

pub async fn rooms_that_only_name_a_person_are_found(store: PeopleUnderTest) {
    let [left, created, quoted] = ["left", "created", "quoted"].map(|name| store.room(name));
    left.create("ann", RoomSpec::public("left")).await;
    left.append_each([member("ann", "b\"ob", Membership::Join), member("ann", "b\"ob", Membership::Leave)]).await;
    created.create("ann", RoomSpec::public("created").members([user("b\"ob")])).await;
    created.append_each([member("ann", "b\"ob", Membership::Leave), text("ann", "alone")]).await;
    quoted.create("ann", RoomSpec::public("quoted")).await;
    quoted.append([text("ann", "\"b\"ob\"")]).await;
    let mut expected = vec![left.room, created.room];
    expected.sort();
    assert_eq!(store.rooms_of("b\"ob").await, expected);
    assert_eq!(store.rooms_of("ob").await, [], "a part of a name is another name");
}

pub async fn rooms_of_a_person_come_in_pages(store: PeopleUnderTest) {
    for number in 0..7 {
        let room = store.room(&number.to_string());
        room.create(if number == 3 { "eve" } else { "ann" }, RoomSpec::public("room")).await;
    }
    let all = store.rooms_of("ann").await;
    let mut paged = Vec::new();
    loop {
        let page = store.store.rooms_of(&user("ann"), paged.last().copied(), 2).await.unwrap();
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!((all.len(), paged), (6, all));
}

pub async fn a_forgotten_person_is_named_no_more_in_the_room(store: PeopleUnderTest) {
    let tea = store.room("tea");
    tea.create("ann", RoomSpec::public("tea").members([user("bob")])).await;
    let (left, back) = (member("ann", "bob", Membership::Leave), member("ann", "bob", Membership::Join));
    tea.append_each([left.clone(), back, member("ann", "bob", Membership::Role(crate::Role::Moderator))]).await;
    tea.mark("bob", 3).await;
    let stand_in = UserId::stand_in([7; 8]);
    store.forget_in(tea.room, &user("bob"), &stand_in).await.unwrap();
    store.forget_in(tea.room, &user("bob"), &stand_in).await.unwrap();

    let log = tea.log().await;
    assert!(log.iter().all(|entry| entry.body.names(&stand_in) && !entry.body.names(&user("bob"))), "{log:?}");
    assert_eq!(tea.append([again(&left)]).await, [Outcome::Duplicate(seq(2), left.id)]);
    assert_eq!(tea.access("bob").await.member, None);
    assert_eq!((store.rooms_of("bob").await, store.rooms_of("ann").await), (vec![], vec![tea.room]));
}

pub async fn a_forgotten_person_is_a_stranger(store: PeopleUnderTest) {
    let tea = store.room("tea");
    tea.create("ann", RoomSpec::public("tea").members([user("bob")])).await;
    let said = text("bob", "hello");
    tea.append([said.clone(), text("ann", "hi"), join("bob")]).await;
    store.inbox("bob").await;
    let stand_in = store.forget("bob").await;
    store.forget("bob").await;

    let log = tea.log().await;
    assert_eq!(positions(&log), [1, 2, 3, 4]);
    let authors: Vec<_> = log.iter().map(|entry| &entry.author).collect();
    assert_eq!(authors, [&user("ann"), &stand_in, &user("ann"), &stand_in]);
    assert!(log.iter().all(|entry| !entry.name.contains("BOB") && !entry.body.names(&user("bob"))));
    assert_eq!((store.person(&user("bob")).await.unwrap(), store.rooms_of("bob").await), (None, vec![]));
    assert_eq!(store.heads(&[RoomId::inbox(&user("bob"))]).await.unwrap()[0], crate::store::Head::default());
    assert_eq!(tea.append([text("ann", "on")]).await, stored([5]));
    let again = people::export(&*store.store, &user("bob"), |_| {}).await.unwrap();
    assert_eq!(again, 0, "there is nothing to hand out");
}

pub async fn a_forgotten_person_may_come_back(store: PeopleUnderTest) {
    let tea = store.room("tea");
    tea.create("ann", RoomSpec::public("tea").members([user("bob")])).await;
    let said = text("bob", "hello");
    tea.append([said.clone()]).await;
    store.inbox("bob").await;
    store.forget("bob").await;

    assert_eq!(store.inbox("bob").await.log().await.len(), 2);
    tea.append_each([join("bob"), again(&said)]).await;
    assert_eq!(tea.access("bob").await.member.map(|member| member.since), Some(seq(3)));
    assert_eq!(store.person(&user("bob")).await.unwrap().map(|person| person.name.to_string()).as_deref(), Some("BOB"));
}

pub async fn what_others_sent_is_known_as_before(store: PeopleUnderTest) {
    let tea = store.room("tea");
    tea.create("ann", RoomSpec::public("tea").members([user("bob")])).await;
    let (said, named) = (screened("ann", "darned tea", "*** tea"), member("ann", "bob", Membership::Leave));
    tea.append_each([said.clone(), text("bob", "hello"), named.clone()]).await;
    store.forget("bob").await;
    let asked = [again(&said), sent_as_stored(&said)];
    assert_eq!(tea.append(asked).await, [Outcome::Duplicate(seq(2), said.id), Outcome::Conflict]);
    let other = NewEntry { hash: BodyHash([9; 16]), ..again(&named) };
    assert_eq!(tea.append([other]).await, [Outcome::Duplicate(seq(4), named.id)], "a hash of the name is not kept");
}
