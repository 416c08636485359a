//! What a seed decides about a run before it begins.

use std::time::Duration;

use chat_core::{
    Limits, RoomId, RoomSpec, UserId,
    conformance::faulty::{BrokerOdds, Chance, StoreOdds},
};

/// Says what users are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habits {
    /// They do everything.
    Lively,
    /// They remove, join and leave most of the time.
    Quarrelsome,
    /// They write, and keep their connections.
    Calm,
}

/// Is how a run is set up.
#[derive(Clone, Debug)]
pub struct Plan {
    pub nodes: usize,
    pub users: Vec<UserId>,
    /// Whose client each is.
    pub clients: Vec<usize>,
    /// What each client does before it only waits for everything to settle.
    pub actions: usize,
    /// The longest pause between two actions of a client.
    pub pause: Duration,
    pub broker: BrokerOdds,
    pub store: StoreOdds,
    pub habits: Habits,
    /// How long access may lag behind the log.
    pub lag: Duration,
    /// The longest pause between two things that the fault driver does; `None`: it does nothing.
    pub chaos: Option<Duration>,
    pub trims: bool,
    /// Whether hints carry entries.
    pub secret: bool,
    pub limits: Limits,
    /// Entries that wait for a client at most.
    pub budget: usize,
    pub rooms: Vec<RoomSpec>,
}

impl Plan {
    pub fn of(chance: &Chance) -> Self {
        let users: Vec<_> = (0..3 + chance.below(3)).map(user).collect();
        let clients = (0..users.len()).chain((0..chance.below(3)).map(|_| chance.below(users.len())));
        let clients: Vec<_> = clients.collect();
        let broker = match chance.below(6) {
            0 => BrokerOdds::default(),
            1 => BrokerOdds::deaf(),
            2 | 3 => BrokerOdds::bad().cutting(3, Duration::from_secs(5)),
            _ => BrokerOdds::bad(),
        };
        let store = match chance.below(4) {
            0 => StoreOdds::default(),
            1 => StoreOdds::default().slow(30, Duration::from_millis(200)),
            _ => StoreOdds::default().failing(5, 5).slow(10, Duration::from_millis(50)),
        };
        let habits = if chance.percent(25) { Habits::Quarrelsome } else { Habits::Lively };
        let hasty = habits == Habits::Quarrelsome || chance.percent(50);
        let mut limits = if chance.percent(70) { Limits::load_profile() } else { Limits::default() };
        limits.ring_entries = if chance.percent(50) { 4 } else { 256 };
        limits.batch_max = if chance.percent(30) { 2 } else { 256 };
        limits.lanes = 1 + chance.below(2);
        limits.append_within = Duration::from_millis(if chance.percent(50) { 300 } else { 5_000 });
        Self {
            nodes: if habits == Habits::Quarrelsome { 3 } else { 1 + chance.below(3) },
            actions: 6 + chance.below(8),
            pause: Duration::from_millis(if hasty { 100 } else { 1_000 }),
            broker,
            store,
            habits,
            lag: Duration::from_millis(if chance.percent(50) { 100 } else { 0 }),
            chaos: chance.percent(70).then(|| Duration::from_millis(1_500)),
            trims: chance.percent(20),
            secret: chance.percent(75),
            limits,
            budget: if chance.percent(50) { 4 } else { 64 },
            rooms: rooms(&users),
            users,
            clients,
        }
    }

    /// Is three nodes and some writers over a broker that goes wrong, and nothing else.
    pub fn of_broker(chance: &Chance, broker: BrokerOdds, actions: usize) -> Self {
        let plan = Self::of(chance);
        Self {
            nodes: 3,
            actions,
            pause: Duration::from_millis(100),
            broker,
            store: StoreOdds::default(),
            habits: Habits::Calm,
            lag: Duration::ZERO,
            chaos: None,
            limits: Limits::load_profile(),
            budget: 256,
            ..plan
        }
    }
}

pub fn user(number: usize) -> UserId {
    UserId::new(format!("u{number}")).unwrap()
}

/// Three rooms of the first user, who may name them: an open one, one that hides what was before joining, and one that is closed.
fn rooms(users: &[UserId]) -> Vec<RoomSpec> {
    let first = |count: usize| users.iter().skip(1).take(count).cloned().collect::<Vec<_>>();
    vec![
        RoomSpec::public("open").named("open").members(first(3)),
        RoomSpec::public("since").named("since").members(first(2)).since_join(),
        RoomSpec::private("closed").named("closed").members(first(2)),
    ]
}

pub fn id_of(spec: &RoomSpec) -> RoomId {
    RoomId::named(spec.name.as_deref().unwrap_or_default())
}
