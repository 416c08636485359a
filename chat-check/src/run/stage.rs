//! Everybody and everything that is judged: people, rooms, clients, and what becomes of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use chat_core::{
    Body, Entry, Hub, RoomId, UserId,
    model::{Membership, RoomChange},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::{
    Failure, Plan, Scenario,
    chance::Chance,
    client::{Client, Entrance, User, hash, name},
    idle::Idlers,
    load::{Publisher, keep_door, read_along},
    recorder::Recorder,
    rest::Rest,
};
use crate::history::{self, Acked, Change, Event, Log, Row, Sent};

/// Everything has arrived this long after the last fault, or never will.
pub(super) const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// Who is owed an answer by a bot has it this long after the last question, or the notice that there is none.
const ANSWERED_WITHIN: Duration = Duration::from_secs(45);

/// Is who talks where.
pub(super) struct Stage {
    entrance: Entrance,
    rest: Rest,
    /// Who created all rooms, and is a member of each.
    owner: User,
    rooms: BTreeSet<RoomId>,
    /// The room whose members come and go.
    door: RoomId,
    clients: Vec<Arc<Client>>,
    /// How many of the last clients are slow, and only receive.
    slow: usize,
    /// A second client of each of them, which only sends; or none.
    seconds: Vec<Arc<Client>>,
}

/// Is who makes the load.
pub(super) struct Crowd {
    tasks: JoinSet<()>,
    stop: watch::Sender<()>,
    keeper: Arc<Client>,
}

impl Stage {
    /// Makes accounts and rooms, and connects everybody.
    pub(super) async fn set(
        plan: &Plan,
        suffix: &str,
        entrance: Entrance,
        rest: Rest,
        chance: &mut Chance,
    ) -> Result<Self, Failure> {
        let users = register(plan.users, suffix, &rest).await?;
        let (owner, guests) = users.split_first().ok_or("nobody is there")?;
        let mut rooms_of = BTreeMap::<_, BTreeSet<_>>::new();
        let mut rooms = BTreeSet::new();
        let mut door = None;
        for number in 0..=plan.rooms as usize {
            // The first room is the door, with everybody; then half of the people, others in each room.
            let is_door = number == 0;
            let count = if is_door { guests.len() } else { guests.len().div_ceil(2) };
            let members: Vec<_> =
                guests.iter().cycle().skip(number).take(count).map(|user| user.name.clone()).collect();
            let history = if is_door { "since_join" } else { "all" };
            let spec = json!({ "title": format!("room {number}"), "history": history, "members": members });
            let room = rest.create(&owner.token, spec).await?;
            for member in members.into_iter().chain([owner.name.clone()]) {
                rooms_of.entry(member).or_default().insert(room);
            }
            rooms.insert(room);
            door = door.or(Some(room));
        }
        let door = door.ok_or("there is no room")?;
        let (clients, seconds) = Default::default();
        let mut stage =
            Self { entrance, rest, owner: owner.clone(), rooms, door, clients, slow: plan.slow().total(), seconds };
        stage.write_beginnings().await?;
        let healthy = users.len() - stage.slow;
        for (at, user) in users.iter().enumerate() {
            stage.entrance.is_slow = at >= healthy;
            let rooms = rooms_of.remove(&user.name).unwrap_or_default();
            let node = usize::try_from(chance.below(plan.nodes.into()))?;
            let client = stage.entrance.connect(user.name.to_string(), user, node, rooms, chance.fork()).await?;
            stage.clients.push(client);
            if plan.steps().iter().any(|(scenario, _)| *scenario == Scenario::Cut) {
                let c = format!("{}-second", user.name);
                let second = stage.entrance.connect(c, user, node + 1, BTreeSet::new(), chance.fork()).await?;
                stage.seconds.push(second);
            }
        }
        stage.entrance.is_slow = false;
        Ok(stage)
    }

    /// Begins the load.
    pub(super) async fn perform(&self, plan: &Plan, chance: &mut Chance) -> Result<Crowd, Failure> {
        let (stop, stopped) = watch::channel(());
        let mut tasks = JoinSet::new();
        let talkers = &self.clients[..self.clients.len() - self.slow];
        let every = Duration::from_secs(1) * u32::try_from(talkers.len())? / plan.rate.max(1);
        for (at, client) in talkers.iter().enumerate() {
            let second = self.seconds.get(at).cloned();
            let publisher = Publisher::new(client.clone(), second, every, chance.fork()).await?;
            tasks.spawn(publisher.run(stopped.clone()));
        }
        if plan.scenario == Scenario::Bots {
            let every = Duration::from_secs(1) * u32::try_from(talkers.len())? / plan.commands.max(1);
            for client in talkers {
                let asking = Publisher::asking(client.clone(), self.door, every, chance.fork()).await?;
                tasks.spawn(asking.run(stopped.clone()));
            }
        }
        let keeper = "keeper".to_owned();
        let keeper = self.entrance.connect(keeper, &self.owner, 0, BTreeSet::new(), chance.fork()).await?;
        let guests =
            self.clients[1..].iter().map(|client| UserId::new(&*client.user.name)).collect::<Result<_, _>>()?;
        let door = keeper.hub.room(self.door).await?;
        tasks.spawn(keep_door(keeper.clone(), door, guests, chance.fork(), stopped.clone()));
        let (rest, owner, recorder) = (self.rest.clone(), self.owner.clone(), self.entrance.recorder.clone());
        let rooms = self.rooms.iter().copied().collect();
        tasks.spawn(async move { read_along(&rest, &owner.token, rooms, &recorder, stopped).await });
        Ok(Crowd { tasks, stop, keeper })
    }

    /// Connects those who only sit there, if there are any: to all nodes by turns, or to that which is to die.
    pub(super) async fn idlers(&self, plan: &Plan, crowd: &Crowd) -> Result<Option<Idlers>, Failure> {
        if plan.idle == 0 {
            return Ok(None);
        }
        let nodes = &self.entrance.nodes;
        let nodes = if plan.scenario == Scenario::Storm { &nodes[..1] } else { nodes };
        let recorder = &self.entrance.recorder;
        Idlers::seat(plan.idle, nodes, recorder, &self.rest, &self.owner, crowd.keeper.clone()).await.map(Some)
    }

    /// Returns in how many rooms people talk.
    pub(super) fn rooms(&self) -> u64 {
        self.rooms.len() as u64
    }

    /// Returns those who are to be slow.
    pub(super) fn slow(&self) -> &[Arc<Client>] {
        &self.clients[self.clients.len() - self.slow..]
    }

    /// Returns all clients.
    pub(super) fn clients<'a>(&'a self, crowd: &'a Crowd) -> Vec<&'a Client> {
        self.clients.iter().chain(&self.seconds).chain([&crowd.keeper]).map(|client| &**client).collect()
    }

    /// Ends the load, and waits until everybody has everything. Who does not arrive is the checker's to name.
    pub(super) async fn settle(&self, crowd: Crowd) -> Result<(), Failure> {
        let Crowd { mut tasks, stop, keeper: _keeper } = crowd;
        drop(stop);
        while let Some(ended) = tasks.join_next().await {
            ended?;
        }
        let deadline = Instant::now() + ANSWERED_WITHIN;
        while self.clients.iter().any(|client| client.is_owed()) && Instant::now() < deadline {
            sleep(Duration::from_millis(50)).await;
        }
        let deadline = Instant::now() + SETTLED_WITHIN;
        for room in &self.rooms {
            let head = self.rest.head(&self.owner.token, *room).await?;
            let receivers = || self.clients.iter().filter(|client| client.rooms.contains(room));
            while receivers().any(|client| client.place(*room) != Some(head)) && Instant::now() < deadline {
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    async fn write_beginnings(&self) -> Result<(), Failure> {
        for room in &self.rooms {
            write_beginning(&self.rest, &self.owner.token, *room, &self.entrance.recorder).await?;
        }
        Ok(())
    }

    /// Writes the logs as they stand now, and who was a member when.
    pub(super) async fn write_ends(&self) -> Result<(), Failure> {
        for room in &self.rooms {
            write_end(&self.rest, &self.owner.token, *room, &self.entrance.recorder).await?;
        }
        Ok(())
    }
}

/// Writes what stands in a room before anybody talks, as if its author had just sent it.
pub(super) async fn write_beginning(
    rest: &Rest,
    token: &str,
    room: RoomId,
    recorder: &Recorder,
) -> Result<(), Failure> {
    for entry in rest.log(token, room).await? {
        let Row { seq, id, key, user, hash } = row(&entry);
        let (c, room) = (user.clone(), name(room));
        recorder.add(Event::Send(Sent { c: c.clone(), user, room: room.clone(), key: key.clone(), hash }));
        recorder.add(Event::Ack(Acked { c, room, key, seq, id }));
    }
    Ok(())
}

/// Writes a log as it stands now, and who was a member when.
pub(super) async fn write_end(rest: &Rest, token: &str, room: RoomId, recorder: &Recorder) -> Result<(), Failure> {
    let log = rest.log(token, room).await?;
    for (user, change, seq) in log.iter().flat_map(memberships) {
        recorder.add(Event::Member(history::Membership { room: name(room), user, change, seq }));
    }
    let rows = log.iter().map(row).collect();
    recorder.add(Event::Final(Log { room: name(room), trimmed: 0, rows }));
    Ok(())
}

async fn register(count: u32, suffix: &str, rest: &Rest) -> Result<Vec<User>, Failure> {
    let mut users = Vec::new();
    for number in 0..count {
        let name = format!("user{number:03}{suffix}");
        users.push(User { token: rest.register(&name).await?, name: name.into() });
    }
    Ok(users)
}

/// Returns what an entry says about who is a member.
fn memberships(entry: &Entry) -> Vec<(history::Name, Change, u64)> {
    let (seq, author) = (entry.seq.get(), entry.author.as_str().into());
    match &entry.body {
        Body::Room(RoomChange::Created(spec)) => {
            let members = spec.members.iter().map(|user| (user.as_str().into(), Change::In, seq));
            members.chain([(author, Change::In, seq)]).collect()
        }
        Body::Member(member) => match member.change {
            Membership::Join => vec![(member.user.as_str().into(), Change::In, seq)],
            Membership::Leave => vec![(member.user.as_str().into(), Change::Out, seq)],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn row(entry: &Entry) -> Row {
    Row {
        seq: entry.seq.get(),
        id: entry.id.to_string().into(),
        key: entry.key.to_string().into(),
        user: entry.author.as_str().into(),
        hash: hash(&entry.body),
    }
}
