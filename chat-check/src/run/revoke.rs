//! Logins that end, on every node: while the broker is there, while it is dead, and while a node is cut off from it.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chat_core::{Hub, RoomId};
use futures::future;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    Failure, Plan,
    beside::Beside,
    chance::Chance,
    client::{Client, Entrance, User, name},
    cluster::Cluster,
    network::{Network, Way},
    rest::Rest,
    server::PATIENCE,
    stage,
};
use crate::history::{Event, Revocation, Unfollowed};

/// How logins end.
const WAYS: [&str; 3] = ["logout", "ban", "password"];
/// With a broker nodes hear of it at once, without one they look.
const HEARD_MS: u64 = 2_000;
const FOUND_MS: u64 = 30_000;
/// It is watched so much longer whether something still comes.
const LONGER: Duration = Duration::from_secs(3);
/// On each node somebody says something so often.
const SAID_EVERY: Duration = Duration::from_millis(200);

/// Says what is wrong with the broker while logins end.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    Dead,
    /// One node does not reach it.
    Cut,
}

/// Is everybody, and what breaks them.
pub(super) struct Revoker<'a> {
    pub(super) entrance: Entrance,
    pub(super) cluster: &'a Cluster,
    pub(super) rest: &'a Rest,
    pub(super) beside: &'a Beside,
    pub(super) network: Option<&'a Network>,
    pub(super) chance: Chance,
}

/// Is somebody whose login ends.
struct Guest {
    name: String,
    way: &'static str,
    /// Of the login that ends, one on each node.
    clients: Vec<Arc<Client>>,
    token: String,
    /// Of another login of theirs, which lives on, unless all do.
    other: Option<(String, Arc<Client>)>,
}

impl Revoker<'_> {
    /// Lets logins end so many times, each way, in all the troubles that there can be here.
    pub(super) async fn run(mut self, plan: &Plan) -> Result<(), Failure> {
        let owner = User { token: self.rest.register("owner").await?, name: "owner".into() };
        let names: Vec<_> = (1..=plan.rounds).flat_map(|round| WAYS.map(|way| format!("guest{round}-{way}"))).collect();
        for name in &names {
            self.rest.register(name).await?;
        }
        let room = self.rest.create(&owner.token, json!({ "title": "a room", "members": names })).await?;
        stage::write_beginning(self.rest, &owner.token, room, &self.entrance.recorder).await?;
        let (stop, stopped) = watch::channel(());
        let speakers = self.speakers(&owner, room).await?;
        let speaking: Vec<_> =
            speakers.iter().map(|it| tokio::spawn(speak(it.clone(), room, stopped.clone()))).collect();
        let own = plan.broker.as_ref().filter(|broker| !broker.contains(':'));
        let mut troubles = vec![Trouble::None];
        troubles.extend(own.map(|_| Trouble::Dead));
        troubles.extend(own.and(self.network).map(|_| Trouble::Cut));
        let mut others = Vec::new();
        for (round, trouble) in (1..=plan.rounds).zip(troubles.iter().cycle()) {
            others.extend(self.round(round, *trouble, own.map_or("", String::as_str), room).await?);
            println!("{:6.1} s  {round}/{}  {trouble:?}", self.seconds(), plan.rounds);
        }
        drop((stop, stopped));
        future::join_all(speaking).await;
        self.arrive(&owner, room, speakers.iter().chain(&others)).await?;
        stage::write_end(self.rest, &owner.token, room, &self.entrance.recorder).await
    }

    fn seconds(&self) -> f64 {
        Duration::from_micros(self.entrance.recorder.now()).as_secs_f64()
    }

    async fn speakers(&mut self, owner: &User, room: RoomId) -> Result<Vec<Arc<Client>>, Failure> {
        let mut speakers = Vec::new();
        for node in 0..self.cluster.nodes.len() {
            speakers.push(self.connect(format!("speaker{node}"), owner, node, room).await?);
        }
        Ok(speakers)
    }

    async fn connect(&mut self, c: String, user: &User, node: usize, room: RoomId) -> Result<Arc<Client>, Failure> {
        self.entrance.connect(c, user, node, BTreeSet::from([room]), self.chance.fork()).await
    }

    /// Lets three logins end at once, and watches what comes of it. Returns who goes on.
    async fn round(
        &mut self,
        round: u32,
        trouble: Trouble,
        broker: &str,
        room: RoomId,
    ) -> Result<Vec<Arc<Client>>, Failure> {
        let mut guests = Vec::new();
        for way in WAYS {
            guests.push(self.guest(round, way, room).await?);
        }
        self.until_all_hear(&guests, room).await?;
        let start = self.entrance.recorder.now();
        let node = usize::try_from(self.chance.below(self.cluster.nodes.len() as u64))?;
        let node = &self.cluster.nodes[node].name;
        match (trouble, self.network) {
            (Trouble::Dead, _) => self.beside.service(broker)?.kill().await?,
            (Trouble::Cut, Some(network)) => network.cut(node, broker, Way::Both)?,
            _ => {}
        }
        let within_ms = if matches!(trouble, Trouble::None) { HEARD_MS } else { FOUND_MS };
        for guest in &guests {
            self.revoke(guest, within_ms).await?;
        }
        sleep(Duration::from_millis(within_ms) + LONGER).await;
        match (trouble, self.network) {
            (Trouble::Dead, _) => self.beside.service(broker)?.start()?,
            (Trouble::Cut, Some(network)) => network.heal(node)?,
            _ => {}
        }
        match trouble {
            Trouble::None => {}
            Trouble::Dead => self.entrance.recorder.fault("service-kill", broker, start),
            Trouble::Cut => self.entrance.recorder.fault(Way::Both.fault(), &format!("{node}-{broker}"), start),
        }
        let mut others = Vec::new();
        for Guest { clients, other, .. } in guests {
            // Nothing comes any more, and nobody waits for it.
            for client in clients {
                let (c, room, why) = (client.c.clone(), name(room), "unfollowed".into());
                self.entrance.recorder.add(Event::Unsub(Unfollowed { c, room, why }));
            }
            others.extend(other.map(|(_, client)| client));
        }
        Ok(others)
    }

    async fn guest(&mut self, round: u32, way: &'static str, room: RoomId) -> Result<Guest, Failure> {
        let name = format!("guest{round}-{way}");
        let user = User { token: self.rest.login(&name).await?, name: name.as_str().into() };
        let mut clients = Vec::new();
        for node in 0..self.cluster.nodes.len() {
            clients.push(self.connect(format!("{name}-at{node}"), &user, node, room).await?);
        }
        let other = if way == "ban" {
            None
        } else {
            let user = User { token: self.rest.login(&name).await?, name: user.name.clone() };
            let node = usize::try_from(self.chance.below(self.cluster.nodes.len() as u64))?;
            Some((user.token.clone(), self.connect(format!("{name}-other"), &user, node, room).await?))
        };
        Ok(Guest { name, way, clients, token: user.token, other })
    }

    /// Ends a login, or all of somebody's, or all but the one by which the password is changed.
    async fn revoke(&self, guest: &Guest, within_ms: u64) -> Result<(), Failure> {
        match (guest.way, &guest.other) {
            ("logout", _) => self.rest.log_out(&guest.token).await?,
            ("password", Some((token, _))) => self.rest.change_password(token).await?,
            _ => self.rest.ban(self.cluster.nodes[0].admin, &guest.name).await?,
        }
        for client in &guest.clients {
            let revocation = Revocation { c: client.c.clone(), why: guest.way.into(), within_ms };
            self.entrance.recorder.add(Event::Revoked(revocation));
        }
        Ok(())
    }

    /// Waits until everybody receives what is said: who hears nothing anyway cannot be silenced.
    async fn until_all_hear(&self, guests: &[Guest], room: RoomId) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        let clients = || guests.iter().flat_map(|guest| &guest.clients);
        let begun: Vec<_> = clients().map(|client| client.place(room)).collect();
        let hears = |(client, begin): (&Arc<Client>, &Option<u64>)| client.place(room) > begin.or(Some(0));
        while !clients().zip(&begun).all(hears) {
            if Instant::now() > deadline {
                return Err("somebody hears nothing at all".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until those who go on have everything. Who does not arrive is the checker's to name.
    async fn arrive(
        &self,
        owner: &User,
        room: RoomId,
        clients: impl Iterator<Item = &Arc<Client>> + Clone,
    ) -> Result<(), Failure> {
        let (head, deadline) = (self.rest.head(&owner.token, room).await?, Instant::now() + PATIENCE);
        while clients.clone().any(|client| client.place(room) != Some(head)) && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Says something all the time, until `stop` closes.
async fn speak(client: Arc<Client>, room: RoomId, mut stop: watch::Receiver<()>) {
    let Ok(to) = client.hub.room(room).await else { return };
    for number in 0.. {
        if timeout(SAID_EVERY, stop.changed()).await.is_ok() {
            return;
        }
        client.post(to.clone(), client.draft(number)).await;
    }
}
