//! The nodes: server processes on one store, of which clients need to know no particular one.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future;
use tokio::time::sleep;

use super::{
    Failure,
    client::Client,
    rest::{Rest, http},
    server::{Launch, PATIENCE, Server, number_after},
};

/// How long a node may take to say whether it is ready; later it is not.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// Is all nodes; dropping it kills them.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) nodes: Vec<Server>,
    operators: reqwest::Client,
}

impl Cluster {
    /// Starts so many nodes at once, on a store that may be empty.
    pub(super) async fn start(launch: Launch, count: u32) -> Result<Self, Failure> {
        let launch = Arc::new(launch);
        let starts = (1..=count).map(|number| Server::start(launch.clone(), format!("node{number}")));
        let nodes = future::try_join_all(starts).await?;
        Ok(Self { nodes, operators: http(READY_WITHIN)? })
    }

    /// Returns where people are served.
    pub(super) fn addresses(&self) -> Arc<[SocketAddr]> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    /// Starts a node again that has ended, and tells everybody where it is now.
    pub(super) async fn restart(&mut self, node: usize, rest: &Rest, clients: &[&Client]) -> Result<(), Failure> {
        self.nodes[node].restart().await?;
        let addresses = self.addresses();
        rest.lead_to(addresses.clone());
        for client in clients {
            client.proxy.moved(addresses.clone());
        }
        Ok(())
    }

    /// Returns what a node counts, 0 if it has not begun to.
    pub(super) async fn metric(&self, node: usize, name: &str) -> Result<u64, Failure> {
        let asked = self.operators.get(format!("http://{}/metrics", self.nodes[node].admin)).send();
        Ok(number_after(&asked.await?.text().await?, name).unwrap_or(0))
    }

    /// Tells whether every node says that people may be sent to it.
    pub(super) async fn is_ready(&self) -> bool {
        let asked = self.nodes.iter().map(async |node| {
            let answer = self.operators.get(format!("http://{}/ready", node.admin)).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        });
        future::join_all(asked).await.into_iter().all(|ready| ready)
    }

    /// Waits until all nodes are ready, or until one of them says that it is not.
    pub(super) async fn until_ready(&self, ready: bool) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while self.is_ready().await != ready {
            if Instant::now() > deadline {
                return Err(format!("ready is not {ready} within {PATIENCE:?}").into());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}
