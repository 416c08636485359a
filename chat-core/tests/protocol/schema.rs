//! The schema: what the page shows and the code writes is valid, and all that the code knows stands in it.

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

/// Each limit by its name in the schema, its value in the code, and its row on the page.
fn limits() -> Vec<(&'static str, u64, String)> {
    let limits = Limits::default();
    let ms = |wait: std::time::Duration| u64::try_from(wait.as_millis()).unwrap();
    let row = |what: &str, text: String| format!("| {what} | {text} |");
    let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
    vec![
        (
            "frame_bytes",
            limits.frame_bytes_max as u64,
            row("a frame from a client", format!("{}, nested 32 deep", kib(limits.frame_bytes_max))),
        ),
        ("frame_depth", 32, "nested 32 deep".into()),
        ("text_chars", limits.text_chars_max as u64, "| a text | 4,000 characters".into()),
        (
            "data_bytes",
            limits.data_bytes_max as u64,
            row("`data` in a body, a room or a signal", format!("{} as JSON", kib(limits.data_bytes_max))),
        ),
        ("members_at_creation", limits.members_at_creation_max as u64, row("first members of a room", "256".into())),
        ("rooms", limits.rooms_per_session_max as u64, "| rooms followed by one connection | 256,".into()),
        ("connections_per_user", limits.sessions_per_user_max as u64, "of one address | 20; 100 |".into()),
        ("sends_per_second", limits.sends_per_second.into(), "| sends of one user | 10 a second, 20 at once |".into()),
        ("sends_at_once", limits.sends_burst.into(), "20 at once |".into()),
        (
            "commands_under_way",
            limits.commands_per_user_max as u64,
            row("commands of one user under way", limits.commands_per_user_max.to_string()),
        ),
        (
            "requests_under_way",
            limits.requests_in_flight_max as u64,
            "| requests of one connection under way | 64;".into(),
        ),
        ("hello_within_ms", ms(limits.hello_within), row("from connecting to `hello`", "10 s".into())),
        ("command_within_ms", ms(limits.command_within), "from its acceptance to its answer | 30 s;".into()),
        ("invalid_frames", limits.invalid_frames_max.into(), row("invalid frames in a row", "20".into())),
        ("page", chat_core::Page::LIMIT_MAX.into(), row("`limit` of a page", "200; 50 if not given".into())),
    ]
}

#[test]
fn every_limit_is_in_the_schema_and_on_the_page() {
    let schema = schema();
    for (name, value, row) in limits() {
        assert_eq!(schema["x-limits"][name], value, "{name}");
        assert!(PAGE.contains(&row), "{row}");
    }
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
    ] {
        assert_eq!(counted, &limits[limit], "{limit}");
    }
    let cursors = fields["cursors"]["anyOf"][0]["maxItems"].as_u64().unwrap();
    assert_eq!(cursors, limits["rooms"].as_u64().unwrap() + 1, "those of all rooms, and the inbox");
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
