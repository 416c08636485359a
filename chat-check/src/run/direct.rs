//! The store itself, without servers: writers and readers at once, callers who leave.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use chat_core::{
    Body, Draft, Entry, EntryId, Key, RoomId, RoomSpec, Seq, Store as Port, Timestamp, UserId,
    model::{NewEntry, RoomChange},
    store::{Append, Outcome},
};
use parking_lot::Mutex;
use tokio::{task::JoinSet, time::sleep};

use super::{Failure, chance::Chance, store::Store};

/// What is done to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Trial {
    /// Sixteen writers on two nodes write one room, where commits take their time and some are rolled back, while four
    /// readers look: every look must show a prefix of the log.
    Tail,
    /// Callers leave in the middle of an append; then nothing may be left open, and asking again settles each.
    Leave,
    /// A server on SQLite says no `ack` before the log is on the disk, as strace sees it.
    Sync,
}

/// Says what to try.
#[derive(Clone, Debug, clap::Args)]
pub struct Try {
    /// What is done
    #[arg(value_enum)]
    pub trial: Trial,
    /// Where: `sqlite`, `postgres`, `mariadb`, `mongodb` for one of this run's own, or a URL
    #[arg(long, default_value = "sqlite")]
    pub store: String,
    /// Looks of all readers together, or callers who leave
    #[arg(long, default_value_t = 10_000)]
    pub times: u64,
    /// Decides who waits when
    #[arg(long)]
    pub seed: Option<u64>,
    /// The server to be traced; by default the one beside this program
    #[arg(long)]
    pub server: Option<PathBuf>,
    /// The trial is given up after so many seconds
    #[arg(long, default_value_t = 540)]
    pub at_most: u64,
}

const WRITERS: usize = 16;
const READERS: u64 = 4;
/// Entries of one look: few, so that most looks are at the end of the log.
const PAGE: u16 = 50;
/// How long a commit takes at most beyond its own time, and a writer waits in between.
const SLOW_MS: u64 = 50;
/// The first name of an entry's room and the texts' author.
const ROOM: &str = "chat-check";

/// Tries a store in `folder`. Returns what came of it, in words.
///
/// # Errors
/// If a promise is broken, or the store cannot be had.
pub(super) async fn try_store(what: &Try, folder: &Path) -> Result<String, Failure> {
    let store = Store::open(&what.store, folder, false, None)?;
    let nodes = [chat_engine::open_store(store.url()).await?, chat_engine::open_store(store.url()).await?];
    let room = RoomId::random(*Key::generate().as_bytes());
    let room = Room { nodes, id: room };
    let creation = entry(Draft::new(Body::Room(RoomChange::Created(RoomSpec::public(ROOM)))));
    room.append(0, vec![creation]).await?;
    let chance = Chance::of(what.seed.unwrap_or_default());
    match what.trial {
        Trial::Tail => tail(Arc::new(room), &store, what.times, chance).await,
        Trial::Leave => leave(room, &store, what.times, chance).await,
        Trial::Sync => Err("this is done with a server".into()),
    }
}

/// Is one room, as two nodes have it.
struct Room {
    nodes: [Arc<dyn Port>; 2],
    id: RoomId,
}

impl Room {
    fn share(&self, entries: Vec<NewEntry>) -> [Append; 1] {
        [Append { room: self.id, guard: Some(Seq::ZERO), entries }]
    }

    /// Appends as the engine does: again, until the store answers.
    async fn append(&self, node: usize, entries: Vec<NewEntry>) -> Result<Vec<Outcome>, Failure> {
        let batch = self.share(entries);
        loop {
            match self.nodes[node % 2].append(&batch).await {
                Ok(outcomes) => return Ok(outcomes.concat()),
                Err(error) if error.is_transient() => sleep(Duration::from_millis(1)).await,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn log(&self) -> Result<Vec<Entry>, Failure> {
        let mut log: Vec<Entry> = Vec::new();
        loop {
            let after = log.last().map_or(Seq::ZERO, |entry| entry.seq);
            let page = self.nodes[0].read(self.id, after, 1_000).await?;
            if page.is_empty() {
                return Ok(log);
            }
            dense(after, &page)?;
            log.extend(page);
        }
    }
}

fn entry(draft: Draft) -> NewEntry {
    let id = EntryId::from_bytes(*Key::generate().as_bytes());
    let author = UserId::new(ROOM).unwrap_or_else(|_| UserId::system());
    NewEntry::new(id, draft, author, ROOM.into(), Timestamp(1))
}

fn dense(after: Seq, page: &[Entry]) -> Result<(), Failure> {
    let mut due = after.next();
    for entry in page {
        if entry.seq != due {
            return Err(format!("a hole: after {after} a look shows {} where {due} has to be", entry.seq).into());
        }
        due = due.next();
    }
    Ok(())
}

/// Is what readers have seen so far: the id at each position.
#[derive(Default)]
struct Seen(Mutex<Vec<EntryId>>);

impl Seen {
    fn holds(&self, page: &[Entry]) -> Result<(), Failure> {
        let mut ids = self.0.lock();
        for entry in page {
            let at = usize::try_from(entry.seq.get())? - 1;
            match ids.get(at) {
                Some(id) if *id == entry.id => {}
                Some(_) => return Err(format!("{} is not the same to all", entry.seq).into()),
                None if at == ids.len() => ids.push(entry.id),
                None => {} // another reader is further behind; this one comes by there, too
            }
        }
        Ok(())
    }
}

async fn tail(room: Arc<Room>, store: &Store, times: u64, mut chance: Chance) -> Result<String, Failure> {
    let slow = store.slow_commits()?;
    let (seen, looks, done) = (Arc::<Seen>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let mut writers = JoinSet::new();
    for n in 0..WRITERS {
        let (room, done, mut chance) = (room.clone(), done.clone(), chance.fork());
        writers.spawn(async move {
            let mut stored = Vec::new();
            while !done.load(Relaxed) {
                let new = entry(Draft::text(format!("{n}")));
                let id = new.id;
                match room.append(n, vec![new]).await?[..] {
                    // Known already: an earlier try whose answer was lost.
                    [Outcome::Stored(seq) | Outcome::Duplicate(seq, _)] => stored.push((seq, id)),
                    ref other => return Err(format!("{other:?} to a new entry").into()),
                }
                sleep(Duration::from_millis(chance.below(SLOW_MS))).await;
            }
            Ok::<_, Failure>(stored)
        });
    }
    let began = Instant::now();
    let mut readers = JoinSet::new();
    for n in 0..READERS {
        let (room, seen, looks, chance) = (room.clone(), seen.clone(), looks.clone(), chance.fork());
        readers.spawn(async move { look(&room, n, times / READERS, &seen, &looks, chance).await });
    }
    let mut shown = 0;
    let mut result = Ok(());
    while !readers.is_empty() {
        tokio::select! {
            ended = readers.join_next() => if let Some(ended) = ended { result = result.and(ended?) },
            () = sleep(Duration::from_millis(200)) => {}
        }
        let tenth = looks.load(Relaxed) * 10 / times.max(1);
        if tenth > std::mem::replace(&mut shown, tenth) {
            eprintln!("{:6.1} s  {} looks of {times}", began.elapsed().as_secs_f64(), looks.load(Relaxed));
        }
    }
    done.store(true, Relaxed);
    let mut stored = Vec::new();
    while let Some(ended) = writers.join_next().await {
        stored.extend(ended??);
    }
    result?;
    let log = room.log().await?;
    stored.sort_unstable();
    let kept = log.iter().skip(1).map(|entry| (entry.seq, entry.id));
    if !kept.eq(stored.iter().copied()) {
        return Err(format!("{} were answered, the log has {}, and they differ", stored.len(), log.len() - 1).into());
    }
    let (looks, count, took) = (looks.load(Relaxed), stored.len(), began.elapsed().as_secs());
    let rolled = if slow { "commits up to 50 ms late, one in twenty rolled back" } else { "no commit held up" };
    Ok(format!(
        "{looks} looks at {count} entries of {WRITERS} writers in {took} s ({rolled}): always a prefix, no hole"
    ))
}

/// Looks so many times: mostly at the end, sometimes from an earlier place, sometimes at the head first.
async fn look(
    room: &Room,
    n: u64,
    times: u64,
    seen: &Seen,
    looks: &AtomicU64,
    mut chance: Chance,
) -> Result<(), Failure> {
    let store = &room.nodes[usize::from(n.is_multiple_of(2))];
    let mut last = 0;
    for _ in 0..times {
        let after = if chance.is_one_in(4) { last - chance.below(last.min(2 * u64::from(PAGE)) + 1) } else { last };
        if chance.is_one_in(8) {
            let head = store.heads(&[room.id]).await?.first().map_or(0, |head| head.seq.get());
            if head < last {
                return Err(format!("the head is said to be {head}, and {last} was seen before").into());
            }
        }
        let after = Seq::new(after).ok_or("a position too far")?;
        let page = store.read(room.id, after, PAGE).await?;
        dense(after, &page)?;
        seen.holds(&page)?;
        let end = after.get() + page.len() as u64;
        if end < last && page.len() < usize::from(PAGE) {
            return Err(format!("a look ends at {end}, and {last} was seen before").into());
        }
        last = last.max(end);
        looks.fetch_add(1, Relaxed);
    }
    Ok(())
}

async fn leave(room: Room, store: &Store, times: u64, mut chance: Chance) -> Result<String, Failure> {
    let began = Instant::now();
    let mut left = Vec::new();
    let mut answered = 0_u64;
    for number in 0..times {
        let new = entry(Draft::text(format!("{number}")));
        let batch = room.share(vec![new.clone()]);
        let call = room.nodes[0].append(&batch);
        let patience = Duration::from_micros(chance.below(3_000));
        answered += u64::from(tokio::time::timeout(patience, call).await.is_ok());
        left.push(new);
        if (number + 1).is_multiple_of((times / 10).max(1)) {
            eprintln!(
                "{:6.1} s  {} of {times} called, {answered} waited for",
                began.elapsed().as_secs_f64(),
                number + 1
            );
        }
    }
    store.until_nothing_is_open().await?;
    let mut later = 0_u64;
    for again in left.chunks(usize::from(PAGE)) {
        for outcome in room.append(0, again.to_vec()).await? {
            match outcome {
                Outcome::Duplicate(..) => {}
                Outcome::Stored(_) => later += 1,
                other => return Err(format!("{other:?} to an entry that is asked for again").into()),
            }
        }
    }
    let log = room.log().await?;
    let mut keys: Vec<_> = log.iter().skip(1).map(|entry| entry.key).collect();
    let mut wanted: Vec<_> = left.iter().map(|new| new.key).collect();
    keys.sort_unstable();
    wanted.sort_unstable();
    if keys != wanted {
        return Err(format!("{} keys were sent, and {} are stored", wanted.len(), keys.len()).into());
    }
    store.until_nothing_is_open().await?;
    let gone = times - answered;
    Ok(format!(
        "{gone} of {times} callers left in the middle: nothing stays open, {later} were not stored until asked again, each is stored once"
    ))
}
