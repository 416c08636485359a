//! The whole engine, several nodes of it, on virtual time over ports that fail: a seed decides everything.
//!
//! ```sh
//! cargo test -p chat-core --features conformance --test simulation                # 2,000 seeds
//! SEEDS=100000 cargo test -p chat-core --features conformance --test simulation   # more of them; FROM=n begins elsewhere
//! SEED=4711 cargo test -p chat-core --features conformance --test simulation every_promise -- --nocapture
//! ```
//!
//! The last one runs one seed and shows all that happens in it, from what the store commits to what each client hears.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod act;
mod check;
mod client;
mod history;
mod line;
mod mutants;
mod plan;
mod unsent;
mod world;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use chat_core::{
    Limits,
    conformance::faulty::{BrokerOdds, Chance, StoreFault},
};
use parking_lot::Mutex;

use crate::{
    history::What,
    mutants::{Broken, Defect},
    plan::Plan,
    world::Run,
};

/// Failures after which it is clear that something is wrong.
const FAILURES_MAX: usize = 5;
/// Seeds in which a defect of the store must be noticed.
const MUTANT_SEEDS: u64 = 200;

struct Faithful;
impl StoreFault for Faithful {}

/// Runs something on virtual time, on a single thread.
fn virtually<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(run)
}

fn simulate(seed: u64, defect: impl StoreFault + 'static) -> Run {
    let chance = Chance::new(seed);
    let plan = Plan::of(&chance);
    virtually(async { world::run(plan, chance, defect).await })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().expect("a number"))
}

fn seeds() -> u64 {
    number("SEEDS").unwrap_or(2_000)
}

/// Checks so many seeds on all processors. Panics with those that fail and what is wrong with them.
fn hold(seeds: u64, run: impl Fn(u64) -> Run + Sync) {
    let from = number("FROM").unwrap_or(0);
    let next = AtomicU64::new(from);
    let failed: Mutex<BTreeMap<u64, Vec<String>>> = Mutex::default();
    let work = || {
        while failed.lock().len() < FAILURES_MAX {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= from + seeds {
                break;
            }
            let wrong = check::violations(&run(seed));
            if !wrong.is_empty() {
                failed.lock().insert(seed, wrong);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner();
    assert!(failed.is_empty(), "see SEED=n in the module's documentation\n{failed:#?}");
}

#[test]
fn every_promise_holds_whatever_fails() {
    let Some(seed) = number("SEED") else { return hold(seeds(), |seed| simulate(seed, Faithful)) };
    let run = simulate(seed, Faithful);
    println!("{:#?}\n{}", run.plan, history::trace(&run.events));
    assert_eq!(check::violations(&run), Vec::<String>::new(), "seed {seed}");
}

#[test]
fn a_seed_replays_byte_for_byte() {
    for seed in number("SEED").map_or(0..20, |seed| seed..seed + 1) {
        let [first, second] = [(); 2].map(|()| history::trace(&simulate(seed, Faithful).events));
        if let Some((one, two)) = first.lines().zip(second.lines()).find(|(one, two)| one != two) {
            panic!("seed {seed} went two ways:\n{one}\n{two}");
        }
        assert_eq!(first.len(), second.len(), "seed {seed}: one run went on");
    }
}

/// Hints are lost, doubled, late and in another order, a thousand messages long.
#[test]
fn a_bad_broker_costs_time_and_nothing_else() {
    hold(seeds().div_ceil(100), |seed| {
        let chance = Chance::new(seed);
        let plan = Plan::of_broker(&chance, BrokerOdds::bad(), 80);
        let run = virtually(async { world::run(plan, chance, Faithful).await });
        let sent = run.events.iter().filter(|event| matches!(event.what, What::Send { .. })).count();
        assert!(sent > 500, "{sent} messages");
        run
    });
}

#[test]
fn without_any_hint_entries_arrive_within_a_poll() {
    let chance = Chance::new(8);
    let plan = Plan::of_broker(&chance, BrokerOdds::deaf(), 100);
    let run = virtually(async { world::run(plan, chance, Faithful).await });
    assert_eq!(check::violations(&run), Vec::<String>::new());
    let mut delays = delays(&run);
    delays.sort_unstable();
    let p99 = delays[delays.len() * 99 / 100];
    assert!(delays.len() > 1_000 && p99 <= Limits::default().poll + Duration::from_millis(250), "{p99:?}");
}

/// Returns how long each delivery took after its commit, once everybody was there.
fn delays(run: &Run) -> Vec<Duration> {
    let mut commits = BTreeMap::new();
    let mut delays = Vec::new();
    for event in &run.events {
        match &event.what {
            What::Commit(entry) if event.at > Duration::from_secs(1) => drop(commits.insert(entry.id, event.at)),
            What::Recv { id, .. } => delays.extend(commits.get(id).map(|commit| event.at.saturating_sub(*commit))),
            _ => {}
        }
    }
    delays
}

macro_rules! noticed {
    ($($name:ident: $defect:ident,)+) => {
        $(#[test]
        fn $name() {
            let noticed = |seed: &u64| !check::violations(&simulate(*seed, Broken::new(Defect::$defect))).is_empty();
            let seed = (0..MUTANT_SEEDS).find(noticed);
            println!("noticed by seed {seed:?}");
            assert!(seed.is_some(), "nobody noticed");
        })+
    };
}

noticed! {
    a_store_that_forgets_keys_is_noticed: ForgetsKeys,
    a_store_that_ignores_the_guard_is_noticed: IgnoresTheGuard,
    a_store_that_leaves_holes_is_noticed: LeavesHoles,
    a_store_that_answers_what_it_loses_is_noticed: AnswersWhatItLoses,
    a_store_that_reorders_a_share_is_noticed: ReordersAShare,
    a_store_that_answers_another_place_is_noticed: AnswersAnotherPlace,
    a_store_that_loses_the_head_is_noticed: LosesTheHead,
    a_store_that_keeps_who_was_removed_is_noticed: KeepsWhoWasRemoved,
    a_store_that_reads_other_ids_is_noticed: ReadsOtherIds,
    a_store_that_hides_restrictions_is_noticed: HidesRestrictions,
}
