//! The collections, and whose turn it is to append to a room.

use chat_core::{RoomId, StoreError, StoreErrorKind};
use mongodb::{Client, Collection};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    MongoConfig, durable,
    error::ask,
    people::People,
    row::{EntryRow, FeedRow, MarkRow, MemberRow, RoomRow},
    schema,
};

/// How many rooms of this node are appended to at the same time without waiting for each other by chance.
const TURNS: usize = 256;

pub(crate) struct Database {
    pub(crate) entries: Collection<EntryRow>,
    pub(crate) rooms: Collection<RoomRow>,
    pub(crate) members: Collection<MemberRow>,
    pub(crate) marks: Collection<MarkRow>,
    pub(crate) people: People,
    pub(crate) feeds: Collection<FeedRow>,
    turns: Vec<Mutex<()>>,
}

impl Database {
    pub(crate) async fn connect(config: &MongoConfig) -> Result<Self, StoreError> {
        let options = config.options().await?;
        let what = "open a MongoDB whose URL names no database";
        let nameless = || StoreError::new(StoreErrorKind::Other, what);
        let name = options.default_database.clone().ok_or_else(nameless)?;
        let client = Client::with_options(options);
        let client = ask("open a MongoDB", std::future::ready(client)).await?;
        let database = client.database(&name);
        let named = |name: &str| format!("{}{name}", config.namespace);

        durable::check(&client, config.accept_unsafe).await?;
        schema::check(&database.collection(&named("schema"))).await?;
        if config.indexes {
            schema::make_indexes(&database, &config.namespace).await?;
        }
        Ok(Self {
            entries: database.collection(&named("entries")),
            rooms: database.collection(&named("rooms")),
            members: database.collection(&named("members")),
            marks: database.collection(&named("marks")),
            people: People(database.collection(&named("users"))),
            feeds: database.collection(&named("feeds")),
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
        })
    }

    /// Waits for this node's turn in a room. Nodes need no turns, the unique index decides; but those of one node would
    /// only get into each other's way.
    pub(crate) async fn turn(&self, room: RoomId) -> MutexGuard<'_, ()> {
        let [.., last] = *room.as_bytes();
        self.turns[usize::from(last) % TURNS].lock().await
    }
}
