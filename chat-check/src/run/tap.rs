//! Writes down what goes over a client's connections, below everything that the client does about it.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde::Deserialize;

use super::{chance::Chance, frames::Frames, recorder::Recorder};
use crate::{
    history::{Answered, Asked, Closed, Event, HungUp, Name, OnWire, Opened},
    proxy::{Watch, Watcher},
};

/// Is what all connections of one client share.
#[derive(Debug)]
pub(super) struct Tap {
    c: Name,
    recorder: Recorder,
    /// The server's clock when the latest connection began, in ms: what is older is replayed.
    began_ms: AtomicI64,
    /// One in so many acks is cut off before it arrives; 0 for none.
    cut_one_in: AtomicU64,
    chance: Mutex<Chance>,
    /// The rooms whose entries are written down.
    rooms: HashSet<Name>,
}

/// Numbers the connections of this process.
static LINKS: AtomicU64 = AtomicU64::new(1);

impl Tap {
    pub(super) fn new(c: Name, recorder: Recorder, chance: Chance, rooms: HashSet<Name>) -> Arc<Self> {
        let (began_ms, cut_one_in) = Default::default();
        Arc::new(Self { c, recorder, began_ms, cut_one_in, chance: Mutex::new(chance), rooms })
    }

    pub(super) fn cut_one_in(&self, count: u64) {
        self.cut_one_in.store(count, Relaxed);
    }

    pub(super) fn began_ms(&self) -> i64 {
        self.began_ms.load(Relaxed)
    }

    pub(super) fn watcher(self: &Arc<Self>) -> Watcher {
        let tap = self.clone();
        Arc::new(move || Box::new(Link::new(tap.clone())) as Box<dyn Watch>)
    }
}

/// Is one connection.
struct Link {
    tap: Arc<Tap>,
    number: u64,
    requests: Frames,
    answers: Frames,
    /// Sends that were not answered.
    waiting: HashSet<u64>,
    greeted: bool,
}

/// All fields of the frames that matter here.
#[derive(Deserialize)]
struct Frame {
    r#type: String,
    r#ref: Option<u64>,
    room: Option<Name>,
    key: Option<Name>,
    seq: Option<u64>,
    id: Option<Name>,
    name: Option<Name>,
    code: Option<u16>,
    retry_after_ms: Option<u64>,
}

impl Link {
    fn new(tap: Arc<Tap>) -> Self {
        let link = LINKS.fetch_add(1, Relaxed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        tap.began_ms.store(now.as_millis().try_into().unwrap_or(i64::MAX), Relaxed);
        tap.recorder.add(Event::Open(Opened { c: tap.c.clone(), link }));
        let (requests, answers, waiting) = Default::default();
        Self { tap, number: link, requests, answers, waiting, greeted: false }
    }

    fn request(&mut self, frame: Frame) {
        if let ("send", Some(r), Some(room), Some(key)) = (&*frame.r#type, frame.r#ref, frame.room, frame.key) {
            self.waiting.insert(r);
            self.tap.recorder.add(Event::Asked(Asked { c: self.tap.c.clone(), link: self.number, r, room, key }));
        }
    }

    /// Writes down what the server said. An answer counts also if it does not arrive, since the server has promised
    /// something; an entry does not, since the client is to receive it again.
    fn answer(&mut self, frame: Frame, arrives: bool) {
        let (c, link) = (self.tap.c.clone(), self.number);
        match (&*frame.r#type, frame.r#ref) {
            ("welcome", _) => self.greeted = true,
            ("ack" | "accepted" | "error", Some(r)) if self.waiting.remove(&r) => {
                let stored = frame.seq.zip(frame.id);
                let code = frame.name.unwrap_or_else(|| frame.r#type.into());
                self.tap.recorder.add(Event::Answered(Answered { c, link, r, code, stored }));
            }
            ("entry", _) if arrives => {
                if let (Some(room), Some(seq), Some(id)) = (frame.room, frame.seq, frame.id)
                    && self.tap.rooms.contains(&room)
                {
                    self.tap.recorder.add(Event::Wire(OnWire { c, link, room, seq, id }));
                }
            }
            ("close", _) => {
                let code = frame.code.unwrap_or_default();
                self.tap.recorder.add(Event::Close(Closed { c, link, code, retry_after: frame.retry_after_ms }));
            }
            _ => {}
        }
    }

    /// Tells whether this ack is one of those that do not arrive.
    fn is_cut(&self) -> bool {
        let one_in = self.tap.cut_one_in.load(Relaxed);
        one_in > 0 && self.tap.chance.lock().is_one_in(one_in)
    }
}

impl Watch for Link {
    fn asked(&mut self, bytes: &[u8]) -> bool {
        for text in self.requests.push(bytes) {
            if let Ok(frame) = serde_json::from_slice(&text) {
                self.request(frame);
            }
        }
        true
    }

    fn answered(&mut self, bytes: &[u8]) -> bool {
        let frames = self.answers.push(bytes);
        let frames: Vec<Frame> = frames.iter().filter_map(|text| serde_json::from_slice(text).ok()).collect();
        let arrives = !frames.iter().any(|frame| frame.r#type == "ack" && self.is_cut());
        for frame in frames {
            self.answer(frame, arrives);
        }
        if !arrives {
            self.tap.recorder.fault("cut", &self.tap.c, self.tap.recorder.now());
        }
        arrives
    }

    fn hung_up(&mut self) {
        // Who was not greeted has asked for nothing that could be lost.
        if self.greeted {
            self.tap.recorder.add(Event::Hangup(HungUp { c: self.tap.c.clone(), link: self.number }));
        }
    }
}
