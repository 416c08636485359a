//! The suite of [`DeadLetters`].

use std::{fmt, sync::Arc};

use super::{
    eventually,
    queue::{QueueUnderTest, name, settle},
    suite,
};
use crate::queue::{DeadId, DeadLetter, DeadLetters, Job, Settlement};

suite! {
    ($)
    /// Runs the suite of [`DeadLetters`](crate::queue::DeadLetters): `dead_letters_conformance!(name, factory)`,
    /// where the factory gives a
    /// [`DeadLettersUnderTest`](crate::conformance::dead_letters::DeadLettersUnderTest).
    dead_letters_conformance in dead_letters:
    dead_letters_are_listed_oldest_first,
    a_dead_letter_can_be_inspected,
    a_replayed_job_is_delivered_again,
    a_purge_forgets_all_letters,
}

/// Is a work queue with its dead letters to be tested.
#[derive(Clone)]
pub struct DeadLettersUnderTest {
    queue: QueueUnderTest,
    dead: Arc<dyn DeadLetters>,
}

impl fmt::Debug for DeadLettersUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLettersUnderTest").field("queue", &self.queue).finish_non_exhaustive()
    }
}

impl DeadLettersUnderTest {
    /// Names a work queue that no other case uses, twice: once for each of its traits.
    pub fn new(queue: QueueUnderTest, dead: Arc<dyn DeadLetters>) -> Self {
        Self { queue, dead }
    }

    /// Lets jobs die, in order, and returns their letters once they are all listed.
    async fn bury(&self, bodies: &[&'static str]) -> Vec<DeadLetter> {
        let mut worker = self.queue.consume(1, 5).await;
        for body in bodies {
            self.queue.push(body).await;
            settle(worker.next_is(body, 1).await, Settlement::Dead(format!("{body} is no use"))).await;
        }
        eventually("the letters are listed", || async { self.list(None, 100).await.len() == bodies.len() }).await;
        self.list(None, 100).await
    }

    async fn list(&self, after: Option<&DeadId>, limit: u16) -> Vec<DeadLetter> {
        self.dead.list(&name(), after, limit).await.expect("list")
    }

    async fn inspect(&self, id: &DeadId) -> Option<Job> {
        self.dead.inspect(&name(), id).await.expect("inspect")
    }
}

/// With the reason, in pages.
pub async fn dead_letters_are_listed_oldest_first(on: DeadLettersUnderTest) {
    let letters = on.bury(&["a", "b", "c"]).await;
    let reasons: Vec<_> = letters.iter().map(|letter| (letter.reason.as_str(), letter.attempts)).collect();
    assert_eq!(reasons, [("a is no use", 1), ("b is no use", 1), ("c is no use", 1)]);
    assert_eq!(on.list(None, 2).await, letters[..2]);
    assert_eq!(on.list(Some(&letters[1].id), 2).await, letters[2..]);
}

/// The job is as it was pushed.
pub async fn a_dead_letter_can_be_inspected(on: DeadLettersUnderTest) {
    let letters = on.bury(&["a", "b"]).await;
    assert_eq!(on.inspect(&letters[1].id).await, Some(Job::new("b")));
    on.dead.purge(&name()).await.expect("purge");
    assert_eq!(on.inspect(&letters[1].id).await, None);
}

/// Once, as if it were new.
pub async fn a_replayed_job_is_delivered_again(on: DeadLettersUnderTest) {
    let letters = on.bury(&["a", "b"]).await;
    assert!(on.dead.replay(&name(), &letters[0].id).await.expect("replay"));
    assert!(!on.dead.replay(&name(), &letters[0].id).await.expect("replay again"), "the letter is gone");
    assert_eq!(on.list(None, 100).await, letters[1..]);
    let mut worker = on.queue.consume(1, 5).await;
    settle(worker.next_is("a", 1).await, Settlement::Done).await;
    on.queue.nothing_comes(&mut worker, "the other letter stays dead").await;
}

/// And no other job.
pub async fn a_purge_forgets_all_letters(on: DeadLettersUnderTest) {
    on.bury(&["a", "b"]).await;
    on.queue.push("alive").await;
    assert_eq!(on.dead.purge(&name()).await.expect("purge"), 2);
    assert_eq!(on.list(None, 100).await, []);
    let mut worker = on.queue.consume(1, 5).await;
    settle(worker.next_is("alive", 1).await, Settlement::Done).await;
}
