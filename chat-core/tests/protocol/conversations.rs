//! The golden conversations are played by the clients. Here: their servers say what a server can say.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{PAGE, schema::judge};

fn conversations() -> Vec<Value> {
    let text = include_str!("../../../docs/protocol/vectors/conversations.json");
    let file: Value = serde_json::from_str(text).unwrap();
    file["conversations"].as_array().unwrap().clone()
}

/// Puts something of the right shape where a script names a field of a request.
fn filled(frame: &Map<String, Value>) -> Value {
    let known = |value: &Value| match value.as_str().and_then(|text| text.strip_prefix('$')?.split_once('.')) {
        Some((_, "ref")) => 1.into(),
        Some(_) => "01932f5c-8a6b-7f20-8c5d-3e9b1a7d4f02".into(),
        None => value.clone(),
    };
    Value::Object(frame.iter().map(|(name, value)| (name.clone(), known(value))).collect())
}

/// Of the conversations with what no server of this version says.
const NEWER: [&str; 2] = [
    "frames of unknown types and signals of unknown kinds are passed over",
    "an entry that cannot be read moves the cursor",
];

#[test]
fn servers_of_conversations_say_what_a_server_can_say() {
    let judge = judge("server");
    let mut said = 0;
    for conversation in conversations() {
        if NEWER.iter().any(|name| conversation["name"] == *name) {
            continue;
        }
        for frame in conversation["steps"].as_array().unwrap().iter().filter_map(|step| step["say"].as_object()) {
            let frame = filled(frame);
            assert!(judge.is_valid(&frame), "{}: {frame}", conversation["name"]);
            said += 1;
        }
    }
    assert!(said > 100);
}

/// Rules that a script of frames cannot show: 10 is the client's own showing, 12 its page, 15 takes real silence.
const NOT_PLAYED: [u64; 3] = [10, 12, 15];

#[test]
fn every_rule_of_the_page_is_played() {
    let rules = conversations().iter().flat_map(|one| one["rules"].as_array().unwrap().clone()).collect::<Vec<_>>();
    let played: BTreeSet<_> = rules.iter().map(|rule| rule.as_u64().unwrap()).chain(NOT_PLAYED).collect();
    let on_page = (1..99).take_while(|rule| PAGE.contains(&format!("\n{rule}. "))).collect();
    assert_eq!(played, on_page);
}
