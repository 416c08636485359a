//! The suites that every adapter runs against itself (feature `conformance`).
//!
//! Each bullet under a *Behavior* heading in the documentation of a port is a case of that port's suite, under the
//! same name. An adapter's crate runs them with one line per port in `tests/conformance.rs`:
//!
//! ```ignore
//! chat_core::broker_conformance!(my_broker, || async { BrokerUnderTest::new(Arc::new(MyBroker::open().await)) });
//! chat_core::store_conformance!(my_store, || async { MyStore::open("a fresh one").await });
//! ```
//!
//! The line becomes a module of that name with one test per case, as in `my_store::append_numbers_densely`. The factory
//! runs once per case and gives a port that shares nothing with those of other cases: on a real server, under a
//! namespace of its own. A server that cannot be reached fails the test; nothing is skipped in silence. What is not run
//! with every `cargo test` says so: `store_conformance!(#[ignore = "needs a server"] my_store, …)`. The tests bring
//! their own runtime: the only thing an adapter adds is `chat-core = { …, features = ["conformance"] }` under
//! `[dev-dependencies]`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)] // a case speaks by panicking

pub mod broker;
pub mod dead_letters;
pub mod faulty;
pub mod feed;
pub mod hub;
pub mod people;
pub mod presence;
pub mod queue;
pub mod repair;
pub mod restore;
pub mod store;
pub mod transport;

use std::{fmt::Debug, future::Future, time::Duration};

use futures::{Stream, StreamExt};
use tokio::time::timeout;

/// How long a case waits for what must come: far more than a loaded machine needs, so that it only ever passes by
/// when the thing does not come at all.
const DEADLINE: Duration = Duration::from_secs(20);

/// How long one case may take. Long, since it only has to end what hangs: a whole suite takes seconds.
const CASE_WITHIN: Duration = Duration::from_mins(1);

/// Runs one case on a runtime of its own, on two threads, so that what races really does.
///
/// Panics when the case hangs.
pub fn run(case: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime starts");
    runtime.block_on(async { tokio::time::timeout(CASE_WITHIN, case).await.expect("the case ends") });
}

/// Declares the cases of a suite once: as a list of names, and as the macro that makes each of them a test.
macro_rules! suite {
    (($d:tt) $(#[$doc:meta])* $macro:ident in $module:ident: $($case:ident,)+) => {
        /// The names of the cases, in the order of the contract.
        pub const CASES: &[&str] = &[$(stringify!($case)),+];

        $(#[$doc])*
        #[macro_export]
        macro_rules! $macro {
            ($d(#[$d attribute:meta])* $d name:ident, $d factory:expr $d(,)?) => {
                mod $d name {
                    #[allow(unused_imports)] // what the factory names
                    use super::*;

                    $(#[test]
                    $d(#[$d attribute])*
                    fn $case() {
                        $d crate::conformance::run(async {
                            $d crate::conformance::$module::$case(($d factory)().await.into()).await;
                        });
                    })+
                }
            };
        }
    };
}
pub(crate) use suite;

/// Returns the next thing of a stream, which must come.
async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin), what: &str) -> T {
    let next = timeout(DEADLINE, stream.next()).await;
    next.unwrap_or_else(|_| panic!("{what} did not come within {DEADLINE:?}"))
        .unwrap_or_else(|| panic!("the stream ended before {what}"))
}

/// Asserts that a stream stays silent for a while.
async fn silence<T: Debug>(stream: &mut (impl Stream<Item = T> + Unpin), quiet: Duration, why: &str) {
    if let Ok(next) = timeout(quiet, stream.next()).await {
        panic!("{why}, but this came: {next:?}");
    }
}

/// Waits until a condition holds, which it must at last.
async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(DEADLINE, wait).await.is_ok(), "{what} within {DEADLINE:?}");
}

/// Returns the names of the *Behavior* bullets in a port's source, in order.
#[cfg(test)]
fn promised(source: &str) -> Vec<&str> {
    let docs = source.lines().map(|line| line.trim().trim_start_matches('/').trim_start());
    docs.filter_map(|line| line.strip_prefix("* `")?.split_once('`').map(|(name, _)| name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_of_a_port_is_a_case_of_its_suite() {
        assert_eq!(promised(include_str!("../store.rs")), store::CASES);
        assert_eq!(promised(include_str!("../store/feed.rs")), feed::CASES);
        assert_eq!(promised(include_str!("../store/people.rs")), people::CASES);
        assert_eq!(promised(include_str!("../store/repair.rs")), repair::CASES);
        assert_eq!(promised(include_str!("../store/restore.rs")), restore::CASES);
        assert_eq!(promised(include_str!("../broker.rs")), broker::CASES);
        assert_eq!(promised(include_str!("../hub.rs")), hub::CASES);
        assert_eq!(promised(include_str!("../presence.rs")), presence::CASES);
        assert_eq!(promised(include_str!("../queue.rs")), [queue::CASES, dead_letters::CASES].concat());
    }
}
