//! Stores with one defect each: the checks have teeth if each is noticed, in a few seeds.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chat_core::{
    Key, Member, RoomId, Seq, StoreError, UserId,
    conformance::faulty::{Answer, Call, StoreFault},
    model::EntryId,
    store::{Append, Outcome},
};
use parking_lot::Mutex;

/// Is what a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Defect {
    ForgetsKeys,
    IgnoresTheGuard,
    LeavesHoles,
    AnswersWhatItLoses,
    ReordersAShare,
    AnswersAnotherPlace,
    LosesTheHead,
    KeepsWhoWasRemoved,
    ReadsOtherIds,
    HidesRestrictions,
}
use Defect::*;

pub struct Broken {
    defect: Defect,
    /// The members that were seen first, for a store that forgets nobody.
    members: Mutex<BTreeMap<(RoomId, UserId), Member>>,
}

impl Broken {
    pub fn new(defect: Defect) -> Self {
        Self { defect, members: Mutex::default() }
    }

    fn bend(&self, share: &mut Append) {
        match self.defect {
            ForgetsKeys => share.entries.iter_mut().for_each(|entry| entry.key = Key::from_bytes(*entry.id.as_bytes())),
            IgnoresTheGuard => share.guard = share.guard.map(|_| Seq::MAX),
            ReordersAShare => share.entries.reverse(),
            AnswersWhatItLoses if share.entries.len() > 1 => drop(share.entries.pop()),
            _ => {}
        }
    }

    fn twist(&self, outcomes: &mut Vec<Outcome>) {
        match (self.defect, outcomes.last()) {
            (AnswersWhatItLoses, Some(Outcome::Stored(last))) => outcomes.push(Outcome::Stored(last.next())),
            (ReordersAShare, _) => outcomes.reverse(),
            (AnswersAnotherPlace, Some(Outcome::Duplicate(seq, id))) => {
                let next = Outcome::Duplicate(seq.next(), *id);
                outcomes.pop();
                outcomes.push(next);
            }
            _ => {}
        }
    }
}

#[async_trait]
impl StoreFault for Broken {
    async fn before(&self, call: &mut Call) -> Result<(), StoreError> {
        if let Call::Append(batch) = call {
            for share in batch {
                self.bend(share);
            }
        }
        Ok(())
    }

    async fn after(&self, call: &Call, answer: &mut Answer) -> Result<(), StoreError> {
        match (self.defect, call, answer) {
            (_, _, Answer::Append(answers)) => answers.iter_mut().for_each(|outcomes| self.twist(outcomes)),
            (LeavesHoles, _, Answer::Entries(entries)) if entries.len() > 2 => drop(entries.remove(1)),
            (ReadsOtherIds, _, Answer::Entries(entries)) => {
                for entry in entries {
                    entry.id = EntryId::from_bytes(*entry.key.as_bytes());
                }
            }
            (LosesTheHead, _, Answer::Heads(heads)) => heads.iter_mut().for_each(|head| head.seq = head.seq.prev()),
            (HidesRestrictions, _, Answer::Access(Some(access))) => access.guard = Seq::ZERO,
            (KeepsWhoWasRemoved, Call::Access { room, user }, Answer::Access(Some(access))) => {
                let mut members = self.members.lock();
                match &access.member {
                    Some(member) => drop(members.insert((*room, user.clone()), member.clone())),
                    None => access.member = members.get(&(*room, user.clone())).cloned(),
                }
            }
            _ => {}
        }
        Ok(())
    }
}
