//! The collections, their indexes, and whose turn it is to append to a room.

use std::time::Duration;

use chat_core::{RoomId, StoreError, StoreErrorKind};
use mongodb::{
    Client, Collection, IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    MongoConfig, durable,
    error::{ask, attempted, is_no_promise},
    people::People,
    row::{EntryRow, FeedRow, MarkRow, MemberRow, RoomRow},
};

/// The version of what the documents look like.
const VERSION: i32 = 1;

/// How many rooms of this node are appended to at the same time without waiting for each other by chance.
const TURNS: usize = 256;

/// How often nodes that make the indexes at the same time are told to wait for each other.
const STARTS_MAX: u32 = 5;

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
        check_version(&database.collection(&named("schema"))).await?;
        let this = Self {
            entries: database.collection(&named("entries")),
            rooms: database.collection(&named("rooms")),
            members: database.collection(&named("members")),
            marks: database.collection(&named("marks")),
            people: People(database.collection(&named("users"))),
            feeds: database.collection(&named("feeds")),
            turns: (0..TURNS).map(|_| Mutex::default()).collect(),
        };
        if config.indexes {
            this.make_indexes().await?;
        }
        Ok(this)
    }

    /// Waits for this node's turn in a room. Nodes need no turns, the unique index decides; but those of one node would
    /// only get into each other's way.
    pub(crate) async fn turn(&self, room: RoomId) -> MutexGuard<'_, ()> {
        let [.., last] = *room.as_bytes();
        self.turns[usize::from(last) % TURNS].lock().await
    }

    async fn make_indexes(&self) -> Result<(), StoreError> {
        let unique_entries = [doc! { "room": 1, "seq": 1 }, doc! { "room": 1, "author": 1, "key": 1 }];
        make(&self.entries, &unique_entries, true).await?;
        make(&self.entries, &[doc! { "room": 1, "message": 1, "seq": 1 }, doc! { "room": 1, "edits": 1 }], false)
            .await?;
        make(&self.members, &[doc! { "room": 1, "user": 1 }], true).await?;
        make(&self.members, &[doc! { "user": 1, "room": 1 }], false).await?;
        make(&self.marks, &[doc! { "room": 1, "user": 1 }], true).await?;
        make(&self.rooms, &[doc! { "visibility": 1, "active": -1 }, doc! { "behind": 1 }], false).await?;
        make(&self.people.0, &[doc! { "user": 1 }], true).await
    }
}

/// Makes indexes that are not there yet. When several nodes start at once the server may ask all but one to wait.
async fn make<T: Send + Sync>(collection: &Collection<T>, keys: &[Document], unique: bool) -> Result<(), StoreError> {
    let options = IndexOptions::builder().unique(unique).build();
    let models = keys.iter().map(|keys| IndexModel::builder().keys(keys.clone()).options(options.clone()).build());
    let models: Vec<_> = models.collect();
    let mut starts = 1;
    loop {
        match ask("make indexes", collection.create_indexes(models.clone())).await {
            Err(error) if error.kind() == StoreErrorKind::Contended && starts < STARTS_MAX => {
                tokio::time::sleep(Duration::from_millis(100) * starts).await;
                starts += 1;
            }
            made => return made.map(drop),
        }
    }
}

async fn check_version(schema: &Collection<Document>) -> Result<(), StoreError> {
    let one = doc! { "_id": 1 };
    let set = doc! { "$setOnInsert": { "version": VERSION } };
    let write = async {
        match schema.update_one(one.clone(), set).upsert(true).await {
            Err(error) if is_no_promise(&error) => {
                let refused = "keep what is stored: the server does not take `w: majority, j: true`";
                Ok(Err(StoreError::new(StoreErrorKind::Unsupported, refused).with_source(error)))
            }
            done => done.map(|_| Ok(())),
        }
    };
    // Whether this node was the first does not matter.
    if let Some(promised) = attempted("look up the version", write).await? {
        promised?;
    }
    let found = ask("look up the version", schema.find_one(one)).await?;
    match found.and_then(|found| found.get_i32("version").ok()) {
        Some(VERSION) => Ok(()),
        _ => Err(StoreError::new(StoreErrorKind::Schema, "open a MongoDB of another version")),
    }
}
