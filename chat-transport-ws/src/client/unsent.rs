//! Drafts that were not answered yet.
//!
//! One lane per room, so that one sender's order holds in each. A few drafts are sent ahead. When the server refuses
//! one for now, it refuses the later ones of that room too (`behind`); the lane waits, then sends that draft and, when
//! it is answered, the later ones again, in order, under the same keys. The earlier ones keep waiting for the answers
//! they will get. A command that is refused for now goes on in a lane of its own: nobody waits for it.

use std::collections::VecDeque;

use chat_core::{
    Body, Code, Draft, EntryId, HubError, Key, Posted, RoomId, RoomSpec, Seq,
    command::{Parsed, parse},
    protocol::{Request, Target},
};
use tokio::{sync::oneshot, time::Instant};

use super::{ClientConfig, outgoing::Outgoing};

/// Is what became of a draft, and the room.
pub(super) type Done = Result<(RoomId, Posted), HubError>;

/// A lane, and a draft in it.
type Place = (usize, usize);

/// Holds the drafts, in lanes.
pub(super) struct Unsent {
    config: ClientConfig,
    lanes: VecDeque<Lane>,
    /// Counts the drafts.
    count: u64,
    online: bool,
}

struct Lane {
    name: Name,
    drafts: VecDeque<Waiting>,
    /// After a refusal nothing is sent before this.
    not_before: Option<Instant>,
    refusals: u32,
    /// The server waits for this one: what is behind it is not sent before it is answered.
    refused: Option<Key>,
}

/// Says which drafts keep their order: those to one room. A room that is being created and a command that was refused
/// have no others.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Name {
    Room(RoomId),
    Creation(Key),
    Command(RoomId, Key),
}

struct Waiting {
    request: Request,
    key: Key,
    /// Its place among all drafts.
    number: u64,
    /// The latest try, if one is under way on this connection.
    reference: Option<u64>,
    answers: Vec<oneshot::Sender<Done>>,
}

impl Unsent {
    pub(super) fn new(config: ClientConfig) -> Self {
        Self { config, lanes: VecDeque::new(), count: 0, online: false }
    }

    /// Keeps a draft to `room`. The same draft once more waits for the same answer.
    pub(super) fn post(&mut self, room: RoomId, target: Target, draft: Draft, answer: oneshot::Sender<Done>) {
        let key = draft.key;
        self.keep(Name::Room(room), key, Request::Send { target, draft }, answer);
    }

    /// Keeps the description of a room to be created.
    pub(super) fn create(&mut self, key: Key, spec: RoomSpec, answer: oneshot::Sender<Done>) {
        self.keep(Name::Creation(key), key, Request::Create { key, spec }, answer);
    }

    fn keep(&mut self, name: Name, key: Key, request: Request, answer: oneshot::Sender<Done>) {
        let full = self.len() >= self.config.unsent_max;
        let own = self.lanes.iter().position(|lane| matches!(lane.name, Name::Command(_, own) if own == key));
        let lane = match own.or_else(|| self.lanes.iter().position(|lane| lane.name == name)) {
            Some(place) => &mut self.lanes[place],
            None if full => return refuse(answer),
            None => {
                self.lanes.push_back(Lane::new(name));
                let last = self.lanes.len() - 1;
                &mut self.lanes[last]
            }
        };
        match lane.drafts.iter_mut().find(|waiting| waiting.request == request) {
            Some(same) => {
                same.answers.retain(|answer| !answer.is_closed());
                same.answers.push(answer);
            }
            None if full => refuse(answer),
            None => {
                self.count += 1;
                let (number, reference, answers) = (self.count, None, vec![answer]);
                lane.drafts.push_back(Waiting { request, key, number, reference, answers });
            }
        }
    }

    fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.drafts.len()).sum()
    }

    /// The connection is open: all of them are sent again. Or it is broken: none is under way.
    pub(super) fn set_online(&mut self, online: bool) {
        self.online = online;
        self.rejoin();
        for lane in &mut self.lanes {
            (lane.not_before, lane.refusals, lane.refused) = (None, 0, None);
            lane.drafts.iter_mut().for_each(|waiting| waiting.reference = None);
        }
    }

    pub(super) fn is_under_way(&self) -> bool {
        self.under_way() > 0
    }

    fn under_way(&self) -> usize {
        self.lanes.iter().flat_map(|lane| &lane.drafts).filter(|waiting| waiting.reference.is_some()).count()
    }

    /// Returns when a lane that was refused goes on.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(|lane| lane.not_before).min()
    }

    /// Sends what may be sent, one draft a lane in turn, so that a long list to one room does not hold up others.
    pub(super) fn ask(&mut self, out: &mut Outgoing) {
        if !self.online {
            return;
        }
        let now = Instant::now();
        for lane in &mut self.lanes {
            lane.not_before = lane.not_before.filter(|at| *at > now);
        }
        let mut free = self.config.sends_under_way_max.max(1).saturating_sub(self.under_way());
        let mut idle = 0;
        while free > 0 && idle < self.lanes.len() {
            let sent = self.lanes.front_mut().is_some_and(|lane| lane.send_next(out));
            (free, idle) = if sent { (free - 1, 0) } else { (free, idle + 1) };
            self.lanes.rotate_left(1);
        }
        self.lanes.retain(|lane| !lane.drafts.is_empty());
    }

    /// A draft is in the log.
    pub(super) fn stored(&mut self, reference: Option<u64>, key: Key, room: RoomId, seq: Seq, id: EntryId) {
        if let Some(place) = self.find(reference, |lane, waiting| waiting.key == key && lane.is_of(room, key)) {
            self.settle(place, &Ok((room, Posted::Stored { seq, id })));
        }
    }

    /// A draft was a command and is being carried out.
    pub(super) fn accepted(&mut self, reference: Option<u64>, key: Key) {
        if let Some(place) = self.find(reference, |_, waiting| waiting.key == key)
            && let Name::Room(room) | Name::Command(room, _) = self.lanes[place.0].name
        {
            self.settle(place, &Ok((room, Posted::Accepted)));
        }
    }

    /// Takes an error if it answers the latest try of a draft; earlier tries say nothing new.
    pub(super) fn refused(&mut self, reference: u64, error: &HubError) -> bool {
        let Some(place) = self.find_reference(reference) else { return false };
        if error.code.is_retryable() {
            let (lane, at) = self.apart(place);
            self.lanes[lane].wait(at, error, &self.config);
        } else {
            self.take(place, &Err(error.clone()));
        }
        true
    }

    /// Gives a command a lane of its own.
    fn apart(&mut self, (lane, at): Place) -> Place {
        let Name::Room(room) = self.lanes[lane].name else { return (lane, at) };
        let Some(command) = self.lanes[lane].take_command(at) else { return (lane, at) };
        let mut own = Lane::new(Name::Command(room, command.key));
        own.drafts.push_back(command);
        self.lanes.push_back(own);
        (self.lanes.len() - 1, 0)
    }

    /// Puts commands back to where they were: a new connection begins with everything in order, and what a bot says is
    /// no command to the server.
    fn rejoin(&mut self) {
        let (apart, mut lanes): (VecDeque<_>, VecDeque<_>) =
            self.lanes.drain(..).partition(|lane| matches!(lane.name, Name::Command(..)));
        for mut lane in apart {
            let Name::Command(room, _) = lane.name else { continue };
            let Some(at) = lanes.iter().position(|other: &Lane| other.name == Name::Room(room)) else {
                lane.name = Name::Room(room);
                lanes.push_back(lane);
                continue;
            };
            lanes[at].drafts.append(&mut lane.drafts);
            lanes[at].drafts.make_contiguous().sort_by_key(|waiting| waiting.number);
        }
        self.lanes = lanes;
    }

    /// Ends the waiting. Returns the drafts that were not answered, in order, with where they were to go.
    pub(super) fn end(&mut self, why: &HubError) -> Vec<(Target, Draft)> {
        let mut drafts = Vec::new();
        for waiting in self.lanes.drain(..).flat_map(|lane| lane.drafts) {
            tell(waiting.answers, &Err(why.clone()));
            if let Request::Send { target, draft } = waiting.request {
                drafts.push((target, draft));
            }
        }
        drafts
    }

    fn settle(&mut self, place: Place, done: &Done) {
        self.lanes[place.0].refusals = 0;
        self.take(place, done);
    }

    fn take(&mut self, (lane, at): Place, done: &Done) {
        if let Some(waiting) = self.lanes[lane].remove(at) {
            tell(waiting.answers, done);
        }
    }

    /// Finds a draft by its latest try, or by what it is if the answer is to an earlier one.
    fn find(&self, reference: Option<u64>, same: impl Fn(&Lane, &Waiting) -> bool) -> Option<Place> {
        let latest = reference.and_then(|reference| self.find_reference(reference));
        latest.or_else(|| self.find_by(same))
    }

    fn find_reference(&self, reference: u64) -> Option<Place> {
        self.find_by(|_, waiting| waiting.reference == Some(reference))
    }

    fn find_by(&self, test: impl Fn(&Lane, &Waiting) -> bool) -> Option<Place> {
        let mut lanes = self.lanes.iter().enumerate();
        lanes.find_map(|(at, lane)| Some((at, lane.drafts.iter().position(|waiting| test(lane, waiting))?)))
    }
}

impl Lane {
    fn new(name: Name) -> Self {
        Self { name, drafts: VecDeque::new(), not_before: None, refusals: 0, refused: None }
    }

    fn is_of(&self, room: RoomId, key: Key) -> bool {
        [Name::Room(room), Name::Creation(key), Name::Command(room, key)].contains(&self.name)
    }

    /// Sends the first draft that is not under way. Returns whether there was one.
    fn send_next(&mut self, out: &mut Outgoing) -> bool {
        if self.not_before.is_some() {
            return false;
        }
        let last = self.refused.and_then(|key| self.drafts.iter().position(|waiting| waiting.key == key));
        let mut sendable = self.drafts.iter().take(last.map_or(usize::MAX, |last| last + 1));
        let Some(at) = sendable.position(|waiting| waiting.reference.is_none()) else { return false };
        self.drafts[at].reference = out.ask_within(&self.drafts[at].request);
        if self.drafts[at].reference.is_none()
            && let Some(waiting) = self.remove(at)
        {
            // The server would close the connection on it, again and again.
            tell(waiting.answers, &Err(HubError::new(Code::InvalidBody, "this is too long")));
        }
        true
    }

    fn remove(&mut self, at: usize) -> Option<Waiting> {
        let waiting = self.drafts.remove(at)?;
        self.refused = self.refused.filter(|refused| *refused != waiting.key);
        Some(waiting)
    }

    fn take_command(&mut self, at: usize) -> Option<Waiting> {
        self.drafts.get(at).filter(|waiting| waiting.is_command())?;
        self.remove(at)
    }

    /// Notes that this draft and all later ones have to be sent again, after a while.
    fn wait(&mut self, from: usize, error: &HubError, config: &ClientConfig) {
        self.drafts.iter_mut().skip(from).for_each(|waiting| waiting.reference = None);
        if error.code != Code::Behind {
            self.refused = self.drafts.get(from).map(|waiting| waiting.key);
        }
        self.not_before = Some(Instant::now() + error.retry_after.unwrap_or_default() + config.backoff(self.refusals));
        self.refusals += 1;
    }
}

impl Waiting {
    /// Tells whether the server takes it for a command if a person says it. What a bot says is never one: then the server
    /// answers the later ones `behind` it, as long as the connection lasts.
    fn is_command(&self) -> bool {
        let Request::Send { draft: Draft { body: Body::Text(text), .. }, .. } = &self.request else { return false };
        matches!(parse(&text.text), Parsed::Command(_))
    }
}

/// Tells everybody who still waits.
fn tell(answers: Vec<oneshot::Sender<Done>>, done: &Done) {
    for answer in answers {
        let _ = answer.send(done.clone());
    }
}

fn refuse(answer: oneshot::Sender<Done>) {
    let _ = answer.send(Err(HubError::new(Code::TooMany, "too many messages wait to be sent")));
}
