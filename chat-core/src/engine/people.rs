//! What the engine remembers of each user who is connected here: how fast they send, how many sessions they have.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Limits;
use crate::model::{RoomId, UserId};

/// Users beyond this many are looked through for some that can be forgotten, the next time when there are twice as many
/// as were left: so a user costs two looks at most, however many stay.
const SWEEP_AT: usize = 1_024;

/// Holds everybody who is or lately was connected to this node.
#[derive(Debug)]
pub(crate) struct People {
    users: Mutex<Users>,
    rate: Rate,
}

#[derive(Debug)]
struct Users {
    known: HashMap<UserId, Arc<Person>>,
    sweep_at: usize,
}

/// Is one connected user.
#[derive(Debug)]
pub(crate) struct Person {
    state: Mutex<PersonState>,
}

#[derive(Debug)]
struct PersonState {
    sends: Bucket,
    /// Read marks have an allowance of their own: who scrolls fast may still write.
    marks: Bucket,
    sessions: usize,
    commands: usize,
    typing: Typing,
}

/// Is what others were told of somebody's typing.
#[derive(Debug, Default)]
struct Typing {
    since: Option<Instant>,
    /// Where it was not told to be over.
    room: Option<RoomId>,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: u64,
    burst: u64,
}

/// Is an allowance that fills up again.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    /// What is allowed now, in thousandths.
    tokens: u64,
    filled: Instant,
}

impl Bucket {
    fn full(rate: Rate) -> Self {
        Self { rate, tokens: rate.burst * 1_000, filled: Instant::now() }
    }

    fn is_full(&self) -> bool {
        self.tokens + self.earned(self.filled.elapsed()) >= self.rate.burst * 1_000
    }

    fn earned(&self, passed: Duration) -> u64 {
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_mul(self.rate.per_second)
    }

    fn take(&mut self) -> Result<(), Duration> {
        let now = Instant::now();
        let earned = self.earned(now.duration_since(self.filled));
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(self.rate.burst * 1_000);
            self.filled = now;
        }
        if self.tokens >= 1_000 {
            self.tokens -= 1_000;
            return Ok(());
        }
        let missing = 1_000 - self.tokens;
        Err(Duration::from_millis(missing.div_ceil(self.rate.per_second.max(1))))
    }
}

impl People {
    pub(crate) fn new(limits: &Limits) -> Self {
        let rate = Rate { per_second: limits.sends_per_second.into(), burst: limits.sends_burst.max(1).into() };
        Self { users: Mutex::new(Users { known: HashMap::new(), sweep_at: SWEEP_AT }), rate }
    }

    /// Returns a user's record. It outlives sessions until the user could have sent a full burst again, so that
    /// connecting anew gives nobody a new allowance.
    pub(crate) fn person(&self, user: &UserId) -> Arc<Person> {
        let mut users = self.users.lock();
        if users.known.len() >= users.sweep_at {
            users.known.retain(|_, person| Arc::strong_count(person) > 1 || !person.is_rested());
            users.sweep_at = SWEEP_AT.max(users.known.len() * 2);
        }
        users.known.entry(user.clone()).or_insert_with(|| Arc::new(Person::new(self.rate))).clone()
    }
}

impl Person {
    fn new(rate: Rate) -> Self {
        let (sends, marks) = (Bucket::full(rate), Bucket::full(rate));
        Self { state: Mutex::new(PersonState { sends, marks, sessions: 0, commands: 0, typing: Typing::default() }) }
    }

    fn is_rested(&self) -> bool {
        let state = self.state.lock();
        state.sessions == 0 && state.sends.is_full() && state.marks.is_full()
    }

    /// Takes the right to send once, or says how long to wait for it.
    pub(crate) fn send(&self) -> Result<(), Duration> {
        self.state.lock().sends.take()
    }

    /// Takes the right to set a read mark once, or says how long to wait for it.
    pub(crate) fn mark(&self) -> Result<(), Duration> {
        self.state.lock().marks.take()
    }

    /// Counts a session; `false` when there are `max` already. Returns whether it is the first with it.
    pub(crate) fn enter(&self, max: usize) -> Option<bool> {
        let mut state = self.state.lock();
        if state.sessions >= max {
            return None;
        }
        state.sessions += 1;
        Some(state.sessions == 1)
    }

    /// Uncounts a session. Returns whether it was the last.
    pub(crate) fn leave(&self) -> bool {
        let mut state = self.state.lock();
        state.sessions = state.sessions.saturating_sub(1);
        state.sessions == 0
    }

    pub(crate) fn is_here(&self) -> bool {
        self.state.lock().sessions > 0
    }

    /// Counts a command under way; `false` when there are `max` already.
    pub(crate) fn begin_command(&self, max: usize) -> bool {
        let mut state = self.state.lock();
        let allowed = state.commands < max;
        state.commands += usize::from(allowed);
        allowed
    }

    pub(crate) fn end_command(&self) {
        let mut state = self.state.lock();
        state.commands = state.commands.saturating_sub(1);
    }

    /// Tells whether others may be told now that this user types or has stopped: the one at most once a second, the
    /// other once after it, in the same room.
    pub(crate) fn may_type(&self, room: RoomId, on: bool) -> bool {
        let typing = &mut self.state.lock().typing;
        if !on {
            return typing.room.take_if(|typed| *typed == room).is_some();
        }
        let now = Instant::now();
        let allowed = typing.since.is_none_or(|last| now.duration_since(last) >= Duration::from_secs(1));
        if allowed {
            *typing = Typing { since: Some(now), room: Some(room) };
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_allowed_and_then_the_rate() {
        let people = People::new(&Limits { sends_per_second: 10, sends_burst: 3, ..Limits::default() });
        let person = people.person(&UserId::new("ann").unwrap());
        for _ in 0..3 {
            person.send().unwrap();
        }
        assert_eq!(person.send(), Err(Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(100)).await;
        person.send().unwrap();
        assert!(person.send().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn connecting_anew_gives_no_new_allowance() {
        let people = People::new(&Limits { sends_burst: 1, ..Limits::default() });
        let ann = UserId::new("ann").unwrap();
        people.person(&ann).send().unwrap();
        assert!(people.person(&ann).send().is_err());
    }
    #[tokio::test(start_paused = true)]
    async fn who_stopped_typing_is_told_of_once_and_only_where_typing_was() {
        let person = People::new(&Limits::default()).person(&UserId::new("ann").unwrap());
        let (here, there) = (RoomId::named("here"), RoomId::named("there"));
        assert!(!person.may_type(here, false));
        assert!(person.may_type(here, true) && !person.may_type(here, true));
        assert!(!person.may_type(there, false));
        assert!(person.may_type(here, false) && !person.may_type(here, false));
        assert!(!person.may_type(here, true));
    }

    #[tokio::test(start_paused = true)]
    async fn users_who_stay_are_not_looked_through_for_everyone_who_comes() {
        let people = People::new(&Limits::default());
        let person = |number: usize| people.person(&UserId::new(format!("u{number}")).unwrap());
        let stay: Vec<_> = (0..SWEEP_AT).map(person).collect();
        person(SWEEP_AT); // looks through all, and finds nobody to forget
        person(SWEEP_AT + 1);
        assert_eq!(people.users.lock().known.len(), SWEEP_AT + 2); // nobody looked, or the one before were gone
        assert_eq!(stay.len(), SWEEP_AT);
        (0..SWEEP_AT).map(|number| person(2 * SWEEP_AT + number)).for_each(drop);
        assert!(people.users.lock().known.len() <= 2 * SWEEP_AT);
    }
}
