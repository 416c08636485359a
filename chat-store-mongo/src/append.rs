//! Writing the logs: compare and append.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chat_core::{
    Entry, Key, RoomId, Seq, StoreError, StoreErrorKind, UserId,
    model::NewEntry,
    store::{Append, Known, Outcome, Standing},
};
use mongodb::bson::{Binary, doc};
use tokio::time::{Instant, sleep};

use crate::{
    database::Database,
    error::{all, ask, attempt},
    row::{EntryRow, KnownRow, LastRow, RoomRow, binary, bytes},
};

/// How long to compete with other nodes for the next position: 5 s, as long as a sender waits for the engine.
const COMPETE_WITHIN: Duration = Duration::from_secs(5);

/// The longest pause between two rounds is this many times 2 ms: a round takes some milliseconds, and those who collided
/// should not do so again.
const PAUSE_STEPS_MAX: u32 = 16;

impl Database {
    /// Appends a share, in as many rounds as it takes.
    pub(crate) async fn append(&self, share: &Append) -> Result<Vec<Outcome>, StoreError> {
        if share.entries.is_empty() {
            return Ok(Vec::new());
        }
        let _turn = self.turn(share.room).await;
        let began = Instant::now();
        for round in 0.. {
            if let Some(outcomes) = self.round(share).await? {
                return Ok(outcomes);
            }
            if began.elapsed() > COMPETE_WITHIN {
                break;
            }
            sleep(pause(round)).await;
        }
        // Other rooms' shares, and the beginning of this one, may be stored.
        Err(StoreError::new(StoreErrorKind::Timeout, "append while others append to the same room"))
    }

    /// Tries once. `None`: somebody else has written to the room meanwhile.
    async fn round(&self, share: &Append) -> Result<Option<Vec<Outcome>>, StoreError> {
        let last = self.last(share.room).await?;
        let (known, room) = self.look(share).await?;
        let mut standing = Standing { head: Seq::ZERO, guard: Seq::ZERO, trimmed_ms: room.trimmed_ms };
        if let Some(last) = last {
            (standing.head, standing.guard) = (Seq::from_stored(last.seq), Seq::from_stored(last.guard));
        }
        let before = standing;
        let name = |new: &NewEntry| (new.author.clone(), new.key);
        let mut outcomes = standing.judge(share, |new| known.get(&name(new)).copied());
        let fresh: Vec<_> =
            share.entries.iter().zip(&outcomes).filter_map(|(new, outcome)| position(new, *outcome)).collect();

        let mut stored = room;
        if let Some((_, first)) = fresh.first() {
            let Some(rows) = self.insert(share.room, &fresh, before.guard).await? else { return Ok(None) };
            stored = self.catch_up(share.room, standing.head, &rows).await?;
            // A writer that was held up for long inserted where meanwhile everything was trimmed. Nobody ever reads that.
            if stored.first() > *first {
                return Ok(None);
            }
        }
        if stored.as_of() < before.head {
            self.catch_up(share.room, before.head, &[]).await?;
        }
        own(share, &mut outcomes);
        Ok(Some(outcomes))
    }

    /// Returns where the log of a room ends.
    pub(crate) async fn last(&self, room: RoomId) -> Result<Option<LastRow>, StoreError> {
        let entries = self.entries.clone_with_type::<LastRow>();
        let last = entries.find_one(doc! { "room": binary(room.as_bytes()) }).sort(doc! { "seq": -1 });
        ask("read the last entry", last.projection(doc! { "seq": 1, "guard": 1 })).await
    }

    /// Looks up the keys of a share, and then the room: a key that was trimmed in between is known to be too old.
    async fn look(&self, share: &Append) -> Result<(HashMap<(UserId, Key), Known>, RoomRow), StoreError> {
        let numbers = self.people.numbers(share.entries.iter().map(|new| &new.author)).await?;
        let mut rows = Vec::new();
        if !numbers.is_empty() {
            let keys: Vec<_> = share.entries.iter().map(|new| binary(new.key.as_bytes())).collect();
            let authors: Vec<_> = numbers.values().collect();
            let room = binary(share.room.as_bytes());
            let filter = doc! { "room": room, "author": { "$in": authors }, "key": { "$in": keys } };
            let fields = doc! { "seq": 1, "id": 1, "key": 1, "author": 1, "hash": 1 };
            let entries = self.entries.clone_with_type::<KnownRow>();
            rows = all("look up keys", entries.find(filter).projection(fields)).await?;
        }
        let room = self.room(share.room).await?;
        let trimmed = |row: &KnownRow| row.seq > 1 && row.seq < room.first().to_stored();
        if rows.iter().any(trimmed) {
            self.forget(share.room, room.first()).await?;
        }
        let authors: HashMap<_, _> = numbers.into_iter().map(|(user, number)| (number, user)).collect();
        let mut known = HashMap::new();
        for row in rows.iter().filter(|row| !trimmed(row)) {
            if let Some(author) = authors.get(&row.author) {
                known.insert((author.clone(), row.key()?), row.known()?);
            }
        }
        Ok((known, room))
    }

    /// Inserts entries at their positions, in order, after telling the room's document of them. Returns them as they stand
    /// in the log; `None` if not all of them do, because somebody else took a position or stored a key.
    async fn insert(
        &self,
        room: RoomId,
        fresh: &[(&NewEntry, Seq)],
        mut guard: Seq,
    ) -> Result<Option<Vec<Entry>>, StoreError> {
        let seen: BTreeMap<_, _> = fresh.iter().map(|(new, _)| (&new.author, new.name.clone())).collect();
        let numbers = self.people.see(&seen).await?;
        let mut rows = Vec::with_capacity(fresh.len());
        for (new, seq) in fresh {
            if new.body.restricts() {
                guard = *seq;
            }
            // Erased a moment ago, by somebody else: meet them again.
            let Some(author) = numbers.get(&new.author) else { return Ok(None) };
            rows.push(EntryRow::new(&new.at(room, *seq), Some(new.hash), guard, *author));
        }
        let head = fresh.last().map_or(Seq::ZERO, |(_, seq)| *seq);
        if !self.raise(room, head).await? {
            return Ok(None);
        }
        // After the head is raised, and before anything is there to be missed: see `feed.rs`.
        self.put_behind(room).await?;
        if !attempt("insert entries", self.entries.insert_many(rows)).await? {
            return Ok(None);
        }
        Ok(Some(fresh.iter().map(|(new, seq)| new.at(room, *seq)).collect()))
    }

    /// Raises the head of a room, which thus is never below its log. Returns `false` if somebody else made the room's document
    /// meanwhile.
    pub(crate) async fn raise(&self, room: RoomId, head: Seq) -> Result<bool, StoreError> {
        let update = doc! { "$max": { "head": head.to_stored() }, "$setOnInsert": { "as_of": 0_i64 } };
        let one = doc! { "_id": binary(room.as_bytes()) };
        attempt("raise a head", self.rooms.update_one(one, update).upsert(true)).await
    }

    /// Forgets what stands before `through`, but never the creation, whose key stays known, and never the last entry.
    pub(crate) async fn trim(&self, room: RoomId, through: Seq) -> Result<(), StoreError> {
        let Some(last) = self.last(room).await? else { return Ok(()) };
        let through = through.min(Seq::from_stored(last.seq).prev());
        if through == Seq::ZERO {
            return Ok(());
        }
        // What is forgotten cannot be projected any more.
        self.catch_up(room, Seq::from_stored(last.seq), &[]).await?;
        let mut raised = doc! { "first": through.next().to_stored() };
        if let Some(ms) = self.newest_key(room, through).await? {
            raised.insert("trimmed_ms", ms);
        }
        let one = doc! { "_id": binary(room.as_bytes()) };
        // Before anything is gone: whoever misses a key then finds that it may have been trimmed.
        ask("trim a log", self.rooms.update_one(one, doc! { "$max": raised })).await?;
        self.forget(room, through.next()).await
    }

    async fn newest_key(&self, room: RoomId, through: Seq) -> Result<Option<i64>, StoreError> {
        #[derive(serde::Deserialize)]
        struct KeyRow {
            key: Binary,
        }
        let filter = doc! { "room": binary(room.as_bytes()), "seq": { "$gte": 2_i64, "$lte": through.to_stored() } };
        let entries = self.entries.clone_with_type::<KeyRow>();
        let newest = entries.find_one(filter).sort(doc! { "key": -1 }).projection(doc! { "key": 1 });
        let newest = ask("read the newest key", newest).await?;
        newest.map(|row| Ok(Key::from_bytes(bytes(&row.key)?).unix_ms())).transpose()
    }

    async fn forget(&self, room: RoomId, first: Seq) -> Result<(), StoreError> {
        let filter = doc! { "room": binary(room.as_bytes()), "seq": { "$gte": 2_i64, "$lt": first.to_stored() } };
        ask("forget entries", self.entries.delete_many(filter)).await.map(drop)
    }
}

fn position(new: &NewEntry, outcome: Outcome) -> Option<(&NewEntry, Seq)> {
    if let Outcome::Stored(seq) = outcome { Some((new, seq)) } else { None }
}

/// Tells what an earlier round stored, or an earlier call with the same batch, from what was stored before: a sender's retry
/// gets an id of its own.
fn own(share: &Append, outcomes: &mut [Outcome]) {
    for (new, outcome) in share.entries.iter().zip(outcomes) {
        if let Outcome::Duplicate(seq, id) = *outcome
            && id == new.id
        {
            *outcome = Outcome::Stored(seq);
        }
    }
}

/// Draws how long to wait before the next round, so that those who collided come back at different times.
fn pause(round: u32) -> Duration {
    let mut random = [0];
    // Without chance they come back together, and collide once more.
    let _ = getrandom::fill(&mut random);
    let steps = (1 << round.min(4)).min(PAUSE_STEPS_MAX);
    Duration::from_millis(1 + u64::from(random[0]) * u64::from(2 * steps) / 256)
}
