//! Servers joined by RabbitMQ.

use std::{process::Command, thread::panicking};

use tempfile::TempDir;

use crate::{
    server::{Server, file},
    socket::Socket,
    variable,
};

/// What servers of these tests sign with.
pub(crate) const SECRET: &str = "what the servers of this test share";

/// Is a database, a broker and accounts that servers share. What lasts in RabbitMQ is deleted at the end; so drop it after
/// the servers.
pub(crate) struct Shared {
    _folder: TempDir,
    /// Its schema and its namespace.
    own: String,
    flags: Vec<String>,
}

impl Shared {
    /// Makes a place of its own on the database and on RabbitMQ; `parameters` are the broker's.
    pub(crate) fn make(name: &str, parameters: &str) -> Self {
        Self::over("CHAT_TEST_AMQP", name, parameters)
    }

    /// Makes a place whose broker is at `server`, which is a variable's name.
    pub(crate) fn over(server: &str, name: &str, parameters: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = format!("{name}{}", std::process::id());
        let secret = file(&folder, "secret", SECRET);
        let accounts = format!("sqlite:{}", folder.path().join("accounts.db").display());
        let store = format!("{}?schema={own}", variable("CHAT_TEST_POSTGRES"));
        let broker = format!("{}?namespace={own}{parameters}", variable(server));
        let secret = secret.display().to_string();
        let flags = [
            "--store",
            &store,
            "--accounts",
            &accounts,
            "--broker",
            &broker,
            "--secret-file",
            &secret,
            "--load-profile",
        ];
        Self { flags: flags.map(str::to_owned).into(), own, _folder: folder }
    }

    pub(crate) fn server(&self) -> Server {
        Server::start(&self.flags.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Lets servers hand commands to bots elsewhere, over queues at `server`, which is a variable's name.
    pub(crate) fn with_queue(mut self, server: &str) -> Self {
        let queue = format!("{}?namespace={}", variable(server), self.own);
        self.flags.extend(["--queue".to_owned(), queue]);
        self
    }

    /// Returns the URL that [`with_queue`](Self::with_queue) has set.
    pub(crate) fn queue(&self) -> &str {
        self.flag("--queue")
    }

    /// Returns the URL of the broker.
    pub(crate) fn broker(&self) -> &str {
        self.flag("--broker")
    }

    /// Returns a name under which the broker keeps something of these servers.
    pub(crate) fn name(&self, rest: &str) -> String {
        format!("{}.{rest}", self.own)
    }

    fn flag(&self, name: &str) -> &str {
        let flag = self.flags.iter().position(|flag| flag == name).unwrap();
        &self.flags[flag + 1]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !self.flags.iter().any(|flag| flag.starts_with("amqp")) {
            return;
        }
        let ours = |kind| format!("{{resource, _, {kind}, <<\"{}.\", _/binary>>}} = N", self.own);
        let (queues, exchanges) = (ours("queue"), ours("exchange"));
        let deleted = services(&[
            "erlang",
            &format!(
                "[rabbit_amqqueue:delete(Q, false, false, <<\"test\">>) || Q <- rabbit_amqqueue:list(<<\"/\">>), \
                 {queues} <- [amqqueue:get_name(Q)]], [rabbit_exchange:delete(N, false, <<\"test\">>) || \
                 X <- rabbit_exchange:list(<<\"/\">>), {exchanges} <- [element(2, X)]]"
            ),
        ]);
        assert!(deleted || panicking(), "what these servers left in RabbitMQ cannot be deleted");
    }
}

/// Runs `scripts/services`, and returns whether it succeeded.
pub(crate) fn services(arguments: &[&str]) -> bool {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/services");
    Command::new(script).args(arguments).output().is_ok_and(|done| done.status.success())
}

/// Is somebody in a room, over one of the servers.
pub(crate) struct Guest {
    socket: Socket,
    room: String,
}

impl Guest {
    pub(crate) async fn join(server: &Server, user: &str, room: &str) -> Self {
        let token = server.token_of_new(user).await;
        server.join(&token, room).await;
        let mut socket = Socket::open(server, &token).await;
        socket.hear_followed(room).await;
        Self { socket, room: room.to_owned() }
    }

    pub(crate) async fn says(&mut self, text: &str) {
        self.socket.post(&self.room, text).await;
        self.hears(text).await; // one's own message, too
    }

    pub(crate) async fn hears(&mut self, text: &str) {
        assert_eq!(self.socket.hear_text().await["body"]["text"], text);
    }
}

/// Lets two people take turns, each hearing the other.
pub(crate) async fn talk(ann: &mut Guest, bob: &mut Guest, turns: u32, about: &str) {
    for turn in 0..turns {
        let (question, answer) = (format!("{about} {turn}?"), format!("{about} {turn}!"));
        ann.says(&question).await;
        bob.hears(&question).await;
        bob.says(&answer).await;
        ann.hears(&answer).await;
    }
}

/// Returns how often a server has read a log because hints had not told it enough.
pub(crate) async fn repairs(server: &Server) -> u64 {
    let metrics = server.operator("/metrics").await.text;
    let counted = metrics.lines().find_map(|line| line.strip_prefix("chat_repairs_total "));
    counted.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn people_on_two_servers_talk_as_if_on_one() {
    talk_over_two("talk", "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn people_on_two_servers_talk_over_a_partitioned_broker() {
    talk_over_two("part", "&partitioned=1").await;
}

async fn talk_over_two(name: &str, parameters: &str) {
    let shared = Shared::make(name, parameters);
    let (one, two) = (shared.server(), shared.server());
    let host = one.token_of_new("host").await;
    let room = one.create_room(&host, "tea").await;
    let (mut ann, mut bob) = (Guest::join(&one, "ann", &room).await, Guest::join(&two, "bob", &room).await);
    talk(&mut ann, &mut bob, 3, "weather").await;
    // A server looks into the database every second, and every 250 ms after an interruption: a look between a commit and
    // its hint finds the message first. That is 0 or 1 of 40, and more only while the machine is busy with something else.
    let mut looked = Vec::new();
    for round in 0..5 {
        let before = repairs(&one).await + repairs(&two).await;
        talk(&mut ann, &mut bob, 20, &format!("news {round}")).await;
        looked.push(repairs(&one).await + repairs(&two).await - before);
        if looked[round] <= 1 {
            return;
        }
    }
    panic!("of each 40 messages, so many were found in the database: {looked:?}");
}
