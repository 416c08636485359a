//! A host whose own code panics, under clients that talk over real sockets: who caused it is told to try again, everybody
//! else notices nothing, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{collections::BTreeSet, net::SocketAddr, sync::Mutex, time::Duration};

use async_trait::async_trait;
use axum::{Router, extract::FromRequestParts, http::StatusCode, http::request::Parts};
use chat_core::store::Access;
use chat_engine::{
    Action, Chat, Code, CommandError, Draft, Event, Hub, Identity, Invocation, Limits, Members, Outgoing, Policy,
    Posted, Reply, RoomId, RoomSpec, Start, UserId,
};
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use futures::{StreamExt, stream::BoxStream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Panics at the first sight of `panic in …`; the second time all is well.
#[derive(Default)]
struct Buggy(Mutex<BTreeSet<String>>);

impl Buggy {
    fn look(&self, place: &str, text: Option<&str>) {
        let text = text.unwrap_or_default();
        let is_new = text == format!("panic in {place}") && self.0.lock().unwrap().insert(text.to_owned());
        assert!(!is_new, "a bug of the host's in {place}");
    }
}

#[async_trait]
impl Policy for Buggy {
    fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code> {
        match action {
            Action::Post { body, .. } => self.look("authorize", body.text()),
            // Signals have no second try: the session ends, and the client comes back.
            Action::Signal => panic!("a bug of the host's in signals"),
            _ => {}
        }
        Members::default().authorize(who, action, access)
    }

    async fn screen(&self, _: &Identity, _: RoomId, draft: &mut Draft) -> Result<(), Code> {
        self.look("screen", draft.body.text());
        Ok(())
    }
}

async fn boom(_: Invocation) -> Result<Reply, CommandError> {
    panic!("a bug of the host's in a command")
}

/// Is whoever the header names.
struct Named(UserId);

impl<S: Sync> FromRequestParts<S> for Named {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        let name = parts.headers.get("x-user").and_then(|name| name.to_str().ok()).ok_or(StatusCode::UNAUTHORIZED)?;
        assert!(name != "panic", "a bug of the host's in its login");
        UserId::new(name).map(Self).map_err(|_| StatusCode::UNAUTHORIZED)
    }
}

async fn start() -> (Chat, SocketAddr) {
    let builder = Chat::builder().policy(Buggy::default()).limits(Limits::load_profile());
    let chat = builder.command("boom", "panics", boom).build().await.unwrap();
    let routes = chat.router(|Named(user): Named| Identity::human(user.clone(), user.as_str()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().nest("/chat", routes)).await });
    (chat, address)
}

/// Asks in the name of somebody at whom the host's login panics.
async fn ask_as_panic(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /chat/rooms HTTP/1.1\r\nhost: a\r\nx-user: panic\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await; // cut
    answer
}

async fn connect(address: SocketAddr, user: &str) -> RemoteHub {
    let mut config = ClientConfig::default().header("x-user", user);
    config.backoff_base = Duration::from_millis(10);
    RemoteHub::connect(&format!("ws://{address}/chat/ws"), config).await.unwrap()
}

/// Returns the next texts that a stream brings.
async fn texts(events: &mut BoxStream<'static, Event>, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        match timeout(PATIENCE, events.next()).await.expect("it comes in time").expect("it goes on") {
            Event::Entry(entry) => texts.extend(entry.body.text().map(str::to_owned)),
            Event::Gap { .. } | Event::Reset(_) | Event::Closed(_) => panic!("something was lost"),
            _ => {}
        }
    }
    texts
}

#[tokio::test]
async fn what_panics_in_the_host_s_code_costs_nobody_a_message() {
    let (_chat, address) = start().await;
    let [ann, bob] = [connect(address, "ann").await, connect(address, "bob").await];
    let room = ann.create(RoomSpec::private("tea").members([UserId::new("bob").unwrap()])).await.unwrap();
    let theirs = bob.room(room.id()).await.unwrap();
    let mut heard = theirs.events(Start::Oldest);

    assert!(ask_as_panic(address).await.is_empty(), "a login that panics ends its own connection");
    for bug in ["panic in authorize", "panic in screen"] {
        // The client sends again by itself what the server asks to be sent again.
        let (first, second) = (room.post(ann.draft_text(bug)), theirs.post(bob.draft_text("meanwhile")));
        let (first, second) = tokio::join!(first, second);
        first.unwrap();
        second.unwrap();
    }
    let answered = room.post(ann.draft_text("/boom")).await.unwrap();
    assert_eq!(answered, Posted::Accepted, "its failure is told by the bot");
    theirs.signal(Outgoing::Typing(true)).await.unwrap();
    room.post(ann.draft_text("after all that")).await.unwrap();

    let mut texts = texts(&mut heard, 6).await;
    assert_eq!(texts.pop().as_deref(), Some("after all that"));
    texts.sort();
    let expected = ["meanwhile", "meanwhile", "panic in authorize", "panic in screen", "the command failed"];
    assert_eq!(texts, expected, "each of them once");
}
