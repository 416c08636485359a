//! The client's hub, and what the state wants done with it.

use std::{collections::HashMap, sync::Arc};

use chat_core::{Entry, Event, Hub, HubError, Page, Room, RoomId, RoomSpec, UserId};
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use futures::{FutureExt, StreamExt, stream::BoxStream};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{
    rest::Rest,
    state::{News, Wish},
};

/// News that wait to be shown: a page of history is one of them.
const NEWS_MAX: usize = 256;

pub(crate) type Inbox = mpsc::Receiver<News>;

/// Is the way to the server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Net {
    rest: Rest,
    hub: RemoteHub,
    news: mpsc::Sender<News>,
    /// Those that were opened.
    rooms: Arc<Mutex<HashMap<RoomId, Arc<dyn Room>>>>,
}

impl Net {
    /// Connects, and receives all rooms from then on.
    pub(crate) async fn connect(rest: Rest) -> Result<(Self, Inbox), HubError> {
        let config = ClientConfig::default().header("authorization", rest.bearer());
        let hub = RemoteHub::connect(rest.socket(), config).await?;
        let (news, inbox) = mpsc::channel(NEWS_MAX);
        let net = Self { rest, hub, news, rooms: Arc::default() };
        tokio::spawn(net.clone().listen(net.hub.events(Vec::new())));
        Ok((net, inbox))
    }

    pub(crate) fn me(&self) -> UserId {
        self.hub.user().clone()
    }

    pub(crate) fn is_online(&self) -> bool {
        self.hub.is_online()
    }

    /// Says goodbye. Returns the texts that were not sent.
    pub(crate) async fn close(&self) -> Vec<String> {
        let unsent = self.hub.close().await;
        unsent.iter().filter_map(|(_, draft)| draft.body.text().map(str::to_owned)).collect()
    }

    /// Begins to do something; what comes of it is news.
    pub(crate) fn grant(&self, wish: Wish) {
        let mut work = Box::pin(self.clone().carry_out(wish));
        // Polled once at once, so that what is wanted first is handed to the hub first.
        if (&mut work).now_or_never().is_none() {
            tokio::spawn(work);
        }
    }

    async fn carry_out(self, wish: Wish) {
        let news = match wish {
            Wish::Post { room, draft } => {
                let (room, key) = (self.known(room), draft.key);
                let done = match room {
                    Some(room) => room.post(draft).await.map_err(|error| error.to_string()),
                    None => Err("this room is not open yet".to_owned()),
                };
                News::Posted { key, done: done.map(drop) }
            }
            Wish::Signal { room, signal } => {
                // Lost signals are not missed.
                if let Some(room) = self.known(room) {
                    let _ = room.signal(signal).await;
                }
                return;
            }
            Wish::Open(room) => self.open(room).await.map_or_else(News::from, |found| News::History(room, found)),
            Wish::List => self.hub.rooms(Page::newest(200)).await.map_or_else(News::from, News::Rooms),
            Wish::Create(title) => match self.hub.create(RoomSpec::public(title)).await {
                Ok(room) => News::Entered(room.id()),
                Err(error) => error.into(),
            },
            Wish::Join(title) => match self.rest.join(&title).await {
                Ok(room) => News::Entered(room),
                Err(why) => News::Notice(why),
            },
        };
        self.tell(news).await;
    }

    async fn open(&self, id: RoomId) -> Result<Vec<Entry>, HubError> {
        let room = match self.known(id) {
            Some(room) => room,
            None => self.hub.room(id).await?,
        };
        self.rooms.lock().entry(id).or_insert_with(|| room.clone());
        room.history(Page::newest(200)).await
    }

    fn known(&self, room: RoomId) -> Option<Arc<dyn Room>> {
        self.rooms.lock().get(&room).cloned()
    }

    /// Passes on all that happens, until the connection ends for good.
    async fn listen(self, mut events: BoxStream<'static, Event>) {
        while let Some(event) = events.next().await {
            self.tell(News::Event(event)).await;
        }
    }

    async fn tell(&self, news: News) {
        // Nobody listens any more when the program ends.
        let _ = self.news.send(news).await;
    }
}

impl From<HubError> for News {
    fn from(error: HubError) -> Self {
        Self::Notice(error.to_string())
    }
}
