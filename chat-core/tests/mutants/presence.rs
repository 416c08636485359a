//! Presence stores with one defect each.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::{
    Presence, UserId,
    conformance::presence::PresenceUnderTest,
    memory::MemoryPresence,
    model::NodeId,
    presence::{Lease, PresenceError},
};

use super::mutants;

const LEASE: Duration = Duration::from_millis(300);

mutants! {
    presence, under_test;
    who_entered_is_online: LeavesEveryNode,
    who_left_is_offline: LeavesNoNode,
    an_unknown_node_has_lapsed: HoldsAnyLease,
    a_node_that_stops_refreshing_takes_its_users_along: NeverLapses,
    online_answers_in_the_order_asked: AnswersBackwards,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Defect {
    LeavesEveryNode,
    LeavesNoNode,
    HoldsAnyLease,
    NeverLapses,
    AnswersBackwards,
}

fn under_test(defect: Defect) -> PresenceUnderTest {
    let lease = if defect == Defect::NeverLapses { Duration::from_hours(1) } else { LEASE };
    PresenceUnderTest::new(Arc::new(Broken { memory: MemoryPresence::with_lease(lease), defect }), LEASE)
}

struct Broken {
    memory: MemoryPresence,
    defect: Defect,
}

#[async_trait]
impl Presence for Broken {
    async fn enter(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        self.memory.enter(node, users).await
    }

    async fn leave(&self, node: NodeId, users: &[UserId]) -> Result<(), PresenceError> {
        match self.defect {
            Defect::LeavesNoNode => Ok(()),
            Defect::LeavesEveryNode => {
                self.memory.leave(NodeId::random([1; 16]), users).await?;
                self.memory.leave(NodeId::random([2; 16]), users).await
            }
            _ => self.memory.leave(node, users).await,
        }
    }

    async fn refresh(&self, node: NodeId) -> Result<Lease, PresenceError> {
        let lease = self.memory.refresh(node).await?;
        Ok(if self.defect == Defect::HoldsAnyLease { Lease::Held } else { lease })
    }

    async fn online(&self, users: &[UserId]) -> Result<Vec<bool>, PresenceError> {
        let mut online = self.memory.online(users).await?;
        if self.defect == Defect::AnswersBackwards {
            online.sort_unstable();
        }
        Ok(online)
    }
}
