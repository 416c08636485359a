//! `erase-user`: forgets a person.

use chat_core::{UserId, people};
use clap::Args;

use crate::{Failure, open::open, url::StoreUrl};

/// Forgets a person: what they wrote is blanked, who they were is nowhere. May be repeated, also after a crash
///
/// Servers may run on the store meanwhile. Take the person's login away first: whoever logs in again is somebody new. At
/// the end SQLite writes its file anew, which takes as long and as much space as copying it.
#[derive(Args, Debug)]
pub(crate) struct EraseUser {
    /// The user's id
    user: UserId,
    /// The store
    #[arg(long)]
    store: StoreUrl,
    /// The store of the messages, where chat-server is told one with --messages
    #[arg(long, value_name = "STORE")]
    messages: Option<StoreUrl>,
    /// Says that this is meant: it cannot be undone
    #[arg(long)]
    yes: bool,
}

impl EraseUser {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        if !self.yes {
            return Err("this cannot be undone: if it is meant, say --yes".into());
        }
        let store = open(&self.store, self.messages.as_ref()).await?;
        let done = people::erase(&*store, &self.user, |so_far| {
            eprintln!("{} rooms done, {} entries", so_far.rooms, so_far.entries);
        });
        let done = done.await?;
        println!("erased: {} entries in {} rooms", done.entries, done.rooms);
        Ok(())
    }
}
