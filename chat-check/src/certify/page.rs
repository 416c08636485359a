//! All certificates in one table.

use super::{Certificate, Ms, Pair};

const HEAD: &str = "# Certificates

Which store was tried with which broker (T32), and what came of it: `chat-check certify` runs one programme of faults on every pair and
writes this page and a file for each, in [`certificates`](certificates). A pair that breaks a promise gets none. What the promises are, and what is
done in each round: [Reliability](reliability.md).

The servers are the run's own and were killed with all their processes; on the database there were three nodes, and one on SQLite.
A *hybrid* has its messages in MongoDB and everything else in PostgreSQL, and each of the two was killed once; a *redis_cluster* is
three Redis nodes, killed together. *Peace* is what was sent while nothing was broken. Builds are unoptimised, and times are those of a machine that had other
work: the load average at the begin and at the end is beside them. A commit with a plus had changes that were not committed yet.

| store | broker | faults | acknowledged | delivered | lost, doubled, reordered | gaps explained, not | ack in peace p50, p99 | back to caught up p50, p99 | load | commit, date |
|---|---|---|---|---|---|---|---|---|---|---|
";

/// Makes the page.
pub(super) fn of(all: &[Certificate]) -> String {
    let row = |it: &Certificate| {
        let faults: Vec<_> = it.faults.iter().map(|(kind, fault)| format!("{} {kind}", fault.rounds)).collect();
        let cells = [
            it.store.clone(),
            format!("[{}](certificates/{}-{}.json)", it.broker, it.store, it.broker),
            faults.join(", "),
            it.acked.to_string(),
            it.delivered.to_string(),
            format!("{}, {}, {}", it.lost, it.doubled, it.reordered),
            format!("{}, {}", it.gaps_explained, it.gaps_unexplained),
            both(it.ack_in_peace),
            both(it.resume),
            it.load.join(", "),
            format!("{}, {}", it.commit, it.date),
        ];
        format!("| {} |\n", cells.join(" | "))
    };
    let has_one = |pair: &Pair| all.iter().any(|it| format!("{}-{}", it.store, it.broker) == pair.name());
    let missing: Vec<_> = Pair::all().into_iter().filter(|pair| !has_one(pair)).map(Pair::name).collect();
    let missing = if missing.is_empty() { "none".to_owned() } else { missing.join(", ") };
    HEAD.to_owned()
        + &all.iter().map(row).collect::<String>()
        + &format!("\nWithout a certificate so far: {missing}.\n")
}

fn both(Ms { p50, p99 }: Ms) -> String {
    format!("{p50}, {p99} ms")
}
