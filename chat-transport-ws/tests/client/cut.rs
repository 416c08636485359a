//! A real server behind a connection that breaks.

use std::{sync::Arc, time::Duration};

use chat_check::proxy::{Proxy, Way};
use chat_core::{
    Cursor, Draft, Engine, Event, Hub, Identity, Limits, Page, Posted, Room, RoomSpec, Start, UserId,
    memory::{MemoryBroker, MemoryStore},
};
use chat_transport_ws::client::RemoteHub;
use futures::{FutureExt, StreamExt, future::join_all, stream::BoxStream};
use tokio::time::{sleep, timeout};

use crate::{
    ByName,
    common::{SOON, Server, front_config, ws_config},
    config, start,
};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// Waits for so many texts; nothing may be missing, doubled or explained away.
async fn texts(events: &mut BoxStream<'static, Event>, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        match timeout(4 * SOON, events.next()).await.expect("a text in time").expect("a text before the end") {
            Event::Entry(entry) => texts.extend(entry.body.text().map(str::to_owned)),
            Event::Signal(_) | Event::Followed { .. } => {}
            other => panic!("{other:?} instead of an entry"),
        }
    }
    texts
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn url(proxy: &Proxy) -> String {
    format!("ws://{}/ws", proxy.address())
}

/// Returns ann's hub behind a proxy, and a room of hers with bob in it.
async fn ann_behind_a_proxy(server: &Server) -> (Proxy, RemoteHub, Arc<dyn Room>) {
    let proxy = Proxy::to(server.address).await.unwrap();
    let hub = RemoteHub::connect(url(&proxy), config("ann")).await.unwrap();
    let room = hub.create(RoomSpec::public("tea").members([user("bob")])).await.unwrap();
    (proxy, hub, room)
}

/// Cuts, in different ways and at different times.
async fn cut_often(proxy: Proxy) {
    for number in 0..8 {
        sleep(Duration::from_millis(20 + 7 * number)).await;
        proxy.refuse(number % 2 == 0);
        if number % 3 == 0 {
            proxy.answers(Way::Swallow);
            sleep(Duration::from_millis(10)).await;
        }
        proxy.cut();
        proxy.answers(Way::Pass);
        sleep(Duration::from_millis(15)).await;
        proxy.refuse(false);
    }
}

#[tokio::test]
async fn a_conversation_survives_cuts_without_loss_repeat_or_disorder() {
    const COUNT: u32 = 400;
    let (_engine, server) = start().await;
    let (proxy, ann, room) = ann_behind_a_proxy(&server).await;
    let bob = RemoteHub::connect(url(&proxy), config("bob")).await.unwrap();
    let mut streams = vec![
        room.events(Start::Head),
        ann.events(Vec::new()),
        bob.events(Vec::new()),
        bob.room(room.id()).await.unwrap().events(Start::Oldest),
    ];
    for events in &mut streams {
        while !matches!(events.next().await, Some(Event::Followed { room: followed, .. }) if followed == room.id()) {}
    }
    let cuts = tokio::spawn(cut_often(proxy.clone()));
    let mut posted = Vec::new();
    for number in 0..COUNT {
        let room = room.clone();
        // Each post is begun in order and not waited for.
        let mut post = async move { room.post(Draft::text(number.to_string())).await }.boxed();
        assert!((&mut post).now_or_never().is_none());
        posted.push(post);
        if number % 10 == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    for post in posted {
        assert!(matches!(timeout(4 * SOON, post).await.expect("an answer in time"), Ok(Posted::Stored { .. })));
    }
    cuts.await.unwrap();
    for events in &mut streams {
        assert_eq!(texts(events, COUNT as usize).await, numbers(0..COUNT));
    }
    let mut stored = Vec::new();
    while let Some(after) =
        room.history(Page::newest(200).after(stored.len() as u64 + 1)).await.ok().filter(|page| !page.is_empty())
    {
        stored.extend(after);
    }
    assert_eq!(stored.len(), COUNT as usize, "every draft is stored once");
}

#[tokio::test]
async fn receivers_that_fall_behind_miss_nothing_when_cut_as_well() {
    const COUNT: u32 = 800;
    let (_engine, server) = start().await;
    let (proxy, _ann, room) = ann_behind_a_proxy(&server).await;
    let mut small = config("bob");
    small.events_max = 16;
    let bob = RemoteHub::connect(url(&proxy), small).await.unwrap();
    let bobs = bob.room(room.id()).await.unwrap();
    let mut places = Vec::new();
    for number in 0..COUNT / 2 {
        let Ok(Posted::Stored { seq, id }) = room.post(Draft::text(number.to_string())).await else { panic!() };
        places.push(Cursor::new(room.id(), seq, Some(id)));
    }
    let later = async {
        for number in COUNT / 2..COUNT {
            room.post(Draft::text(number.to_string())).await.unwrap();
        }
    };
    let streams = [
        (0, bobs.events(Start::Oldest)),
        (0, bobs.events(Start::Oldest)),
        (101, bobs.events(Start::After(places[100]))),
        (301, bob.events(vec![places[300]])),
    ];
    let reading = join_all(streams.map(|(first, mut events)| async move {
        let mut received = Vec::new();
        while received.len() < (COUNT - first) as usize {
            received.extend(texts(&mut events, 1).await);
            if received.len() % 20 == 0 {
                sleep(Duration::from_millis(5)).await; // slower than what comes
            }
        }
        assert!(received == numbers(first..COUNT), "lost, doubled or out of order: {received:?}");
    }));
    tokio::join!(later, reading, cut_often(proxy.clone()));
}

#[tokio::test]
async fn a_lost_ack_is_answered_with_the_same_place() {
    let (engine, server) = start().await;
    let (proxy, _ann, room) = ann_behind_a_proxy(&server).await;
    let local = engine.hub(Identity::human(user("bob"), "bob")).room(room.id()).await.unwrap();
    proxy.answers(Way::Swallow);
    let post = tokio::spawn(async move { room.post(Draft::text("once")).await });
    let stored = async {
        loop {
            match local.history(Page::default()).await.unwrap().pop() {
                Some(entry) => break entry,
                None => sleep(Duration::from_millis(5)).await,
            }
        }
    };
    let entry = timeout(SOON, stored).await.unwrap();
    assert!(!post.is_finished(), "the answer was swallowed");
    proxy.cut();
    proxy.answers(Way::Pass);
    let place = Posted::Stored { seq: entry.seq, id: entry.id };
    assert_eq!(timeout(SOON, post).await.unwrap().unwrap().unwrap(), place);
    assert_eq!(local.history(Page::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_asked_and_posted_while_the_server_is_away_is_done_later() {
    let (_engine, server) = start().await;
    let (proxy, ann, room) = ann_behind_a_proxy(&server).await;
    proxy.refuse(true);
    proxy.cut();
    while ann.is_online() {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(room.post(Draft::text("0")).now_or_never().is_none(), "this future is dropped, the draft is not");
    let mut events = room.events(Start::Oldest);
    let posts = join_all((1..5).map(|number: u32| room.post(Draft::text(number.to_string()))));
    let back = async {
        sleep(Duration::from_millis(100)).await;
        proxy.refuse(false);
    };
    let (posts, rooms, ()) =
        timeout(SOON, async { tokio::join!(posts, ann.rooms(Page::default()), back) }).await.unwrap();
    assert!(posts.iter().all(Result::is_ok), "{posts:?}");
    assert_eq!(rooms.unwrap().len(), 1);
    assert_eq!(texts(&mut events, 5).await, numbers(0..5));
}

#[tokio::test]
async fn a_question_is_given_up_in_time() {
    let (_engine, server) = start().await;
    let proxy = Proxy::to(server.address).await.unwrap();
    let mut config = config("ann");
    config.answer_within = Duration::from_millis(200);
    let ann = RemoteHub::connect(url(&proxy), config).await.unwrap();
    proxy.refuse(true);
    proxy.cut();
    let error = timeout(SOON, ann.rooms(Page::default())).await.unwrap().unwrap_err();
    assert!(error.code.is_retryable());
}

#[tokio::test]
async fn when_a_node_drains_its_clients_go_on_at_another() {
    let (store, broker) = (Arc::new(MemoryStore::new()), Arc::new(MemoryBroker::new()));
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let builder =
            Engine::builder().store(store.clone()).broker(broker.clone()).secret("the secret of this cluster");
        let builder = builder.authenticator(Arc::new(ByName)).limits(Limits::load_profile());
        let engine = builder.build().await.unwrap();
        nodes.push((engine.clone(), Server::serving(engine, ws_config(), front_config()).await));
    }
    let (proxy, _ann, room) = ann_behind_a_proxy(&nodes[0].1).await;
    let mut events = room.events(Start::Head);
    room.post(Draft::text("0")).await.unwrap();
    assert_eq!(texts(&mut events, 1).await, numbers(0..1));
    proxy.lead_to(nodes[1].1.address);
    let drain = nodes[0].0.drain(SOON);
    let posts = join_all((1..20).map(|number: u32| room.post(Draft::text(number.to_string()))));
    let (posts, ()) = timeout(2 * SOON, async { tokio::join!(posts, drain) }).await.unwrap();
    assert!(posts.iter().all(Result::is_ok), "{posts:?}");
    assert_eq!(texts(&mut events, 19).await, numbers(1..20));
    let local = nodes[1].0.hub(Identity::human(user("bob"), "bob")).room(room.id()).await.unwrap();
    local.post(Draft::text("from the other node")).await.unwrap();
    assert_eq!(texts(&mut events, 1).await, ["from the other node"]);
}
