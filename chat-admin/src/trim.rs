//! `trim`: forgets old messages.

use std::time::Duration;

use chat_core::{Clock, RoomId, clock::SystemClock, retention};
use chat_engine::{Chat, Retention};
use clap::Args;

use crate::{Failure, url::StoreUrl};

/// Forgets old entries of all rooms, or of one, as a server with a retention does by itself
///
/// The last entry of a room always stays, and so does what is younger than an hour.
#[derive(Args, Debug)]
pub(crate) struct Trim {
    /// The store
    store: StoreUrl,
    /// Forgets what is older than so many days
    #[arg(long, required_unless_present = "count")]
    days: Option<u32>,
    /// Forgets all but so many of the latest entries of each room
    #[arg(long)]
    count: Option<u64>,
    /// Only this room: its id, or the name that the host gave it
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
}

impl Trim {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut retention = Retention::forever();
        retention.age = self.days.map(|days| Duration::from_hours(24) * days);
        retention.count = self.count;
        let store = chat_engine::open_store(self.store.reveal()).await?;
        let trimmed = match self.room {
            Some(room) => {
                let id = room.parse().unwrap_or_else(|_| RoomId::named(&room));
                retention::trim(&*store, id, retention, SystemClock.now()).await?
            }
            None => Chat::builder().store(store).retention(retention).build().await?.engine().retain().await?,
        };
        println!("{trimmed} entries forgotten");
        Ok(())
    }
}
