//! Authentication that ends: who is warned, who lives on, and who is closed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Authenticator, Code, Draft, Engine, Event, Hub, HubError, Identity, RoomSpec, Start, UserId,
    clock::{Clock, SystemClock},
    model::Timestamp,
};
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use common::{SOON, Server, front_config, ws_config};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

/// A token is a name and, after a colon, when it ends; it is worth nothing from then on.
struct ByToken(Arc<TestClock>);

#[async_trait]
impl Authenticator for ByToken {
    async fn authenticate(&self, token: &str) -> Result<Identity, Code> {
        let (name, ends) = token.split_once(':').ok_or(Code::Unauthenticated)?;
        let ends = Timestamp(ends.parse().map_err(|_| Code::Unauthenticated)?);
        if ends <= self.0.now() {
            return Err(Code::Unauthenticated);
        }
        Ok(Identity::human(UserId::new(name).map_err(|_| Code::Unauthenticated)?, name).with_expiry(ends))
    }
}

/// A clock that a test sets forward.
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Acquire))
    }
}

impl TestClock {
    fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_millis().try_into().unwrap(), Ordering::AcqRel);
    }

    /// Makes a token that ends after this time.
    fn token(&self, name: &str, after: Duration) -> String {
        format!("{name}:{}", self.now().0 + i64::try_from(after.as_millis()).unwrap())
    }
}

const HOUR: Duration = Duration::from_hours(1);
/// Inside the minute before the end in which clients are warned.
const NEARLY_HOUR: Duration = Duration::from_secs(3_570);

async fn start() -> (Arc<TestClock>, Server) {
    let clock = Arc::new(TestClock(AtomicI64::new(SystemClock.now().0)));
    let authenticator = Arc::new(ByToken(clock.clone()));
    let engine = Engine::builder().authenticator(authenticator).clock(clock.clone()).build().await.unwrap();
    (clock, Server::serving(engine, ws_config(), front_config()).await)
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn hello(server: &Server, token: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/ws", server.address)).await.unwrap();
        let mut client = Self(socket);
        client.say(json!({"type": "hello", "ref": 1, "token": token})).await;
        client.until("welcome").await;
        client
    }

    async fn say(&mut self, request: Value) {
        self.0.send(Message::text(request.to_string())).await.unwrap();
    }

    /// Returns the next frame of this type.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            match timeout(SOON, self.0.next()).await.expect(kind).expect(kind).unwrap() {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame["type"] == kind {
                        return frame;
                    }
                    assert_ne!(frame["type"], "close", "{frame}");
                }
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// Waits for the end; returns the WebSocket close code.
    async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(close) = timeout(SOON, self.0.next()).await.unwrap().unwrap().unwrap() {
                return close.unwrap().code.into();
            }
        }
    }
}

#[tokio::test]
async fn a_client_is_warned_within_the_last_minute_and_not_before() {
    let (clock, server) = start().await;
    let token = clock.token("ann", HOUR);
    let mut ann = Client::hello(&server, &token).await;
    assert!(timeout(Duration::from_millis(1_500), ann.until("expiring")).await.is_err(), "an hour before");
    clock.forward(NEARLY_HOUR);
    let ends: i64 = token.split_once(':').unwrap().1.parse().unwrap();
    assert_eq!(ann.until("expiring").await, json!({"type": "expiring", "at": ends}));
}

#[tokio::test]
async fn who_does_not_refresh_is_closed_with_4002_when_the_time_has_come() {
    let (clock, server) = start().await;
    let mut ann = Client::hello(&server, &clock.token("ann", HOUR)).await;
    clock.forward(NEARLY_HOUR);
    ann.until("expiring").await;
    clock.forward(Duration::from_secs(30));
    assert_eq!(ann.close_code().await, 4002);
}

#[tokio::test]
async fn who_refreshes_lives_on_and_is_warned_again_before_the_new_end() {
    let (clock, server) = start().await;
    let mut ann = Client::hello(&server, &clock.token("ann", HOUR)).await;
    clock.forward(NEARLY_HOUR);
    ann.until("expiring").await;
    ann.say(json!({"type": "refresh", "ref": 2, "token": clock.token("ann", 2 * HOUR)})).await;
    assert_eq!(ann.until("welcome").await["ref"], 2);
    clock.forward(HOUR);
    ann.say(json!({"type": "rooms", "ref": 3})).await;
    assert_eq!(ann.until("rooms").await["ref"], 3);
    assert!(timeout(Duration::from_millis(1_500), ann.until("expiring")).await.is_err(), "an hour before the new end");
    clock.forward(NEARLY_HOUR);
    ann.until("expiring").await;
}

#[tokio::test]
async fn a_refresh_as_somebody_else_or_with_a_bad_token_is_refused_and_prolongs_nothing() {
    let (clock, server) = start().await;
    let mut ann = Client::hello(&server, &clock.token("ann", HOUR)).await;
    for (token, name) in [(clock.token("bob", 2 * HOUR), "denied"), ("nonsense".to_owned(), "unauthenticated")] {
        ann.say(json!({"type": "refresh", "ref": 2, "token": token})).await;
        let error = ann.until("error").await;
        assert_eq!((&error["ref"], &error["name"]), (&json!(2), &json!(name)));
    }
    clock.forward(HOUR);
    assert_eq!(ann.close_code().await, 4002);
}

/// A hub whose tokens last an hour each; counts them.
async fn hub(clock: &Arc<TestClock>, server: &Server) -> (RemoteHub, Arc<AtomicU32>) {
    let (clock, asked) = (clock.clone(), Arc::new(AtomicU32::new(0)));
    let count = asked.clone();
    let mut config = ClientConfig::default().token(move || {
        count.fetch_add(1, Ordering::Relaxed);
        let token = clock.token("ann", HOUR);
        async { Ok::<_, HubError>(token) }
    });
    config.backoff_max = Duration::from_millis(50);
    (RemoteHub::connect(format!("ws://{}/ws", server.address), config).await.unwrap(), asked)
}

/// Waits until so many tokens were asked for.
async fn asked_for(count: u32, asked: &AtomicU32) {
    let so = async {
        while asked.load(Ordering::Relaxed) < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, so).await.expect("a token is asked for");
}

#[tokio::test]
async fn the_rust_client_renews_its_token_over_the_same_connection() {
    let (clock, server) = start().await;
    let (hub, asked) = hub(&clock, &server).await;
    for count in 2..=4 {
        clock.forward(NEARLY_HOUR);
        asked_for(count, &asked).await;
        // Answered after the refresh: it is done when this is.
        hub.rooms(chat_core::Page::default()).await.unwrap();
        assert!(hub.is_online());
    }
    assert_eq!(asked.load(Ordering::Relaxed), 4, "one at the connect, then one an hour");
}

#[tokio::test]
async fn the_rust_client_comes_back_with_a_new_token_when_the_old_one_has_ended_and_misses_nothing() {
    let (clock, server) = start().await;
    let (hub, asked) = hub(&clock, &server).await;
    let room = hub.create(RoomSpec::private("tea")).await.unwrap();
    let mut events = room.events(Start::Oldest);
    clock.forward(2 * HOUR); // a machine that slept: there was no time for a warning
    asked_for(2, &asked).await;
    room.post(Draft::text("back")).await.unwrap();
    let back = async {
        loop {
            match events.next().await.expect("an event before the end") {
                Event::Entry(entry) if entry.body.text() == Some("back") => break,
                Event::Closed(why) => panic!("{why}"),
                _ => {}
            }
        }
    };
    timeout(SOON, back).await.expect("the text comes");
}
