//! The golden frames of clients: each is read as it says, or answered by the error it says, and the schema agrees.

use std::collections::BTreeSet;

use chat_core::{
    Engine, Flow,
    protocol::{Code, decode},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    common::{self, Client},
    schema::{self, judge},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    frame: Text,
    /// The same request with every default written out.
    means: Option<Value>,
    error: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<u64>,
    #[serde(default = "yes")]
    greeted: bool,
    /// Why the schema cannot say it.
    differs: Option<String>,
}

fn yes() -> bool {
    true
}

/// Is a text, or pieces of one, of which some are repeated.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Whole(String),
    Pieces(Vec<Piece>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Piece {
    Once(String),
    Repeated(String, usize),
}

impl Text {
    fn text(&self) -> String {
        match self {
            Self::Whole(text) => text.clone(),
            Self::Pieces(pieces) => pieces.iter().map(Piece::text).collect(),
        }
    }
}

impl Piece {
    fn text(&self) -> String {
        match self {
            Self::Once(text) => text.clone(),
            Self::Repeated(text, times) => text.repeat(*times),
        }
    }
}

fn vectors() -> Vec<Vector> {
    crate::vectors(include_str!("../../../docs/protocol/vectors/client-frames.json"))
}

#[test]
fn every_good_frame_is_read_as_it_says() {
    let good: Vec<_> = vectors().into_iter().filter_map(|vector| Some((vector.means.clone()?, vector))).collect();
    assert!(good.len() >= 40);
    for (means, vector) in good {
        let read = decode(vector.frame.text().as_bytes()).unwrap_or_else(|error| panic!("{}: {error:?}", vector.name));
        assert_eq!(read, decode(means.to_string().as_bytes()).unwrap(), "{}", vector.name);
        assert!(vector.error.is_none(), "{}", vector.name);
    }
}

/// Answers one frame by a real engine.
async fn answer(engine: &Engine, vector: &Vector) -> Value {
    let mut client = Client::connect(engine, "ann");
    if vector.greeted {
        assert_eq!(client.say(&json!({"type": "hello"})), Flow::More);
        client.until(|frame| frame["type"] == "followed").await;
    }
    let flow = client.session.receive(vector.frame.text().as_bytes());
    assert_eq!(flow, Flow::More, "{}", vector.name);
    client.next().await
}

#[test]
fn every_type_of_the_schema_has_a_good_frame() {
    let good = vectors().into_iter().filter_map(|vector| vector.means);
    let types: BTreeSet<_> = good.map(|means| means["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, schema::types("client"));
}

#[tokio::test]
async fn every_wrong_frame_is_answered_by_the_error_it_says() {
    let engine = common::engine().await;
    let wrong: Vec<_> = vectors().into_iter().filter(|vector| vector.error.is_some()).collect();
    assert!(wrong.len() >= 40);
    for vector in wrong {
        let error = answer(&engine, &vector).await;
        let expected = (&json!("error"), &json!(vector.error), &json!(vector.reference));
        assert_eq!((&error["type"], &error["name"], &error["ref"]), expected, "{}: {error}", vector.name);
    }
}

/// The schema accepts what can be read and may be asked. What is refused for another reason than the frame itself,
/// such as a room that is not there, is valid, too.
#[test]
fn the_schema_agrees_but_for_what_it_cannot_express() {
    let judge = judge("client");
    for vector in vectors() {
        let frame_is_wrong = vector.error.as_deref().is_some_and(|error| {
            [Code::Invalid, Code::UnknownType, Code::InvalidKey, Code::InvalidBody]
                .iter()
                .any(|code| code.name() == error)
        });
        let parsed = serde_json::from_str::<Value>(&vector.frame.text());
        let is_valid = parsed.is_ok_and(|frame| judge.is_valid(&frame));
        let agrees = is_valid != frame_is_wrong;
        match &vector.differs {
            Some(reason) => assert!(!agrees && !reason.is_empty(), "{} can be expressed", vector.name),
            None => assert!(agrees, "{}: valid is {is_valid}", vector.name),
        }
    }
}
