//! What is known, and what a key or a piece of news makes of it: pure, so that a test can play a whole evening.

use std::{collections::BTreeMap, time::Duration, time::Instant};

use chat_core::{
    Body, Code, Draft, Entry, Event, Key, Outgoing, RoomId, RoomSummary, Seq, Signal, UserId, Visibility, model::Edit,
};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A signal of typing holds for 4 s; it is renewed before that.
const TYPING_LASTS: Duration = Duration::from_secs(4);
const TYPING_AGAIN: Duration = Duration::from_secs(3);
/// Messages of a room that are kept: what scrolled by long ago is in the log.
const KEPT: usize = 1_000;

/// Is everything the screen shows.
pub(crate) struct State {
    pub(crate) me: UserId,
    pub(crate) rooms: Vec<RoomView>,
    pub(crate) selected: usize,
    pub(crate) input: String,
    pub(crate) notice: String,
    pub(crate) online: bool,
    /// Lines that the reader has scrolled up.
    pub(crate) scrolled: usize,
    pub(crate) ends: bool,
    typing_told: Option<Instant>,
    /// To be shown as soon as it is on the list.
    entering: Option<RoomId>,
}

/// Is one room on the screen.
pub(crate) struct RoomView {
    pub(crate) id: RoomId,
    pub(crate) title: String,
    pub(crate) messages: BTreeMap<Seq, Message>,
    /// Not acknowledged yet, in order.
    pub(crate) unsent: Vec<Draft>,
    pub(crate) typing: BTreeMap<String, Instant>,
    pub(crate) unread: u64,
    /// Its history was read, so it can be posted to.
    pub(crate) is_open: bool,
}

pub(crate) struct Message {
    pub(crate) author: UserId,
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Is what comes from the server.
pub(crate) enum News {
    Rooms(Vec<RoomSummary>),
    History(RoomId, Vec<Entry>),
    Event(Event),
    /// The user made or joined this room.
    Entered(RoomId),
    Posted {
        key: Key,
        done: Result<(), String>,
    },
    Notice(String),
}

/// Is what is wanted of the server.
#[derive(Debug, PartialEq)]
pub(crate) enum Wish {
    List,
    Open(RoomId),
    Post { room: RoomId, draft: Draft },
    Signal { room: RoomId, signal: Outgoing },
    Create(String),
    Join(String),
}

impl State {
    pub(crate) fn new(me: UserId) -> Self {
        let notice = ":new TITLE makes a room, :join TITLE enters one, Tab changes, Esc ends".to_owned();
        Self {
            me,
            rooms: Vec::new(),
            selected: 0,
            input: String::new(),
            notice,
            online: true,
            scrolled: 0,
            ends: false,
            typing_told: None,
            entering: None,
        }
    }

    pub(crate) fn room(&self) -> Option<&RoomView> {
        self.rooms.get(self.selected)
    }

    // ---- keys ----------------------------------------------------------------------------------------------------

    pub(crate) fn key(&mut self, key: KeyEvent, now: Instant) -> Vec<Wish> {
        if key.kind == KeyEventKind::Release {
            return Vec::new();
        }
        match key.code {
            KeyCode::Esc => self.ends = true,
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => self.ends = true,
            KeyCode::Enter => return self.enter(),
            KeyCode::Tab | KeyCode::Down => return self.select(self.selected + 1),
            KeyCode::BackTab | KeyCode::Up => return self.select(self.selected + self.rooms.len().max(1) - 1),
            KeyCode::PageUp => self.scrolled += 10,
            KeyCode::PageDown => self.scrolled = self.scrolled.saturating_sub(10),
            KeyCode::Backspace => drop(self.input.pop()),
            KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.input.push(c);
                return self.type_on(now);
            }
            _ => {}
        }
        Vec::new()
    }

    fn select(&mut self, index: usize) -> Vec<Wish> {
        self.selected = index % self.rooms.len().max(1);
        self.scrolled = 0;
        self.room().map(|room| vec![Wish::Open(room.id)]).unwrap_or_default()
    }

    /// What begins with a colon is for this program; slash commands are for the server, like any text.
    fn enter(&mut self) -> Vec<Wish> {
        let line = std::mem::take(&mut self.input);
        self.typing_told = None;
        self.scrolled = 0;
        match line.split_once(' ').map_or((&*line, ""), |(word, rest)| (word, rest.trim())) {
            (":quit", _) => self.ends = true,
            (":new", title) if !title.is_empty() => return vec![Wish::Create(title.to_owned())],
            (":join", title) if !title.is_empty() => return vec![Wish::Join(title.to_owned())],
            (word, _) if word.starts_with(':') => self.notice = format!("{word} is not known here, or lacks a title"),
            _ if line.trim().is_empty() => {}
            _ => return self.post(line),
        }
        Vec::new()
    }

    fn post(&mut self, line: String) -> Vec<Wish> {
        let Some(room) = self.rooms.get_mut(self.selected).filter(|room| room.is_open) else {
            self.input = line;
            "there is no open room yet".clone_into(&mut self.notice);
            return Vec::new();
        };
        let draft = Draft::text(line);
        room.unsent.push(draft.clone());
        vec![Wish::Post { room: room.id, draft }]
    }

    fn type_on(&mut self, now: Instant) -> Vec<Wish> {
        let is_due = self.typing_told.is_none_or(|told| now.duration_since(told) > TYPING_AGAIN);
        let Some(room) = self.room().map(|room| room.id).filter(|_| is_due && !self.input.starts_with([':', '/']))
        else {
            return Vec::new();
        };
        self.typing_told = Some(now);
        vec![Wish::Signal { room, signal: Outgoing::Typing(true) }]
    }

    // ---- news ----------------------------------------------------------------------------------------------------

    pub(crate) fn hear(&mut self, news: News, now: Instant) -> Vec<Wish> {
        match news {
            News::Rooms(found) => return self.list(found),
            News::History(id, entries) => {
                let Some(room) = self.find(id) else { return Vec::new() };
                room.is_open = true;
                for entry in &entries {
                    room.take(entry);
                }
                return self.mark_read(id);
            }
            News::Posted { key, done } => {
                self.rooms.iter_mut().for_each(|room| room.unsent.retain(|draft| draft.key != key));
                if let Err(why) = done {
                    self.notice = format!("not sent: {why}");
                }
            }
            News::Entered(room) => {
                self.entering = Some(room);
                return vec![Wish::List];
            }
            News::Notice(text) => self.notice = text,
            News::Event(event) => return self.happen(event, now),
        }
        Vec::new()
    }

    pub(crate) fn tick(&mut self, online: bool, now: Instant) -> Vec<Wish> {
        self.online = online;
        for room in &mut self.rooms {
            room.typing.retain(|_, since| now.duration_since(*since) < TYPING_LASTS);
        }
        Vec::new()
    }

    fn list(&mut self, found: Vec<RoomSummary>) -> Vec<Wish> {
        let is_first = self.rooms.is_empty();
        for summary in found.into_iter().filter(|summary| summary.room.visibility != Visibility::Inbox) {
            let title = title(&summary);
            match self.find(summary.room.id) {
                Some(room) => room.title = title,
                None => self.rooms.push(RoomView::new(summary.room.id, title, summary.unread)),
            }
        }
        match self.rooms.iter().position(|room| Some(room.id) == self.entering) {
            Some(entered) => {
                self.entering = None;
                self.select(entered)
            }
            None if is_first => self.select(0),
            None => Vec::new(),
        }
    }

    fn happen(&mut self, event: Event, now: Instant) -> Vec<Wish> {
        match event {
            Event::Entry(entry) => {
                let (id, is_mine, is_message) = (entry.room, entry.author == self.me, entry.body.is_message());
                let is_seen = self.room().is_some_and(|room| room.id == id);
                let Some(room) = self.find(id) else { return vec![Wish::List] };
                room.take(&entry);
                if is_seen {
                    return self.mark_read(id);
                }
                room.unread += u64::from(is_message && !is_mine);
            }
            Event::Signal(Signal::Typing { room, user, name, on }) if user != self.me => {
                if let Some(room) = self.find(room) {
                    let name = plain(&name);
                    if on {
                        room.typing.insert(name, now)
                    } else {
                        room.typing.remove(&name)
                    };
                }
            }
            Event::Signal(Signal::Whisper { user, text, .. }) => self.notice = format!("{user}: {}", plain(&text)),
            Event::Followed { room, .. } if self.find(room).is_none() => return vec![Wish::List],
            // What is shown may have holes now, or be of another log.
            Event::Gap { room, .. } | Event::Reset(room) => {
                let Some(view) = self.find(room) else { return Vec::new() };
                view.messages.clear();
                return vec![Wish::Open(room)];
            }
            Event::Unfollowed { room, why: Code::Left | Code::Removed } => {
                self.rooms.retain(|view| view.id != room);
                return self.select(self.selected.min(self.rooms.len().saturating_sub(1)));
            }
            Event::Closed(why) => self.notice = format!("the connection has ended: {why}"),
            _ => {}
        }
        Vec::new()
    }

    fn mark_read(&mut self, id: RoomId) -> Vec<Wish> {
        let Some(room) = self.find(id) else { return Vec::new() };
        room.unread = 0;
        let last = room.messages.keys().next_back().copied();
        last.map(|seq| vec![Wish::Signal { room: id, signal: Outgoing::Read(seq) }]).unwrap_or_default()
    }

    fn find(&mut self, id: RoomId) -> Option<&mut RoomView> {
        self.rooms.iter_mut().find(|room| room.id == id)
    }
}

impl RoomView {
    fn new(id: RoomId, title: String, unread: u64) -> Self {
        Self {
            id,
            title,
            messages: BTreeMap::new(),
            unsent: Vec::new(),
            typing: BTreeMap::new(),
            unread,
            is_open: false,
        }
    }

    /// Takes an entry of the history or a live one; the same one twice is the same message.
    fn take(&mut self, entry: &Entry) {
        self.unsent.retain(|draft| draft.key != entry.key);
        self.typing.remove(&plain(&entry.name));
        match &entry.body {
            Body::Edit(Edit { target, text }) => self.rewrite(*target, plain(text)),
            Body::Delete(target) => self.rewrite(*target, "(deleted)".to_owned()),
            Body::Erase(erase) => {
                for target in &erase.targets {
                    self.rewrite(*target, "(deleted)".to_owned());
                    if let Some(message) = self.messages.get_mut(target) {
                        (message.author, message.name) = (erase.user.clone(), "somebody erased".to_owned());
                    }
                }
            }
            body => {
                let Some(text) = body.text() else { return };
                let is_deleted = entry.folded.as_ref().is_some_and(|folded| folded.deleted);
                let text = if is_deleted { "(deleted)".to_owned() } else { plain(text) };
                let message = Message { author: entry.author.clone(), name: plain(&entry.name), text };
                self.messages.insert(entry.seq, message);
                while self.messages.len() > KEPT {
                    self.messages.pop_first();
                }
            }
        }
    }

    fn rewrite(&mut self, target: Seq, text: String) {
        if let Some(message) = self.messages.get_mut(&target) {
            message.text = text;
        }
    }
}

/// A room of two is called like the other one.
fn title(summary: &RoomSummary) -> String {
    plain(summary.with.as_ref().map_or(&summary.room.title, |other| &other.name))
}

/// Takes out what a terminal would obey or what turns the direction of what follows: others wrote this.
fn plain(text: &str) -> String {
    let is_harmless = |c: &char| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(is_harmless).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
