//! Whatever happens to a room, its state is what its log makes of it.

use std::collections::BTreeMap;

use serde_json::json;

use super::{
    StoreUnderTest,
    setting::{Setting, again, creation, delete, edit, entry, member, react, text, topic, user},
};
use crate::{
    conformance::faulty::Chance,
    model::{
        Body, Change, Entry, Member, Membership, NewEntry, Page, Role, RoomChange, RoomRecord, RoomSpec, Seq, UserId,
        changes, fold,
    },
};

/// Sequences on each store: with hundreds of actions, and still a second on a slow one.
const SEQUENCES: u64 = 10;
/// More messages and members than a sequence makes.
const ALL: u16 = 200;
const PEOPLE: [&str; 4] = ["ann", "bob", "cid", "dee"];

pub async fn state_follows_from_the_log(store: StoreUnderTest) {
    for seed in 0..SEQUENCES {
        replay_a_sequence(&store, seed).await;
    }
}

/// Does what a seed says to a room of its own, and panics unless a state that was read in between, with the later
/// entries folded into it, equals the state read at the end. For stores that want more sequences than the case has.
pub async fn replay_a_sequence(store: &StoreUnderTest, seed: u64) {
    let chance = Chance::new(seed);
    let room = Setting::at(store, &format!("room {seed}"));
    room.create("ann", RoomSpec::public(format!("room {seed}")).members([user("bob")])).await;
    let mut sent = Vec::new();
    for _ in 0..chance.below(12) {
        act(&room, &chance, &mut sent).await;
    }
    let mut replayed = State::read(&room).await;
    for _ in 0..chance.below(12) {
        act(&room, &chance, &mut sent).await;
    }
    for entry in room.read(replayed.as_of.get(), ALL).await {
        replayed.apply(&entry);
    }
    assert_eq!(replayed, State::read(&room).await, "sequence {seed}");
}

/// Does one thing, of every kind there is; also what makes no sense, which changes nothing.
async fn act(room: &Setting, chance: &Chance, sent: &mut Vec<NewEntry>) {
    let head = room.store.heads(&[room.room]).await.unwrap()[0].seq.get();
    let target = chance.draw() % (head + 2);
    let (who, whom) = (PEOPLE[chance.below(4)], PEOPLE[chance.below(4)]);
    let entry = match chance.below(14) {
        0..3 => text(who, "hello"),
        3 => entry(who, Body::Custom { kind: "shop.order".into(), text: "sold".into(), data: json!({"n": target}) }),
        4 => edit(who, target, &format!("edited {target}")),
        5 => delete(who, target),
        6 | 7 => react(who, target, ["+", "-"][chance.below(2)], chance.percent(70)),
        8 => member(who, whom, Membership::Join),
        9 => member(who, whom, Membership::Leave),
        10 => member(who, whom, Membership::Role([Role::Member, Role::Moderator, Role::Owner][chance.below(3)])),
        11 => topic(who, &format!("topic {target}")),
        12 => {
            let new = RoomChange::Set { title: Some("title".into()), topic: None, data: Some(json!([target])) };
            entry(who, Body::Room(new))
        }
        _ => match chance.one_of(sent) {
            Some(first) => again(first),
            None => creation(who, RoomSpec::public("twice")),
        },
    };
    room.mark(who, target).await;
    sent.push(entry.clone());
    room.append([entry]).await;
}

/// Is all that people see of a room.
#[derive(Debug, PartialEq)]
struct State {
    record: RoomRecord,
    members: BTreeMap<UserId, (Role, Seq)>,
    messages: BTreeMap<Seq, Entry>,
    guard: Seq,
    as_of: Seq,
}

impl State {
    async fn read(room: &Setting) -> Self {
        let access = room.access("nobody").await;
        let page = Page::newest(ALL);
        let members = room.store.members(room.room, &page).await.unwrap();
        let standing = |member: Member| (member.user, (member.role, member.since));
        let messages = room.history(page).await.into_iter().map(|message| (message.seq, nameless(message)));
        Self {
            record: access.room,
            members: members.into_iter().map(standing).collect(),
            messages: messages.collect(),
            guard: access.guard,
            as_of: access.as_of,
        }
    }

    fn apply(&mut self, entry: &Entry) {
        if entry.body.is_message() {
            self.messages.insert(entry.seq, nameless(entry.clone()));
        }
        for change in changes(entry) {
            match change {
                Change::Join(member) => {
                    self.members.entry(member.user).or_insert((member.role, member.since));
                }
                Change::Leave(user) => drop(self.members.remove(&user)),
                Change::Role(user, role) => drop(self.members.entry(user).and_modify(|member| member.0 = role)),
                Change::Set { title, topic, data } => {
                    let record = &mut self.record;
                    record.title = title.unwrap_or_else(|| record.title.clone());
                    record.topic = topic.unwrap_or_else(|| record.topic.clone());
                    record.data = data.unwrap_or_else(|| record.data.take());
                }
                Change::Fold(target) if target < entry.seq => {
                    if let Some(message) = self.messages.get_mut(&target) {
                        fold(message, entry);
                    }
                }
                Change::Fold(_) | Change::Create(_) => {}
            }
        }
        if entry.body.restricts() {
            self.guard = entry.seq;
        }
        self.as_of = entry.seq;
    }
}

/// Takes the display name away, which is the latest seen anywhere and not a matter of the room.
fn nameless(mut entry: Entry) -> Entry {
    entry.name = "".into();
    entry
}
