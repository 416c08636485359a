//! The indexes, and what a database says of the schema that it was made for.

use std::time::Duration;

use chat_core::{StoreError, StoreErrorKind};
use mongodb::{
    Collection, Database, IndexModel,
    bson::{Bson, Document, doc},
    options::IndexOptions,
};
use sha2::{Digest, Sha256};

use crate::error::{ask, attempted, is_no_promise};

/// The version of what the documents look like.
const VERSION: i32 = 1;

/// How often nodes that make the indexes at the same time are told to wait for each other.
const STARTS_MAX: u32 = 5;

/// Is an index of a collection: its fields, each rising (1) or falling (-1).
struct Index {
    on: &'static str,
    keys: &'static [(&'static str, i32)],
    unique: bool,
}

const fn index(on: &'static str, keys: &'static [(&'static str, i32)], unique: bool) -> Index {
    Index { on, keys, unique }
}

const INDEXES: &[Index] = &[
    index("entries", &[("room", 1), ("seq", 1)], true),
    index("entries", &[("room", 1), ("author", 1), ("key", 1)], true),
    index("entries", &[("room", 1), ("message", 1), ("seq", 1)], false),
    index("entries", &[("room", 1), ("edits", 1)], false),
    index("members", &[("room", 1), ("user", 1)], true),
    index("members", &[("user", 1), ("room", 1)], false),
    index("marks", &[("room", 1), ("user", 1)], true),
    index("rooms", &[("visibility", 1), ("active", -1)], false),
    index("rooms", &[("behind", 1)], false),
    index("users", &[("user", 1)], true),
];

/// Makes the indexes that are not there yet.
pub(crate) async fn make_indexes(database: &Database, namespace: &str) -> Result<(), StoreError> {
    for Index { on, keys, unique } in INDEXES {
        let keys: Document = keys.iter().map(|(field, order)| ((*field).to_owned(), Bson::Int32(*order))).collect();
        let options = IndexOptions::builder().unique(*unique).build();
        let index = IndexModel::builder().keys(keys).options(options).build();
        make(&database.collection(&format!("{namespace}{on}")), index).await?;
    }
    Ok(())
}

/// Makes one. When several nodes start at once the server may ask all but one to wait.
async fn make(collection: &Collection<Document>, index: IndexModel) -> Result<(), StoreError> {
    let mut starts = 1;
    loop {
        match ask("make indexes", collection.create_index(index.clone())).await {
            Err(error) if error.kind() == StoreErrorKind::Contended && starts < STARTS_MAX => {
                tokio::time::sleep(Duration::from_millis(100) * starts).await;
                starts += 1;
            }
            made => return made.map(drop),
        }
    }
}

/// Records what this program makes in a new database, and refuses one that was made by another.
pub(crate) async fn check(schema: &Collection<Document>) -> Result<(), StoreError> {
    let one = doc! { "_id": 1 };
    let set = doc! { "$setOnInsert": { "version": VERSION, "digest": digest_of(INDEXES) } };
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
    let found = ask("look up the version", schema.find_one(one)).await?.unwrap_or_default();
    fits(&found)
}

fn fits(found: &Document) -> Result<(), StoreError> {
    let version = found.get_i32("version").unwrap_or(0);
    let refused = match found.get_str("digest") {
        _ if version != VERSION => {
            format!("open a database of schema version {version} with a program for {VERSION}")
        }
        Ok(digest) if digest == digest_of(INDEXES) => return Ok(()),
        known => {
            let which = if known.is_ok() { format!("version {version}") } else { "without digest".to_owned() };
            format!(
                "open a database whose schema ({which}) has other indexes than this program makes; use the program that \
                 made it, or begin in an empty database or another namespace"
            )
        }
    };
    Err(StoreError::new(StoreErrorKind::Schema, refused))
}

/// Returns SHA-256 of what the indexes are, in hex.
fn digest_of(indexes: &[Index]) -> String {
    let mut digest = Sha256::new();
    for Index { on, keys, unique } in indexes {
        digest.update(format!("{on} {unique}"));
        for (field, order) in *keys {
            digest.update(format!(" {field} {order}"));
        }
        digest.update("\n");
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A database that was made with a release is opened by the next one only if these are the same: what changes is another
    /// version.
    #[test]
    fn the_indexes_of_a_released_version_stay_as_they_are() {
        assert_eq!(
            (VERSION, digest_of(INDEXES).as_str()),
            (1, "02635a61883ab3c7be5b2d2dc82bcf697354d9d0c8f0ad30d9821d6c0b6201e1")
        );
    }

    #[test]
    fn another_order_field_or_uniqueness_is_another_digest() {
        let of = |on, keys, unique| digest_of(&[index(on, keys, unique)]);
        let one = of("rooms", &[("a", 1)], true);
        for other in [
            of("rooms", &[("a", 1)], false),
            of("rooms", &[("a", -1)], true),
            of("rooms", &[("b", 1)], true),
            of("marks", &[("a", 1)], true),
            of("rooms", &[("a", 1), ("b", 1)], true),
        ] {
            assert_ne!(one, other);
        }
    }
}
