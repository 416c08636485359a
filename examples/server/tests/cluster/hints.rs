//! What strangers say to running servers at their broker: rows A7 and A15 of the catalogue, on RabbitMQ and on Redis.

use std::{sync::Arc, time::Duration};

use chat_broker_amqp::{AmqpBroker, AmqpConfig};
use chat_core::{
    Broker, RoomId,
    broker::{Attached, Heard, Topic},
    model::NodeId,
};
use chat_redis::RedisBroker;
use futures::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    bots::texts,
    rabbitmq::{Guest, SECRET, Shared, repairs, talk},
    server::{PATIENCE, Server},
};

/// How often a node reads a log at most because somebody announces what is not there.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Is two servers with ann and bob on them, and a stranger at their broker.
struct Lab {
    servers: [Server; 2],
    /// Who made the room, and reads it.
    host: String,
    ann: Guest,
    bob: Guest,
    stranger: Stranger,
    /// Last, so that it goes last.
    _shared: Shared,
}

struct Stranger {
    attached: Attached,
    room: RoomId,
}

impl Lab {
    async fn over(at: &str, name: &str, parameters: &str) -> Self {
        let shared = Shared::over(at, name, parameters);
        let servers = [shared.server(), shared.server()];
        let host = servers[0].token_of_new("host").await;
        let room = servers[0].create_room(&host, "tea").await;
        let (ann, bob) = (Guest::join(&servers[0], "ann", &room).await, Guest::join(&servers[1], "bob", &room).await);
        let broker: Arc<dyn Broker> = match shared.broker() {
            url if url.starts_with("amqp") => Arc::new(AmqpBroker::new(AmqpConfig::parse(url).unwrap())),
            url => Arc::new(RedisBroker::open(url).await.unwrap()),
        };
        let stranger = Stranger::attach(&*broker, room.parse().unwrap()).await;
        Self { servers, host, ann, bob, stranger, _shared: shared }
    }

    async fn repairs(&self) -> u64 {
        repairs(&self.servers[0]).await + repairs(&self.servers[1]).await
    }

    /// Sees that people hear each other and nobody else, and that nothing else is stored.
    async fn talks_as_if_nothing_were(&mut self, before: &[&str], about: &str) {
        talk(&mut self.ann, &mut self.bob, 3, about).await;
        let said = (0..3).flat_map(|turn| [format!("{about} {turn}?"), format!("{about} {turn}!")]);
        let mut expected: Vec<_> = before.iter().map(ToString::to_string).chain(said).collect();
        expected.sort();
        for server in &self.servers {
            assert_eq!(texts(server, &self.host, &self.stranger.room.to_string()).await, expected);
        }
    }
}

impl Stranger {
    async fn attach(broker: &dyn Broker, room: RoomId) -> Self {
        let attached = broker.attach(NodeId::random([9; 16])).await.unwrap();
        attached.link.listen(&[Topic::of(room)]).await.unwrap();
        Self { attached, room }
    }

    /// Says something, sealed with a secret or with nothing.
    async fn says(&self, seal: Option<&str>, hint: Value) {
        self.sends(&[payload(seal, &hint)]).await;
    }

    async fn sends(&self, payloads: &[Vec<u8>]) {
        let batch: Vec<_> = payloads.iter().map(|bytes| (Topic::of(self.room), bytes.clone().into())).collect();
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.attached.link.publish(&batch).await {
            assert!(error.is_transient() && Instant::now() < deadline, "{error}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns what the servers have said until now.
    async fn overhears(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        while heard.len() < count {
            let next = timeout(PATIENCE, self.attached.heard.next()).await.expect("hints").unwrap();
            if let Heard::Payload { bytes, .. } = next {
                heard.push(bytes.to_vec());
            }
        }
        heard
    }

    /// An entry as it would stand in a hint.
    fn entry(&self, seq: i64) -> Value {
        json!({
            "room": self.room.to_string(), "seq": seq, "id": "01932f5c-8a70-7c3e-9d1a-5b7e2f4c6a01",
            "key": "01932f5c-8a6b-7f20-8c5d-3e9b1a7d4f02", "author": "ann", "name": "Ann",
            "body": { "kind": "text", "text": "a lie" }, "at": 1, "sent_at": 1
        })
    }

    fn stored(&self, first: i64, last: i64, seq: i64) -> Value {
        json!({ "room": self.room.to_string(), "first": first, "last": last, "entries": [self.entry(seq)] })
    }
}

/// Writes a payload as servers do.
fn payload(seal: Option<&str>, hint: &Value) -> Vec<u8> {
    let body = json!({ "node": NodeId::random([9; 16]).to_string(), "hints": [hint] }).to_string();
    let seal = seal.map_or([0; 32], |secret| {
        let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.chain_update([1]).chain_update(&body).finalize().into_bytes().into()
    });
    [&[1], &seal[..], body.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn over_rabbitmq_the_log_wins() {
    a7_the_log_wins(Lab::over("CHAT_TEST_AMQP", "a7f", "").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn over_partitioned_rabbitmq_the_log_wins() {
    a7_the_log_wins(Lab::over("CHAT_TEST_AMQP", "a7p", "&partitioned=1").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis: scripts/test"]
async fn over_redis_the_log_wins() {
    a7_the_log_wins(Lab::over("CHAT_TEST_REDIS", "a7r", "").await).await;
}

async fn a7_the_log_wins(mut lab: Lab) {
    lab.talks_as_if_nothing_were(&[], "before").await;
    let held = ["before 0?", "before 0!", "before 1?", "before 1!", "before 2?", "before 2!"];
    let genuine = lab.stranger.overhears(6).await;
    let next = 10; // the room, three who joined, six texts
    for seal in [None, Some("another secret altogether"), Some(SECRET)] {
        let lies = [(next, next, next), (1, 2, 2), (1_000_000, 1_000_000, 1_000_000), (-1, -1, -1), (next + 5, 3, 3)];
        for (first, last, seq) in lies {
            lab.stranger.says(seal, lab.stranger.stored(first, last, seq)).await;
        }
        let mut elsewhere = lab.stranger.stored(next, next, next);
        elsewhere["room"] = RoomId::named("another").to_string().into();
        lab.stranger.says(seal, elsewhere).await;
    }
    // What a server did say, again and upside down; and what nobody can read.
    let mut again: Vec<_> = genuine.iter().rev().cloned().collect();
    again.extend([vec![], vec![1], vec![2; 100], vec![0xff; 4_000], b"\x01{}".to_vec()]);
    lab.stranger.sends(&again).await;
    lab.talks_as_if_nothing_were(&held, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn over_rabbitmq_a_flood_is_a_read_every_50_ms() {
    a15_a_flood_is_a_read_every_50_ms(Lab::over("CHAT_TEST_AMQP", "a15a", "").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis: scripts/test"]
async fn over_redis_a_flood_is_a_read_every_50_ms() {
    a15_a_flood_is_a_read_every_50_ms(Lab::over("CHAT_TEST_REDIS", "a15r", "").await).await;
}

async fn a15_a_flood_is_a_read_every_50_ms(mut lab: Lab) {
    const HINTS: usize = 100_000;
    const AT_ONCE: usize = 250;
    lab.talks_as_if_nothing_were(&[], "before").await;
    let (begun, before) = (Instant::now(), lab.repairs().await);
    let flood = async {
        for number in 0..HINTS / AT_ONCE {
            let announced = |at| i64::try_from(1_000 + number * AT_ONCE + at).unwrap();
            let room = lab.stranger.room.to_string();
            let lies = (0..AT_ONCE).map(|at| json!({ "room": room, "first": announced(at), "last": announced(at) }));
            lab.stranger.sends(&lies.map(|hint| payload(None, &hint)).collect::<Vec<_>>()).await;
        }
        begun.elapsed()
    };
    let (flooded, ()) = tokio::join!(flood, talk(&mut lab.ann, &mut lab.bob, 20, "meanwhile"));
    talk(&mut lab.ann, &mut lab.bob, 1, "afterwards").await;
    let (looked, took) = (lab.repairs().await - before, begun.elapsed());
    eprintln!("{HINTS} hints in {flooded:?}, {looked} reads of the log in {took:?}");
    // Two servers look every 50 ms, and each message that comes meanwhile may be found by a look of its own.
    let looks = 2 * (took.as_millis() / LOOK_EVERY.as_millis()) + 100;
    // Five times as many would still be a hundredth of the hints.
    assert!(u128::from(looked) <= 5 * looks, "{looked} reads of the log in {took:?}");
}
