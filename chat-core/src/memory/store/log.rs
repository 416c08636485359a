//! The log of one room.

use std::collections::{HashMap, VecDeque};

use crate::{
    model::{Body, Entry, EntryId, Folded, Key, NewEntry, Page, Seq, UserId, fold},
    store::{Kept, Known, LogState, Standing},
};

/// Keeps what is not trimmed, in order, and every key that is still known.
#[derive(Default)]
pub(super) struct Log {
    rows: VecDeque<Row>,
    /// The creation once it is trimmed: it is read no more.
    creation: Option<Row>,
    keys: HashMap<(UserId, Key), Known>, // only looked up, never listed
    trimmed_ms: Option<i64>,
}

/// Is one entry as it was written, and as people see it once a later entry changed it.
struct Row {
    raw: Entry,
    shown: Option<(Body, Box<Folded>)>,
}

impl Row {
    fn as_shown(&self) -> Entry {
        let mut entry = self.raw.clone();
        if let Some((body, folded)) = &self.shown {
            (entry.body, entry.folded) = (body.clone(), Some(folded.clone()));
        }
        entry
    }
}

impl Log {
    pub(super) fn head(&self) -> Option<(Seq, EntryId)> {
        self.rows.back().map(|row| (row.raw.seq, row.raw.id))
    }

    /// Returns the first position that is kept.
    pub(super) fn first(&self) -> Seq {
        self.rows.front().map_or(Seq::ZERO, |row| row.raw.seq)
    }

    pub(super) fn standing(&self, guard: Seq) -> Standing {
        let head = self.head().map_or(Seq::ZERO, |(seq, _)| seq);
        Standing { head, guard, trimmed_ms: self.trimmed_ms }
    }

    pub(super) fn known(&self, new: &NewEntry) -> Option<Known> {
        self.keys.get(&(new.author.clone(), new.key)).copied()
    }

    /// Stores an entry and does to earlier messages what it says.
    pub(super) fn push(&mut self, new: &NewEntry, entry: &Entry) {
        let known = Known { seq: entry.seq, id: new.id, hash: Some(new.hash) };
        self.keys.insert((new.author.clone(), new.key), known);
        self.rows.push_back(Row { raw: entry.clone(), shown: None });
        for target in entry.body.targets().iter().filter(|target| **target < entry.seq) {
            self.fold(*target, entry);
        }
    }

    pub(super) fn read(&self, after: Seq, limit: u16) -> Vec<Entry> {
        let from = self.index(after.next()).unwrap_or(0);
        self.rows.iter().skip(from).take(limit.into()).map(|row| row.raw.clone()).collect()
    }

    /// Returns the edits of a message.
    pub(super) fn edits(&self, target: Seq, after: Seq, limit: u16) -> Vec<Entry> {
        let from = self.index(target.max(after).next()).unwrap_or(0);
        let edits = self.rows.iter().skip(from).map(|row| &row.raw).filter(|entry| entry.edits(target));
        edits.take(limit.into()).cloned().collect()
    }

    pub(super) fn history(&self, page: &Page) -> Vec<Entry> {
        let inside = |row: &&Row| {
            let seq = row.raw.seq.get();
            let standing = page.before.is_none_or(|before| seq < before) && page.after.is_none_or(|after| seq > after);
            standing && row.raw.body.is_message()
        };
        let limit = page.limit.into();
        if page.after.is_some() {
            return self.rows.iter().filter(inside).take(limit).map(Row::as_shown).collect();
        }
        let mut newest: Vec<_> = self.rows.iter().rev().filter(inside).take(limit).map(Row::as_shown).collect();
        newest.reverse();
        newest
    }

    pub(super) fn last_message(&self) -> Option<Entry> {
        self.rows.iter().rev().find(|row| row.raw.body.is_message()).map(Row::as_shown)
    }

    /// Counts the messages of others than `user` after a position.
    pub(super) fn unread(&self, user: &UserId, after: Seq) -> u64 {
        let newer = self.rows.iter().rev().take_while(|row| row.raw.seq > after);
        newer.filter(|row| row.raw.body.is_message() && row.raw.author != *user).count() as u64
    }

    /// Forgets the old, but never the last entry; the key of the creation stays known, so that a room cannot be
    /// created again.
    pub(super) fn trim(&mut self, through: Seq) {
        while self.rows.len() > 1 && self.first() <= through {
            let Some(row) = self.rows.pop_front() else { return };
            if row.raw.seq == Seq::FIRST {
                self.creation = Some(row);
            } else {
                self.trimmed_ms = self.trimmed_ms.max(Some(row.raw.key.unix_ms()));
                self.keys.remove(&(row.raw.author, row.raw.key));
            }
        }
    }

    pub(super) fn kept(&self, after: Seq, limit: u16) -> Vec<Kept> {
        let rows = self.creation.iter().chain(&self.rows).filter(|row| row.raw.seq > after);
        let kept = rows.map(|Row { raw, shown }| {
            let known = self.keys.get(&(raw.author.clone(), raw.key));
            Kept { entry: raw.clone(), hash: known.and_then(|known| known.hash), shown: shown.clone() }
        });
        kept.take(limit.into()).collect()
    }

    /// Puts an entry where it stood in another log, of which nothing before `state.first` is read.
    pub(super) fn restore(&mut self, kept: &Kept, state: &LogState) {
        let Kept { entry, hash, shown } = kept.clone();
        let known = Known { seq: entry.seq, id: entry.id, hash };
        self.keys.insert((entry.author.clone(), entry.key), known);
        let row = Row { raw: entry, shown };
        if row.raw.seq < state.first {
            self.creation = Some(row);
        } else {
            self.rows.push_back(row);
        }
        self.trimmed_ms = state.trimmed_ms;
    }

    /// Makes history show a message like this.
    pub(super) fn show(&mut self, message: &Entry) {
        if let Some(row) = self.index(message.seq).and_then(|at| self.rows.get_mut(at)) {
            row.shown = message.folded.clone().map(|folded| (message.body.clone(), folded));
        }
    }

    fn fold(&mut self, target: Seq, by: &Entry) {
        let Some(at) = self.index(target) else { return };
        let mut shown = self.rows[at].as_shown();
        fold(&mut shown, by);
        let deleted = shown.folded.as_ref().is_some_and(|folded| folded.deleted);
        self.rows[at].shown = shown.folded.map(|folded| (shown.body, folded));
        if deleted {
            self.blank(at);
        }
    }

    /// Removes the text of the deleted message at `at`, and of all its edits.
    fn blank(&mut self, at: usize) {
        let deleted = self.rows[at].raw.seq;
        for row in self.rows.range_mut(at..) {
            if row.raw.seq == deleted || row.raw.edits(deleted) {
                row.raw.body.blank();
                let key = (row.raw.author.clone(), row.raw.key);
                self.keys.entry(key).and_modify(|known| known.hash = None);
            }
        }
    }

    /// Tells whether something here was written by a user or names them.
    pub(super) fn knows(&self, user: &UserId) -> bool {
        self.keys.keys().any(|(author, _)| author == user) || self.rows.iter().any(|row| row.raw.body.names(user))
    }

    /// Puts another user where entries name one who is not to be named any more.
    pub(super) fn disguise(&mut self, user: &UserId, other: &UserId) {
        for row in self.rows.iter_mut().filter(|row| row.raw.body.names(user)) {
            row.raw.body.rename(user, other);
            let key = (row.raw.author.clone(), row.raw.key);
            self.keys.entry(key).and_modify(|known| known.hash = None);
        }
    }

    /// Makes another user the author of what one has written.
    pub(super) fn give(&mut self, user: &UserId, other: &UserId) {
        for row in self.rows.iter_mut().filter(|row| row.raw.author == *user) {
            row.raw.author = other.clone();
        }
        let keys = std::mem::take(&mut self.keys).into_iter();
        let given = |author| if author == *user { other.clone() } else { author };
        self.keys = keys.map(|((author, key), known)| ((given(author), key), known)).collect();
    }

    fn index(&self, seq: Seq) -> Option<usize> {
        let index = usize::try_from(seq.get().checked_sub(self.first().get())?).ok()?;
        Some(index)
    }
}
