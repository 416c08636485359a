//! Links that are broken: what each node has to the store, the brokers, and its clients.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    Failure, Plan, Scenario, beside,
    chance::Chance,
    faults::Breaker,
    network::{CLIENTS, Network, Turns, Way},
    server::Server,
    store::{self, STORE},
};
use crate::history::{Event, Sample};

/// A link is broken for so long at least.
const SHORTEST: Duration = Duration::from_secs(3);
/// How often is looked whether a node still believes in clients it does not reach.
const LOOK: Duration = Duration::from_millis(250);

/// Makes the network that a plan needs, if it does.
pub(super) fn network(plan: &Plan) -> Result<Option<Arc<Network>>, Failure> {
    if plan.scenario != Scenario::Partition && !plan.split {
        return Ok(None);
    }
    let nodes = (1..=plan.nodes).map(|number| format!("node{number}"));
    let store = store::is_own(&plan.store).then(|| STORE.to_owned());
    let beside = beside::own(plan).into_iter().map(str::to_owned);
    Ok(Some(Arc::new(Network::of(nodes.chain(store).chain(beside).collect())?)))
}

/// Is what `partition` breaks, and for how long at most.
pub(super) struct Links {
    network: Arc<Network>,
    turns: Turns,
    longest: Duration,
}

impl Links {
    pub(super) fn of(network: Arc<Network>, plan: &Plan, chance: &mut Chance) -> Self {
        let turns = Turns::of(network.peers(plan.nodes as usize), chance);
        Self { network, turns, longest: Duration::from_secs(plan.longest) }
    }
}

impl Breaker<'_> {
    /// Breaks one link of a node, and mends it.
    pub(super) async fn partition(&mut self, start: u64) -> Result<(), Failure> {
        let node = self.node()?;
        let node = &self.cluster.nodes[node];
        let links = self.links.as_mut().ok_or("there is no network")?;
        let (peer, way) = links.turns.take();
        let span = SHORTEST.as_millis().try_into()?..links.longest.as_millis().try_into()?;
        let broken_for = match (&*peer, way) {
            // Only then is seen how long a node believes in them.
            (CLIENTS, Way::Both | Way::In) => links.longest,
            _ => Duration::from_millis(self.chance.within(span)),
        };
        links.network.cut(&node.name, &peer, way)?;
        let half_open = if peer == CLIENTS {
            found_within(node, broken_for).await?
        } else {
            sleep(broken_for).await;
            None
        };
        links.network.heal(&node.name)?;
        self.recorder.fault(way.fault(), &format!("{}-{peer}", node.name), start);
        if let Some(found) = half_open.filter(|_| matches!(way, Way::Both | Way::Out | Way::In)) {
            let value = found.as_micros().try_into()?;
            self.recorder.add(Event::Sample(Sample { what: "half_open_us".into(), value }));
        }
        Ok(())
    }
}

/// Waits, and returns when the node had ended all connections to clients, as the kernel knows them; nothing if it had none.
async fn found_within(node: &Server, wait: Duration) -> Result<Option<Duration>, Failure> {
    if established(node)? == 0 {
        sleep(wait).await;
        return Ok(None);
    }
    let (begin, mut found) = (Instant::now(), None);
    while begin.elapsed() < wait {
        if found.is_none() && established(node)? == 0 {
            found = Some(begin.elapsed());
        }
        sleep(LOOK).await;
    }
    Ok(found)
}

/// Returns how many connections to people's listener are open at the node's side.
fn established(node: &Server) -> Result<usize, Failure> {
    const ESTABLISHED: &str = "01";
    let table = fs::read_to_string(format!("/proc/{}/net/tcp", node.id()))?;
    let port = format!(":{:04X}", node.address.port());
    let is_ours = |line: &&str| {
        let mut columns = line.split_whitespace();
        columns.nth(1).is_some_and(|local| local.ends_with(&port)) && columns.nth(1) == Some(ESTABLISHED)
    };
    Ok(table.lines().skip(1).filter(is_ours).count())
}
