//! Comparing a room with its log.

use std::collections::BTreeSet;

use super::{
    Finding, TRIES_MAX,
    expected::{Expected, Said},
};
use crate::{
    model::{Entry, Page, RoomId, Seq, UserId},
    store::{FullStore, Kept, Listing, StoreError, StoreErrorKind},
};

/// Is a room beside its log.
pub(super) struct Compared {
    pub(super) entries: u64,
    pub(super) findings: Vec<Finding>,
    expected: Expected,
    /// The messages that are shown otherwise than the log has them, as they should be.
    messages: Vec<Entry>,
}

impl Compared {
    /// Makes the room what its log says.
    pub(super) async fn put_right(&self, store: &dyn FullStore) -> Result<(), StoreError> {
        let of_room = |finding: &&Finding| finding.is_repairable() && !matches!(finding, Finding::Message(_));
        if self.findings.iter().any(|finding| of_room(&finding))
            && let Some(room) = self.expected.projected()
        {
            store.set_room(&room).await?;
        }
        for message in &self.messages {
            store.set_message(message).await?;
        }
        Ok(())
    }
}

/// Compares a room with its log, again if somebody has written to it meanwhile.
pub(super) async fn room(store: &dyn FullStore, room: RoomId) -> Result<Compared, StoreError> {
    let mut compared = once(store, room).await?;
    for _ in 1..TRIES_MAX {
        if compared.findings.is_empty() || store.read(room, compared.expected.head, 1).await?.is_empty() {
            return Ok(compared);
        }
        compared = once(store, room).await?;
    }
    compared.findings = vec![Finding::Busy];
    Ok(compared)
}

async fn once(store: &dyn FullStore, room: RoomId) -> Result<Compared, StoreError> {
    let said = match said(store, room).await {
        // Rooms that are kept elsewhere cannot follow their log.
        Err(error) if error.kind() == StoreErrorKind::Corrupt => Said::default(),
        said => said?,
    };
    let heads = store.heads(&[room]).await?;
    let first = heads.first().map_or(Seq::FIRST, |head| head.first.max(Seq::FIRST));
    let expected = Expected::read(store, room, first, &said).await?;
    let messages = messages(store, room, &expected).await?;

    let mut findings = expected.holes.clone();
    match (&said.record, &expected.record) {
        (None, Some(_)) => findings.push(if first > Seq::FIRST { Finding::Lost } else { Finding::NoRoom }),
        _ => findings.extend(differences(&said, &expected)),
    }
    findings.extend(messages.iter().map(|message| Finding::Message(message.seq)));
    Ok(Compared { entries: expected.entries, findings, expected, messages })
}

async fn said(store: &dyn FullStore, room: RoomId) -> Result<Said, StoreError> {
    let one = Listing::One(room, UserId::system());
    let Some(summary) = store.rooms(&one, &Page::newest(1)).await?.pop() else { return Ok(Said::default()) };
    let (head, guard, active) = (summary.head, summary.guard, summary.active);
    let mut said = Said { record: Some(summary.room), head, guard, active, ..Said::default() };
    let mut page = Page::newest(Page::LIMIT_MAX);
    loop {
        let members = store.members(room, &page).await?;
        let Some(last) = members.last() else { return Ok(said) };
        page = page.after_user(last.user.clone());
        said.members.extend(members.into_iter().map(|member| (member.user, (member.role, member.since))));
    }
}

fn differences(said: &Said, expected: &Expected) -> Vec<Finding> {
    let mut found = Vec::new();
    if said.record != expected.record {
        found.push(Finding::Record);
    }
    if said.head != expected.head {
        found.push(Finding::Head(said.head));
    }
    if said.guard != expected.guard {
        found.push(Finding::Guard(said.guard));
    }
    if said.active != expected.active {
        found.push(Finding::Active);
    }
    let users: BTreeSet<_> = said.members.keys().chain(expected.members.keys()).collect();
    let differs = |user: &&&UserId| said.members.get(**user) != expected.members.get(**user);
    found.extend(users.iter().filter(differs).map(|user| Finding::Member((**user).clone())));
    found
}

/// Returns the messages that are shown otherwise than the log has them, as they should be.
async fn messages(store: &dyn FullStore, room: RoomId, expected: &Expected) -> Result<Vec<Entry>, StoreError> {
    let (mut wrong, mut after) = (Vec::new(), Seq::ZERO);
    while after < expected.head {
        let page = store.kept(room, after, Page::LIMIT_MAX).await?;
        let Some(last) = page.last() else { break };
        after = last.entry.seq;
        let kept = page.into_iter().filter(|kept| kept.entry.seq <= expected.head && kept.entry.body.is_message());
        for Kept { entry, shown, .. } in kept {
            let should = expected.messages.get(&entry.seq).unwrap_or(&entry);
            let (body, folded) = match &shown {
                Some((body, folded)) => (body, Some(folded)),
                None => (&entry.body, None),
            };
            if (&should.body, should.folded.as_ref()) != (body, folded) {
                wrong.push(should.clone());
            }
        }
    }
    Ok(wrong)
}
