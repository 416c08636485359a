//! Lanes: the tasks that judge drafts, append them in batches, answer their senders and let the entries pass.
//!
//! A room belongs to one lane of a node, so its drafts are stored in the order they were taken. While one batch is
//! with the store the next one forms in the lane's queue: the busier the node, the larger the batches.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    Inner,
    judge::{Judge, opening_key},
    submission::{Right, Stored, Submission},
};
use crate::{
    model::{Body, BodyHash, Draft, Entry, EntryId, Identity, NewEntry, RoomChange, RoomId, Seq},
    protocol::{Code, HubError},
    store::{Append, Outcome},
};

/// A draft whose access keeps changing under it is answered retry after so many judgements.
const JUDGEMENTS_MAX: u8 = 8;

/// A batch that was not taken is tried again after this, and after twice as long each time, up to half a second.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// Of the time that a sender waits, this part is left when all are judged: a store that is only slow serves some then.
const STORE_PART: u32 = 10;

/// The last ids of so many rooms are remembered, to chain hints; forgetting one costs other nodes a read, unless
/// somebody follows the room here.
const TAILS_MAX: usize = 4_096;

/// Is the way into one lane.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    queue: mpsc::Sender<Submission>,
}

impl Lane {
    /// Makes a lane; it runs once the receiver is given to [`run`].
    pub(super) fn new(queue_max: usize) -> (Self, mpsc::Receiver<Submission>) {
        let (queue, receiver) = mpsc::channel(queue_max);
        (Self { queue }, receiver)
    }

    /// Takes a draft, or answers it retry when the lane is full. Never blocks.
    pub(super) fn submit(&self, submission: Submission) {
        if let Err(refused) = self.queue.try_send(submission) {
            metrics::counter!("chat_lane_full_total").increment(1);
            let submission = refused.into_inner();
            submission.refuse(soon());
        }
    }
}

/// Runs a lane; ends when it is aborted with the engine. A panic, which only a host's policy can cause, costs the batch it struck:
/// its senders are told to retry, and the rooms are read from the log again.
pub(super) async fn run(engine: Arc<Inner>, mut queue: mpsc::Receiver<Submission>) {
    let mut batch = Vec::new();
    let mut recorder = Recorder::default();
    while queue.recv_many(&mut batch, engine.limits.batch_max).await > 0 {
        let round = recorder.round(&engine, &mut queue, std::mem::take(&mut batch));
        if std::panic::AssertUnwindSafe(round).catch_unwind().await.is_err() {
            metrics::counter!("chat_lane_panics_total").increment(1);
            tracing::error!("a lane panicked; its batch is answered retry");
            recorder = Recorder::default();
            engine.poll_now.notify_one();
        }
    }
}

#[derive(Default)]
struct Recorder {
    /// In which era of the log it remembers.
    era: u64,
    judge: Judge,
    /// The last entry this lane stored in each room.
    tails: HashMap<RoomId, (Seq, EntryId)>,
}

/// Is what has to be judged, of each room.
type Waiting = BTreeMap<RoomId, VecDeque<Submission>>;

/// Is one room's part of a batch, with those who wait for it.
struct Share {
    append: Append,
    /// One for each entry, except for a creation that the engine put in front.
    submissions: Vec<Submission>,
    opened: bool,
}

impl Recorder {
    async fn round(&mut self, engine: &Arc<Inner>, queue: &mut mpsc::Receiver<Submission>, batch: Vec<Submission>) {
        if self.era != engine.era() {
            *self = Self { era: engine.era(), ..Self::default() };
        }
        let oldest = batch.iter().map(|submission| submission.since).min().unwrap_or_else(Instant::now);
        let within = engine.limits.append_within;
        let until = oldest + within * (STORE_PART - 1) / STORE_PART;
        metrics::histogram!("chat_batch_drafts").record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        let mut waiting = Waiting::new();
        for submission in self.judge.screen(engine, batch, until).await {
            waiting.entry(submission.room).or_default().push_back(submission);
        }
        while !waiting.is_empty() {
            let mut shares = Vec::with_capacity(waiting.len());
            for (room, drafts) in &mut waiting {
                shares.extend(self.form(engine, *room, drafts, until).await);
            }
            let stored = self.append(engine, queue, shares, &mut waiting, until).await;
            waiting.retain(|_, drafts| !drafts.is_empty());
            for (room, entries) in stored {
                self.pass(engine, room, entries).await;
            }
        }
    }

    /// Takes from the front of a room's drafts what one append may hold: up to and including the first that
    /// changes who may do what, since what follows must be judged after it. Whoever
    /// cannot be judged `until` then is told to retry.
    async fn form(
        &mut self,
        engine: &Inner,
        room: RoomId,
        drafts: &mut VecDeque<Submission>,
        until: Instant,
    ) -> Option<Share> {
        let mut share =
            Share { append: Append { room, guard: None, entries: Vec::new() }, submissions: Vec::new(), opened: false };
        while let Some(mut submission) = drafts.pop_front() {
            if let Some(error) = submission.waits_behind() {
                submission.refuse(error);
                continue;
            }
            let judged = timeout_at(until, self.judge.authorize(engine, &submission)).await;
            let permit = match judged.unwrap_or_else(|_| Err(soon())) {
                Ok(permit) => permit,
                Err(_) if !share.submissions.is_empty() => {
                    drafts.push_front(submission); // what is before it, perhaps an earlier try, is stored first
                    break;
                }
                Err(error) => {
                    self.refuse_unless_stored(engine, submission, error, until).await;
                    continue;
                }
            };
            if share.append.guard.is_some_and(|first| permit.opens || first != permit.guard) {
                drafts.push_front(submission); // judged under another guard, or the first of its room: goes next
                break;
            }
            share.append.guard = Some(permit.guard);
            if permit.opens {
                share.opened = true;
                share.append.entries.extend(opening(engine, &submission));
            }
            let last = changes_rights(&submission.draft.body) || share.opened;
            share.append.entries.push(new_entry(engine, submission.sent, submission.take_draft(), &submission.who));
            share.submissions.push(submission);
            if last {
                break;
            }
        }
        (!share.submissions.is_empty()).then_some(share)
    }

    /// Refuses a draft, but not if an earlier try of it is stored: then its position is the answer.
    async fn refuse_unless_stored(&mut self, engine: &Inner, submission: Submission, error: HubError, until: Instant) {
        if error.code.is_retryable() {
            return submission.refuse(error);
        }
        let entry = new_entry(engine, submission.sent, submission.draft.clone(), &submission.who);
        let probe = [Append { room: submission.room, guard: None, entries: vec![entry] }];
        let probe = timeout_at(until, spawn_append(engine, Arc::new(probe.into()))).await;
        let Ok(Ok(outcomes)) = probe else { return submission.refuse(soon()) };
        match outcomes.as_deref().map(|rooms| rooms.first().and_then(|room| room.first())) {
            Ok(Some(Outcome::Duplicate(seq, id))) => {
                let room = submission.room;
                submission.reply(Ok(Stored { room, seq: *seq, id: *id }));
            }
            Ok(Some(Outcome::Conflict)) => submission.refuse(Code::Conflict),
            Ok(Some(Outcome::TooOld)) => submission.refuse(Code::TooOld), // perhaps it was stored, and trimmed since
            Ok(_) => submission.refuse(error),
            Err(error) => {
                tracing::warn!(%error, "whether a refused draft is stored cannot be told");
                submission.refuse(Code::Retry);
            }
        }
    }

    /// Appends the shares, answers their senders, and returns what is new. What has to be judged again goes back
    /// to the front of `waiting`.
    ///
    /// A batch that the store refuses for good is tried share by share, so that one room's poison is its own.
    async fn append(
        &mut self,
        engine: &Arc<Inner>,
        queue: &mut mpsc::Receiver<Submission>,
        shares: Vec<Share>,
        waiting: &mut Waiting,
        until: Instant,
    ) -> Vec<(RoomId, Vec<Arc<Entry>>)> {
        let mut stored = Vec::with_capacity(shares.len());
        let mut calls = VecDeque::from([shares]);
        while let Some(mut shares) = calls.pop_front().filter(|shares| !shares.is_empty()) {
            match call(engine, queue, &mut shares, waiting, until).await {
                Some(outcomes) => {
                    for (share, outcomes) in shares.into_iter().zip(outcomes) {
                        let (room, entries) = self.settle(engine, share, outcomes, waiting);
                        if !entries.is_empty() {
                            stored.push((room, entries));
                        }
                    }
                }
                None if shares.len() > 1 => calls.extend(shares.into_iter().map(|share| vec![share])),
                None => {} // the senders are told to retry as the share drops
            }
        }
        stored
    }

    /// Answers the senders of one share.
    fn settle(
        &mut self,
        engine: &Arc<Inner>,
        share: Share,
        outcomes: Vec<Outcome>,
        waiting: &mut Waiting,
    ) -> (RoomId, Vec<Arc<Entry>>) {
        let room = share.append.room;
        let mut stored = Vec::new();
        let mut again = Vec::new();
        let mut entries = share.append.entries.into_iter().zip(outcomes);
        if share.opened
            && let Some((creation, outcome)) = entries.next()
        {
            if let Outcome::Stored(seq) = outcome {
                stored.push(Arc::new(creation.into_entry(room, seq)));
            }
            self.judge.forget(room);
        }
        for ((entry, outcome), mut submission) in entries.zip(share.submissions) {
            match outcome {
                Outcome::Stored(seq) => {
                    let entry = Arc::new(entry.into_entry(room, seq));
                    if changes_rights(&entry.body) {
                        self.judge.forget(room);
                    }
                    announce(engine, submission, &entry);
                    stored.push(entry);
                }
                Outcome::Duplicate(seq, id) => {
                    let entry = Entry { id, ..entry.into_entry(room, seq) };
                    // Perhaps a node died before it told anybody.
                    announce(engine, submission, &entry);
                }
                Outcome::Conflict => submission.refuse(Code::Conflict),
                Outcome::TooOld => submission.refuse(Code::TooOld),
                Outcome::Exists if is_named_creation(&entry) => engine.clone().answer_existing(submission),
                Outcome::Exists if !share.opened => submission.refuse(Code::Conflict),
                Outcome::Missing if submission.right == Right::Judged => submission.refuse(Code::NotFound),
                Outcome::Stale(_) | Outcome::Exists | Outcome::Missing => {
                    self.judge.forget(room);
                    submission.judgements += 1;
                    submission.draft = Draft { key: entry.key, body: entry.body };
                    if submission.is_answered() {
                        // Its sender was told to try again and may have been refused for good elsewhere since.
                        drop(submission);
                    } else if submission.judgements < JUDGEMENTS_MAX {
                        again.push(submission);
                    } else {
                        submission.refuse(Code::Retry);
                    }
                }
            }
        }
        let drafts = waiting.entry(room).or_default();
        again.into_iter().rev().for_each(|submission| drafts.push_front(submission));
        (room, stored)
    }

    /// Returns the id of the entry before a position: this lane stored it, or it came from another node.
    async fn before(&self, engine: &Inner, room: RoomId, seq: Seq) -> Option<EntryId> {
        match self.tails.get(&room).filter(|(last, _)| last.next() == seq) {
            Some((_, id)) => Some(*id),
            None => engine.rooms.get(room)?.id_before(seq).await,
        }
    }

    /// Lets stored entries pass on this node and announces them to the others.
    async fn pass(&mut self, engine: &Arc<Inner>, room: RoomId, entries: Vec<Arc<Entry>>) {
        let Some((first, last)) = entries.first().zip(entries.last()) else { return };
        let before = self.before(engine, room, first.seq).await;
        if self.tails.len() >= TAILS_MAX {
            self.tails.clear();
        }
        self.tails.insert(room, (last.seq, last.id));
        engine.relay.announce(room, before, &entries);
        engine.let_pass(room, entries).await;
    }
}

/// Tells the inboxes what a stored entry says about their users, then answers its sender. The second entry of a room
/// came with the creation that the engine put in front, and tells that too.
fn announce(engine: &Arc<Inner>, submission: Submission, entry: &Entry) {
    let Entry { room, seq, id, .. } = *entry;
    let opening = if seq == Seq::FIRST.next() { opening(engine, &submission) } else { None };
    let opening = opening.map(|opening| opening.into_entry(room, Seq::FIRST));
    let entries = opening.iter().chain([entry]);
    engine.clone().announce_members(entries, move |done| submission.reply(done.map(|()| Stored { room, seq, id })));
}

/// Calls the store until it has answered, in a task of its own that nothing cancels. Senders who have waited too long
/// are told to retry, and so is whoever waits behind them; the drafts stay in the batch, which is repeated as it is before
/// anything newer. `None` means that the store refused for good.
async fn call(
    engine: &Arc<Inner>,
    queue: &mut mpsc::Receiver<Submission>,
    shares: &mut [Share],
    waiting: &mut Waiting,
    until: Instant,
) -> Option<Vec<Vec<Outcome>>> {
    let take = |share: &mut Share| Append { entries: std::mem::take(&mut share.append.entries), ..share.append };
    let batch = Arc::new(shares.iter_mut().map(take).collect::<Vec<_>>());
    let started = Instant::now();
    let trips = until.max(started) + engine.limits.append_within / STORE_PART;
    let mut tripped = false;
    let mut wait = FIRST_WAIT;
    let outcomes = loop {
        let mut answer = spawn_append(engine, batch.clone());
        let result = loop {
            tokio::select! {
                biased;
                result = &mut answer => break result,
                () = tokio::time::sleep_until(trips), if !tripped => tripped = trip(engine, shares, waiting),
                Some(late) = queue.recv(), if tripped => late.refuse(soon()),
            }
        };
        match result {
            Ok(Ok(outcomes)) => break Some(outcomes),
            Ok(Err(error)) if error.is_transient() => {
                if wait == FIRST_WAIT {
                    tracing::warn!(%error, "the store did not take a batch; it is repeated until it does");
                }
                engine.doubt_store(&error);
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the store refused a batch for good");
                break None;
            }
            Err(panic) => {
                tracing::error!(%panic, "a store panicked");
                break None;
            }
        }
        metrics::counter!("chat_append_repeats_total").increment(1);
        tripped = tripped || (Instant::now() >= trips && trip(engine, shares, waiting));
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_millis(500));
    };
    engine.store_answers(outcomes.is_some());
    if engine.doubts_store() {
        engine.poll_now.notify_one();
    }
    metrics::histogram!("chat_append_seconds").record(started.elapsed().as_secs_f64());
    let batch = Arc::try_unwrap(batch).unwrap_or_else(|shared| (*shared).clone());
    shares.iter_mut().zip(batch).for_each(|(share, append)| share.append = append);
    outcomes
}

type Answer = Result<Vec<Vec<Outcome>>, crate::store::StoreError>;

fn spawn_append(engine: &Inner, batch: Arc<Vec<Append>>) -> JoinHandle<Answer> {
    let store = engine.store.clone();
    tokio::spawn(async move { store.append(&batch).await })
}

/// Tells everybody in the batch to retry, and those who would be judged after it. Always true.
fn trip(engine: &Inner, shares: &mut [Share], waiting: &mut Waiting) -> bool {
    engine.store_answers(false);
    let error = soon();
    shares.iter_mut().flat_map(|share| &mut share.submissions).for_each(|submission| submission.refuse_now(&error));
    std::mem::take(waiting).into_values().flatten().for_each(|submission| submission.refuse(soon()));
    true
}

/// Tells whether this creates a room that has a name: then an existing one is as good.
fn is_named_creation(entry: &NewEntry) -> bool {
    matches!(&entry.body, Body::Room(RoomChange::Created(spec)) if spec.name.is_some())
}

/// Says to try again in a second.
fn soon() -> HubError {
    HubError::from(Code::Retry).after(Duration::from_secs(1))
}

fn new_entry(engine: &Inner, sent: BodyHash, draft: Draft, who: &Identity) -> NewEntry {
    NewEntry::of_sent(sent, engine.entry_id(), draft, who.user.clone(), who.name.clone(), engine.clock.now())
}

/// Returns the creation that goes in front of a first entry of a private room or inbox.
fn opening(engine: &Inner, submission: &Submission) -> Option<NewEntry> {
    let spec = match &submission.right {
        Right::Opening(spec) => (**spec).clone(),
        _ => return None,
    };
    // The key follows from the room, and so does the author: two openings at once are one.
    let key = opening_key(submission.draft.key);
    let draft = Draft { key, body: Body::Room(RoomChange::Created(spec)) };
    Some(new_entry(engine, BodyHash::of(&draft.body), draft, &Identity::system()))
}

/// Tells whether what was judged before must be judged again after an entry with this body.
fn changes_rights(body: &Body) -> bool {
    body.restricts() || matches!(body, Body::Member(_) | Body::Room(_))
}
