//! Servers joined by Redis, which also knows who is online, or by what they tell each other over it.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    bots::Bot,
    server::{Server, file},
    socket::Socket,
    variable,
};

/// Users of a dead server are offline everywhere by then: a lease of 30 s, and one look of 5 s.
const OFFLINE_WITHIN: Duration = Duration::from_secs(35);
/// What is left of a lease at the least when a server is killed: it is refreshed every 10 s.
const LEASE_LEFT_MIN: Duration = Duration::from_secs(15);
/// Twice as long as watchers wait between two looks: whatever would be told twice has been told by then.
const TWO_LOOKS: Duration = Duration::from_secs(10);

static CLUSTERS: AtomicU32 = AtomicU32::new(0);

/// Is what the servers of one chat share: a schema, a namespace, a secret, and the accounts.
struct Cluster {
    flags: Vec<String>,
    _shared: TempDir,
}

impl Cluster {
    /// `redis` names the variable that says where the Redis is, which carries hints.
    fn new(redis: &str) -> Self {
        let name = format!("c{}_{}", std::process::id(), CLUSTERS.fetch_add(1, Ordering::Relaxed));
        let redis = format!("{}?namespace={name}", variable(redis));
        let shared = tempfile::tempdir().unwrap();
        let secret = file(&shared, "secret", "0123456789abcdef");
        let accounts = format!("sqlite:{}", shared.path().join("accounts.db").display());
        let store = format!("{}?schema={name}", variable("CHAT_TEST_POSTGRES"));
        let flags = ["--store", &store, "--accounts", &accounts, "--broker", &redis];
        let flags = flags.into_iter().chain(["--secret-file", secret.to_str().unwrap()]);
        Self { flags: flags.map(str::to_owned).collect(), _shared: shared }
    }

    /// Lets the same Redis know who is online.
    fn with_presence(mut self) -> Self {
        self.flags.extend(["--presence".to_owned(), self.redis().to_owned()]);
        self
    }

    /// Lets it hand commands to bots elsewhere.
    fn with_queue(mut self) -> Self {
        self.flags.extend(["--queue".to_owned(), self.redis().to_owned()]);
        self
    }

    fn redis(&self) -> &str {
        let broker = self.flags.iter().position(|flag| flag == "--broker").unwrap();
        &self.flags[broker + 1]
    }

    fn start(&self) -> Server {
        Server::start(&self.flags.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

async fn online(watcher: &mut Socket, room: &str, user: &str) -> bool {
    watcher.say(json!({ "type": "members", "ref": 9, "room": room, "limit": 200 })).await;
    let members = watcher.hear("members").await;
    let member = members["members"].as_array().unwrap().iter().find(|member| member["user"] == user).cloned();
    member.expect("a member")["online"].as_bool().unwrap()
}

async fn presence(watcher: &mut Socket, user: &str) -> bool {
    loop {
        let signal = watcher.hear("signal").await;
        if signal["kind"] == "presence" && signal["user"] == user {
            return signal["online"].as_bool().unwrap();
        }
    }
}

/// Hears a signal of this user that is in no log, so that only the broker can have brought it.
async fn hear_typing(watcher: &mut Socket, user: &str) {
    loop {
        let signal = watcher.hear("signal").await;
        if signal["kind"] == "typing" && signal["user"] == user {
            return;
        }
    }
}

/// Lets ann on one server and bob on another see and hear each other. Returns the servers and ann's socket.
async fn two_servers_are_one_chat(cluster: &Cluster) -> (Server, Server, Socket) {
    let (one, other) = (cluster.start(), cluster.start());
    let ann = one.token_of_new("ann").await;
    let bob = other.token_of_new("bob").await;
    let room = one.create_room(&ann, "tea").await;
    other.join(&bob, &room).await;

    let mut at_one = Socket::open(&one, &ann).await;
    at_one.hear_followed(&room).await;
    assert!(!online(&mut at_one, &room, "bob").await, "bob has no session yet");
    let mut at_other = Socket::open(&other, &bob).await;
    at_other.hear_followed(&room).await;
    assert!(presence(&mut at_one, "bob").await, "bob came, on the other server");
    assert!(online(&mut at_other, &room, "ann").await);

    at_other.say(json!({ "type": "signal", "room": room, "signal": "typing", "on": true })).await;
    hear_typing(&mut at_one, "bob").await;
    at_other.post(&room, "hello").await;
    assert_eq!(at_one.hear_text().await["body"]["text"], "hello");
    tokio::spawn(async move { at_other.listens().await }); // bob stays as long as the server does
    (one, other, at_one)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis: scripts/test"]
async fn users_of_a_server_that_is_killed_leave_once_and_in_time() {
    let cluster = Cluster::new("CHAT_TEST_REDIS").with_presence();
    let (_one, other, mut at_one) = two_servers_are_one_chat(&cluster).await;
    other.signal("KILL");
    let heard = at_one.frames_within(OFFLINE_WITHIN + TWO_LOOKS).await;
    let told: Vec<_> = heard.iter().filter(|(_, frame)| frame["kind"] == "presence").collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let (after, leave) = told[0];
    assert_eq!((&leave["user"], &leave["online"]), (&json!("bob"), &json!(false)));
    assert!(*after <= OFFLINE_WITHIN, "{after:?}");
    assert!(*after >= LEASE_LEFT_MIN, "offline after {after:?}, before the lease was over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and a Redis Cluster: scripts/test"]
async fn a_redis_cluster_joins_servers_as_one_redis_does() {
    let cluster = Cluster::new("CHAT_TEST_REDIS_CLUSTER").with_presence();
    who_leaves_in_order_is_offline_at_once(&cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and Redis: scripts/test"]
async fn servers_without_a_presence_store_tell_each_other_who_is_online() {
    who_leaves_in_order_is_offline_at_once(&Cluster::new("CHAT_TEST_REDIS")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and a Redis Cluster: scripts/test"]
async fn a_bot_in_another_process_answers_over_redis() {
    let cluster = Cluster::new("CHAT_TEST_REDIS_CLUSTER").with_queue();
    let server = cluster.start();
    let ann = server.token_of_new("ann").await;
    let room = server.create_room(&ann, "tea").await;
    let mut socket = Socket::open(&server, &ann).await;
    socket.hear_followed(&room).await;
    let _bot = Bot::start_on(cluster.redis());
    socket.post(&room, "/stock=AAPL.US").await;
    let answer = socket.hear_text().await;
    assert!(
        answer["author"] == "bot:stock" && answer["body"]["text"].as_str().unwrap().contains("AAPL.US quote is"),
        "{answer}"
    );
}

async fn who_leaves_in_order_is_offline_at_once(cluster: &Cluster) {
    let (_one, mut other, mut at_one) = two_servers_are_one_chat(cluster).await;
    other.signal("TERM");
    other.ended();
    assert!(!presence(&mut at_one, "bob").await);
}
