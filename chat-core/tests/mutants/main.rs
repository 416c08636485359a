//! The suites have teeth: for each case there is a broken adapter that only this case has to notice.
#![allow(clippy::unwrap_used)]

mod broker;
mod dead_letters;
mod feed;
mod hub;
mod people;
mod presence;
mod queue;
mod repair;
mod restore;
mod store;
mod transport;

/// Makes a test of each case: it must fail on the adapter with each of these defects. No case may be left out.
macro_rules! mutants {
    ($suite:ident, $under_test:expr; $($case:ident: $($defect:ident)|+,)+) => {
        $(#[tokio::test(start_paused = true)]
        async fn $case() {
            for defect in [$(Defect::$defect),+] {
                let case = chat_core::conformance::$suite::$case($under_test(defect));
                let ended = futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(case)).await;
                assert!(ended.is_err(), "nobody noticed: {defect:?}");
            }
        })+

        #[test]
        fn every_case_has_a_mutant() {
            assert_eq!(chat_core::conformance::$suite::CASES, [$(stringify!($case)),+]);
        }
    };
}
use mutants;
