//! Storing lines, many at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chat_core::{
    Body, Clock, Draft, EntryId, Key, Personal, Role, RoomId, Seq, Timestamp, UserId,
    clock::SystemClock,
    model::{MemberChange, Membership, NewEntry, RoomChange},
    store::{Append, Outcome},
};

use super::{Lines, author};
use crate::{
    Failure,
    lines::{Line, MessageLine, RoomLine, key, room_of},
};

/// How many messages are stored at once: a commit costs as much as some hundred of them.
const TOGETHER_MAX: usize = 200;

/// How often a store that cannot be reached is asked again, and after what time: it may be starting anew.
const TRIES: u32 = 20;
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Counts what became of the lines.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) stored: usize,
    pub(super) known: usize,
    pub(super) refused: usize,
}

pub(super) struct Writer {
    store: Arc<dyn Personal>,
    done: Done,
    names: HashMap<UserId, Arc<str>>,
    /// Where messages stand that others may be about.
    positions: HashMap<(RoomId, String), Seq>,
    room: Option<RoomId>,
    waiting: Vec<Waiting>,
}

struct Waiting {
    line: usize,
    id: String,
    entry: NewEntry,
}

impl Writer {
    pub(super) fn new(store: Arc<dyn Personal>) -> Self {
        let (names, positions) = (HashMap::new(), HashMap::new());
        Self { store, done: Done::default(), names, positions, room: None, waiting: Vec::new() }
    }

    /// Stores a line, with those that wait or later.
    pub(super) async fn take(&mut self, number: usize, line: Line, lines: &Lines) -> Result<(), Failure> {
        match line {
            Line::Room(room) => self.create(&room).await,
            Line::Message(message) => match lines.room(&message) {
                Some(room) => self.message(number, room, message).await,
                None => Ok(()), // a bad line, which was told
            },
        }
    }

    pub(super) async fn finish(mut self) -> Result<Done, Failure> {
        self.flush().await?;
        Ok(self.done)
    }

    async fn message(&mut self, line: usize, room: RoomId, message: MessageLine) -> Result<(), Failure> {
        let waits = |id: &String| self.waiting.iter().any(|waiting| waiting.id == *id);
        if self.room != Some(room) || self.waiting.len() >= TOGETHER_MAX || message.about.as_ref().is_some_and(waits) {
            self.flush().await?;
            self.room = Some(room);
        }
        let about = match &message.about {
            None => None,
            Some(id) => match self.positions.get(&(room, id.clone())) {
                Some(seq) => Some(*seq),
                None => return Ok(self.refuse(line, "what it is about was refused")),
            },
        };
        let (author, draft) = (author(&message)?, Draft { key: message.key(), body: message.body(about)? });
        let name = self.name(&author, message.name).await?;
        let mut entry = entry(draft, author, name);
        entry.sent_at = message.sent_at;
        self.waiting.push(Waiting { line, id: message.id, entry });
        Ok(())
    }

    /// Returns the display name that a line gives, or else the latest one seen.
    async fn name(&mut self, author: &UserId, given: Option<Arc<str>>) -> Result<Arc<str>, Failure> {
        if let Some(name) = given.or_else(|| self.names.get(author).cloned()) {
            self.names.insert(author.clone(), name.clone());
            return Ok(name);
        }
        let known = self.store.person(author).await?.map(|person| person.name);
        let name = known.unwrap_or_else(|| author.as_str().into());
        self.names.insert(author.clone(), name.clone());
        Ok(name)
    }

    /// Makes a room as its line says, unless it is there: then it stays as it is.
    async fn create(&mut self, line: &RoomLine) -> Result<(), Failure> {
        self.flush().await?;
        let ((room, _), (spec, author)) = (room_of(&line.room), line.spec());
        let name = self.name(&author, None).await?;
        let key = |what: &str| key(what, line.created, &room.to_string());
        let change = |key: Key, body| {
            let mut entry = entry(Draft { key, body }, author.clone(), name.clone());
            (entry.at, entry.sent_at) = (line.created, line.created);
            entry
        };
        let creation = change(key("room"), Body::Room(RoomChange::Created(spec)));
        if !matches!(self.append(room, vec![creation]).await?[..], [Outcome::Stored(_) | Outcome::Duplicate(..)]) {
            return Ok(());
        }
        if !line.topic.is_empty() {
            let set = RoomChange::Set { title: None, topic: Some(line.topic.clone()), data: None };
            self.append(room, vec![change(key("topic"), Body::Room(set))]).await?;
        }
        for member in line.members.iter().filter(|member| member.role != Role::Member && member.user != author) {
            let change_of = MemberChange { user: member.user.clone(), change: Membership::Role(member.role) };
            let key = key("role").derive(member.user.as_str());
            self.append(room, vec![change(key, Body::Member(change_of))]).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let (waiting, Some(room)) = (std::mem::take(&mut self.waiting), self.room) else { return Ok(()) };
        let entries: Vec<_> = waiting.iter().map(|waiting| waiting.entry.clone()).collect();
        let outcomes = self.append(room, entries).await?;
        for (Waiting { line, id, entry }, outcome) in waiting.into_iter().zip(outcomes) {
            let (seq, count) = match outcome {
                Outcome::Stored(seq) => (seq, &mut self.done.stored),
                Outcome::Duplicate(seq, _) => (seq, &mut self.done.known),
                refused => {
                    self.refuse(line, reason(refused));
                    continue;
                }
            };
            *count += 1;
            if entry.body.is_message() {
                self.positions.insert((room, id), seq);
            }
        }
        Ok(())
    }

    fn refuse(&mut self, line: usize, why: &str) {
        eprintln!("line {line}: {why}");
        self.done.refused += 1;
    }

    /// Appends, and again what may be stored or not: the keys make that harmless.
    async fn append(&self, room: RoomId, entries: Vec<NewEntry>) -> Result<Vec<Outcome>, Failure> {
        // Nobody's right is judged here, so no right that was taken away meanwhile is in the way.
        let batch = [Append { room, guard: Some(Seq::MAX), entries }];
        for _ in 1..TRIES {
            match self.store.append(&batch).await {
                Err(error) if error.is_transient() => tokio::time::sleep(AGAIN_AFTER).await,
                done => return Ok(done?.pop().unwrap_or_default()),
            }
        }
        Ok(self.store.append(&batch).await?.pop().unwrap_or_default())
    }
}

fn reason(refused: Outcome) -> &'static str {
    match refused {
        Outcome::Conflict => "the room has another message with this id",
        Outcome::TooOld => "it is older than what the room has forgotten",
        _ => "the room is gone",
    }
}

fn entry(draft: Draft, author: UserId, name: Arc<str>) -> NewEntry {
    let id = EntryId::from_bytes(*Key::generate().as_bytes());
    let now: Timestamp = SystemClock.now();
    NewEntry::new(id, draft, author, name, now)
}
