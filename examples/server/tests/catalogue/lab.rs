//! Runs a case, and checks afterwards what holds always.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    net::TcpStream,
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    case::{Case, tcp_from},
    server::{Server, Site, key},
    socket::Socket,
    upstream::Upstream,
    vitals::{Measure, Vitals},
};

/// The longest case there is: two heartbeats of a silent client.
const CASE_WITHIN: Duration = Duration::from_secs(80);
/// What memory may grow by whatever was sent.
const MEMORY_SLACK: u64 = 1024 * 1024;
/// Nobody may say more than ten things a second for long, and cases may be quicker than that.
const WITNESS_PAUSE: Duration = Duration::from_millis(100);
/// A log line longer than this could be made to fill a disk.
const LOG_LINE_MAX: usize = 2 * 1024;

/// The server of the `shared` cases. It ends with the last case that holds it; each holds it while it waits for its
/// turn, so there is one server for all of them.
static SHARED: Mutex<Weak<Lab>> = Mutex::const_new(Weak::new());
/// Cases take turns, since memory and processor time are those of the process.
static TURN: Mutex<()> = Mutex::const_new(());

/// Is a running server with somebody on it who behaves.
pub(crate) struct Lab {
    pub(crate) server: Server,
    vitals: Vitals,
    witness: Witness,
    stranger: Arc<Stranger>,
    upstream: Upstream,
    memory_mark: AtomicU64,
    visits: AtomicU64,
}

struct Witness {
    token: String,
    room: String,
    speaks_after: Mutex<Instant>,
}

/// Is somebody else, of whom a case should learn nothing.
#[derive(Debug)]
pub(crate) struct Stranger {
    pub(crate) token: String,
    /// A room of theirs that nobody else knows of.
    pub(crate) secret: String,
    /// A public room of theirs, with a message at 2.
    pub(crate) public: String,
}

/// Runs a case when its turn comes, on the server of all.
pub(crate) fn shared(name: &str, stated: &str, attack: impl AsyncFnOnce(&mut Case) -> String) {
    block_on(async { conclude(in_turn(name, stated, attack).await) });
}

async fn in_turn(name: &str, stated: &str, attack: impl AsyncFnOnce(&mut Case) -> String) -> Result<(), String> {
    let _held = Lab::shared().await;
    let _turn = TURN.lock().await;
    let lab = Lab::shared().await; // another one, if the case before has broken it
    let outcome = lab.examine(name, stated, attack).await;
    if outcome.is_err() {
        *SHARED.lock().await = Weak::new();
    }
    outcome
}

/// Runs a case at once, on a server of its own, while others run.
pub(crate) fn alone(name: &str, stated: &str, attack: impl AsyncFnOnce(&mut Case) -> String) {
    block_on(async {
        let _held = Lab::shared().await;
        conclude(Lab::start().await.examine(name, stated, attack).await);
    });
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

fn conclude(outcome: Result<(), String>) {
    if let Err(faults) = outcome {
        panic!("{faults}");
    }
}

impl Lab {
    async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(lab) = shared.upgrade() {
            return lab;
        }
        let lab = Arc::new(Self::start().await);
        *shared = Arc::downgrade(&lab);
        lab
    }

    async fn start() -> Self {
        let upstream = Upstream::start();
        let quotes = ["--quote-private", "--quote-url", &upstream.template()];
        let server = Server::start(&[&["--allowed-origin", "https://ok.example"][..], &quotes].concat());
        let token = server.token_of_new("witness").await;
        let room = server.create_room(&token, "where nothing bad happens").await;
        let stranger = Arc::new(Stranger::come(&server).await);
        let witness = Witness { token, room, speaks_after: Mutex::new(Instant::now()) };
        let vitals = Vitals::of(server.pid());
        let (memory_mark, visits) = (AtomicU64::new(0), AtomicU64::new(0));
        let lab = Self { server, vitals, witness, stranger, upstream, memory_mark, visits };
        lab.warm_up().await;
        lab
    }

    /// Uses what every case uses, since whatever is used for the first time takes memory for ever: code, caches, pools.
    async fn warm_up(&self) {
        for _ in 0..3 {
            let mut case = self.case().await;
            crate::case::visit(&mut case).await;
            let mut witness = self.witness_comes().await;
            self.witness_says(&mut witness).await;
        }
    }

    /// Returns a number that nobody has had, and its address: what is counted per address is not spent by those before.
    fn next(&self) -> (u64, Ipv4Addr) {
        let number = self.visits.fetch_add(1, Ordering::Relaxed);
        let [.., high, low] = number.to_be_bytes();
        (number, Ipv4Addr::new(127, 1 + high, low, 1))
    }

    /// Makes a case with a user and a room of its own, from an address of its own.
    async fn case(&self) -> Case {
        let (number, address) = self.next();
        let site: Site = self.server.seen_from(address.into());
        let measure = Measure::begin(self.vitals, self.memory_mark.load(Ordering::Relaxed));
        let others = (self.stranger.clone(), self.upstream.clone());
        Case::new(site, address, format!("mallory-{number}"), others, measure).await
    }

    async fn examine(
        &self,
        name: &str,
        stated: &str,
        attack: impl AsyncFnOnce(&mut Case) -> String,
    ) -> Result<(), String> {
        let mut case = self.case().await;
        let mut witness = self.witness_comes().await;
        let logged = self.server.log().len();
        case.measure.restart();
        let observed = tokio::select! {
            observed = attack(&mut case) => observed,
            // As good clients do; else nobody would answer the server's pings.
            end = witness.listens() => format!("the witness was cut off: {end}"),
            () = sleep(CASE_WITHIN) => "no end".into(),
        };
        let mut faults = Vec::new();
        if observed != stated {
            faults.push(format!("stated: {stated}\nobserved: {observed}"));
        }
        if self.vitals.is_alive() {
            faults.extend(self.excess(name, &case));
            self.witness_says(&mut witness).await;
            faults.extend(case.fault_in_room().await);
        } else {
            faults.push("the server is dead".into());
        }
        let log = self.server.log().split_off(logged);
        faults.extend(log.lines().filter(|line| line.len() > LOG_LINE_MAX).map(|_| "a long line in the log".into()));
        faults.extend(log.contains("panicked").then(|| "a panic".into()));
        if faults.is_empty() { Ok(()) } else { Err(format!("{}\n{log}", faults.join("\n"))) }
    }

    /// Says what the case took too much of.
    fn excess(&self, name: &str, case: &Case) -> Vec<String> {
        let (measure, sent) = (&case.measure, case.bytes_sent());
        let (grown, cpu) = (measure.grown(), measure.cpu());
        self.memory_mark.fetch_max(measure.mark, Ordering::Relaxed);
        if std::env::var("CATALOGUE").is_ok_and(|wish| wish == "measure") {
            let [mark, grown, sent] = [measure.mark, grown, sent].map(|bytes| bytes / 1024);
            eprintln!("{name}: {mark} KiB grew by {grown}, {sent} KiB sent, {cpu:?}");
        }
        let mut faults = Vec::new();
        if grown > case.memory_allowed() + MEMORY_SLACK {
            faults.push(format!("memory grew by {} KiB for {} KiB sent", grown / 1024, sent / 1024));
        }
        // A busy machine makes everything slower, but not five times: that is another algorithm.
        if cpu > 5 * case.cpu_expected() {
            faults.push(format!("{cpu:?} of the processor, five times {:?} at most", case.cpu_expected()));
        }
        faults
    }

    async fn witness_comes(&self) -> Socket<TcpStream> {
        let stream = tcp_from(self.next().1, &self.server).await;
        let mut socket = Socket::over(stream, &self.server, &self.witness.token).await;
        socket.hear_followed(&self.witness.room).await;
        socket
    }

    /// Whoever behaves is served as before: a connection that was open all the time, and a new one.
    async fn witness_says(&self, old: &mut Socket<TcpStream>) {
        let mut new = self.witness_comes().await;
        let mut speaks_after = self.witness.speaks_after.lock().await;
        sleep_until(*speaks_after).await;
        *speaks_after = Instant::now() + WITNESS_PAUSE;
        let text = format!("all is well, {}", self.next().0);
        old.post(&self.witness.room, &text).await;
        for socket in [old, &mut new] {
            while socket.hear_text().await["body"]["text"] != *text {}
        }
    }
}

impl Stranger {
    async fn come(server: &Server) -> Self {
        let token = server.token_of_new("stranger").await;
        let spec = json!({ "title": "secret", "visibility": "private" });
        let secret = server.post_as(&token, "/chat/rooms", json!({ "key": key(), "spec": spec })).await;
        let secret = secret.json()["room"].as_str().unwrap().to_owned();
        let public = server.create_room(&token, "public").await;
        let body = json!({ "kind": "text", "text": "mine" });
        for room in [&secret, &public] {
            server
                .post_as(&token, &format!("/chat/rooms/{room}/messages"), json!({ "key": key(), "body": body }))
                .await;
        }
        Self { token, secret, public }
    }
}

/// Cases may end quicker than anybody may speak.
#[test]
fn the_witness_is_heard_however_quick_the_cases_are() {
    block_on(async {
        let lab = Lab::start().await;
        let mut witness = lab.witness_comes().await;
        for _ in 0..40 {
            lab.witness_says(&mut witness).await;
        }
    });
}

/// What the harness does not notice, no case shows.
#[test]
fn what_differs_from_a_row_or_costs_too_much_is_noticed() {
    block_on(async {
        let other = in_turn("another reply", "426", async |_| "101".into()).await;
        assert!(other.is_err_and(|faults| faults.contains("stated: 426\nobserved: 101")));

        let stored = in_turn("stored unstated", "", async |case| {
            let body = json!({ "kind": "text", "text": "unstated" });
            let path = format!("/chat/rooms/{}/messages", case.room);
            case.site.post_as(&case.token, &path, json!({ "key": key(), "body": body })).await;
            String::new()
        });
        assert!(stored.await.is_err_and(|faults| faults.contains("the room's head is 2, not 1")));

        let costly = in_turn("500 connections", "", async |case| {
            case.takes(Duration::from_millis(1));
            let mut open = Vec::new();
            for neighbour in case.neighbours(5) {
                open.append(&mut neighbour.as_many_as_possible(100).await);
            }
            String::new()
        });
        let faults = costly.await.unwrap_err();
        assert!(faults.contains("memory grew by") && faults.contains("of the processor"), "{faults}");
    });
}
