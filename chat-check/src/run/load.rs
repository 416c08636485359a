//! The load: publishers who send at a rate, whoever is or is not there, and a keeper who throws people out.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chat_core::{
    Body, Entry, Hub, Room, RoomId, UserId,
    model::{MemberChange, Membership},
};
use futures::{
    FutureExt, StreamExt,
    future::{self, BoxFuture},
    poll,
    stream::FuturesUnordered,
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    Failure,
    chance::Chance,
    client::{Client, name},
    recorder::Recorder,
    rest::Rest,
};
use crate::history::{Event, Part};

/// Drafts of one publisher that wait for their answers; then it waits, too.
const UNDER_WAY_MAX: usize = 32;
/// How long the last answers are waited for, when everything is healed.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// A retry by a second client comes this long after the first try.
const SECOND_AFTER: Duration = Duration::from_millis(40);

/// Is somebody who sends.
pub(super) struct Publisher {
    client: Arc<Client>,
    /// Another client of the same user, by which one in ten drafts is sent at once, too, and one in ten is sent again.
    second: Option<Arc<Client>>,
    rooms: Vec<Rooms>,
    every: Duration,
    chance: Chance,
    /// Sends slash commands.
    asks: bool,
}

/// Is a room as the first and the second client have it.
type Rooms = (Arc<dyn Room>, Option<Arc<dyn Room>>);

impl Publisher {
    /// Makes a publisher to all rooms of a client. At the door it may be thrown out and come in later.
    pub(super) async fn new(
        client: Arc<Client>,
        second: Option<Arc<Client>>,
        every: Duration,
        chance: Chance,
    ) -> Result<Self, Failure> {
        let mut rooms: Vec<Rooms> = Vec::new();
        for id in &client.rooms {
            let again = match &second {
                Some(second) => Some(second.hub.room(*id).await?),
                None => None,
            };
            rooms.push((client.hub.room(*id).await?, again));
        }
        Ok(Self { client, second, rooms, every, chance, asks: false })
    }

    /// Makes one that asks bots, in all rooms but one: who is thrown out does not hear the answer.
    pub(super) async fn asking(
        client: Arc<Client>,
        door: RoomId,
        every: Duration,
        chance: Chance,
    ) -> Result<Self, Failure> {
        let mut asking = Self { asks: true, ..Self::new(client, None, every, chance).await? };
        asking.rooms.retain(|(room, _)| room.id() != door);
        Ok(asking)
    }

    /// Sends until `stop` closes, then waits for what is under way.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<()>) {
        let mut under_way = FuturesUnordered::new();
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut number = 0;
        loop {
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                Some(()) = under_way.next() => {}
                _ = ticks.tick(), if under_way.len() < UNDER_WAY_MAX => {
                    number += 1;
                    let mut post = self.post(number);
                    // Polled here and now: the order of first polls is the order of the drafts.
                    if poll!(&mut post).is_pending() {
                        under_way.push(post);
                    }
                }
            }
        }
        // What is never answered is "unknown" when the client ends.
        let _ = timeout(ANSWERS_WITHIN, under_way.collect::<()>()).await;
    }

    fn post(&mut self, number: u64) -> BoxFuture<'static, ()> {
        // One in five to the first room: some rooms are livelier than others.
        let busiest = self.chance.is_one_in(5);
        let Some(first) = self.rooms.first() else { return future::ready(()).boxed() };
        let (room, again) = if busiest { first } else { self.chance.one_of(&self.rooms) }.clone();
        let client = self.client.clone();
        if self.asks {
            return async move { client.ask(room).await }.boxed();
        }
        let draft = client.draft(number);
        let (Some(second), Some(again), dice) = (self.second.clone(), again, self.chance.below(10)) else {
            return async move {
                client.post(room, draft).await;
            }
            .boxed();
        };
        let same = draft.clone();
        let wait = match dice {
            0 => Duration::ZERO,
            1 => SECOND_AFTER,
            _ => {
                return async move {
                    client.post(room, draft).await;
                }
                .boxed();
            }
        };
        let retry = async move {
            if !wait.is_zero() {
                sleep(wait).await;
            }
            second.post(again, same).await;
        };
        async move { future::join(client.post(room, draft), retry).map(drop).await }.boxed()
    }
}

/// Throws members out of a room and lets them in again, in turn, until `stop` closes; then all are in.
pub(super) async fn keep_door(
    client: Arc<Client>,
    room: Arc<dyn Room>,
    guests: Vec<UserId>,
    mut chance: Chance,
    mut stop: watch::Receiver<()>,
) {
    let turn = |user: &UserId, change| client.hub.draft(Body::Member(MemberChange { user: user.clone(), change }));
    while !stop.has_changed().unwrap_or(true) {
        let guest = chance.one_of(&guests);
        client.post(room.clone(), turn(guest, Membership::Leave)).await;
        let away = Duration::from_millis(chance.within(50..500));
        let _ = timeout(away, stop.changed()).await;
        client.post(room.clone(), turn(guest, Membership::Join)).await;
        let _ = timeout(Duration::from_millis(chance.within(50..500)), stop.changed()).await;
    }
}

/// How often a piece of a log is read in the middle of it all.
const READ_EVERY: Duration = Duration::from_millis(100);

/// Reads the logs along, a piece of one room after the other, until `stop` closes. A server that is away is asked
/// again later.
pub(super) async fn read_along(
    rest: &Rest,
    token: &str,
    rooms: Vec<RoomId>,
    recorder: &Recorder,
    mut stop: watch::Receiver<()>,
) {
    let mut last = HashMap::<_, Entry>::new();
    for room in rooms.iter().cycle() {
        if timeout(READ_EVERY, stop.changed()).await.is_ok() {
            return;
        }
        let from = last.get(room);
        let Ok(page) = rest.read(token, *room, from).await else { continue };
        if page.reset {
            last.remove(room); // the log was put back
            continue;
        }
        let after = from.map_or(0, |entry| entry.seq.get());
        let rows = page.entries.iter().map(|entry| (entry.seq.get(), entry.id.to_string().into())).collect();
        recorder.add(Event::Read(Part { room: name(*room), after, rows }));
        last.extend(page.entries.into_iter().next_back().map(|entry| (*room, entry)));
    }
}
