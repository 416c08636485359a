//! Holds the wire protocol together: the page `docs/protocol.md`, the schema and the golden vectors beside it, and the
//! code say the same. What only a client can do wrong is tested by the clients, with the same vectors.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod client_frames;
#[path = "../common/mod.rs"]
mod common;
mod conversations;
mod page;
mod schema;
mod server_frames;

use serde::{Deserialize, de::DeserializeOwned};

const PAGE: &str = include_str!("../../../docs/protocol.md");

/// Returns the lines of all code blocks of the page of one kind, such as `json client`.
fn examples(kind: &str) -> Vec<&'static str> {
    let opening = format!("```{kind}\n");
    let blocks = PAGE.split(opening.as_str()).skip(1);
    blocks.flat_map(|rest| rest.split("```").next().unwrap().lines()).collect()
}

/// Reads a file of golden frames.
fn vectors<T: DeserializeOwned>(file: &str) -> Vec<T> {
    #[derive(Deserialize)]
    struct Vectors<T> {
        vectors: Vec<T>,
    }
    serde_json::from_str::<Vectors<T>>(file).unwrap().vectors
}
