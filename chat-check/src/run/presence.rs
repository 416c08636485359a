//! Who is seen to be online: a crowd on all nodes, watchers on each of them, and nodes that die with their people.

use std::{
    net::SocketAddr,
    ops::Range,
    time::{Duration, Instant},
};

use chat_transport_ws::client::RemoteHub;
use futures::{StreamExt, TryStreamExt, future, stream};
use serde_json::json;
use tokio::time::{Instant as Then, sleep, sleep_until};

use super::{
    Failure, Plan,
    chance::Chance,
    client::{Client, User, name},
    cluster::Cluster,
    network::{Network, Way},
    recorder::Recorder,
    rest::Rest,
    sight::{Board, Watcher, connect},
};
use crate::history::{Event, Name, Person};

/// Members of one room: each is told of it when it is created, one after the other.
const ROOM_MAX: usize = 50;
/// Watchers may take 35 s to see what has changed; who waits longer finds out that they do not.
const SEEN_WITHIN: Duration = Duration::from_secs(45);
/// People come and go all the time for so long, and each does so once in this time.
const FLAP_FOR: Duration = Duration::from_secs(30);
const FLAP_EVERY: Duration = Duration::from_secs(3);
/// Connections that are made at once.
const AT_ONCE: usize = 16;

/// Is everybody.
pub(super) struct Crowd<'a> {
    cluster: &'a mut Cluster,
    rest: &'a Rest,
    /// Where the nodes keep who is online.
    kept: String,
    /// Who else is to know where a node is that was started again.
    clients: Vec<&'a Client>,
    recorder: &'a Recorder,
    chance: Chance,
    board: Board,
    people: Vec<Member>,
    rooms: Vec<(Name, Range<usize>)>,
    /// Who created the rooms, and watches.
    owner: User,
    /// By node.
    watchers: Vec<Vec<Watcher>>,
}

struct Member {
    user: User,
    node: usize,
    hub: Option<RemoteHub>,
}

impl<'a> Crowd<'a> {
    /// Connects everybody, and lets watchers see all of them.
    pub(super) async fn gather(
        plan: &Plan,
        cluster: &'a mut Cluster,
        rest: &'a Rest,
        clients: Vec<&'a Client>,
        recorder: &'a Recorder,
        chance: Chance,
    ) -> Result<Self, Failure> {
        let kept = plan.presence.as_ref().or(plan.broker.as_ref()).ok_or("nodes need a --presence or a --broker")?;
        let names = (0..plan.users).map(|number| format!("user{number:04}"));
        let users = stream::iter(names).map(|name| register(rest, name)).buffered(AT_ONCE);
        let (users, owner) = (users.try_collect::<Vec<_>>().await?, register(rest, "owner".to_owned()).await?);
        let (mut rooms, mut begin) = (Vec::new(), 0);
        for part in users.chunks(ROOM_MAX) {
            let members: Vec<_> = part.iter().map(|user| &user.name).collect();
            let spec = json!({ "title": format!("room {}", rooms.len()), "members": members });
            rooms.push((name(rest.create(&owner.token, spec).await?), begin..begin + part.len()));
            begin += part.len();
        }
        let nodes = cluster.nodes.len();
        let people = users.into_iter().enumerate();
        let people = people.map(|(at, user)| Member { user, node: at % nodes, hub: None }).collect();
        let (board, watchers) = (Board::of(recorder.clone()), (0..nodes).map(|_| Vec::new()).collect());
        let mut crowd = Self {
            cluster,
            rest,
            kept: kept.clone(),
            clients,
            recorder,
            chance,
            board,
            people,
            rooms,
            owner,
            watchers,
        };
        let all: Vec<_> = (0..crowd.people.len()).collect();
        crowd.come(&all).await?;
        for node in 0..nodes {
            crowd.watch(node).await?;
        }
        if !crowd.until_seen(&all, true).await {
            return Err("the watchers do not see who is there".into());
        }
        Ok(crowd)
    }

    /// Breaks something so many times, lets people flap, and lets all go.
    pub(super) async fn perform(mut self, plan: &Plan, network: Option<&Network>) -> Result<(), Failure> {
        for round in 1..=plan.rounds {
            match network {
                Some(network) => self.split(network, Duration::from_secs(plan.longest)).await?,
                None => self.kill(Duration::from_millis(plan.every)).await?,
            }
            self.show(&format!("{round}/{}", plan.rounds));
        }
        self.finish().await
    }

    /// Lets people flap, and lets all go.
    pub(super) async fn finish(mut self) -> Result<(), Failure> {
        let all: Vec<_> = (0..self.people.len()).collect();
        self.flap().await?;
        self.until_seen(&all, true).await;
        self.show("came and went all the time");
        self.go(&all).await;
        self.until_seen(&all, false).await;
        self.show("everybody has left");
        Ok(())
    }

    pub(super) fn show(&self, what: &str) {
        println!("{:6.1} s  {what}", Duration::from_micros(self.recorder.now()).as_secs_f64());
    }

    /// A node dies with its people, who stay away until ghosts have had this time to show up.
    pub(super) async fn kill(&mut self, ghosts_for: Duration) -> Result<(), Failure> {
        let (node, start) = (self.some_node()?, self.recorder.now());
        self.cluster.nodes[node].kill()?;
        let victims: Vec<_> = (0..self.people.len()).filter(|at| self.people[*at].node == node).collect();
        for at in &victims {
            self.people[*at].went(self.recorder);
        }
        self.watchers[node].clear();
        self.cluster.restart(node, self.rest, &self.clients).await?;
        self.recorder.fault("kill", &self.cluster.nodes[node].name, start);
        self.watch(node).await?;
        self.until_seen(&victims, false).await;
        sleep(ghosts_for).await;
        self.come_anywhere(&victims).await
    }

    /// Half of the people say goodbye, and come back to other nodes when all have seen them go.
    pub(super) async fn change_shifts(&mut self) -> Result<(), Failure> {
        let shift: Vec<_> = (0..self.people.len()).filter(|_| self.chance.is_one_in(2)).collect();
        self.go(&shift).await;
        self.until_seen(&shift, false).await;
        self.come_anywhere(&shift).await
    }

    /// These come back, each to some node.
    async fn come_anywhere(&mut self, who: &[usize]) -> Result<(), Failure> {
        for at in who {
            self.people[*at].node = self.some_node()?;
        }
        self.come(who).await?;
        self.until_seen(who, true).await;
        Ok(())
    }

    fn some_node(&mut self) -> Result<usize, Failure> {
        Ok(self.chance.below(self.cluster.nodes.len() as u64).try_into()?)
    }

    /// A node is cut off from where presence is kept; afterwards all is as before.
    async fn split(&mut self, network: &Network, time: Duration) -> Result<(), Failure> {
        let (at, start, kept) = (self.some_node()?, self.recorder.now(), &self.kept);
        let node = &self.cluster.nodes[at].name;
        network.cut(node, kept, Way::Both)?;
        sleep(time).await;
        network.heal(node)?;
        self.recorder.fault(Way::Both.fault(), &format!("{node}-{kept}"), start);
        let all: Vec<_> = (0..self.people.len()).collect();
        self.until_seen(&all, true).await;
        Ok(())
    }

    /// Everybody goes and comes back all the time, each time to another node.
    async fn flap(&mut self) -> Result<(), Failure> {
        let (start, until) = (self.recorder.now(), Instant::now() + FLAP_FOR);
        let (recorder, nodes) = (self.recorder, self.cluster.addresses());
        let mut flapping = Vec::new();
        for member in &mut self.people {
            let (nodes, mut wait) = (&nodes, Duration::from_millis(self.chance.below(3_000)));
            flapping.push(async move {
                while Instant::now() + wait < until {
                    let next = Then::now() + wait;
                    sleep_until(next).await;
                    member.leave(recorder).await;
                    sleep_until(next + FLAP_EVERY / 2).await;
                    member.node = (member.node + 1) % nodes.len();
                    member.come(nodes, recorder).await?;
                    wait = FLAP_EVERY.saturating_sub(next.elapsed());
                }
                Ok::<_, Failure>(())
            });
        }
        future::try_join_all(flapping).await?;
        for member in &self.people {
            recorder.fault("flap", &member.user.name, start);
        }
        Ok(())
    }

    async fn come(&mut self, who: &[usize]) -> Result<(), Failure> {
        let (nodes, recorder) = (self.cluster.addresses(), self.recorder);
        let coming = self.people.iter_mut().enumerate().filter(|(at, _)| who.contains(at));
        let coming = coming.map(|(_, member)| member.come(&nodes, recorder));
        stream::iter(coming.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).try_collect().await
    }

    async fn go(&mut self, who: &[usize]) {
        let recorder = self.recorder;
        let going = self.people.iter_mut().enumerate().filter(|(at, _)| who.contains(at));
        future::join_all(going.map(|(_, member)| member.leave(recorder))).await;
    }

    /// Begins to watch all rooms from a node.
    async fn watch(&mut self, node: usize) -> Result<(), Failure> {
        let (at, host) = (&self.cluster.nodes[node].address, &self.cluster.nodes[node].name);
        for (number, (room, _)) in self.rooms.iter().enumerate() {
            let name = format!("{host}-room{number}");
            self.watchers[node].push(Watcher::begin(name, *at, &self.owner, room.parse()?, &self.board).await?);
        }
        Ok(())
    }

    /// Waits until all watchers see what is. Who does not see it in time is the checker's to name.
    async fn until_seen(&self, who: &[usize], online: bool) -> bool {
        let deadline = Instant::now() + SEEN_WITHIN;
        let sees_all = |watcher: &Watcher, room: usize| {
            let within = &self.rooms[room].1;
            let users = who.iter().filter(|at| within.contains(at)).map(|at| &self.people[*at].user.name);
            self.board.sees(&watcher.stream(), users, online)
        };
        let all_see =
            || self.watchers.iter().all(|node| node.iter().enumerate().all(|(room, watcher)| sees_all(watcher, room)));
        while !all_see() && Instant::now() < deadline {
            sleep(Duration::from_millis(50)).await;
        }
        all_see()
    }
}

impl Member {
    /// Connects to its node. The server may say so before the client knows.
    async fn come(&mut self, nodes: &[SocketAddr], recorder: &Recorder) -> Result<(), Failure> {
        recorder.add(Event::Came(Person { user: self.user.name.clone() }));
        self.hub = Some(connect(&self.user, nodes[self.node]).await?);
        Ok(())
    }

    /// Is cut off.
    fn went(&mut self, recorder: &Recorder) {
        recorder.add(Event::Went(Person { user: self.user.name.clone() }));
        self.hub = None;
    }

    /// Says goodbye.
    async fn leave(&mut self, recorder: &Recorder) {
        recorder.add(Event::Went(Person { user: self.user.name.clone() }));
        if let Some(hub) = self.hub.take() {
            hub.close().await;
        }
    }
}

async fn register(rest: &Rest, name: String) -> Result<User, Failure> {
    Ok(User { token: rest.register(&name).await?, name: name.into() })
}
