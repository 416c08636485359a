//! `fsck`: compares what a store says of its rooms with what their logs say.

use std::sync::Arc;

use chat_core::store::{
    FullStore,
    fsck::{Checked, Finding, fsck},
};
use clap::Args;

use crate::{Failure, url::StoreUrl};

/// How many rooms are compared between two lines of progress.
const TOLD_EVERY: u64 = 1_000;

/// Compares every room with its log: record, members, positions, and the texts that people see. The status is 1 when
/// something differs in the end
#[derive(Args, Debug)]
pub(crate) struct Fsck {
    /// The store
    store: StoreUrl,
    /// The store of the messages, where chat-server is told one with --messages
    #[arg(long, value_name = "STORE")]
    messages: Option<StoreUrl>,
    /// Makes what differs what the log says
    #[arg(long)]
    repair: bool,
}

impl Fsck {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let store = self.open().await?;
        let mut rooms = 0;
        let told = |checked: &Checked| {
            rooms += 1;
            tell(checked);
            if rooms % TOLD_EVERY == 0 {
                eprintln!("{rooms} rooms compared");
            }
        };
        let all = fsck(&*store, self.repair, told).await?;
        println!("{} rooms with {} entries: {} differed, {} differ", all.rooms, all.entries, all.found, all.left);
        if all.is_clean() { Ok(()) } else { Err("some rooms are not as their logs say".into()) }
    }

    async fn open(&self) -> Result<Arc<dyn FullStore>, Failure> {
        Ok(match &self.messages {
            Some(messages) => chat_engine::open_hybrid(messages.reveal(), self.store.reveal()).await?,
            None => chat_engine::open_full_store(self.store.reveal()).await?,
        })
    }
}

fn tell(checked: &Checked) {
    for finding in &checked.findings {
        let left = checked.left.contains(finding);
        let done = if left { "" } else { " (repaired)" };
        let lost =
            if left && !finding.is_repairable() && *finding != Finding::Busy { " (cannot be repaired)" } else { "" };
        println!("{}: {finding}{done}{lost}", checked.room);
    }
}
