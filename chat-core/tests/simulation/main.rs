//! The whole engine, several nodes of it, on virtual time over ports that fail: a seed decides everything.
//!
//! ```sh
//! cargo test -p chat-core --features conformance --test simulation                 # 2,000 seeds
//! SEEDS=100000 cargo test -p chat-core --features conformance --test simulation    # many
//! SEED=4711 cargo test -p chat-core --features conformance --test simulation -- --nocapture one   # one, with all that happens
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod act;
mod check;
mod client;
mod history;
mod line;
mod plan;
mod unsent;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use chat_core::conformance::faulty::{Chance, StoreFault};

use crate::{plan::Plan, world::Run};

struct Faithful;
impl StoreFault for Faithful {}

fn simulate(seed: u64) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let chance = Chance::new(seed);
        world::run(Plan::of(&chance), chance, Faithful).await
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

#[test]
fn every_promise_holds_whatever_fails() {
    if let Some(seed) = number("SEED") {
        let run = simulate(seed);
        println!("{:#?}\n{}", run.plan, history::trace(&run.events));
        assert_eq!(check::violations(&run), Vec::<String>::new(), "seed {seed}");
        return;
    }
    let (next, end) = (AtomicU64::new(0), number("SEEDS").unwrap_or(2_000));
    let from = number("FROM").unwrap_or(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = from + next.fetch_add(1, Ordering::SeqCst);
                    if seed >= from + end {
                        break;
                    }
                    let wrong = check::violations(&simulate(seed));
                    if !wrong.is_empty() {
                        println!("seed {seed}: {wrong:#?}");
                    }
                }
            });
        }
    });
}
