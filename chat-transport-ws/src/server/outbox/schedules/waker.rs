//! The outbox's waker, with a point more where others may go on.

use std::{cell::Cell, task::Waker, time::Duration};

thread_local! {
    /// All tasks of a schedule share one thread; tests of the outbox that are no schedules have others.
    static IS_SCHEDULE: Cell<bool> = const { Cell::new(false) };
}

/// Says that what this thread does from now on is part of a schedule.
pub(super) fn begin_schedule() {
    IS_SCHEDULE.set(true);
}

/// Lets others go on. Shuttle's own `yield_now` wakes whoever calls it, which would hide that a wake-up was lost.
pub(super) fn let_others_go_on() {
    shuttle::thread::sleep(Duration::ZERO);
}

/// Lets others go on before it registers: whoever has looked already misses what they do.
pub(crate) struct AtomicWaker(futures::task::AtomicWaker);

impl AtomicWaker {
    pub(crate) const fn new() -> Self {
        Self(futures::task::AtomicWaker::new())
    }

    pub(crate) fn register(&self, waker: &Waker) {
        if IS_SCHEDULE.get() {
            let_others_go_on();
        }
        self.0.register(waker);
    }

    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}
