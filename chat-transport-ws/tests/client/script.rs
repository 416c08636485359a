//! Plays the server of a golden conversation, and the application around the client.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chat_core::{Draft, Event, Hub, HubError, Page, Posted, Room, Seq, UserId, protocol::Outgoing};
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    common::SOON,
    fake::{Fake, Peer},
};

#[derive(Deserialize)]
pub(crate) struct Conversation {
    pub(crate) name: String,
    #[serde(default)]
    tokens: Option<VecDeque<String>>,
    #[serde(default)]
    pub(crate) steps: Vec<Value>,
}

impl Conversation {
    /// Is one without steps and without tokens.
    pub(crate) fn bare() -> Self {
        Self { name: String::new(), tokens: None, steps: Vec::new() }
    }
}

/// What became of something that the application wanted.
type Outcome = Result<Value, HubError>;

pub(crate) struct Script {
    fake: Fake,
    welcome: Value,
    connecting: Option<JoinHandle<Result<RemoteHub, HubError>>>,
    hub: Option<RemoteHub>,
    events: BoxStream<'static, Event>,
    peer: Option<Peer>,
    cut_at: Option<Instant>,
    names: BTreeMap<String, Value>,
    outcomes: BTreeMap<String, JoinHandle<Outcome>>,
}

impl Script {
    pub(crate) async fn new(welcome: &Value, conversation: &Conversation) -> Self {
        let (fake, url) = Fake::start().await;
        let mut config = ClientConfig::default();
        // Waits that do not make a test slow; the bounds of the real ones are tested by themselves.
        config.backoff_base = Duration::from_millis(10);
        config.backoff_max = Duration::from_millis(50);
        if let Some(tokens) = &conversation.tokens {
            let tokens = Arc::new(Mutex::new(tokens.clone()));
            config = config.token(move || {
                let token = tokens.lock().unwrap().pop_front();
                async move { Ok(token.expect("no more tokens were expected to be asked for")) }
            });
        }
        Self {
            fake,
            welcome: welcome.clone(),
            connecting: Some(tokio::spawn(RemoteHub::connect(url, config))),
            hub: None,
            events: futures::stream::pending().boxed(),
            peer: None,
            cut_at: None,
            names: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        }
    }

    /// Does one step: its verb is the field that is known here.
    pub(crate) async fn step(&mut self, step: &Value) {
        let fields = step.as_object().unwrap();
        let verbs = ["connects", "greet", "welcome", "expect", "say", "cut", "quiet", "hears", "may_hear", "do"];
        let verbs = verbs.iter().chain(&["settles", "ends"]);
        let verb = *verbs.clone().find(|verb| fields.contains_key(**verb)).expect("a verb");
        let what = &fields[verb];
        match verb {
            "connects" => self.connects(what).await,
            "greet" => self.greet(what).await,
            "welcome" => self.be_welcome(what).await,
            "expect" => self.expect(what, fields).await,
            "say" => self.say(what).await,
            "cut" => self.cut(what["code"].as_u64()).await,
            "quiet" => self.quiet().await,
            "hears" => assert!(self.hears(what).await, "{what} was not told"),
            "may_hear" => drop(self.hears(what).await),
            "do" => self.act(what.as_str().unwrap(), fields).await,
            "settles" => self.settles(what.as_str().unwrap(), fields).await,
            _ => self.ends().await,
        }
    }

    /// The end: nothing was asked or told beyond the script.
    pub(crate) async fn end(mut self) {
        self.quiet().await;
        while let Some(Some(event)) = self.events.next().now_or_never() {
            assert!(matches!(event, Event::Followed { .. } | Event::Closed(_)), "{event:?} was not to be told");
        }
    }

    pub(crate) fn is_online(&self) -> bool {
        self.hub.as_ref().is_some_and(RemoteHub::is_online)
    }

    fn peer(&mut self) -> &mut Peer {
        self.peer.as_mut().expect("a connection")
    }

    async fn connects(&mut self, bounds: &Value) {
        self.peer = Some(self.fake.accept().await);
        let Some(cut_at) = self.cut_at else { return };
        let waited = cut_at.elapsed();
        assert!(waited >= Duration::from_millis(bounds["after_ms"].as_u64().unwrap_or(0)), "too early");
        assert!(waited <= Duration::from_millis(bounds["within_ms"].as_u64().unwrap_or(60_000)), "too late");
    }

    async fn greet(&mut self, how: &Value) {
        self.connects(how).await;
        let hello = self.peer().hear("hello").await;
        assert!(how["hello"].is_null() || matches(&hello, &how["hello"]), "{hello} is not {how}");
        assert_eq!(hello["token"], how["token"]);
        let mut more = how.as_object().unwrap().clone();
        more.retain(|name, _| !["hello", "token", "after_ms", "within_ms"].contains(&name.as_str()));
        more.insert("ref".into(), hello["ref"].clone());
        self.be_welcome(&more.into()).await;
        self.at_home().await;
    }

    /// Waits until the hub is there and online, and listens to all its rooms.
    async fn at_home(&mut self) {
        if let Some(connecting) = self.connecting.take() {
            let hub = timeout(SOON, connecting).await.expect("a hub in time").unwrap().unwrap();
            self.events = hub.events(Vec::new());
            self.hub = Some(hub);
        }
        let hub = self.hub.clone().expect("a hub");
        becomes(&hub, true).await;
    }

    async fn be_welcome(&mut self, more: &Value) {
        let mut welcome = self.welcome.clone();
        for (name, value) in more.as_object().unwrap() {
            welcome[name] = value.clone();
        }
        self.say(&welcome).await;
    }

    async fn expect(&mut self, wanted: &Value, step: &Map<String, Value>) {
        let since = Instant::now();
        let wanted = self.fill(wanted);
        let frame = self.peer().hear(wanted["type"].as_str().unwrap()).await;
        assert!(matches(&frame, &wanted), "{frame} is not {wanted}");
        let after = step.get("after_ms").and_then(Value::as_u64).unwrap_or(0);
        assert!(since.elapsed() >= Duration::from_millis(after), "too early");
        if let Some(time) = step.get("key_ms").and_then(Value::as_i64) {
            let key: chat_core::Key = frame["key"].as_str().unwrap().parse().unwrap();
            assert!((key.unix_ms() - time).abs() < 60_000, "the key has another time");
        }
        if let Some(name) = step.get("as").and_then(Value::as_str) {
            self.names.insert(name.to_owned(), frame);
        }
    }

    async fn say(&mut self, frame: &Value) {
        let text = frame.as_str().map_or_else(|| self.fill(frame).to_string(), str::to_owned);
        self.peer().say_text(text).await;
    }

    async fn cut(&mut self, code: Option<u64>) {
        self.cut_at = Some(Instant::now());
        if let Some(code) = code {
            self.peer().close(u16::try_from(code).unwrap()).await;
        }
        self.peer = None;
        if let Some(hub) = self.hub.clone() {
            becomes(&hub, false).await;
        }
    }

    async fn quiet(&mut self) {
        let Some(peer) = &mut self.peer else { return };
        let asked = match peer.asks_before_it_has_heard_all().await {
            None => timeout(Duration::from_millis(50), peer.any()).await.ok(),
            asked => asked,
        };
        assert_eq!(asked, None, "was not to be asked");
    }

    /// Tells whether the next event is this one. Rooms that are followed again need not be told.
    async fn hears(&mut self, wanted: &Value) -> bool {
        loop {
            let Ok(event) = timeout(Duration::from_millis(500), self.events.next()).await else { return false };
            let event = to_json(&event.expect("an event before the end"));
            if matches(&event, wanted) {
                return true;
            }
            assert_eq!(event["event"], "followed", "{event} was told before {wanted}");
        }
    }

    async fn act(&mut self, what: &str, step: &Map<String, Value>) {
        let hub = self.hub.clone().expect("a hub");
        let to = |name: &str| hub.direct(&UserId::new(step[name].as_str().unwrap()).unwrap());
        let mut work: BoxFuture<'static, Outcome> = match what {
            "post" => {
                let draft = hub.draft_text(step["text"].as_str().unwrap());
                self.names.insert(step["as"].as_str().unwrap().to_owned(), json!({"key": draft.key}));
                post(to("to"), draft).boxed()
            }
            "rooms" => {
                let hub = hub.clone();
                async move { hub.rooms(Page::default()).await.map(|rooms| json!({"count": rooms.len()})) }.boxed()
            }
            "typing" => signal(to("to"), Outgoing::Typing(true)).boxed(),
            "read" => signal(to("to"), Outgoing::Read(Seq::new(step["seq"].as_u64().unwrap()).unwrap())).boxed(),
            other => panic!("{other} is not known"),
        };
        // Begun at once, so that what is done in order is sent in order.
        let first = (&mut work).now_or_never();
        let outcome = tokio::spawn(async move { if let Some(done) = first { done } else { work.await } });
        if let Some(name) = step.get("as").and_then(Value::as_str) {
            self.outcomes.insert(name.to_owned(), outcome);
        } else {
            timeout(SOON, outcome).await.expect("done in time").unwrap().unwrap();
        }
    }

    async fn settles(&mut self, name: &str, step: &Map<String, Value>) {
        let outcome = self.outcomes.remove(name).expect(name);
        let outcome = timeout(SOON, outcome).await.unwrap_or_else(|_| panic!("{name} is not answered")).unwrap();
        if let Some(refused) = step.get("refused") {
            let code = outcome.unwrap_err().code;
            assert!(refused.is_null() || refused == code.name(), "{code}");
            return;
        }
        let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(step.iter().filter(|(field, _)| *field != "settles").all(|(field, value)| outcome[field] == *value));
    }

    async fn ends(&mut self) {
        if let Some(mut peer) = self.peer.take() {
            peer.hung_up().await;
        }
        if let Some(connecting) = self.connecting.take() {
            let connected = timeout(SOON, connecting).await.expect("an end in time").unwrap();
            return drop(connected.expect_err("a hub is there"));
        }
        let closed = async { while !matches!(self.events.next().await, Some(Event::Closed(_)) | None) {} };
        timeout(SOON, closed).await.expect("an end in time");
    }

    /// Puts in what `$name.field` stands for.
    fn fill(&self, frame: &Value) -> Value {
        let known = |value: &Value| {
            let place = value.as_str().and_then(|text| text.strip_prefix('$')?.split_once('.'));
            place.map_or_else(|| value.clone(), |(name, field)| self.names[name][field].clone())
        };
        Value::Object(frame.as_object().unwrap().iter().map(|(name, value)| (name.clone(), known(value))).collect())
    }
}

/// Waits until a hub is online, or not.
async fn becomes(hub: &RemoteHub, online: bool) {
    let so = async {
        while hub.is_online() != online {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(SOON, so).await.expect("online or offline in time");
}

async fn post(room: Arc<dyn Room>, draft: Draft) -> Outcome {
    room.post(draft).await.map(|posted| match posted {
        Posted::Stored { seq, .. } => json!({"stored": seq}),
        _ => json!({"accepted": true}),
    })
}

async fn signal(room: Arc<dyn Room>, signal: Outgoing) -> Outcome {
    room.signal(signal).await.map(|()| Value::Null)
}

/// Shows an event as the vectors do.
fn to_json(event: &Event) -> Value {
    let named = |name: &str, mut fields: Value| {
        fields["event"] = name.into();
        fields
    };
    match event {
        Event::Entry(entry) => named("entry", json!(entry)),
        Event::Signal(signal) => named("signal", json!(signal)),
        Event::Gap { room, from, to, why } => named("gap", json!({"room": room, "from": from, "to": to, "why": why})),
        Event::Reset(room) => named("reset", json!({"room": room})),
        Event::Followed { room, head } => named("followed", json!({"room": room, "seq": head})),
        Event::Unfollowed { room, why } => named("unfollowed", json!({"room": room, "why": why})),
        other => named("closed", json!({"why": format!("{other:?}")})),
    }
}

/// Tells whether all wanted fields are there; the order of cursors does not matter.
pub(crate) fn matches(frame: &Value, wanted: &Value) -> bool {
    let plain = |value: &Value| match value {
        Value::Array(list) => {
            let mut list = list.clone();
            list.sort_by_key(|item| item["room"].to_string());
            Value::Array(list)
        }
        other => other.clone(),
    };
    wanted.as_object().unwrap().iter().all(|(name, value)| plain(&frame[name]) == plain(value))
}
