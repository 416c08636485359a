//! What the client does with things that a good server rarely says.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use chat_core::{
    Code, Cursor, Draft, Event, GapReason, Hub, Posted, Room, RoomId, Seq, Start, UserId,
    protocol::{Outgoing, Target},
};
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use futures::{FutureExt, StreamExt, future::join_all, stream::BoxStream};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    common::SOON,
    config,
    fake::{Fake, Peer, id},
};

async fn connect(fake: &Fake, url: &str, config: ClientConfig) -> (RemoteHub, Peer, Value) {
    let (hub, (peer, hello)) = tokio::join!(RemoteHub::connect(url, config), fake.welcome());
    (hub.unwrap(), peer, hello)
}

/// Returns the private room with bob: it can be had without asking the server.
fn room(hub: &RemoteHub) -> Arc<dyn Room> {
    hub.direct(&UserId::new("bob").unwrap())
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn entry(room: RoomId, seq: u64, body: &Value) -> Value {
    json!({"type": "entry", "room": room, "seq": seq, "id": id(seq), "key": id(seq), "author": "bob", "name": "Bob",
        "body": body, "at": 5, "sent_at": 5})
}

fn text(room: RoomId, seq: u64) -> Value {
    entry(room, seq, &json!({"kind": "text", "text": seq.to_string()}))
}

fn followed(room: RoomId, seq: u64, reference: &Value) -> Value {
    json!({"type": "followed", "ref": reference, "room": room, "seq": seq, "id": id(seq)})
}

async fn next(events: &mut BoxStream<'static, Event>) -> Event {
    timeout(SOON, events.next()).await.expect("an event in time").expect("an event before the end")
}

/// Returns the position of the next event, which must be an entry.
async fn next_seq(events: &mut BoxStream<'static, Event>) -> u64 {
    match next(events).await {
        Event::Entry(entry) => entry.seq.get(),
        other => panic!("{other:?} instead of an entry"),
    }
}

/// Posts without waiting; the answers come by the returned future.
fn post_all(room: &Arc<dyn Room>, texts: &[&str]) -> tokio::task::JoinHandle<Vec<Result<Posted, Code>>> {
    let (room, drafts) = (room.clone(), texts.iter().map(|text| Draft::text(*text)).collect::<Vec<_>>());
    tokio::spawn(async move {
        let posts = drafts.into_iter().map(|draft| room.post(draft).map(|done| done.map_err(|error| error.code)));
        join_all(posts).await
    })
}

async fn answers<T>(posts: tokio::task::JoinHandle<T>) -> T {
    timeout(SOON, posts).await.expect("answers in time").unwrap()
}

async fn hear_sends(peer: &mut Peer, count: usize) -> Vec<Value> {
    let mut sends = Vec::new();
    for _ in 0..count {
        sends.push(peer.hear("send").await);
    }
    sends
}

fn keys(sends: &[Value]) -> Vec<&Value> {
    sends.iter().map(|send| &send["key"]).collect()
}

fn place(posted: &Result<Posted, Code>) -> u64 {
    match posted {
        Ok(Posted::Stored { seq, .. }) => seq.get(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn after_a_retryable_error_that_draft_and_the_later_ones_come_again_in_order() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let posts = post_all(&room(&hub), &["a", "b", "c", "d"]);
    let first = hear_sends(&mut peer, 4).await;
    peer.refuse(&first[1], "rate_limited", true).await;
    peer.refuse(&first[2], "behind", true).await;
    peer.refuse(&first[3], "behind", true).await;
    let mut again = hear_sends(&mut peer, 1).await;
    peer.refuse(&first[3], "behind", true).await; // an answer to the earlier try says nothing new
    peer.ack(&first[0], 1).await;
    peer.ack(&again[0], 2).await;
    again.extend(hear_sends(&mut peer, 2).await);
    assert_eq!(keys(&again), keys(&first[1..]), "a was not refused and is under way still");
    assert!(again.iter().zip(&first[1..]).all(|(again, first)| again["ref"] != first["ref"]));
    peer.ack(&again[1], 3).await;
    peer.ack(&again[2], 4).await;
    assert_eq!(answers(posts).await.iter().map(place).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_new_connection_begins_in_order_also_with_what_was_refused_as_a_command() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("bot")).await;
    let posts = post_all(&room(&hub), &["a", "/x", "y"]);
    let first = hear_sends(&mut peer, 3).await;
    peer.refuse(&first[1], "draining", true).await;
    peer.close(1012).await;
    let (mut peer, _) = fake.welcome().await;
    let again = hear_sends(&mut peer, 3).await;
    assert_eq!(keys(&again), keys(&first), "to a bot's server /x is a text like others");
    for (send, seq) in again.iter().zip(1..) {
        peer.ack(send, seq).await;
    }
    assert_eq!(answers(posts).await.iter().map(place).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_command_that_waits_alone_and_is_posted_again_is_one_command() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let (room, command) = (room(&hub), Draft::text("/x"));
    let post = |draft: Draft| {
        let room = room.clone();
        tokio::spawn(async move { room.post(draft).await.map_err(|error| error.code) })
    };
    let (first, other) = (post(command.clone()), post(Draft::text("a")));
    let sends = hear_sends(&mut peer, 2).await;
    let (x, a) = if sends[0]["body"]["text"] == "/x" { (&sends[0], &sends[1]) } else { (&sends[1], &sends[0]) };
    peer.refuse(x, "retry", true).await;
    let again = hear_sends(&mut peer, 1).await;
    let (same, later) = (post(command), post(Draft::text("b")));
    let b = hear_sends(&mut peer, 1).await;
    assert_eq!(b[0]["body"]["text"], "b", "the same command is on its way already");
    peer.ack(a, 1).await;
    peer.ack(&b[0], 2).await;
    peer.say(json!({"type": "accepted", "ref": again[0]["ref"], "key": again[0]["key"]})).await;
    assert_eq!((place(&answers(other).await), place(&answers(later).await)), (1, 2));
    assert_eq!((answers(first).await, answers(same).await), (Ok(Posted::Accepted), Ok(Posted::Accepted)));
}

#[tokio::test]
async fn an_ack_of_an_earlier_try_counts() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let posts = post_all(&room(&hub), &["a"]);
    let first = peer.hear("send").await;
    peer.refuse(&first, "retry", true).await;
    let again = peer.hear("send").await;
    assert_eq!(first["key"], again["key"]);
    peer.ack(&first, 7).await;
    assert_eq!(place(&answers(posts).await[0]), 7);
}

#[tokio::test]
async fn a_draft_that_is_refused_for_good_holds_up_nobody() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let posts = post_all(&room(&hub), &["a", "b"]);
    let sends = hear_sends(&mut peer, 2).await;
    peer.refuse(&sends[0], "denied", false).await;
    peer.ack(&sends[1], 1).await;
    let posts = answers(posts).await;
    assert_eq!((&posts[0], place(&posts[1])), (&Err(Code::Denied), 1));
    let long = room(&hub).post(Draft::text("x".repeat(70_000))).await.unwrap_err();
    assert_eq!(long.code, Code::InvalidBody, "what the server would close the connection on is not sent");
}

#[tokio::test]
async fn only_so_many_sends_are_under_way() {
    let (fake, url) = Fake::start().await;
    let mut config = config("ann");
    config.sends_under_way_max = 2;
    config.unsent_max = 4;
    let (hub, mut peer, _) = connect(&fake, &url, config).await;
    let posts = post_all(&room(&hub), &["a", "b", "c", "d", "e"]);
    let mut sends = hear_sends(&mut peer, 2).await;
    assert!(timeout(Duration::from_millis(50), peer.hear("send")).await.is_err());
    for seq in 1..=4 {
        peer.ack(&sends.remove(0), seq).await;
        if seq < 3 {
            sends.push(peer.hear("send").await);
        }
    }
    let posts = answers(posts).await;
    assert_eq!(posts[..4].iter().map(place).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(posts[4], Err(Code::TooMany));
}

#[tokio::test]
async fn what_is_not_known_is_passed_over_and_moves_the_cursor() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let mut all = hub.events(Vec::new());
    let id_of_room = room(&hub).id();
    peer.say(json!({"type": "news", "room": 5})).await;
    peer.say(followed(id_of_room, 4, &Value::Null)).await;
    assert_eq!(next(&mut all).await, Event::Followed { room: id_of_room, head: seq(4) });
    peer.say(json!({"type": "signal", "kind": "wave", "room": id_of_room})).await;
    peer.say(entry(id_of_room, 5, &json!({"kind": "poll", "options": [1]}))).await;
    peer.say(entry(id_of_room, 6, &json!({"kind": "member", "change": "knighted", "user": "bob"}))).await;
    peer.say(text(id_of_room, 7)).await;
    let Event::Entry(poll) = next(&mut all).await else { panic!() };
    assert_eq!((poll.seq, &*poll.body.kind()), (seq(5), "poll"));
    assert_eq!(next_seq(&mut all).await, 7);
    peer.say(entry(id_of_room, 8, &json!({"kind": "member", "change": "knighted", "user": "bob"}))).await;
    peer.say(json!({"type": "close", "code": 4999, "reason": "new", "reconnect": true})).await;
    drop(peer);
    let (_peer, hello) = fake.welcome().await;
    assert_eq!(hello["cursors"], json!([{"room": id_of_room, "seq": 8, "id": id(8)}]));
}

#[tokio::test]
async fn what_one_posted_before_the_room_was_followed_is_before_its_head() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let room = room(&hub);
    let posts = post_all(&room, &["before"]);
    let sent = hear_sends(&mut peer, 1).await;
    peer.ack(&sent[0], 2).await;
    answers(posts).await;
    let mut events = room.events(Start::Head);
    peer.hear("follow").await;
    peer.say(followed(room.id(), 0, &Value::Null)).await; // the server follows a new room by itself
    for seq in 1..=3 {
        peer.say(text(room.id(), seq)).await;
    }
    assert_eq!(next(&mut events).await, Event::Followed { room: room.id(), head: seq(2) });
    assert_eq!(next_seq(&mut events).await, 3);
}

#[tokio::test]
async fn a_stream_of_all_rooms_brings_what_one_posted_before_the_room_was_followed() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let mut all = hub.events(Vec::new());
    let room = room(&hub);
    let posts = post_all(&room, &["before"]);
    let sent = hear_sends(&mut peer, 1).await;
    peer.ack(&sent[0], 2).await;
    answers(posts).await;
    peer.say(followed(room.id(), 0, &Value::Null)).await; // the server follows a new room by itself
    for seq in 1..=2 {
        peer.say(text(room.id(), seq)).await;
    }
    assert_eq!(next(&mut all).await, Event::Followed { room: room.id(), head: seq(0) });
    assert_eq!((next_seq(&mut all).await, next_seq(&mut all).await), (1, 2));
}

#[tokio::test]
async fn gaps_and_resets_are_told() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let room = room(&hub);
    let cursor = Cursor::new(room.id(), seq(3), Some(id(3).parse().unwrap()));
    let mut events = room.events(Start::After(cursor));
    let follow = peer.hear("follow").await;
    assert_eq!(follow["cursor"], json!({"seq": 3, "id": id(3)}));
    peer.say(followed(room.id(), 3, &follow["ref"])).await;
    peer.say(json!({"type": "gap", "room": room.id(), "from": 4, "to": 8, "why": "retention"})).await;
    peer.say(text(room.id(), 9)).await;
    assert_eq!(next(&mut events).await, Event::Followed { room: room.id(), head: seq(3) });
    let gap = Event::Gap { room: room.id(), from: seq(4), to: seq(8), why: GapReason::Retention };
    assert_eq!(next(&mut events).await, gap);
    assert_eq!(next_seq(&mut events).await, 9);
    drop(peer);
    let (mut peer, hello) = fake.welcome().await;
    assert_eq!(hello["cursors"][0]["seq"], 9);
    peer.say(json!({"type": "reset", "room": room.id()})).await;
    peer.say(followed(room.id(), 2, &Value::Null)).await;
    peer.say(text(room.id(), 3)).await;
    assert_eq!(next(&mut events).await, Event::Reset(room.id()));
    assert_eq!(next(&mut events).await, Event::Followed { room: room.id(), head: seq(2) });
    assert_eq!(next_seq(&mut events).await, 3);
}

#[tokio::test]
async fn positions_that_are_left_out_are_asked_for_once_and_then_shown_as_missing() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let room = room(&hub);
    let mut events = room.events(Start::Head);
    let follow = peer.hear("follow").await;
    peer.say(followed(room.id(), 3, &follow["ref"])).await;
    peer.say(text(room.id(), 4)).await;
    peer.say(text(room.id(), 6)).await;
    let unfollow = peer.hear("unfollow").await;
    let follow = peer.hear("follow").await;
    assert_eq!(follow["cursor"], json!({"seq": 4, "id": id(4)}));
    peer.say(json!({"type": "unfollowed", "ref": unfollow["ref"], "room": room.id(), "why": "unfollowed"})).await;
    peer.say(followed(room.id(), 4, &follow["ref"])).await;
    peer.say(text(room.id(), 6)).await;
    next(&mut events).await;
    assert_eq!(next_seq(&mut events).await, 4);
    let gap = Event::Gap { room: room.id(), from: seq(5), to: seq(5), why: GapReason::Retention };
    assert_eq!(next(&mut events).await, gap);
    assert_eq!(next_seq(&mut events).await, 6);
}

#[tokio::test]
async fn a_room_that_cannot_be_received_now_is_asked_for_again() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let room = room(&hub);
    let mut events = room.events(Start::Head);
    let follow = peer.hear("follow").await;
    peer.refuse(&follow, "retry", true).await;
    let follow = peer.hear("follow").await;
    peer.say(followed(room.id(), 3, &follow["ref"])).await;
    assert_eq!(next(&mut events).await, Event::Followed { room: room.id(), head: seq(3) });
    peer.say(json!({"type": "unfollowed", "room": room.id(), "why": "retry"})).await;
    let follow = peer.hear("follow").await;
    assert_eq!(follow["cursor"]["seq"], 3);
    peer.refuse(&follow, "not_found", false).await;
    assert_eq!(next(&mut events).await, Event::Unfollowed { room: room.id(), why: Code::NotFound });
}

#[tokio::test]
async fn a_token_is_asked_for_at_each_connect_and_before_it_ends() {
    let (fake, url) = Fake::start().await;
    let asked = Arc::new(AtomicU32::new(0));
    let config = config("").token(move || {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move { Ok(format!("token {number}")) }
    });
    let (hub, mut peer, hello) = connect(&fake, &url, config).await;
    assert_eq!(hello["token"], "token 0");
    peer.say(json!({"type": "expiring", "at": 5})).await;
    let refresh = peer.hear("refresh").await;
    assert_eq!(refresh["token"], "token 1");
    peer.greet(&refresh, "ann").await;
    // Whoever can get a new token comes back after the old one has ended.
    peer.say(json!({"type": "close", "code": 4002, "reason": "authentication expired", "reconnect": false})).await;
    drop(peer);
    let (_peer, hello) = fake.welcome().await;
    assert_eq!(hello["token"], "token 2");
    drop(hub);
}

#[tokio::test]
async fn a_close_says_whether_and_when_to_connect_again() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let mut events = hub.events(Vec::new());
    let began = Instant::now();
    peer.say(json!({"type": "close", "code": 1012, "reason": "restarting", "reconnect": true, "retry_after_ms": 300}))
        .await;
    drop(peer);
    let (mut peer, _) = fake.welcome().await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    peer.say(json!({"type": "close", "code": 4003, "reason": "logged out", "reconnect": false})).await;
    drop(peer);
    let Event::Closed(why) = next(&mut events).await else { panic!() };
    assert_eq!(why.code, Code::Unauthenticated);
    assert!(events.next().await.is_none(), "closed is the last event");
    assert!(room(&hub).post(Draft::text("too late")).await.is_err());
    assert!(matches!(next(&mut hub.events(Vec::new())).await, Event::Closed(_)));
}

#[tokio::test]
async fn a_wrong_token_ends_the_try_at_once() {
    let (fake, url) = Fake::start().await;
    let serve = async {
        let mut peer = fake.accept().await;
        let hello = peer.hear("hello").await;
        peer.refuse(&hello, "unauthenticated", false).await;
    };
    let (hub, ()) = tokio::join!(RemoteHub::connect(url, config("ann")), serve);
    assert_eq!(hub.unwrap_err().code, Code::Unauthenticated);
}

#[tokio::test]
async fn another_user_must_not_send_what_this_one_wrote() {
    let (fake, url) = Fake::start().await;
    let (hub, peer, _) = connect(&fake, &url, config("ann")).await;
    drop(peer);
    let room = room(&hub);
    let post = room.post(Draft::text("mine")).map(|done| done.unwrap_err().code);
    let serve = async {
        let mut peer = fake.accept().await;
        let hello = peer.hear("hello").await;
        peer.greet(&hello, "eve").await;
        peer.hung_up().await;
    };
    let (code, ()) = tokio::join!(post, serve);
    assert_eq!(code, Code::Unauthenticated);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let (fake, url) = Fake::start().await;
    let mut config = config("ann");
    config.silence_max = Duration::from_millis(100);
    let (hub, mut peer, _) = connect(&fake, &url, config).await;
    let posts = post_all(&room(&hub), &["a"]);
    let first = peer.hear("send").await;
    let (mut second, _) = fake.welcome().await; // the first connection is open, but silent
    let again = second.hear("send").await;
    assert_eq!(first["key"], again["key"]);
    second.ack(&again, 1).await;
    assert_eq!(place(&answers(posts).await[0]), 1);
}

#[tokio::test]
async fn closing_gives_back_what_was_not_sent() {
    let (fake, url) = Fake::start().await;
    let (hub, mut peer, _) = connect(&fake, &url, config("ann")).await;
    let draft = hub.draft_text("unsent");
    assert_eq!(draft.key.unix_ms() / 60_000, 1_731_666_414_192 / 60_000, "the server's time, not ours");
    let room = room(&hub);
    assert!(room.post(draft.clone()).now_or_never().is_none());
    peer.hear("send").await;
    let to_bob = Target::User(UserId::new("bob").unwrap());
    let (unsent, ()) = tokio::join!(hub.close(), peer.hung_up());
    assert_eq!(unsent, [(to_bob, draft)]);
    assert!(room.signal(Outgoing::Typing(true)).await.is_err());
}
