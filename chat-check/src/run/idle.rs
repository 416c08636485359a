//! Connections that only sit there, in [processes of their own](super::sitting), each with one room in which somebody
//! says something now and then, which they all have to hear once.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use chat_core::{Hub, Room, RoomId};
use futures::{TryStreamExt, future, stream, stream::StreamExt};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::sleep;

use super::{
    Failure,
    client::{Client, User},
    recorder::Recorder,
    rest::Rest,
    sitting::{News, Order},
    stage::{write_beginning, write_end},
};
use crate::history::{Event, Sample};

/// A process has three files for each, and may have 20,000 on some machines.
const PROCESS_MAX: u32 = 5_000;
/// So many follow one room, and are one user.
const HALL: u32 = 100;
/// Everybody sits within this.
const SEATED_WITHIN: Duration = Duration::from_mins(4);
/// Accounts and rooms that are made at once.
const AT_ONCE: usize = 8;

/// Is all of them. Dropping it ends the processes.
pub(super) struct Idlers {
    processes: Vec<Process>,
    board: Arc<Mutex<Board>>,
    halls: Vec<Arc<dyn Room>>,
    /// Speaks in all halls.
    crier: Arc<Client>,
    pub(super) count: u64,
}

/// Is what they have told.
#[derive(Default)]
struct Board {
    seated: u32,
    opened: u64,
    heard: HashMap<(RoomId, u64), u64>,
    wrong: Vec<String>,
}

/// Is what was said in each hall, and where it stands.
pub(super) struct Cry(Vec<(RoomId, u64)>);

impl Idlers {
    /// Connects everybody to these nodes, by turns.
    pub(super) async fn seat(
        all: u32,
        nodes: &[SocketAddr],
        recorder: &Recorder,
        rest: &Rest,
        owner: &User,
        crier: Arc<Client>,
    ) -> Result<Self, Failure> {
        let halls = 0..all.div_ceil(HALL);
        let made = stream::iter(halls).map(|number| hall(rest, owner, number, recorder)).buffered(AT_ONCE);
        let people: Vec<(String, RoomId)> = made.try_collect().await?;
        let halls = future::try_join_all(people.iter().map(|(_, room)| crier.hub.room(*room))).await?;
        let (board, count) = (Arc::<Mutex<Board>>::default(), all.into());
        let mut idlers = Self { processes: Vec::new(), board, halls, crier, count };
        let processes = all.div_ceil(PROCESS_MAX);
        for number in 0..processes {
            let count = all / processes + u32::from(number < all % processes);
            let order = Order::Sit { people: people.clone(), count, nodes: nodes.to_vec() };
            idlers.processes.push(Process::start(&order, idlers.board.clone(), recorder.clone())?);
        }
        let deadline = Instant::now() + SEATED_WITHIN;
        while idlers.board.lock().seated < all {
            if Instant::now() > deadline || idlers.processes.iter_mut().any(Process::has_ended) {
                return Err("those who only sit there cannot be seated".into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(idlers)
    }

    /// Leads connections that are made from now on to these nodes.
    pub(super) fn lead(&mut self, nodes: &[SocketAddr]) -> Result<(), Failure> {
        self.processes.iter_mut().try_for_each(|process| process.order(&Order::Lead(nodes.to_vec())))
    }

    /// Says something in every hall, and returns when it is stored.
    pub(super) async fn cry(&self) -> Result<Cry, Failure> {
        let said = self.halls.iter().map(async |hall| {
            let seq = self.crier.post(hall.clone(), self.crier.hub.draft_text("hear, hear")).await;
            Ok::<_, Failure>((hall.id(), seq.ok_or("what was said in a hall is not stored")?))
        });
        Ok(Cry(future::try_join_all(said).await?))
    }

    /// Returns how many have heard this.
    pub(super) fn heard(&self, cry: &Cry) -> u64 {
        let board = self.board.lock();
        cry.0.iter().filter_map(|said| board.heard.get(said)).sum()
    }

    /// Writes down who does not hear it in time, and what they saw that nobody should.
    pub(super) async fn settle(&self, cry: &Cry, within: Duration) {
        let deadline = Instant::now() + within;
        while self.heard(cry) < self.count && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
        let wrong = std::mem::take(&mut self.board.lock().wrong);
        for what in &wrong {
            eprintln!("one of those who sit there: {what}");
        }
        let missing = self.count - self.heard(cry).min(self.count);
        let sample = |what: &str, value| self.crier.recorder.add(Event::Sample(Sample { what: what.into(), value }));
        sample("idle_heard", self.heard(cry));
        sample("idle_missing", missing);
        sample("idle_wrong", wrong.len() as u64);
    }

    /// Writes the logs of the halls as they stand now.
    pub(super) async fn write_ends(&self, rest: &Rest) -> Result<(), Failure> {
        let Client { user, recorder, .. } = &*self.crier;
        for hall in &self.halls {
            write_end(rest, &user.token, hall.id(), recorder).await?;
        }
        Ok(())
    }

    /// Returns how many connections they have opened since all were there.
    pub(super) fn opened(&self) -> u64 {
        self.board.lock().opened
    }

    pub(super) fn halls(&self) -> u64 {
        self.halls.len() as u64
    }
}

/// Makes a hall with one user in it.
async fn hall(rest: &Rest, owner: &User, number: u32, recorder: &Recorder) -> Result<(String, RoomId), Failure> {
    let user = format!("sitter{number:03}");
    let token = rest.register(&user).await?;
    let spec = json!({ "title": format!("hall {number}"), "members": [user] });
    let room = rest.create(&owner.token, spec).await?;
    write_beginning(rest, &owner.token, room, recorder).await?;
    Ok((token, room))
}

/// Is one process.
struct Process {
    child: Child,
    orders: ChildStdin,
}

impl Process {
    fn start(order: &Order, board: Arc<Mutex<Board>>, recorder: Recorder) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("sit").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (orders, told) = pipes.ok_or("a process without pipes")?;
        let mut process = Self { child, orders };
        std::thread::spawn(move || {
            for line in BufReader::new(told).lines().map_while(Result::ok) {
                if let Ok(news) = serde_json::from_str(&line) {
                    board.lock().add(news, &recorder);
                }
            }
        });
        process.order(order)?;
        Ok(process)
    }

    fn order(&mut self, order: &Order) -> Result<(), Failure> {
        Ok(writeln!(self.orders, "{}", serde_json::to_string(order)?)?)
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait().map(drop));
    }
}

impl Board {
    fn add(&mut self, news: News, recorder: &Recorder) {
        self.seated += news.seated;
        self.opened += news.opened;
        if news.opened > 0 {
            recorder.add(Event::Sample(Sample { what: "opened".into(), value: news.opened }));
        }
        for (room, seq, count) in news.heard {
            *self.heard.entry((room, seq)).or_default() += count;
        }
        self.wrong.extend(news.wrong);
    }
}
