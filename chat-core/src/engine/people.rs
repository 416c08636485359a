//! What the engine remembers of each user who is connected here: how fast they send, how many sessions they have.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Limits;
use crate::model::UserId;

/// Users beyond this many are looked through for some that can be forgotten.
const SWEEP_AT: usize = 1_024;

/// Holds everybody who is or lately was connected to this node.
#[derive(Debug)]
pub(crate) struct People {
    users: Mutex<HashMap<UserId, Arc<Person>>>,
    sends: Rate,
}

/// Is one connected user.
#[derive(Debug)]
pub(crate) struct Person {
    state: Mutex<PersonState>,
    sends: Rate,
}

#[derive(Debug)]
struct PersonState {
    /// Sends that are allowed now, in thousandths.
    tokens: u64,
    filled: Instant,
    sessions: usize,
    commands: usize,
    typing: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: u64,
    burst: u64,
}

impl People {
    pub(crate) fn new(limits: &Limits) -> Self {
        let sends = Rate { per_second: limits.sends_per_second.into(), burst: limits.sends_burst.max(1).into() };
        Self { users: Mutex::default(), sends }
    }

    /// Returns a user's record. It outlives sessions until the user could have sent a full burst again, so that
    /// connecting anew gives nobody a new allowance.
    pub(crate) fn person(&self, user: &UserId) -> Arc<Person> {
        let mut users = self.users.lock();
        if users.len() >= SWEEP_AT {
            users.retain(|_, person| Arc::strong_count(person) > 1 || !person.is_rested());
        }
        users.entry(user.clone()).or_insert_with(|| Arc::new(Person::new(self.sends))).clone()
    }
}

impl Person {
    fn new(sends: Rate) -> Self {
        let filled = Instant::now();
        let state = PersonState { tokens: sends.burst * 1_000, filled, sessions: 0, commands: 0, typing: None };
        Self { state: Mutex::new(state), sends }
    }

    fn is_rested(&self) -> bool {
        let state = self.state.lock();
        state.sessions == 0 && state.tokens + self.earned(state.filled.elapsed()) >= self.sends.burst * 1_000
    }

    fn earned(&self, passed: Duration) -> u64 {
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_mul(self.sends.per_second)
    }

    /// Takes the right to send once, or says how long to wait for it.
    pub(crate) fn send(&self) -> Result<(), Duration> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let earned = self.earned(now.duration_since(state.filled));
        if earned > 0 {
            state.tokens = state.tokens.saturating_add(earned).min(self.sends.burst * 1_000);
            state.filled = now;
        }
        if state.tokens >= 1_000 {
            state.tokens -= 1_000;
            return Ok(());
        }
        let missing = 1_000 - state.tokens;
        Err(Duration::from_millis(missing.div_ceil(self.sends.per_second.max(1))))
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

    /// Tells whether a signal may go out now: at most one a second.
    pub(crate) fn may_signal(&self) -> bool {
        let mut state = self.state.lock();
        let now = Instant::now();
        let allowed = state.typing.is_none_or(|last| now.duration_since(last) >= Duration::from_secs(1));
        if allowed {
            state.typing = Some(now);
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
}
