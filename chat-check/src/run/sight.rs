//! What a watcher sees of others: who is online in a list that it asks for, and what it is told after that.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use chat_core::{Event as Told, Hub, HubError, RoomId, model::Page};
use chat_transport_ws::client::RemoteHub;
use futures::StreamExt;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::{task::AbortHandle, time::timeout};

use super::{
    Failure,
    client::{User, config},
    frames::Frames,
    recorder::Recorder,
};
use crate::{
    history::{self, Event, Name, Sight},
    proxy::{Proxy, Watch},
};

/// Is what all watchers see now, by the stream of each. Clones are the same one.
#[derive(Clone)]
pub(super) struct Board {
    recorder: Recorder,
    seen: Arc<Mutex<HashMap<Name, HashMap<Name, bool>>>>,
}

impl Board {
    pub(super) fn of(recorder: Recorder) -> Self {
        Self { recorder, seen: Arc::default() }
    }

    /// Tells whether a watcher sees all these users like this.
    pub(super) fn sees<'a>(&self, c: &Name, mut users: impl Iterator<Item = &'a Name>, online: bool) -> bool {
        self.seen.lock().get(c).is_some_and(|seen| users.all(|user| seen.get(user) == Some(&online)))
    }

    fn ends(&self, c: Name) {
        self.recorder.add(Event::Unwatch(history::Watcher { c }));
    }

    fn note(&self, c: &Name, user: Name, online: bool, listed: bool) {
        self.recorder.add(Event::Seen(Sight { c: c.clone(), user: user.clone(), online, listed }));
        self.seen.lock().entry(c.clone()).or_default().insert(user, online);
    }
}

/// Numbers the connections of all watchers: each sees for itself.
static LINKS: AtomicU64 = AtomicU64::new(1);
/// Whoever watches asks for the list again when the connection is another one; so often that is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Is a client on one node that watches one room, over one connection after the other. Dropping it ends that.
pub(super) struct Watcher {
    name: String,
    link: Arc<AtomicU64>,
    board: Board,
    task: AbortHandle,
}

impl Watcher {
    pub(super) async fn begin(
        name: String,
        node: SocketAddr,
        user: &User,
        room: RoomId,
        board: &Board,
    ) -> Result<Self, Failure> {
        let link = Arc::<AtomicU64>::default();
        let (latest, named, noted) = (link.clone(), name.clone(), board.clone());
        let watcher = Arc::new(move || {
            let link = LINKS.fetch_add(1, Relaxed);
            latest.store(link, Relaxed);
            let (c, board, answers) = (stream(&named, link), noted.clone(), Frames::default());
            Box::new(Eye { c, board, answers }) as Box<dyn Watch>
        });
        let proxy = Proxy::watched(node, watcher).await?;
        let hub = connect(user, proxy.address()).await?;
        let (user, latest) = (user.clone(), link.clone());
        let task = tokio::spawn(async move { keep_watching(hub, &user, &proxy, room, &latest).await });
        Ok(Self { name, link, board: board.clone(), task: task.abort_handle() })
    }

    /// Returns the stream of its latest connection.
    pub(super) fn stream(&self) -> Name {
        stream(&self.name, self.link.load(Relaxed))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.board.ends(self.stream());
        self.task.abort();
    }
}

fn stream(name: &str, link: u64) -> Name {
    format!("{name}-{link}").into()
}

/// Connects somebody to a node.
pub(super) async fn connect(user: &User, node: SocketAddr) -> Result<RemoteHub, Failure> {
    Ok(RemoteHub::connect(format!("ws://{node}/chat/ws"), config(user)).await?)
}

/// Watches as long as the connection lasts, and begins anew with another one.
async fn keep_watching(mut hub: RemoteHub, user: &User, proxy: &Proxy, room: RoomId, latest: &AtomicU64) {
    loop {
        let link = latest.load(Relaxed);
        let mut events = hub.events(Vec::new());
        while latest.load(Relaxed) == link {
            match timeout(LOOK, events.next()).await {
                // Who does not follow a room is told of nobody in it.
                Ok(Some(Told::Followed { room: followed, .. })) if followed == room => {
                    let _ = list(&hub, room).await;
                }
                Ok(None) => return,
                _ => {}
            }
        }
        match connect(user, proxy.address()).await {
            Ok(another) => hub = another,
            Err(_) => return, // the node is gone for good
        }
    }
}

/// Asks who is there; from then on the server says who comes and goes.
async fn list(hub: &RemoteHub, room: RoomId) -> Result<(), HubError> {
    hub.room(room).await?.members(Page::newest(Page::LIMIT_MAX)).await.map(drop)
}

/// Reads what a watcher is told.
struct Eye {
    c: Name,
    board: Board,
    answers: Frames,
}

/// All fields of the frames that matter here.
#[derive(Deserialize)]
struct Frame {
    r#type: String,
    kind: Option<Name>,
    user: Option<Name>,
    online: Option<bool>,
    #[serde(default)]
    members: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    user: Name,
    online: bool,
}

impl Watch for Eye {
    fn asked(&mut self, _: &[u8]) -> bool {
        true
    }

    fn answered(&mut self, bytes: &[u8]) -> bool {
        let frames = self.answers.push(bytes);
        for frame in frames.iter().filter_map(|text| serde_json::from_slice::<Frame>(text).ok()) {
            match (&*frame.r#type, frame.kind.as_deref(), frame.user, frame.online) {
                ("members", ..) => {
                    frame.members.into_iter().for_each(|it| self.board.note(&self.c, it.user, it.online, true));
                }
                ("signal", Some("presence"), Some(user), Some(online)) => {
                    self.board.note(&self.c, user, online, false);
                }
                _ => {}
            }
        }
        true
    }

    fn hung_up(&mut self) {
        self.board.ends(self.c.clone());
    }
}
