//! The suite of transports: of what carries connections between clients and an [`Engine`], over the seam of
//! [`Session`](crate::Session) and [`Outbox`](crate::Outbox).

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{DEADLINE, eventually, suite};
use crate::{
    engine::{Engine, Limits},
    hub::{Hub, Room},
    model::{Draft, Identity, RoomSpec, UserId},
    protocol::Outgoing,
};

suite! {
    ($)
    /// Runs the suite of transports: `transport_conformance!(name, factory)`, where the factory gives a
    /// [`TransportUnderTest`](crate::conformance::transport::TransportUnderTest).
    transport_conformance in transport:
    who_says_hello_is_welcomed,
    frames_arrive_whole_and_in_order,
    a_slow_reader_gets_everything_later,
    signals_give_way_for_a_slow_reader,
    who_says_no_hello_is_closed_in_time,
    a_drain_closes_last_and_says_when_to_come_back,
    a_cut_ends_the_session,
    wrong_bytes_are_answered_and_harm_nobody,
}

/// Is a client's end of a connection, in the protocol's JSON. Dropping it cuts the connection.
#[async_trait]
pub trait Wire: Send {
    /// Sends a frame.
    async fn send(&mut self, text: &str);

    /// Receives the next frame; `None` after the last. Reads nothing ahead of that, so that a client can be slow.
    async fn receive(&mut self) -> Option<String>;
}

/// Connects a client that is already known by this name.
type Connect = Arc<dyn Fn(&str) -> BoxFuture<'static, Box<dyn Wire>> + Send + Sync>;

/// Is a kind of transport to be tested. It buffers less than a megabyte for a client that does not read.
#[derive(Clone)]
pub struct TransportUnderTest {
    serve: Arc<dyn Fn(Engine) -> BoxFuture<'static, Connect> + Send + Sync>,
}

impl fmt::Debug for TransportUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportUnderTest").finish_non_exhaustive()
    }
}

impl TransportUnderTest {
    /// Takes a function that serves an engine. It returns one that connects the person with a name.
    pub fn new<S, C, W>(serve: impl Fn(Engine) -> S + Send + Sync + 'static) -> Self
    where
        S: Future<Output = C> + Send + 'static,
        C: Fn(&str) -> W + Send + Sync + 'static,
        W: Future<Output = Box<dyn Wire>> + Send + 'static,
    {
        let serve = move |engine| {
            let connect = serve(engine);
            async move {
                let connect = connect.await;
                Arc::new(move |name: &str| connect(name).boxed()) as Connect
            }
            .boxed()
        };
        Self { serve: Arc::new(serve) }
    }

    async fn start(&self) -> Setting {
        self.start_with(Limits::load_profile()).await
    }

    /// Starts an engine with a room of ann's in which bob and cid are members.
    async fn start_with(&self, mut limits: Limits) -> Setting {
        limits.presence_grace = Duration::ZERO;
        let engine = Engine::builder().limits(limits).build().await.expect("an engine");
        let ann = engine.hub(Identity::human(user("ann"), "ann"));
        let room = ann.create(RoomSpec::public("tea").members([user("bob"), user("cid")])).await.expect("a room");
        Setting { connect: (self.serve)(engine.clone()).await, engine, room }
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a valid name")
}

struct Setting {
    engine: Engine,
    connect: Connect,
    room: Arc<dyn Room>,
}

impl Setting {
    async fn connect(&self, name: &str) -> Client {
        Client { wire: (self.connect)(name).await }
    }

    /// Connects somebody who follows the room.
    async fn greeted(&self, name: &str) -> Client {
        let mut client = self.connect(name).await;
        client.say(&json!({"type": "hello", "ref": 1})).await;
        let room = json!(self.room.id());
        client.until(|frame| frame["type"] == "followed" && frame["room"] == room).await;
        client
    }

    async fn post(&self, text: &str) {
        self.room.post(Draft::text(text)).await.expect("post");
    }

    /// Receives so many texts of the room, its positions without holes or repeats from the second on.
    async fn texts(&self, client: &mut Client, count: usize) -> Vec<String> {
        let (mut texts, mut signals) = (Vec::new(), 0);
        self.collect(client, count, &mut texts, &mut signals).await;
        texts
    }

    async fn collect(&self, client: &mut Client, count: usize, texts: &mut Vec<String>, signals: &mut usize) {
        let room = json!(self.room.id());
        while texts.len() < count {
            let frame = client.next().await;
            *signals += usize::from(frame["kind"] == "test.look");
            if frame["type"] == "entry" && frame["room"] == room {
                assert_eq!(frame["seq"], texts.len() + 2, "a hole, a repeat or a wrong order");
                texts.push(frame["body"]["text"].as_str().expect("a text").to_owned());
            }
        }
    }
}

struct Client {
    wire: Box<dyn Wire>,
}

impl Client {
    async fn say(&mut self, frame: &Value) {
        self.wire.send(&frame.to_string()).await;
    }

    async fn try_next(&mut self) -> Option<Value> {
        let text = timeout(DEADLINE, self.wire.receive()).await.expect("a frame in time, or the end")?;
        Some(serde_json::from_str(&text).expect("a whole frame"))
    }

    async fn next(&mut self) -> Value {
        self.try_next().await.expect("a frame before the end")
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let frame = self.next().await;
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// Receives the close frame, after which nothing may come.
    async fn closed(&mut self) -> Value {
        let close = self.until(|frame| frame["type"] == "close").await;
        assert_eq!(self.try_next().await, None, "the close frame is the last");
        close
    }
}

/// With the answer to its request.
pub async fn who_says_hello_is_welcomed(on: TransportUnderTest) {
    let setting = on.start().await;
    let mut bob = setting.connect("bob").await;
    bob.say(&json!({"type": "hello", "ref": 7})).await;
    let welcome = bob.next().await;
    assert_eq!((&welcome["type"], &welcome["ref"]), (&json!("welcome"), &json!(7)));
}

/// Short and long ones, as they were sent.
pub async fn frames_arrive_whole_and_in_order(on: TransportUnderTest) {
    let setting = on.start().await;
    let mut bob = setting.greeted("bob").await;
    let texts: Vec<_> = (0..100).map(|number| format!("{number}{}", "é".repeat(number * number % 1_999))).collect();
    for text in &texts {
        setting.post(text).await;
    }
    assert_eq!(setting.texts(&mut bob, texts.len()).await, texts);
}

/// It is parked, and holds up nobody.
pub async fn a_slow_reader_gets_everything_later(on: TransportUnderTest) {
    let setting = on.start().await;
    let (mut bob, mut cid) = (setting.greeted("bob").await, setting.greeted("cid").await);
    let text = "x".repeat(4_000);
    for _ in 0..400 {
        setting.post(&text).await;
        cid.until(|frame| frame["type"] == "entry").await;
    }
    assert_eq!(setting.texts(&mut bob, 400).await, vec![text; 400]);
}

/// They are dropped for it, and for nobody else; entries are not.
pub async fn signals_give_way_for_a_slow_reader(on: TransportUnderTest) {
    let setting = on.start().await;
    let (mut bob, mut cid) = (setting.greeted("bob").await, setting.greeted("cid").await);
    // More than a transport buffers, of signals alone: entries would park bob, and who is parked is sent no signals.
    for _ in 0..400 {
        let look = Outgoing::Custom { kind: "test.look".into(), data: "x".repeat(4_000).into() };
        setting.room.signal(look).await.expect("signal");
        cid.until(|frame| frame["kind"] == "test.look").await;
    }
    setting.post("last").await;
    let (mut texts, mut signals) = (Vec::new(), 0);
    setting.collect(&mut bob, 1, &mut texts, &mut signals).await;
    assert!(signals < 400, "all signals were kept for who does not read");
}

/// With a close frame that says so.
pub async fn who_says_no_hello_is_closed_in_time(on: TransportUnderTest) {
    let mut limits = Limits::load_profile();
    limits.hello_within = Duration::from_millis(300);
    let setting = on.start_with(limits).await;
    assert_eq!(setting.connect("bob").await.closed().await["code"], 4004);
}

/// Strangers as well.
pub async fn a_drain_closes_last_and_says_when_to_come_back(on: TransportUnderTest) {
    let setting = on.start().await;
    let (bob, cid) = (setting.greeted("bob").await, setting.connect("cid").await);
    setting.post("before").await;
    let engine = setting.engine.clone();
    let draining = tokio::spawn(async move { engine.drain(DEADLINE).await });
    // The stranger first: what waits for bob is still there when both are closed.
    for mut client in [cid, bob] {
        let close = client.closed().await;
        assert_eq!(close["code"], 1012);
        assert!(close["retry_after_ms"].is_u64(), "{close}");
    }
    draining.await.expect("the drain ends");
}

/// Whoever asks sees it.
pub async fn a_cut_ends_the_session(on: TransportUnderTest) {
    let setting = on.start().await;
    let (bob, cid) = (setting.greeted("bob").await, Arc::new(tokio::sync::Mutex::new(setting.greeted("cid").await)));
    let sees_bob = |online: bool| {
        let (cid, room) = (cid.clone(), setting.room.id());
        move || {
            let cid = cid.clone();
            async move {
                let mut cid = cid.lock().await;
                cid.say(&json!({"type": "members", "ref": 9, "room": room})).await;
                let answer = cid.until(|frame| frame["ref"] == 9).await;
                let members = answer["members"].as_array().expect("members");
                members.iter().any(|member| member["user"] == "bob" && (member["online"] == true) == online)
            }
        }
    };
    eventually("bob is online", sees_bob(true)).await;
    drop(bob);
    eventually("bob is offline", sees_bob(false)).await;
}

/// Neither the one who sent them, nor others.
pub async fn wrong_bytes_are_answered_and_harm_nobody(on: TransportUnderTest) {
    let setting = on.start().await;
    let (mut bob, mut cid) = (setting.greeted("bob").await, setting.greeted("cid").await);
    for wrong in ["{}", "no json", "\u{0}"] {
        bob.wire.send(wrong).await;
        assert_eq!(bob.until(|frame| frame["type"] == "error").await["name"], "invalid");
    }
    setting.post("still here").await;
    for client in [&mut bob, &mut cid] {
        assert_eq!(setting.texts(client, 1).await, ["still here"]);
    }
}
