//! Typing, from one client to another over a real server.

use std::sync::Arc;

use chat_core::{Draft, Event, Hub, Outgoing, Room, RoomSpec, Signal, Start, UserId};
use chat_transport_ws::client::RemoteHub;
use futures::{StreamExt, stream::BoxStream};
use tokio::time::timeout;

use crate::{
    common::{SOON, Server},
    config, start,
};

/// Is what bob sees of ann.
#[derive(Debug, PartialEq)]
enum Seen {
    Typing(bool),
    Text(String),
}

struct Watched {
    room: Arc<dyn Room>,
    events: BoxStream<'static, Event>,
    _hubs: [RemoteHub; 2],
}

/// Connects ann, who writes, and bob, who looks on.
async fn ann_and_bob(server: &Server) -> Watched {
    let url = format!("ws://{}/ws", server.address);
    let ann = RemoteHub::connect(&url, config("ann")).await.unwrap();
    let room = ann.create(RoomSpec::public("tea").members([UserId::new("bob").unwrap()])).await.unwrap();
    let bob = RemoteHub::connect(&url, config("bob")).await.unwrap();
    let mut events = bob.room(room.id()).await.unwrap().events(Start::Head);
    while !matches!(events.next().await, Some(Event::Followed { .. })) {}
    Watched { room, events, _hubs: [ann, bob] }
}

impl Watched {
    async fn key(&self) {
        self.room.signal(Outgoing::Typing(true)).await.unwrap();
    }

    async fn sees(&mut self) -> Seen {
        loop {
            match timeout(SOON, self.events.next()).await.expect("something in time").expect("no end") {
                Event::Signal(Signal::Typing { on, .. }) => return Seen::Typing(on),
                Event::Entry(entry) => return Seen::Text(entry.body.text().unwrap_or_default().to_owned()),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn others_see_typing_once_and_its_end_with_the_message() {
    let (_engine, server) = start().await;
    let mut tea = ann_and_bob(&server).await;
    for _ in 0..50 {
        tea.key().await;
    }
    assert_eq!(tea.sees().await, Seen::Typing(true));
    for _ in 0..50 {
        tea.key().await;
    }
    tea.room.post(Draft::text("typed")).await.unwrap();
    assert_eq!([tea.sees().await, tea.sees().await], [Seen::Typing(false), Seen::Text("typed".into())]);
}

#[tokio::test]
async fn what_is_sent_or_deleted_at_once_was_no_typing_and_what_is_deleted_later_ends() {
    let (_engine, server) = start().await;
    let mut tea = ann_and_bob(&server).await;
    tea.key().await;
    tea.room.post(Draft::text("quick")).await.unwrap();
    tea.key().await;
    tea.room.signal(Outgoing::Typing(false)).await.unwrap();
    assert_eq!(tea.sees().await, Seen::Text("quick".into()));
    tea.key().await;
    assert_eq!(tea.sees().await, Seen::Typing(true));
    tea.room.signal(Outgoing::Typing(false)).await.unwrap();
    tea.room.signal(Outgoing::Typing(false)).await.unwrap();
    assert_eq!(tea.sees().await, Seen::Typing(false));
    tea.room.post(Draft::text("end")).await.unwrap();
    assert_eq!(tea.sees().await, Seen::Text("end".into()));
}
