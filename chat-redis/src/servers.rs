//! Connections to one server or to all of a cluster, made when they are needed and made again when they break.
//!
//! A single server is a cluster of one that has all slots. The driver's own clients are not used: the one for clusters
//! does not subscribe again at a server that comes back, and the other gives up after some seconds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::try_join_all;
use parking_lot::{Mutex, RwLock};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, Pipeline, PushInfo, PushKind,
    RedisError, Value, aio::MultiplexedConnection, cmd, from_redis_value,
};
use tokio::{sync::Mutex as Turn, time::Instant};

use crate::{
    RedisConfig,
    error::{Failure, is_cut, is_elsewhere},
    slots::{Address, Map, slot},
};

/// How long to wait for a connection: on a local network they take milliseconds.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How long to wait for an answer. Nothing here takes long; a server that hangs longer than this is as good as dead.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often the map of a cluster is asked for at most, while it does not fit.
const MAP_EVERY: Duration = Duration::from_millis(200);

/// Is one server or one cluster.
pub(crate) struct Servers {
    seeds: Vec<ConnectionInfo>,
    is_cluster: bool,
    namespace: String,
    map: RwLock<Arc<Map>>,
    /// Whether the map may be out of date.
    doubted: AtomicBool,
    /// When the map was last asked for.
    asked: Turn<Option<Instant>>,
    lines: Mutex<BTreeMap<Address, Arc<Turn<Place>>>>,
}

/// Is where the connection to one server is, or why there is none.
#[derive(Default)]
struct Place {
    line: Option<Line>,
    failed: Option<(Instant, RedisError)>,
}

/// Is a connection, shared by all who call.
#[derive(Clone)]
struct Line {
    connection: MultiplexedConnection,
    cut: Arc<AtomicBool>,
}

impl Servers {
    /// Connects, so that a wrong password is told at the start.
    pub(crate) async fn open(config: &RedisConfig) -> Result<Arc<Self>, Failure> {
        let seeds = config.resolve()?;
        let first = seeds.servers.first().and_then(|server| address(server.addr()));
        let first = first.ok_or_else(|| Failure::refused("a Redis is reached by TCP"))?;
        let servers = Self {
            seeds: seeds.servers,
            is_cluster: seeds.is_cluster,
            namespace: seeds.namespace,
            map: RwLock::new(Arc::new(Map::all_at(first.clone()))),
            doubted: false.into(),
            asked: Turn::default(),
            lines: Mutex::default(),
        };
        if servers.is_cluster {
            servers.look().await?;
        } else {
            servers.line(&first).await.map_err(Failure::of("connect to Redis"))?;
        }
        Ok(Arc::new(servers))
    }

    /// Begins the name of everything that is kept here.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Sends one command to the server that has `key`, and reads the answer.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        what: &'static str,
        key: String,
        command: Cmd,
    ) -> Result<T, Failure> {
        let mut answers = self.ask_all(what, &[(key, command)]).await?;
        read(what, answers.pop().unwrap_or_default())
    }

    /// Sends commands to the servers that have their keys: to each server its share, in order and in one go. Returns the
    /// answers in the order of the commands.
    ///
    /// When a server says that a key is elsewhere, all of them are sent once more, by a new map. So pass either a single
    /// command, which a server refuses before it has begun, or several that may be carried out twice. After a connection
    /// broke nothing is sent again.
    pub(crate) async fn ask_all(&self, what: &'static str, commands: &[(String, Cmd)]) -> Result<Vec<Value>, Failure> {
        let answers = match self.try_all(commands).await {
            Err(error) if self.is_cluster && is_elsewhere(&error) => self.try_all(commands).await,
            done => done,
        };
        answers.map_err(Failure::of(what))
    }

    /// Sends one command to every server.
    pub(crate) async fn ask_everybody(&self, what: &'static str, command: Cmd) -> Result<Vec<Value>, Failure> {
        let mut once = Pipeline::with_capacity(1);
        once.add_command(command);
        let map = self.map.read().clone();
        let asked = map.servers().map(|server| self.send(server, &once));
        Ok(try_join_all(asked).await.map_err(Failure::of(what))?.concat())
    }

    async fn try_all(&self, commands: &[(String, Cmd)]) -> Result<Vec<Value>, RedisError> {
        let mut shares: BTreeMap<Address, (Vec<usize>, Pipeline)> = BTreeMap::new();
        for (at, (key, command)) in commands.iter().enumerate() {
            let (places, share) = shares.entry(self.owner(key).await?).or_default();
            places.push(at);
            share.add_command(command.clone());
        }
        let asked = shares.iter().map(|(owner, (places, share))| async move {
            let answers = self.send(owner, share).await?;
            Ok::<_, RedisError>(places.iter().copied().zip(answers).collect::<Vec<_>>())
        });
        let mut answers = try_join_all(asked).await?.concat();
        answers.sort_unstable_by_key(|(at, _)| *at);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    async fn send(&self, owner: &Address, share: &Pipeline) -> Result<Vec<Value>, RedisError> {
        let sent = match self.line(owner).await {
            Err(error) => Err(error),
            Ok(mut line) => {
                let answers = share.query_async(&mut line.connection).await.map_err(first);
                answers.inspect_err(|error| _ = line.cut.fetch_or(is_cut(error), Ordering::AcqRel))
            }
        };
        sent.inspect_err(|error| {
            if is_cut(error) || is_elsewhere(error) {
                self.doubt();
            }
        })
    }

    /// Returns the server that has a key.
    pub(crate) async fn owner(&self, key: &str) -> Result<Address, RedisError> {
        if self.is_cluster && self.doubted.load(Ordering::Acquire) {
            // If nobody answers, the old map may still do.
            let _ = self.look().await;
        }
        let map = self.map.read().clone();
        let nobody = || RedisError::from((redis::ErrorKind::ClusterConnectionNotFound, "no server has this slot"));
        map.owner(slot(key)).cloned().ok_or_else(nobody)
    }

    /// Lets the map be asked for again before it is used.
    pub(crate) fn doubt(&self) {
        self.doubted.store(true, Ordering::Release);
    }

    /// Asks the servers of a cluster, one after the other, who has what.
    async fn look(&self) -> Result<(), Failure> {
        let mut asked = self.asked.lock().await;
        if asked.is_some_and(|last| last.elapsed() < MAP_EVERY) {
            return Ok(());
        }
        *asked = Some(Instant::now());
        let known = self.map.read().clone();
        let mut candidates: Vec<Address> = known.servers().cloned().collect();
        candidates.extend(self.seeds.iter().filter_map(|seed| address(seed.addr())));
        candidates.dedup();
        let mut failure = Failure::unavailable("ask a Redis Cluster for its slots");
        for candidate in candidates {
            match self.map_of(&candidate).await {
                Ok(map) => {
                    self.leave_others(&map);
                    *self.map.write() = Arc::new(map);
                    self.doubted.store(false, Ordering::Release);
                    return Ok(());
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Gives up the connections to servers that are neither in the map nor where a map is asked for.
    fn leave_others(&self, map: &Map) {
        let mut kept: BTreeSet<Address> = map.servers().cloned().collect();
        kept.extend(self.seeds.iter().filter_map(|seed| address(seed.addr())));
        self.lines.lock().retain(|server, _| kept.contains(server));
    }

    async fn map_of(&self, server: &Address) -> Result<Map, Failure> {
        let what = "ask a Redis Cluster for its slots";
        let mut line = self.line(server).await.map_err(Failure::of(what))?;
        let answer = cmd("CLUSTER").arg("SLOTS").query_async(&mut line.connection).await;
        let answer = answer.inspect_err(|error| _ = line.cut.fetch_or(is_cut(error), Ordering::AcqRel));
        let map = Map::read(answer.map_err(Failure::of(what))?, server);
        map.ok_or_else(|| Failure::unavailable("read the slots of a Redis Cluster"))
    }

    /// Returns the connection to a server, made anew if it broke. Who else needs it waits for the same attempt, and fails
    /// with it: else they would fail one after the other, each after a time-out of their own.
    async fn line(&self, server: &Address) -> Result<Line, RedisError> {
        let place = self.lines.lock().entry(server.clone()).or_default().clone();
        let called = Instant::now();
        let mut place = place.lock().await;
        if let Some(line) = place.line.as_ref().filter(|line| !line.cut.load(Ordering::Acquire)) {
            return Ok(line.clone());
        }
        if let Some((_, error)) = place.failed.as_ref().filter(|(at, _)| *at >= called) {
            return Err(error.clone());
        }
        let cut = Arc::new(AtomicBool::new(false));
        let noted = cut.clone();
        let connected = self.connect(server, move |push| note_end(&noted, &push)).await;
        place.line =
            connected.as_ref().ok().map(|connection| Line { connection: connection.clone(), cut: cut.clone() });
        place.failed = connected.as_ref().err().map(|error| (Instant::now(), error.clone()));
        connected.map(|connection| Line { connection, cut })
    }

    /// Makes a connection of the caller's own.
    pub(crate) async fn connect(
        &self,
        server: &Address,
        pushed: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN))
            .set_push_sender(move |push| {
                pushed(push);
                Ok::<_, std::convert::Infallible>(())
            });
        let like = self.seeds.first().cloned().ok_or((redis::ErrorKind::InvalidClientConfig, "no server"))?;
        let client = Client::open(at(like, server))?;
        client.get_multiplexed_async_connection_with_config(&config).await
    }
}

/// Reads an answer.
pub(crate) fn read<T: FromRedisValue>(what: &'static str, answer: Value) -> Result<T, Failure> {
    from_redis_value(answer).map_err(|error| Failure::of(what)(RedisError::from(error)))
}

/// Returns the first error of several, which alone has a code.
fn first(error: RedisError) -> RedisError {
    let errors = error.clone().into_server_errors();
    errors.and_then(|errors| errors.first().map(|(_, first)| first.clone().into())).unwrap_or(error)
}

fn note_end(cut: &AtomicBool, push: &PushInfo) {
    if push.kind == PushKind::Disconnection {
        cut.store(true, Ordering::Release);
    }
}

fn address(of: &ConnectionAddr) -> Option<Address> {
    match of {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            Some(Address { host: host.clone(), port: *port })
        }
        _ => None,
    }
}

/// Returns how to reach another server of the same cluster: with the same password, over TLS or not.
fn at(like: ConnectionInfo, server: &Address) -> ConnectionInfo {
    let Address { host, port } = server.clone();
    let address = match like.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host, port),
    };
    like.set_addr(address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[tokio::test]
    #[ignore = "needs a Redis Cluster: scripts/test"]
    async fn connections_to_servers_that_have_left_the_cluster_are_given_up() {
        let url = std::env::var("CHAT_TEST_REDIS_CLUSTER").expect("where it is: see scripts/services");
        let first = url.split(',').next().unwrap();
        let servers = Servers::open(&RedisConfig::new(first)).await.unwrap();
        servers.ask_everybody("ping", cmd("PING")).await.unwrap();
        let before: Vec<_> = servers.lines.lock().keys().cloned().collect();
        assert_eq!(before.len(), 3);
        // As if it had been in the map before.
        let gone = Address { host: "127.0.0.1".into(), port: 1 };
        assert!(servers.line(&gone).await.is_err());
        assert_eq!(servers.lines.lock().len(), 4);
        tokio::time::sleep(MAP_EVERY).await;
        servers.doubt();
        servers.owner("key").await.unwrap();
        assert_eq!(servers.lines.lock().keys().cloned().collect::<Vec<_>>(), before);
    }
}
