//! The suites that every adapter runs (feature `conformance`).
//!
//! A port's documentation lists its behaviour as bullets, each of which begins with a name. For every bullet there is
//! a case of that name here, and one macro per port turns all of them into tests of an adapter:
//!
//! ```ignore
//! // tests/conformance.rs, with `chat-core = { …, features = ["conformance"] }` under [dev-dependencies]
//! chat_core::store_conformance!(my_store, || async { MyStore::open_empty().await });
//! ```
//!
//! Each case gets a fresh store and fails alone, under its own name: `my_store::append_numbers_densely`. The macros
//! bring their own runtime; an adapter needs no other crate for them.

// These modules are tests, although they are compiled as a library: they fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

pub mod store;

use std::{future::Future, time::Duration};

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

/// Turns the list of a suite's cases into what its macro asks for.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance {
    (names; $($case:ident)*) => {
        &[$(stringify!($case)),*]
    };
    (tests $module:ident, $factory:expr, $suite:ident; $($case:ident)*) => {
        mod $module {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[test]
                fn $case() {
                    $crate::conformance::run($crate::conformance::$suite::case($factory, $crate::conformance::$suite::$case));
                }
            )*
        }
    };
}
