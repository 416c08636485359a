//! How databases carry the statements out: by index, whatever the tables grow to. Each dialect reads its own plans.
//!
//! Those of servers are run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-store-sql --all-features --lib -- --ignored`

use crate::{append, feed, listing, people, project, read, repair, restore, steps::ByJson};

/// Returns the statements that are written once for all dialects.
pub(crate) fn shared() -> Vec<&'static str> {
    let reads = [read::STATEMENTS, listing::STATEMENTS, people::STATEMENTS].concat();
    [append::STATEMENTS, project::STATEMENTS, restore::STATEMENTS, feed::STATEMENTS, repair::STATEMENTS, &reads]
        .concat()
}

/// Returns the steps of an append, where they are statements.
pub(crate) fn steps<C: ByJson>() -> [&'static str; 3] {
    [C::LOOK, C::INSERT, C::ADVANCE]
}

/// Returns the server's URL, and makes a name that nothing else has.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn place(variable: &str) -> (String, String) {
    let url = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} says where the server is"));
    (url, format!("plans_{}", std::process::id()))
}
