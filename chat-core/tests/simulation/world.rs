//! The nodes, what they share, and what goes wrong with them.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Clock, Encoding, Engine, Entry, Identity, Key, Members, RoomId, Seq, Store, StoreError, Timestamp, UserId,
    conformance::faulty::{
        Answer, BrokerOdds, Call, Chance, FaultyBroker, FaultyStore, LaggingAccess, RandomFaults, StoreFault, StoreOdds,
    },
    memory::{MemoryBroker, MemoryPresence, MemoryStore},
    store::{LogStore, Outcome},
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::{
    client::Client,
    history::{Event, History, What},
    line::{Json, Line},
    plan::{Plan, id_of},
};

/// Everything that ends by itself has ended by then.
const PATIENCE: Duration = Duration::from_mins(5);
/// What "settled" waits for, after the last fault and the last answer.
const CALM: Duration = Duration::from_secs(10);

/// Says how far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub enum Phase {
    /// Clients act and things go wrong.
    Busy,
    /// Everything is well again; clients get what they miss.
    Settling,
    Over,
}

pub struct World {
    pub plan: Plan,
    pub history: Arc<History>,
    pub chance: Chance,
    pub encoding: Arc<dyn Encoding>,
    pub clock: Arc<Virtual>,
    /// Clients that have not done all they want to do.
    pub busy: AtomicUsize,
    /// Clients that wait for an answer, or for a connection.
    pub unsettled: AtomicUsize,
    phase: AtomicU8,
    store: Arc<dyn Store>,
    broker: FaultyBroker,
    presence: MemoryPresence,
    nodes: Mutex<Vec<Node>>,
}

struct Node {
    engine: Option<Engine>,
    faults: Arc<RandomFaults>,
    lines: Vec<Weak<Line>>,
}

/// Is what is left of a run.
pub struct Run {
    pub plan: Plan,
    pub events: Vec<Event>,
    /// The logs as the store has them at last.
    pub logs: Vec<(RoomId, Vec<Entry>)>,
}

/// Runs a plan to its end. `defect` stands right before the store in memory; none is as good as it gets.
pub async fn run<D: StoreFault + 'static>(plan: Plan, chance: Chance, defect: D) -> Run {
    let history = Arc::new(History::begin());
    let bare: Arc<dyn Store> = Arc::new(FaultyStore::new(MemoryStore::new(), defect));
    let store: Arc<dyn Store> = Arc::new(FaultyStore::new(bare, Witness(history.clone())));
    let lag = LaggingAccess::new(store.clone(), chance.fork(), plan.lag);
    let store: Arc<dyn Store> = Arc::new(FaultyStore::new(store, lag));
    let broker = FaultyBroker::new(Arc::new(MemoryBroker::new()), chance.fork(), plan.broker);
    let (busy, unsettled) = (plan.clients.len().into(), plan.clients.len().into());
    let world = Arc::new(World {
        plan,
        history,
        chance,
        encoding: Arc::new(Json),
        clock: Arc::new(Virtual(Instant::now())),
        busy,
        unsettled,
        phase: AtomicU8::new(Phase::Busy as u8),
        store,
        broker,
        presence: MemoryPresence::new(),
        nodes: Mutex::default(),
    });
    world.clone().play().await
}

impl World {
    async fn play(self: Arc<Self>) -> Run {
        for _ in 0..self.plan.nodes {
            let faults = Arc::new(RandomFaults::new(self.chance.fork(), StoreOdds::default()));
            let engine = Some(self.start(faults.clone()).await);
            self.nodes.lock().push(Node { engine, faults, lines: Vec::new() });
        }
        self.create_rooms().await;
        self.nodes.lock().iter().for_each(|node| node.faults.set(self.plan.store));
        let mut clients = Vec::new();
        for (number, user) in self.plan.clients.iter().enumerate() {
            let client = Client::new(self.clone(), number, self.plan.users[*user].clone(), self.chance.fork());
            clients.push(tokio::spawn(client.live()));
        }
        let chaos = tokio::spawn(self.clone().disturb(self.chance.fork()));
        self.wait("all clients do what they want to do", |world| world.busy.load(Ordering::SeqCst) == 0).await;
        self.enter(Phase::Settling);
        chaos.await.unwrap();
        self.heal().await;
        self.wait("all is settled", |world| world.unsettled.load(Ordering::SeqCst) == 0).await;
        sleep(CALM).await;
        self.enter(Phase::Over);
        for client in clients {
            client.await.unwrap();
        }
        self.outcome().await
    }

    async fn start(&self, faults: Arc<RandomFaults>) -> Engine {
        let builder = Engine::builder()
            .store(Arc::new(FaultyStore::new(self.store.clone(), faults)))
            .broker(Arc::new(self.broker.clone()))
            .presence(Arc::new(self.presence.clone()))
            .policy(Arc::new(rules()))
            .clock(self.clock.clone())
            .entropy(Arc::new(self.chance.fork()))
            .limits(self.plan.limits.clone());
        let builder = if self.plan.secret { builder.secret("the secret of this cluster") } else { builder };
        builder.build().await.unwrap()
    }

    async fn create_rooms(&self) {
        let owner = Identity::human(self.plan.users[0].clone(), "U0");
        let hub = self.nodes.lock()[0].engine.clone().unwrap().hub(owner);
        for spec in &self.plan.rooms {
            hub.create_under(self.key(&self.chance), spec.clone()).await.unwrap();
        }
    }

    /// Makes a key as a client does.
    pub fn key(&self, chance: &Chance) -> Key {
        let mut random = [0; 10];
        chat_core::Entropy::fill(chance, &mut random);
        Key::new(self.clock.now().0, random)
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Busy,
            1 => Phase::Settling,
            _ => Phase::Over,
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
        self.history.note(What::Fault(format!("{phase:?}")));
    }

    async fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !done(self) {
            if begun.elapsed() > PATIENCE {
                self.history.note(What::Wrong(format!("not within {PATIENCE:?}: {what}")));
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Connects a client to one of the nodes that are up.
    pub fn connect(&self, client: usize, chance: &Chance) -> Option<(Engine, Arc<Line>)> {
        let mut nodes = self.nodes.lock();
        let up: Vec<_> = (0..nodes.len()).filter(|node| nodes[*node].engine.is_some()).collect();
        let node = *chance.one_of(&up)?;
        let line = Line::new(self.plan.budget);
        nodes[node].lines.push(Arc::downgrade(&line));
        self.history.note(What::Connect { client, node });
        Some((nodes[node].engine.clone()?, line))
    }

    /// Does harm until the clients have done what they want.
    async fn disturb(self: Arc<Self>, chance: Chance) {
        let Some(pause) = self.plan.chaos else { return };
        while self.phase() == Phase::Busy {
            sleep(chance.time(pause)).await;
            let node = chance.below(self.plan.nodes);
            match chance.below(10) {
                0..3 => self.kill(node, &chance).await,
                3 => self.drain(node, &chance).await,
                4..7 => self.part(node, &chance).await,
                7 | 8 => self.break_broker(&chance).await,
                _ => self.trim(&chance).await,
            }
        }
    }

    fn fault(&self, what: String) {
        self.history.note(What::Fault(what));
    }

    /// Lets a node vanish and come back.
    async fn kill(&self, node: usize, chance: &Chance) {
        self.fault(format!("kill {node}"));
        self.stop(node);
        sleep(chance.time(Duration::from_secs(1))).await;
        self.restart(node).await;
    }

    fn stop(&self, node: usize) {
        let mut nodes = self.nodes.lock();
        let lines = std::mem::take(&mut nodes[node].lines);
        lines.iter().filter_map(Weak::upgrade).for_each(|line| line.cut());
        nodes[node].engine = None;
    }

    async fn restart(&self, node: usize) {
        let faults = self.nodes.lock()[node].faults.clone();
        let engine = self.start(faults).await;
        self.nodes.lock()[node].engine = Some(engine);
        self.fault(format!("{node} is up"));
    }

    async fn drain(&self, node: usize, chance: &Chance) {
        self.fault(format!("drain {node}"));
        let engine = self.nodes.lock()[node].engine.take();
        if let Some(engine) = engine {
            engine.drain(chance.time(Duration::from_secs(10))).await;
        }
        self.stop(node);
        self.restart(node).await;
    }

    /// Parts a node from the store.
    async fn part(&self, node: usize, chance: &Chance) {
        self.fault(format!("part {node} from the store"));
        let faults = self.nodes.lock()[node].faults.clone();
        faults.set(StoreOdds::unreachable());
        sleep(chance.time(Duration::from_secs(7))).await;
        faults.set(self.plan.store);
        self.fault(format!("{node} reaches the store"));
    }

    async fn break_broker(&self, chance: &Chance) {
        self.fault("no hints".into());
        self.broker.set(BrokerOdds::deaf());
        sleep(chance.time(Duration::from_secs(3))).await;
        self.broker.set(self.plan.broker);
    }

    async fn trim(&self, chance: &Chance) {
        let Some(spec) = chance.one_of(&self.plan.rooms).filter(|_| self.plan.trims) else { return };
        let room = id_of(spec);
        let head = self.store.heads(&[room]).await.unwrap()[0].seq;
        let through = Seq::from_stored(head.to_stored() - 1 - i64::try_from(chance.below(8)).unwrap());
        self.history.note(What::Trim { room, through });
        self.store.trim(room, through).await.unwrap();
    }

    async fn heal(&self) {
        self.broker.set(BrokerOdds::default());
        for node in 0..self.plan.nodes {
            self.nodes.lock()[node].faults.set(StoreOdds::default());
            let is_down = self.nodes.lock()[node].engine.is_none();
            if is_down {
                self.restart(node).await;
            }
        }
    }

    async fn outcome(self: Arc<Self>) -> Run {
        for node in 0..self.plan.nodes {
            self.stop(node);
        }
        let events = self.history.events();
        let rooms: std::collections::BTreeSet<RoomId> = events
            .iter()
            .filter_map(|event| match &event.what {
                What::Commit(entry) => Some(entry.room),
                _ => None,
            })
            .collect();
        let mut logs = Vec::new();
        for room in rooms {
            logs.push((room, self.store.read(room, Seq::ZERO, u16::MAX).await.unwrap()));
        }
        Run { plan: self.plan.clone(), events, logs }
    }
}

/// Notes what is committed, in the order of the commits.
struct Witness(Arc<History>);

#[async_trait]
impl StoreFault for Witness {
    async fn after(&self, call: &Call, answer: &mut Answer) -> Result<(), StoreError> {
        let (Call::Append(batch), Answer::Append(answers)) = (call, answer) else { return Ok(()) };
        for (share, outcomes) in batch.iter().zip(answers) {
            for (entry, outcome) in share.entries.iter().zip(outcomes) {
                if let Outcome::Stored(seq) = outcome {
                    self.0.note(What::Commit(entry.at(share.room, *seq)));
                }
            }
        }
        Ok(())
    }
}

/// Tells the time of day by tokio's clock.
pub struct Virtual(Instant);

impl Clock for Virtual {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000).plus_ms(i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }
}

/// The rules of the rooms, for the nodes and for the check.
pub fn rules() -> Members {
    Members::default().people_name_rooms()
}

pub fn identity(user: &UserId) -> Identity {
    Identity::human(user.clone(), user.as_str().to_uppercase())
}
