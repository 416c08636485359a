//! `copy`: moves all logs from one store to another kind.

mod idle;
mod verify;

use chat_core::{
    RoomId, Seq,
    store::{Restore, copy_log},
};
use clap::Args;

use self::verify::verify;
use crate::{Failure, open::open, progress::Progress, url::StoreUrl};

/// How many rooms are listed at once.
const PAGE: u16 = 500;

/// Copies all rooms, messages, members and read marks to another store, and compares. Stop the servers on both before. What
/// was cut off goes on where it stopped
#[derive(Args, Debug)]
pub(crate) struct Copy {
    /// The store to copy, which stays as it is
    from: StoreUrl,
    /// The store to copy to: an empty one, or one that an earlier copy has begun to fill
    to: StoreUrl,
    /// The store of the messages to copy, where they are not in FROM
    #[arg(long, value_name = "STORE")]
    from_messages: Option<StoreUrl>,
    /// The store to copy the messages to, where they are not to be in TO
    #[arg(long, value_name = "STORE")]
    to_messages: Option<StoreUrl>,
}

impl Copy {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (from_messages, to_messages) = (self.from_messages.as_ref(), self.to_messages.as_ref());
        for from in [Some(&self.from), from_messages].into_iter().flatten() {
            from.must_exist()?;
            idle::check(from).await?;
        }
        for to in [Some(&self.to), to_messages].into_iter().flatten() {
            idle::check(to).await?;
        }
        let from = open(&self.from, from_messages).await?;
        let to = open(&self.to, to_messages).await?;
        let rooms = logs(&*from).await?;
        if rooms.is_empty() {
            return Err(format!("there is nothing in {}", self.from).into());
        }
        let there = begun(&*from, &*to).await.map_err(|error| format!("{}: {error}", self.to))?;
        eprintln!("{} rooms in {}, {there} in {}", rooms.len(), self.from, self.to);

        let mut progress = Progress::new("entries copied");
        for room in &rooms {
            copy_log(&*from, &*to, *room, |entries| progress.add(entries)).await?;
        }
        eprintln!("copied; now comparing");
        let same = verify(&*from, &*to).await?;
        println!("{same}: the same in {} and {}", self.from, self.to);
        Ok(())
    }
}

async fn logs(store: &dyn Restore) -> Result<Vec<RoomId>, Failure> {
    let mut logs = Vec::new();
    loop {
        let page = store.logs(logs.last().copied(), PAGE).await?;
        if page.is_empty() {
            return Ok(logs);
        }
        logs.extend(page);
    }
}

/// Accepts a target in which nothing stands but beginnings of what is to be copied, and returns of how many rooms.
async fn begun(from: &dyn Restore, to: &dyn Restore) -> Result<usize, Failure> {
    let rooms = logs(to).await?;
    for room in &rooms {
        let last = async |store: &dyn Restore, head: Seq| {
            let kept = store.kept(*room, head.prev(), 1).await?;
            Ok::<_, Failure>(kept.into_iter().next().map(|kept| (kept.entry.seq, kept.entry.id)))
        };
        let head = to.state(*room).await?.map_or(Seq::ZERO, |state| state.head);
        if last(from, head).await? != last(to, head).await? {
            return Err(format!("room {room} is there already and is another one; copy to an empty store").into());
        }
    }
    Ok(rooms.len())
}
