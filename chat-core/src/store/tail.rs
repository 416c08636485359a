//! Reading the ends of logs by what every store can do.

use super::{LogStore, StoreError, Tail};
use crate::model::{Page, RoomId, Seq, UserId};

pub(super) async fn read<S: LogStore + ?Sized>(
    store: &S,
    user: Option<&UserId>,
    after: &[(RoomId, Seq)],
) -> Result<Vec<Tail>, StoreError> {
    let mut tails = Vec::with_capacity(after.len());
    for (room, seq) in after {
        let last = store.history(*room, &Page::newest(1)).await?.pop();
        let unread = match &last {
            Some(last) if last.seq > *seq => count(store, user, *room, *seq).await?,
            _ => 0,
        };
        tails.push(Tail { last, unread });
    }
    Ok(tails)
}

async fn count<S: LogStore + ?Sized>(
    store: &S,
    user: Option<&UserId>,
    room: RoomId,
    mut after: Seq,
) -> Result<u64, StoreError> {
    let mut unread = 0;
    loop {
        let page = store.history(room, &Page::newest(Page::LIMIT_MAX).after(after.get())).await?;
        unread += page.iter().filter(|message| user != Some(&message.author)).count() as u64;
        match page.last() {
            Some(last) if page.len() == usize::from(Page::LIMIT_MAX) => after = last.seq,
            _ => return Ok(unread),
        }
    }
}
