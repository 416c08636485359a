//! A client of the simulation, as the protocol page asks clients to be, with a user who is never still.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chat_core::{
    Body, Cursor, Draft, Engine, Entry, Event, Flow, Frame, Peer, RoomId, Seq, Session, UserId,
    conformance::faulty::Chance,
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    act::Act,
    history::{What, short},
    line::{Heard, Line},
    unsent::{To, Unsent},
    world::{Phase, World, identity},
};

/// After a refusal that names no time.
const BACK_OFF: Duration = Duration::from_millis(500);
/// How often a client looks whether the run has gone on.
const LOOK: Duration = Duration::from_secs(1);

pub struct Client {
    pub world: Arc<World>,
    pub number: usize,
    pub user: UserId,
    pub chance: Chance,
    pub rooms: BTreeMap<RoomId, Place>,
    /// What was seen lately: who wrote it and where.
    pub seen: Vec<(RoomId, Seq, UserId)>,
    unsent: Unsent,
    references: u64,
    actions: usize,
    next_action: Instant,
    asleep_until: Instant,
    settled: bool,
}

/// Is how far a client has a room.
pub struct Place {
    /// The last entry, for resuming.
    cursor: Cursor,
    /// The last position: of an entry, or of one that will not come.
    last: Seq,
    pub followed: bool,
    /// When to ask for it again, after it was refused for now.
    again: Option<Instant>,
}

/// Is one connection's state.
struct Talk {
    session: Session,
    line: Arc<Line>,
    hello: u64,
    hello_at: Option<Instant>,
    welcome: bool,
    follows: BTreeMap<u64, RoomId>,
}

impl Client {
    pub fn new(world: Arc<World>, number: usize, user: UserId, chance: Chance) -> Self {
        let (actions, now) = (world.plan.actions, Instant::now());
        Self {
            world,
            number,
            user,
            chance,
            rooms: BTreeMap::new(),
            seen: Vec::new(),
            unsent: Unsent::default(),
            references: 0,
            actions,
            next_action: now,
            asleep_until: now,
            settled: false,
        }
    }

    pub async fn live(mut self) {
        while self.world.phase() < Phase::Over {
            if let Some((engine, line)) = self.world.connect(self.number, &self.chance) {
                let why = self.talk(&engine, line).await;
                self.note(What::End { client: self.number, why });
            }
            self.settle(false);
            sleep(self.chance.time(BACK_OFF)).await;
        }
    }

    pub fn note(&self, what: What) {
        self.world.history.note(what);
    }

    fn wrong(&self, what: &str) {
        self.note(What::Wrong(format!("client {}: {what}", self.number)));
    }

    /// Says whether this client has all answers and all rooms.
    fn settle(&mut self, settled: bool) {
        match (self.settled, settled) {
            (false, true) => self.world.unsettled.fetch_sub(1, Ordering::SeqCst),
            (true, false) => self.world.unsettled.fetch_add(1, Ordering::SeqCst),
            _ => 0,
        };
        self.settled = settled;
    }

    /// Has one connection, until it ends. Returns why it did.
    async fn talk(&mut self, engine: &Engine, line: Arc<Line>) -> String {
        let peer = Peer::known(None, identity(&self.user));
        let session = engine.connect(peer, line.clone(), self.world.encoding.clone());
        let (follows, hello_at) = (BTreeMap::new(), Some(Instant::now()));
        let mut talk = Talk { session, line, hello: 0, hello_at, welcome: false, follows };
        self.unsent.begin();
        self.rooms.values_mut().for_each(|place| (place.followed, place.again) = (false, None));
        loop {
            if self.world.phase() == Phase::Over {
                return "the run is over".into();
            }
            self.say(&mut talk);
            if talk.welcome && self.act(&mut talk) {
                return "the client left".into();
            }
            self.settle(self.is_settled(&talk));
            let awake = self.asleep_until <= Instant::now();
            let wake = self.wake(&talk);
            tokio::select! {
                biased;
                heard = talk.line.next(), if awake || talk.line.is_cut() => match heard {
                    Heard::Frame(frame, has_room) => {
                        self.hear(&mut talk, &frame);
                        if has_room {
                            talk.session.drained();
                        }
                    }
                    Heard::Closed(close) => return format!("{:?}", close.code),
                    Heard::Cut => return "cut".into(),
                },
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn is_settled(&self, talk: &Talk) -> bool {
        let rooms = self.rooms.values().all(|place| place.followed && place.again.is_none());
        self.actions == 0 && talk.welcome && self.unsent.is_empty() && rooms
    }

    fn wake(&self, talk: &Talk) -> Instant {
        let now = Instant::now();
        let again = self.rooms.values().filter_map(|place| place.again);
        let acts = (talk.welcome && self.actions > 0).then_some(self.next_action);
        let asleep = Some(self.asleep_until).filter(|until| *until > now);
        let all = again.chain(acts).chain(asleep).chain(self.unsent.due()).chain(talk.hello_at);
        all.fold(now + LOOK, Instant::min)
    }

    fn next_reference(&mut self) -> u64 {
        self.references += 1;
        self.references
    }

    /// Says what is due: hello, drafts, rooms to be followed again.
    fn say(&mut self, talk: &mut Talk) {
        let now = Instant::now();
        if talk.hello_at.take_if(|at| *at <= now).is_some() {
            talk.hello = self.next_reference();
            let cursors: Vec<_> = self.rooms.values().map(|place| place.cursor).collect();
            self.send(talk, &json!({"type": "hello", "ref": talk.hello, "cursors": cursors}).to_string());
        }
        if !talk.welcome {
            return;
        }
        for frame in self.unsent.frames(&mut self.references) {
            self.send(talk, &frame);
        }
        let due = |place: &mut Place| place.again.take_if(|at| *at <= now).is_some();
        let due: Vec<_> = self.rooms.values_mut().filter_map(|place| due(place).then_some(place.cursor)).collect();
        for cursor in due {
            let reference = self.next_reference();
            talk.follows.insert(reference, cursor.room);
            let at = json!({"seq": cursor.seq, "id": cursor.id});
            let frame = json!({"type": "follow", "ref": reference, "room": cursor.room, "cursor": at});
            self.send(talk, &frame.to_string());
        }
    }

    fn send(&self, talk: &mut Talk, frame: &str) {
        if let Flow::End(close) = talk.session.receive(frame.as_bytes()) {
            self.wrong(&format!("{:?} after {frame}", close.code));
        }
    }

    /// Does the next thing the user wants, if it is time. Returns whether that was to leave.
    fn act(&mut self, talk: &mut Talk) -> bool {
        if self.actions == 0 || self.next_action > Instant::now() {
            return false;
        }
        self.next_action = Instant::now() + self.chance.time(self.world.plan.pause);
        self.actions -= 1;
        if self.actions == 0 {
            self.asleep_until = Instant::now();
            self.world.busy.fetch_sub(1, Ordering::SeqCst);
        }
        match Act::next(self) {
            Act::Post(drafts) => {
                for (room, to, body) in drafts {
                    self.post(room, to, body);
                }
                self.say(talk);
                false
            }
            Act::Signal(frame) => {
                self.send(talk, &frame);
                false
            }
            Act::Sleep(time) => {
                self.asleep_until = Instant::now() + time;
                false
            }
            Act::Leave => true,
            Act::Nothing => false,
        }
    }

    fn post(&mut self, room: RoomId, to: To, body: Body) {
        let draft = Draft { key: self.world.key(&self.chance), body };
        let (client, key, body) = (self.number, draft.key, draft.body.encode());
        self.note(What::Send { client, room, key, body });
        self.unsent.add(room, to, draft);
    }

    fn hear(&mut self, talk: &mut Talk, frame: &Frame) {
        match &frame.event {
            Some(Event::Entry(entry)) => return self.entry(entry),
            Some(Event::Signal(signal)) => {
                return self.note(What::Signal { client: self.number, what: format!("{signal:?}") });
            }
            _ => {}
        }
        let said: Value = serde_json::from_slice(&frame.bytes).unwrap();
        match said["type"].as_str().unwrap_or_default() {
            "welcome" => talk.welcome = true,
            "followed" => self.followed(talk, &said),
            "unfollowed" => self.unfollowed(&said),
            "gap" => self.gap(&said),
            "reset" => {
                let room = read(&said["room"]);
                self.rooms.remove(&room);
                self.note(What::Reset { client: self.number, room });
            }
            "ack" => self.ack(&said),
            "error" => self.error(talk, &said),
            "rooms" | "members" => {}
            other => self.wrong(&format!("a frame of the type {other:?}")),
        }
    }

    fn entry(&mut self, entry: &Arc<Entry>) {
        let Entry { room, seq, id, key, .. } = **entry;
        self.note(What::Recv { client: self.number, room, seq, id, key });
        if let Some(place) = self.rooms.get_mut(&room) {
            (place.cursor, place.last) = (Cursor::new(room, seq, Some(id)), seq);
        }
        if entry.body.is_message() {
            self.seen.push((room, seq, entry.author.clone()));
        }
    }

    fn followed(&mut self, talk: &mut Talk, said: &Value) {
        let (room, seq) = (read(&said["room"]), read(&said["seq"]));
        self.note(What::Followed { client: self.number, room, seq });
        if let Some(reference) = said["ref"].as_u64() {
            talk.follows.remove(&reference);
        }
        let id = serde_json::from_value(said["id"].clone()).ok();
        let new = Place { cursor: Cursor::new(room, seq, id), last: seq, followed: true, again: None };
        let place = self.rooms.entry(room).or_insert(new);
        (place.followed, place.again) = (true, None);
    }

    fn unfollowed(&mut self, said: &Value) {
        let room = read(&said["room"]);
        let why = said["why"].as_str().unwrap_or_default().to_owned();
        let for_now = ["retry", "rate_limited", "draining", "behind"].contains(&&*why);
        self.note(What::Unfollowed { client: self.number, room, why, for_now });
        match self.rooms.get_mut(&room) {
            Some(place) if for_now => (place.followed, place.again) = (false, Some(Instant::now() + BACK_OFF)),
            // A room that was refused before anything of it was seen: from now on, as soon as it can be.
            None if for_now => {
                let again = Some(Instant::now() + BACK_OFF);
                let cursor = Cursor::start(room);
                self.rooms.insert(room, Place { cursor, last: Seq::ZERO, followed: false, again });
            }
            _ => drop(self.rooms.remove(&room)),
        }
    }

    fn gap(&mut self, said: &Value) {
        let (room, from, to) = (read(&said["room"]), read(&said["from"]), read(&said["to"]));
        let why = said["why"].as_str().unwrap_or_default().to_owned();
        self.note(What::Gap { client: self.number, room, from, to, why });
        if let Some(place) = self.rooms.get_mut(&room) {
            place.last = to; // the cursor stays: it has the id that makes it good for resuming
        }
    }

    fn ack(&mut self, said: &Value) {
        let key = read(&said["key"]);
        let (room, seq, id) = (read(&said["room"]), read(&said["seq"]), read(&said["id"]));
        self.unsent.settle(key);
        self.note(What::Ack { client: self.number, room, key, seq, id });
    }

    fn error(&mut self, talk: &mut Talk, said: &Value) {
        let code = said["name"].as_str().unwrap_or_default().to_owned();
        let wait = said["retry_after_ms"].as_u64().map_or(BACK_OFF, Duration::from_millis);
        let for_now = said["retryable"].as_bool().unwrap_or_default();
        let reference = said["ref"].as_u64().unwrap_or_default();
        let client = self.number;
        if reference == talk.hello && for_now {
            talk.hello_at = Some(Instant::now() + wait);
        } else if let Some(room) = talk.follows.remove(&reference) {
            match self.rooms.get_mut(&room) {
                Some(place) if for_now => place.again = Some(Instant::now() + wait),
                Some(place) if code == "invalid" => place.followed = true, // it is followed already
                _ => {
                    self.rooms.remove(&room);
                    return self.note(What::Unfollowed { client, room, why: code, for_now: false });
                }
            }
        } else if self.unsent.is_latest(reference) {
            if for_now {
                self.unsent.again(reference, wait);
            } else {
                let key = read(&said["key"]);
                if let Some(room) = self.unsent.settle(key) {
                    return self.note(What::Nack { client, room, key, code });
                }
            }
        }
        let about = said["key"].as_str().map_or_else(|| reference.to_string(), |key| format!("key {}", short(&key)));
        self.note(What::Retry { client, about, code });
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}
