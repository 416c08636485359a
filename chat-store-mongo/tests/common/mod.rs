//! Places on a real server, each of which is removed at the end.

#![allow(dead_code)] // each test binary uses some of it

use std::{
    process::id,
    sync::atomic::{AtomicU32, Ordering},
};

use chat_store_mongo::MongoStore;
use mongodb::{Client, Database};

static PLACES: AtomicU32 = AtomicU32::new(0);

/// Is a database of a test's own; dropped with all that is in it.
pub(crate) struct Place {
    server: String,
    name: String,
}

impl Place {
    pub(crate) fn make() -> Self {
        let server =
            std::env::var("CHAT_TEST_MONGODB").expect("CHAT_TEST_MONGODB says where it is: see scripts/services");
        let name = format!("t{}_{}", id(), PLACES.fetch_add(1, Ordering::Relaxed));
        Self { server, name }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/{}?namespace=a_", self.server, self.name)
    }

    /// Returns the URL for a server on another port, that passes on to this one.
    pub(crate) fn url_by(&self, port: u16) -> String {
        format!("mongodb://127.0.0.1:{port}/{}?namespace=a_&directConnection=true", self.name)
    }

    pub(crate) fn server(&self) -> String {
        self.server.clone()
    }

    /// Opens the store as another node does: with connections of its own.
    pub(crate) async fn open(&self) -> MongoStore {
        MongoStore::open(&self.url()).await.expect("a store")
    }

    /// Opens the store of a conformance case, together with the place that must outlive it.
    pub(crate) async fn with_store(self) -> (MongoStore, Self) {
        (self.open().await, self)
    }

    /// Connects as somebody else does.
    pub(crate) async fn other(&self) -> Database {
        Client::with_uri_str(&self.server).await.expect("a client").database(&self.name)
    }
}

impl Drop for Place {
    /// Removes the place, on a thread of its own: a test's runtime may be ending.
    fn drop(&mut self) {
        let place = Self { server: self.server.clone(), name: self.name.clone() };
        let remove = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _ = runtime.block_on(async { place.other().await.drop().await });
            std::mem::forget(place);
        };
        let _ = std::thread::spawn(remove).join(); // a test that failed has said so already
    }
}
