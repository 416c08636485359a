//! What every fuzz target demands of what it calls.
//!
//! Each file in `targets/` feeds one reader of foreign bytes. That it never panics is libFuzzer's part, as are its
//! time-out and the limit of memory; the targets add what must hold for what was read. `scripts/fuzz` runs them.

use std::{
    collections::BTreeSet,
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

pub use libfuzzer_sys;

/// No input may take longer. libFuzzer's own limit counts whole seconds.
const TIME_MAX: Duration = Duration::from_millis(100);

/// A busy machine may stop us at any point: only what is slow each time is slow.
const TRIES: usize = 5;

/// More different messages than any of our readers has.
const MESSAGES_MAX: usize = 48;

/// Runs a target on one input, and panics if that always takes too long.
pub fn timely(run: impl Fn()) {
    let fast = (0..TRIES).any(|_| {
        let began = Instant::now();
        run();
        began.elapsed() < TIME_MAX
    });
    assert!(fast, "this input takes more than {TIME_MAX:?}");
}

/// Holds that error messages are in words of ours. Messages that repeat what was read are as many as the inputs; ours
/// are few. Numbers do not count: they are positions and lengths.
#[derive(Debug, Default)]
pub struct Words(Mutex<BTreeSet<String>>);

impl Words {
    /// Starts with no message.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    /// Takes one message.
    pub fn hear(&self, message: &impl fmt::Display) {
        let message = message.to_string().replace(|c: char| c.is_ascii_digit(), "");
        let mut heard = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        heard.insert(message);
        assert!(heard.len() <= MESSAGES_MAX, "messages repeat what was read: {heard:#?}");
    }
}

/// Makes a target of `fn(&[u8])`.
#[macro_export]
macro_rules! target {
    ($judge:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::timely(|| $judge(data)));
    };
}

/// Makes a target of `fn(&str)`; what is no text is another reader's matter.
#[macro_export]
macro_rules! text_target {
    ($judge:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &str| $crate::timely(|| $judge(data)));
    };
}
