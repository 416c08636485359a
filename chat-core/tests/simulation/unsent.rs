//! A client's drafts that were not answered yet, as the protocol page asks for: per room, in order, under their keys.

use std::{collections::BTreeMap, collections::VecDeque, time::Duration};

use chat_core::{Draft, Key, RoomId, UserId};
use tokio::time::Instant;

/// Sends of one client under way at once.
const UNDER_WAY_MAX: usize = 16;

/// Is where a draft goes on the wire.
#[derive(Clone, Debug)]
pub enum To {
    Room,
    User(UserId),
}

struct Waiting {
    to: To,
    draft: Draft,
    /// The latest try, if it is under way on this connection.
    reference: Option<u64>,
}

#[derive(Default)]
struct Lane {
    drafts: VecDeque<Waiting>,
    not_before: Option<Instant>,
}

#[derive(Default)]
pub struct Unsent {
    lanes: BTreeMap<RoomId, Lane>,
}

impl Unsent {
    pub fn is_empty(&self) -> bool {
        self.lanes.values().all(|lane| lane.drafts.is_empty())
    }

    pub fn add(&mut self, room: RoomId, to: To, draft: Draft) {
        self.lanes.entry(room).or_default().drafts.push_back(Waiting { to, draft, reference: None });
    }

    /// A connection begins: nothing is under way on it, and everything is sent again.
    pub fn begin(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.not_before = None;
            lane.drafts.iter_mut().for_each(|waiting| waiting.reference = None);
        }
    }

    /// Returns when a room that was refused goes on.
    pub fn due(&self) -> Option<Instant> {
        self.lanes.values().filter(|lane| !lane.drafts.is_empty()).filter_map(|lane| lane.not_before).min()
    }

    /// Returns the frames to be sent now.
    pub fn frames(&mut self, next_reference: &mut u64) -> Vec<String> {
        let under_way = |lane: &Lane| lane.drafts.iter().filter(|waiting| waiting.reference.is_some()).count();
        let mut free = UNDER_WAY_MAX.saturating_sub(self.lanes.values().map(under_way).sum());
        let now = Instant::now();
        let mut frames = Vec::new();
        for (room, lane) in &mut self.lanes {
            lane.not_before = lane.not_before.filter(|at| *at > now);
            if lane.not_before.is_some() {
                continue;
            }
            for waiting in lane.drafts.iter_mut().filter(|waiting| waiting.reference.is_none()).take(free) {
                *next_reference += 1;
                free -= 1;
                waiting.reference = Some(*next_reference);
                frames.push(waiting.frame(*room, *next_reference));
            }
        }
        frames
    }

    /// A draft was answered for good, whichever try it was. Returns its room if it was still waiting.
    pub fn settle(&mut self, key: Key) -> Option<RoomId> {
        for (room, lane) in &mut self.lanes {
            if let Some(at) = lane.drafts.iter().position(|waiting| waiting.draft.key == key) {
                lane.drafts.remove(at);
                return Some(*room);
            }
        }
        None
    }

    /// Tells whether this is the latest try of a draft that waits; answers to earlier ones say nothing new.
    pub fn is_latest(&self, reference: u64) -> bool {
        self.lanes.values().flat_map(|lane| &lane.drafts).any(|waiting| waiting.reference == Some(reference))
    }

    /// A try was refused for now: it and all later drafts to that room are sent again after a while.
    pub fn again(&mut self, reference: u64, wait: Duration) {
        for lane in self.lanes.values_mut() {
            if let Some(at) = lane.drafts.iter().position(|waiting| waiting.reference == Some(reference)) {
                lane.not_before = Some(Instant::now() + wait);
                lane.drafts.iter_mut().skip(at).for_each(|waiting| waiting.reference = None);
            }
        }
    }
}

impl Waiting {
    fn frame(&self, room: RoomId, reference: u64) -> String {
        let to = match &self.to {
            To::Room => format!(r#""room":"{room}""#),
            To::User(user) => format!(r#""to":"{user}""#),
        };
        let (key, body) = (self.draft.key, self.draft.body.encode());
        format!(r#"{{"type":"send","ref":{reference},{to},"key":"{key}","body":{body}}}"#)
    }
}
