//! What [`LogStore::append`](crate::LogStore::append) answers.

use super::{
    StoreUnderTest,
    setting::{
        Setting, again, append_all, creation, delete, edit, entry, join, member, positions, screened, sent_as_stored,
        seq, stored, text, texts, topic, user,
    },
};
use crate::{
    model::{Body, Membership, NewEntry, Notice, Role, RoomSpec, Seq, Text},
    store::Outcome,
};

pub async fn append_numbers_densely(store: StoreUnderTest) {
    let tea = Setting::at(&store, "tea");
    let share = [creation("ann", RoomSpec::public("tea")), text("ann", "1"), text("ann", "2")];
    assert_eq!(tea.append(share).await, stored(1..=3));
    assert_eq!(tea.append([text("bob", "3"), text("ann", "4")]).await, stored(4..=5));
    assert_eq!(positions(&tea.log().await), [1, 2, 3, 4, 5]);
}

pub async fn a_batch_spans_rooms(store: StoreUnderTest) {
    let tea = Setting::new(store.clone()).await;
    let (milk, none) = (Setting::at(&store, "milk"), Setting::at(&store, "none"));
    let batch = vec![
        milk.share(Some(0), [creation("ann", RoomSpec::public("milk")), text("ann", "in milk")]),
        none.share(Some(0), [text("ann", "nowhere")]),
        tea.share(Some(0), [text("bob", "in tea")]),
    ];
    assert_eq!(append_all(&*store, batch).await, [stored(1..=2), vec![Outcome::Missing], stored([2])]);
    let empty = vec![none.share(Some(0), []), tea.share(Some(0), [])];
    assert_eq!(append_all(&*store, empty).await, [vec![], vec![]]);
    assert_eq!(append_all(&*store, vec![]).await, Vec::<Vec<Outcome>>::new());
}

pub async fn a_long_share_is_stored_whole(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let share: Vec<_> = (0..512).map(|n| text(["ann", "bob", "eve"][n % 3], &"tea ".repeat(n % 50))).collect();
    assert_eq!(tea.append(share.clone()).await, stored(2..=513));
    let bodies: Vec<_> = tea.read(1, 512).await.into_iter().map(|entry| (entry.author, entry.body)).collect();
    assert_eq!(bodies, share.into_iter().map(|new| (new.author, new.body)).collect::<Vec<_>>());
}

pub async fn a_known_key_answers_its_position(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let (hello, bye) = (text("ann", "hello"), text("ann", "bye"));
    assert_eq!(tea.append([hello.clone(), bye.clone(), again(&hello)]).await, {
        let [two, three] = [2, 3].map(|at| Outcome::Stored(seq(at)));
        [two, three, Outcome::Duplicate(seq(2), hello.id)]
    });
    tea.append([delete("ann", 2), member("ann", "bob", Membership::Leave)]).await;

    let known = [Outcome::Duplicate(seq(2), hello.id), Outcome::Duplicate(seq(3), bye.id)];
    for guard in [Some(5), Some(0), None] {
        assert_eq!(tea.append_under(guard, [again(&hello), again(&bye)]).await, known, "under {guard:?}");
    }
    assert_eq!(tea.log().await.len(), 5);
}

pub async fn a_known_key_with_another_body_conflicts(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let hello = text("ann", "hello");
    let other = |text: &str| NewEntry { key: hello.key, ..entry("ann", Body::Text(Text::new(text))) };
    tea.append([hello.clone()]).await;
    let before = tea.log().await;
    assert_eq!(tea.append([other("hello?")]).await, [Outcome::Conflict]);
    assert_eq!(tea.append_under(None, [other("hello!")]).await, [Outcome::Conflict]);
    assert_eq!(tea.log().await, before);

    let (new, clash) = (text("ann", "new"), text("ann", "clash"));
    let clash = NewEntry { key: new.key, ..clash };
    assert_eq!(tea.append([new, clash, text("ann", "next")]).await, {
        [Outcome::Stored(seq(3)), Outcome::Conflict, Outcome::Stored(seq(4))]
    });
}

pub async fn a_retry_is_known_by_what_was_sent(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let said = screened("ann", "darned tea", "*** tea");
    let edited = NewEntry { hash: said.hash, ..edit("ann", 2, "tea") };
    let known = |at, new: &NewEntry| Outcome::Duplicate(seq(at), new.id);
    let both = [said.clone(), again(&said), sent_as_stored(&said), edited.clone(), sent_as_stored(&edited)];
    assert_eq!(tea.append(both).await, {
        [Outcome::Stored(seq(2)), known(2, &said), Outcome::Conflict, Outcome::Stored(seq(3)), Outcome::Conflict]
    });
    assert_eq!(texts(&tea.log().await), ["*** tea"], "what was sent is not kept");

    let screened_anew = NewEntry { body: Body::Text(Text::new("------ tea")), ..again(&said) };
    let asked = [screened_anew, again(&edited), sent_as_stored(&said), sent_as_stored(&edited)];
    for guard in [Some(0), None] {
        let answers = [known(2, &said), known(3, &edited), Outcome::Conflict, Outcome::Conflict];
        assert_eq!(tea.append_under(guard, asked.clone()).await, answers, "under {guard:?}");
    }

    tea.append([delete("ann", 2)]).await;
    let answers = [known(2, &said), known(3, &edited), known(2, &said), known(3, &edited)];
    assert_eq!(tea.append(asked).await, answers, "nothing is left of what was deleted");
}

pub async fn keys_belong_to_one_room_and_author(store: StoreUnderTest) {
    let (tea, milk) = (Setting::new(store.clone()).await, Setting::at(&store, "milk"));
    milk.create("ann", RoomSpec::public("milk")).await;
    let of_ann = text("ann", "mine");
    let of_bob = NewEntry { key: of_ann.key, ..text("bob", "also mine") };
    assert_eq!(tea.append([of_ann.clone(), of_bob]).await, stored(2..=3));
    assert_eq!(milk.append([of_ann]).await, stored([2]));
}

pub async fn an_old_guard_is_stale(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let hello = text("bob", "hello");
    assert_eq!(tea.append([hello.clone(), member("ann", "bob", Membership::Leave)]).await, stored(2..=3));

    let late = [again(&hello), text("bob", "still here?"), text("ann", "he left")];
    let stale = Outcome::Stale(seq(3));
    assert_eq!(tea.append_under(Some(2), late.clone()).await, [Outcome::Duplicate(seq(2), hello.id), stale, stale]);
    assert_eq!(positions(&tea.log().await), [1, 2, 3]);
    assert_eq!(tea.append_under(Some(3), [late[2].clone()]).await, stored([4]));
}

pub async fn no_guard_stores_nothing(store: StoreUnderTest) {
    let tea = Setting::new(store.clone()).await;
    tea.append([topic("ann", "green")]).await;
    let asked = [text("ann", "was it stored?"), creation("ann", RoomSpec::public("tea"))];
    assert_eq!(tea.append_under(None, asked).await, [Outcome::Stale(seq(2)); 2]);
    assert_eq!(tea.log().await.len(), 2);

    let none = Setting::at(&store, "none");
    let asked = [creation("ann", RoomSpec::public("none")), text("ann", "and this?")];
    assert_eq!(none.append_under(None, asked).await, [Outcome::Stale(Seq::ZERO); 2]);
    assert_eq!(none.store.access(none.room, &user("ann")).await.unwrap(), None);
}

pub async fn a_stored_prefix(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let known = text("ann", "known");
    tea.append([known.clone()]).await;

    // The caller broke its own rule: a restriction stands in the middle. What follows was not judged after it.
    let share = [text("ann", "first"), again(&known), topic("ann", "green"), text("ann", "late"), again(&known)];
    let (duplicate, stale) = (Outcome::Duplicate(seq(2), known.id), Outcome::Stale(seq(4)));
    let [first, restriction] = [3, 4].map(|at| Outcome::Stored(seq(at)));
    assert_eq!(tea.append(share).await, [first, duplicate, restriction, stale, duplicate]);

    // What is refused for good holds nobody up.
    let share = [creation("ann", RoomSpec::public("tea")), text("ann", "next")];
    assert_eq!(tea.append(share).await, [Outcome::Exists, Outcome::Stored(seq(5))]);
}

pub async fn only_a_creation_begins_a_log(store: StoreUnderTest) {
    let tea = Setting::at(&store, "tea");
    assert_eq!(tea.append([text("ann", "hello?"), join("ann"), topic("ann", "t")]).await, [Outcome::Missing; 3]);
    assert_eq!(tea.log().await, []);
    let share = [text("ann", "early"), creation("ann", RoomSpec::public("tea")), text("ann", "now"), join("bob")];
    let [one, two, three] = [1, 2, 3].map(|at| Outcome::Stored(seq(at)));
    assert_eq!(tea.append(share).await, [Outcome::Missing, one, two, three]);
}

pub async fn a_second_creation_is_refused(store: StoreUnderTest) {
    let tea = Setting::at(&store, "tea");
    let first = creation("ann", RoomSpec::public("tea"));
    assert_eq!(tea.append([first.clone()]).await, stored([1]));
    assert_eq!(tea.append([again(&first)]).await, [Outcome::Duplicate(seq(1), first.id)]);

    let before = (tea.log().await, tea.access("ann").await, tea.access("eve").await);
    tea.append([topic("ann", "")]).await;
    let second = creation("eve", RoomSpec::private("mine now"));
    for guard in [Some(0), Some(2)] {
        assert_eq!(tea.append_under(guard, [second.clone()]).await, [Outcome::Exists]);
    }
    let after = (tea.log().await, tea.access("ann").await, tea.access("eve").await);
    assert_eq!(after.0[..1], before.0);
    assert_eq!((after.1.room, after.1.member), (before.1.room, before.1.member));
    assert_eq!(after.2.member, None);
}

pub async fn a_restriction_moves_the_guard(store: StoreUnderTest) {
    let tea = Setting::new(store).await;
    let guard =
        async || (tea.access("ann").await.guard.get(), tea.store.heads(&[tea.room]).await.unwrap()[0].guard.get());
    let told = |notice| entry("ann", Body::Inbox(notice));
    let joined = told(Notice::Joined(tea.room));
    for harmless in [text("ann", "hi"), join("eve"), member("ann", "dan", Membership::Join), joined] {
        tea.append([harmless]).await;
        assert_eq!(guard().await, (0, 0));
    }
    let restrictions = [
        member("ann", "eve", Membership::Role(Role::Moderator)),
        member("eve", "eve", Membership::Leave),
        topic("ann", "green"),
        member("ann", "nobody", Membership::Leave),
        told(Notice::Revoked { login: Some("one".into()) }),
        told(Notice::Revoked { login: None }),
    ];
    for (at, restriction) in (6..).zip(restrictions) {
        assert_eq!(tea.append([restriction]).await, stored([at]));
        assert_eq!(guard().await, (at, at));
    }
}

pub async fn append_projects(store: StoreUnderTest) {
    let tea = Setting::at(&store, "tea");
    assert_eq!(store.access(tea.room, &user("ann")).await.unwrap(), None);
    let share = [creation("ann", RoomSpec::public("tea")), join("bob"), topic("ann", "green")];
    tea.append(share).await;
    let access = tea.access("bob").await;
    assert_eq!((access.as_of, access.guard, &*access.room.topic), (seq(3), seq(3), "green"));
    assert_eq!(access.member.map(|member| member.since), Some(seq(2)));
}
