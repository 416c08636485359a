//! What is broken, and how.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{
    Failure,
    beside::{Beside, Over},
    bots::Bots,
    chance::Chance,
    client::Client,
    cluster::Cluster,
    disk,
    everything::Mending,
    idle::Idlers,
    partition::Links,
    plan::Scenario,
    postgres::Standbys,
    recorder::Recorder,
    rest::Rest,
    server::{GRACE, Server},
    service::Service,
    store::Store,
};
use crate::history::{Ended, Event, Sample};

/// In the scenario `cut`, one ack in so many does not arrive.
const CUT_ONE_IN: u64 = 20;
/// Who dies, freezes or fills up if it is the database server.
const STORE: &str = "store";
/// So long RabbitMQ takes nothing.
const BLOCKED_FOR: Duration = Duration::from_secs(30);
/// A broker that forgets nothing that was confirmed is killed as often as this, and a bot the other times.
const QUEUE_ONE_IN: u32 = 10;
/// More than any disk has free, and what is RabbitMQ's default, in bytes.
const MUCH: &str = "1000000000000000";
const LITTLE: &str = "50000000";
/// A standby that takes over was not told of so much.
const LAG: Duration = Duration::from_secs(1);

/// Is what is needed to break things.
pub(super) struct Breaker<'a> {
    pub(super) cluster: &'a mut Cluster,
    pub(super) store: &'a Store,
    pub(super) standbys: Option<Standbys>,
    pub(super) beside: &'a mut Beside,
    /// Which of the servers beside the store is broken.
    pub(super) service: String,
    pub(super) rest: &'a Rest,
    /// In how many rooms people talk.
    pub(super) rooms: u64,
    pub(super) clients: Vec<&'a Client>,
    pub(super) recorder: &'a Recorder,
    pub(super) chance: Chance,
    /// What `partition` breaks.
    pub(super) links: Option<Links>,
    /// How long the load runs in peace before each fault, on average.
    pub(super) every: Duration,
    /// What is on its way to be whole again, in the scenario `everything`.
    pub(super) mending: Mending,
    pub(super) bots: Option<Bots>,
    /// Those who only sit there, if there are any.
    pub(super) idlers: Option<Idlers>,
}

impl Breaker<'_> {
    /// Takes one step after the other; all is whole again after each. `done` is told how many rounds are done.
    pub(super) async fn run(&mut self, steps: &[(Scenario, u32)], done: impl Fn(u32)) -> Result<(), Failure> {
        let mut before = 0;
        for (scenario, rounds) in steps {
            self.repeat(*scenario, *rounds, |round| done(before + round)).await?;
            before += rounds;
        }
        Ok(())
    }

    /// Breaks something so many times.
    async fn repeat(&mut self, scenario: Scenario, rounds: u32, done: impl Fn(u32)) -> Result<(), Failure> {
        if scenario == Scenario::Cut {
            self.clients.iter().for_each(|client| client.tap.cut_one_in(CUT_ONE_IN));
        }
        for round in 1..=rounds {
            if let Some(standbys) = &mut self.standbys {
                standbys.prepare(scenario).await?;
            }
            self.peace().await;
            let start = self.recorder.now();
            match scenario {
                Scenario::Kill => self.kill(start).await?,
                Scenario::Pause => self.pause(start).await?,
                Scenario::Drain => self.drain(start).await?,
                Scenario::Storm => self.storm(start).await?,
                Scenario::StoreKill => self.store_kill(start, round).await?,
                Scenario::StorePause => self.store_pause(start, round).await?,
                Scenario::StoreFull => self.store_full(start).await?,
                Scenario::ServiceKill => self.service_kill(start).await?,
                Scenario::ServicePause => self.service_pause(start).await?,
                Scenario::Move => self.move_over().await?,
                Scenario::Partition => self.partition(start).await?,
                Scenario::Failover => self.fail_over(start).await?,
                Scenario::FailoverAsync => self.fail_over_late().await?,
                Scenario::Restore => self.restore(start).await?,
                Scenario::BrokerBlocked => self.block_broker(start, round).await?,
                Scenario::Bots if round.is_multiple_of(QUEUE_ONE_IN) => self.service_kill(start).await?,
                Scenario::Bots => self.bot_kill(start)?,
                Scenario::Everything => self.break_anything(start).await?,
                // These break nothing here: it happens on the wire, or somewhere else.
                Scenario::Cut
                | Scenario::Slow
                | Scenario::Clocks
                | Scenario::Presence
                | Scenario::Revoke
                | Scenario::Programme => {}
            }
            done(round);
        }
        self.mending.done().await?;
        self.clients.iter().for_each(|client| client.tap.cut_one_in(0));
        self.cluster.until_ready(true).await
    }

    async fn peace(&mut self) {
        sleep(self.chance.around(self.every)).await;
    }

    pub(super) fn node(&mut self) -> Result<usize, Failure> {
        Ok(self.chance.below(self.cluster.nodes.len() as u64).try_into()?)
    }

    async fn kill(&mut self, start: u64) -> Result<(), Failure> {
        let node = self.node()?;
        self.cluster.nodes[node].kill()?;
        self.restart(node).await?;
        self.recorder.fault("kill", &self.cluster.nodes[node].name, start);
        Ok(())
    }

    pub(super) async fn pause(&mut self, start: u64) -> Result<(), Failure> {
        let node = self.node()?;
        let node = &self.cluster.nodes[node];
        node.signal("STOP")?;
        sleep(Duration::from_millis(self.chance.within(200..3_000))).await;
        node.signal("CONT")?;
        self.recorder.fault("pause", &node.name, start);
        Ok(())
    }

    async fn drain(&mut self, start: u64) -> Result<(), Failure> {
        let at = self.node()?;
        self.drain_node(at, start).await
    }

    async fn drain_node(&mut self, at: usize, start: u64) -> Result<(), Failure> {
        let began = Instant::now();
        let node = &mut self.cluster.nodes[at];
        node.signal("TERM")?;
        let status = node.ended().await?;
        let (took_ms, grace_ms) = (began.elapsed().as_millis().try_into()?, GRACE.as_millis().try_into()?);
        let target = &*node.name;
        self.recorder.fault("drain", target, start);
        self.recorder.add(Event::Exit(Ended { target: target.into(), status: status.code(), took_ms, grace_ms }));
        self.restart(at).await
    }

    /// Starts a node again that has ended, and tells everybody where it is now.
    pub(super) async fn restart(&mut self, node: usize) -> Result<(), Failure> {
        self.cluster.restart(node, self.rest, &self.clients).await?;
        let addresses = self.cluster.addresses();
        self.idlers.iter_mut().try_for_each(|idlers| idlers.lead(&addresses))
    }

    async fn store_kill(&mut self, start: u64, round: u32) -> Result<(), Failure> {
        let store = self.database(round)?;
        store.kill().await?;
        store.start()?;
        self.recorder.fault("store-kill", STORE, start);
        Ok(())
    }

    /// Returns a database: that of the messages, if they have one of their own, in turn with that of everything else.
    fn database(&self, round: u32) -> Result<&Service, Failure> {
        let messages = self.beside.messages().filter(|_| !round.is_multiple_of(2));
        messages.map_or_else(|| Ok(&**self.store.own()?), Ok)
    }

    async fn store_pause(&mut self, start: u64, round: u32) -> Result<(), Failure> {
        let pause = Duration::from_millis(self.chance.within(200..8_000));
        let store = self.database(round)?;
        store.signal("STOP")?;
        sleep(pause).await;
        store.signal("CONT")?;
        self.recorder.fault("store-pause", STORE, start);
        Ok(())
    }

    /// Fills the disk, sees that the nodes say so, and makes room again. A server that has given up meanwhile is started
    /// again, as whoever watches over it would.
    async fn store_full(&mut self, start: u64) -> Result<(), Failure> {
        let store = self.store.own()?;
        let filled = disk::Filled::up(&store.home()?)?;
        store.need_room(self.store.url()).await;
        self.cluster.until_ready(false).await?;
        sleep(disk::FULL_FOR).await;
        drop(filled);
        if !store.is_running() {
            store.start()?;
        }
        self.recorder.fault("store-full", STORE, start);
        self.cluster.until_ready(true).await
    }

    async fn service_kill(&mut self, start: u64) -> Result<(), Failure> {
        let service = self.beside.service(&self.service)?;
        service.kill().await?;
        service.start()?;
        self.recorder.fault("service-kill", service.name, start);
        Ok(())
    }

    async fn service_pause(&mut self, start: u64) -> Result<(), Failure> {
        let pause = Duration::from_millis(self.chance.within(200..8_000));
        let service = self.beside.service(&self.service)?;
        service.signal("STOP")?;
        sleep(pause).await;
        service.signal("CONT")?;
        self.recorder.fault("service-pause", service.name, start);
        Ok(())
    }

    /// Raises the memory alarm or, the next time, the disk alarm, and ends it.
    async fn block_broker(&mut self, start: u64, round: u32) -> Result<(), Failure> {
        let service = self.beside.service("rabbitmq")?;
        let before = self.cluster.nodes.iter().map(Server::memory_kib).collect::<Result<Vec<_>, _>>()?;
        let (kind, alarm, calm): (_, &[&str], &[&str]) = if round.is_multiple_of(2) {
            ("disk-alarm", &["set_disk_free_limit", MUCH], &["set_disk_free_limit", LITTLE])
        } else {
            let watermark = "set_vm_memory_high_watermark";
            ("broker-blocked", &[watermark, "0.00001"], &[watermark, "absolute", "1GB"])
        };
        service.rabbitmqctl(alarm)?;
        sleep(BLOCKED_FOR).await;
        for (node, before) in self.cluster.nodes.iter().zip(before) {
            let (what, value) = ("growth_kib".into(), node.memory_kib()?.saturating_sub(before));
            self.recorder.add(Event::Sample(Sample { what, value }));
        }
        service.rabbitmqctl(calm)?;
        self.recorder.fault(kind, service.name, start);
        Ok(())
    }

    fn bot_kill(&mut self, start: u64) -> Result<(), Failure> {
        let bots = self.bots.as_mut().ok_or("there is no bot")?;
        let bot = bots.kill_one(&mut self.chance)?;
        self.recorder.fault("bot-kill", &bot, start);
        Ok(())
    }

    /// Moves all nodes from one broker to the other in two rounds of restarts, one node after the other.
    async fn move_over(&mut self) -> Result<(), Failure> {
        for over in [Over::Bridge, Over::New] {
            for at in 0..self.cluster.nodes.len() {
                self.cluster.nodes[at].share(self.beside.args(over));
                let start = self.recorder.now();
                self.drain_node(at, start).await?;
                self.peace().await;
            }
        }
        self.beside.turn_round();
        Ok(())
    }

    async fn fail_over(&mut self, start: u64) -> Result<(), Failure> {
        self.standbys()?.take_over().await?;
        self.recorder.fault("failover", STORE, start);
        Ok(())
    }

    async fn fail_over_late(&mut self) -> Result<(), Failure> {
        self.standbys()?.hold_back();
        sleep(LAG).await;
        let start = self.recorder.now();
        self.standbys()?.take_over().await?;
        self.recorder.fault("restore", STORE, start);
        Ok(())
    }

    async fn restore(&mut self, start: u64) -> Result<(), Failure> {
        self.standbys()?.put_back().await?;
        self.recorder.fault("restore", STORE, start);
        Ok(())
    }

    fn standbys(&mut self) -> Result<&mut Standbys, Failure> {
        self.standbys.as_mut().ok_or_else(|| "there is no standby".into())
    }
}
