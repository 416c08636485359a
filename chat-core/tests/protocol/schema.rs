//! The schema: what the page shows and the code writes is valid, and all that the code knows stands in it.

use std::collections::BTreeSet;

use chat_core::{
    Limits,
    protocol::{CloseCode, Code},
};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

use crate::{PAGE, examples};

/// Reads the schema.
pub(crate) fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/protocol/chat.v1.schema.json")).unwrap()
}

/// Returns the types of all frames of one side.
pub(crate) fn types(side: &str) -> BTreeSet<String> {
    let schema = schema();
    let frames = schema["$defs"][side]["oneOf"].as_array().unwrap().iter();
    frames.map(|frame| frame["$ref"].as_str().unwrap().rsplit('.').next().unwrap().to_owned()).collect()
}

/// Returns the judge of one definition, such as `client`.
pub(crate) fn judge(definition: &str) -> Validator {
    judge_by(&schema(), definition)
}

/// The same, but refuses fields that the schema does not name: what our own server writes must all be described.
pub(crate) fn strict_judge(definition: &str) -> Validator {
    let mut schema = schema();
    schema["$defs"].as_object_mut().unwrap().values_mut().for_each(close);
    judge_by(&schema, definition)
}

fn judge_by(schema: &Value, definition: &str) -> Validator {
    let root = json!({"$schema": schema["$schema"], "$ref": format!("#/$defs/{definition}"), "$defs": schema["$defs"]});
    jsonschema::draft202012::new(&root).unwrap()
}

/// Closes each object of which the schema says what it must have.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(close);
            if map.get("type") == Some(&json!("object")) && map.contains_key("properties") {
                map.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

pub(crate) fn assert_valid(judge: &Validator, value: &Value) {
    let errors: Vec<_> = judge.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{value}: {errors:?}");
}

#[test]
fn the_schema_is_one_by_the_rules_of_its_draft() {
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn every_example_of_the_page_is_valid() {
    for (block, definition) in [("json client", "client"), ("json server", "server"), ("json body", "body")] {
        let judge = if definition == "client" { judge(definition) } else { strict_judge(definition) };
        for line in examples(block) {
            assert_valid(&judge, &serde_json::from_str(line).unwrap());
        }
    }
}

#[test]
fn the_strict_judge_refuses_what_is_not_described() {
    let judge = strict_judge("server");
    assert!(judge.is_valid(&json!({"type": "expiring", "at": 5})));
    assert!(!judge.is_valid(&json!({"type": "expiring", "at": 5, "in": 6})));
}

/// Returns the known values of one of the lists of codes, each as `[number, name, flag]`.
fn listed(definition: &str, fields: [&str; 3]) -> Vec<Value> {
    let schema = schema();
    let known = schema["$defs"][definition]["oneOf"].as_array().unwrap().iter();
    let known = known.filter(|one| one["properties"]["code"]["const"].is_number());
    known.map(|one| fields.map(|field| one["properties"][field]["const"].clone()).into_iter().collect()).collect()
}

#[test]
fn every_code_is_in_the_schema_and_no_other() {
    let codes: Vec<_> = Code::ALL.iter().map(|code| json!([code.number(), code.name(), code.is_retryable()])).collect();
    assert_eq!(listed("code", ["code", "name", "retryable"]), codes);
    let closes: Vec<_> =
        CloseCode::ALL.iter().map(|code| json!([*code as u16, code.reason(), code.reconnect()])).collect();
    assert_eq!(listed("close_code", ["code", "reason", "reconnect"]), closes);
}

#[test]
fn a_code_that_is_not_known_yet_is_valid_and_a_known_one_keeps_its_meaning() {
    let judge = judge("server");
    let error = |code: u16, name: &str, retryable: bool| json!({"type": "error", "code": code, "name": name, "message": "m", "retryable": retryable});
    assert!(judge.is_valid(&error(1999, "moonlight", true)));
    assert!(judge.is_valid(&error(1100, "retry", true)));
    assert!(!judge.is_valid(&error(1100, "retry", false)) && !judge.is_valid(&error(1100, "denied", true)));
}

/// Each limit by its name in the schema, its value in the code, and what the page says of it.
fn limits() -> Vec<(&'static str, u64, &'static str)> {
    let limits = Limits::default();
    let ms = |wait: std::time::Duration| u64::try_from(wait.as_millis()).unwrap();
    vec![
        ("frame_bytes", limits.frame_bytes_max as u64, "| a frame from a client | 64 KiB, nested 32 deep |"),
        ("text_chars", limits.text_chars_max as u64, "| a text | 4,000 characters"),
        ("data_bytes", limits.data_bytes_max as u64, "| `data` in a body, a room or a signal | 4 KiB as JSON |"),
        ("members_at_creation", limits.members_at_creation_max as u64, "| first members of a room | 256 |"),
        ("page", chat_core::Page::LIMIT_MAX.into(), "| `limit` of a page | 200; 50 if not given |"),
        ("rooms", limits.rooms_per_session_max as u64, "| rooms followed by one connection | 256,"),
        ("connections_per_user", limits.sessions_per_user_max as u64, "of one user; of one address | 20; 100 |"),
        ("sends_per_second", limits.sends_per_second.into(), "| sends of one user | 10 a second, 20 at once |"),
        ("sends_at_once", limits.sends_burst.into(), "| sends of one user | 10 a second, 20 at once |"),
        ("commands_under_way", limits.commands_per_user_max as u64, "| commands of one user under way | 8 |"),
        ("requests_under_way", limits.requests_in_flight_max as u64, "| requests of one connection under way | 64;"),
        ("hello_within_ms", ms(limits.hello_within), "| from connecting to `hello` | 10 s |"),
        ("command_within_ms", ms(limits.command_within), "| a command, from its acceptance to its answer | 30 s;"),
        ("invalid_frames", limits.invalid_frames_max.into(), "| invalid frames in a row | 20 |"),
        // The code keeps these to itself; most are tried by a golden frame, the last two by tests of their own.
        ("frame_depth", 32, "| a frame from a client | 64 KiB, nested 32 deep |"),
        ("title_chars", 128, "| a title, a topic | 128, 512 characters |"),
        ("topic_chars", 512, "| a title, a topic | 128, 512 characters |"),
        ("emoji_bytes", 32, "| a reaction | 32 bytes, 8 characters |"),
        ("name_bytes", 128, "| a user id, a room's `name` | 1 to 128 bytes,"),
        ("kind_bytes", 64, "at most 64 of `a-z 0-9 . _ -`"),
        ("rooms_held", 1_024, "has to come again first | 1,024;"),
        ("connections_per_address", 100, "of one user; of one address | 20; 100 |"),
    ]
}

#[test]
fn every_limit_is_in_the_schema_and_on_the_page() {
    let limits = limits();
    for (_, _, row) in &limits {
        assert!(PAGE.contains(row), "{row}");
    }
    let known = limits.into_iter().map(|(name, value, _)| (name.to_owned(), value.into())).collect::<Map<_, _>>();
    assert_eq!(schema()["x-limits"], Value::Object(known));
}

#[test]
fn what_the_schema_counts_itself_is_the_same_limit() {
    let schema = schema();
    let (limits, defs) = (&schema["x-limits"], &schema["$defs"]);
    let fields = &defs["fields"]["properties"];
    for (counted, limit) in [
        (&defs["text"]["maxLength"], "text_chars"),
        (&defs["title"]["maxLength"], "title_chars"),
        (&defs["topic"]["maxLength"], "topic_chars"),
        (&defs["name"]["maxLength"], "name_bytes"),
        (&defs["spec"]["properties"]["members"]["maxItems"], "members_at_creation"),
        (&fields["limit"]["anyOf"][0]["maximum"], "page"),
        (&fields["cursors"]["anyOf"][0]["maxItems"], "rooms"),
    ] {
        assert_eq!(counted, &limits[limit], "{limit}");
    }
}

#[test]
fn every_definition_is_used() {
    fn references(value: &Value, found: &mut Map<String, Value>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| match value {
                Value::String(path) if name == "$ref" => drop(found.insert(path.clone(), Value::Null)),
                value => references(value, found),
            }),
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (schema, mut found) = (schema(), Map::new());
    references(&schema, &mut found);
    for name in schema["$defs"].as_object().unwrap().keys() {
        assert!(found.contains_key(&format!("#/$defs/{name}")), "{name}");
    }
}
