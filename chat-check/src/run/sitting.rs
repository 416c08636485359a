//! A process of connections that only sit there: it is told by one line of JSON after the other, and tells in the same way.
//!
//! Each client is a hub as people have it, with their back-off; all share one proxy, which stands for the load balancer
//! before the nodes. A process may have only so many files open, and each client needs three.

use std::{
    collections::BTreeMap,
    io::{BufRead, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use chat_core::{Event as Told, Hub, RoomId};
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::Failure;
use crate::proxy::{Proxy, Watch};

/// Is what such a process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Connect so many, each as one of these people, by turns.
    Sit {
        /// A token, and the one room that is followed.
        people: Vec<(String, RoomId)>,
        count: u32,
        nodes: Vec<SocketAddr>,
    },
    /// From now on connections lead there.
    Lead(Vec<SocketAddr>),
}

/// Is what it tells: what has happened since it told something last.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct News {
    /// Clients that are there, for the first time.
    pub(super) seated: u32,
    /// Connections that were opened by clients that had been there before.
    pub(super) opened: u64,
    /// An entry, by its room and place, and how many clients received it.
    pub(super) heard: Vec<(RoomId, u64, u64)>,
    /// What no client should see: an entry that is not the next one, a room that is lost.
    pub(super) wrong: Vec<String>,
}

/// Connections that are made at once.
const AT_ONCE: usize = 48;
/// Something is told this often.
const TOLD_EVERY: Duration = Duration::from_millis(20);
/// More of what is wrong helps nobody.
const WRONG_MAX: usize = 20;

/// Sits there until nobody gives orders any more.
///
/// # Errors
/// If the first connections cannot be made.
pub async fn sit() -> Result<(), Failure> {
    let mut orders = orders();
    let Some(Order::Sit { people, count, nodes }) = orders.recv().await else { return Err("no word of whom".into()) };
    let board = Arc::<Mutex<Board>>::default();
    let opened = board.clone();
    let watcher = move || {
        opened.lock().opened += 1;
        Box::new(Passing) as Box<dyn Watch>
    };
    let proxy = Proxy::watched(*nodes.first().ok_or("there is no node")?, Arc::new(watcher)).await?;
    proxy.lead_to_each(nodes, 0);
    let url = format!("ws://{}/chat/ws", proxy.address());
    let clients = people.iter().cycle().take(count as usize).map(|(token, room)| client(&url, token, *room, &board));
    let hubs: Vec<RemoteHub> = stream::iter(clients.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
    board.lock().seat(count);
    let mut ticks = interval(TOLD_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Lead(nodes)) => proxy.moved(nodes),
                Some(Order::Sit { .. }) => return Err("all seats are taken".into()),
                None => break,
            },
            _ = ticks.tick() => board.lock().tell()?,
        }
    }
    drop(hubs);
    Ok(())
}

/// Reads orders in a thread: there is no other way to wait for the standard input.
fn orders() -> mpsc::UnboundedReceiver<Order> {
    let (taken, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let Ok(order) = serde_json::from_str(&line) else { return };
            if taken.send(order).is_err() {
                return;
            }
        }
    });
    orders
}

async fn client(url: &str, token: &str, room: RoomId, board: &Arc<Mutex<Board>>) -> Result<RemoteHub, Failure> {
    let config = ClientConfig::default().header("authorization", format!("Bearer {token}"));
    let hub = RemoteHub::connect(url, config).await?;
    let mut events = hub.events(Vec::new());
    // It sits when it follows the room.
    let mut place = Place::default();
    while place.at.is_none() {
        let event = events.next().await.ok_or("a client ends before it begins")?;
        place.hears(room, &event, board);
    }
    tokio::spawn(listen(events, room, place, board.clone()));
    Ok(hub)
}

async fn listen(mut events: BoxStream<'static, Told>, room: RoomId, mut place: Place, board: Arc<Mutex<Board>>) {
    while let Some(event) = events.next().await {
        place.hears(room, &event, &board);
    }
}

/// Is where a client stands in its room.
#[derive(Default)]
struct Place {
    at: Option<u64>,
}

impl Place {
    fn hears(&mut self, room: RoomId, event: &Told, board: &Mutex<Board>) {
        match event {
            Told::Entry(entry) if entry.room == room => {
                let (seq, due) = (entry.seq.get(), self.at.map(|at| at + 1));
                if due.is_some_and(|due| due != seq) {
                    board.lock().blame(format!("{seq} came where {due:?} was due"));
                }
                self.at = Some(seq);
                *board.lock().heard.entry((room, seq)).or_default() += 1;
            }
            Told::Followed { room: followed, head } if *followed == room && self.at.is_none() => {
                self.at = Some(head.get());
            }
            Told::Unfollowed { room: lost, why } if *lost == room => board.lock().blame(format!("lost: {why:?}")),
            Told::Gap { room: of, from, to, .. } if *of == room => {
                board.lock().blame(format!("a gap from {from} to {to}"));
            }
            Told::Reset(of) if *of == room => board.lock().blame("a reset".to_owned()),
            Told::Closed(why) => board.lock().blame(format!("ended: {why}")),
            _ => {}
        }
    }
}

/// Collects what is to be told.
#[derive(Default)]
struct Board {
    seated: u32,
    opened: u64,
    heard: BTreeMap<(RoomId, u64), u64>,
    wrong: Vec<String>,
}

impl Board {
    /// All are there. Their first connections are no news.
    fn seat(&mut self, count: u32) {
        (self.seated, self.opened) = (count, 0);
    }

    fn blame(&mut self, what: String) {
        if self.wrong.len() < WRONG_MAX {
            self.wrong.push(what);
        }
    }

    fn tell(&mut self) -> Result<(), Failure> {
        let Self { seated, opened, heard, wrong } = std::mem::take(self);
        let heard = heard.into_iter().map(|((room, seq), count)| (room, seq, count)).collect();
        let news = News { seated, opened, heard, wrong };
        if news != News::default() {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{}", serde_json::to_string(&news)?)?;
            out.flush()?;
        }
        Ok(())
    }
}

/// Lets everything through.
struct Passing;

impl Watch for Passing {
    fn asked(&mut self, _: &[u8]) -> bool {
        true
    }

    fn answered(&mut self, _: &[u8]) -> bool {
        true
    }

    fn hung_up(&mut self) {}
}
