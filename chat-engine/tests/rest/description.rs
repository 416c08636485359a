//! Holds `openapi.json`, the routes and `docs/rest.md` together.
//!
//! [`check`] looks at every answer that any test here gets, so what the whole suite sees is what is described.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock, Mutex},
};

use axum::response::IntoResponse;
use chat_engine::{Failure, chat_core::protocol::Code};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{
    http::Reply,
    site::{Site, key},
};

const ROUTES: &str = include_str!("../../src/router/mod.rs");
const PAGE: &str = include_str!("../../../docs/rest.md");

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../openapi.json")).unwrap());

/// The parts that others refer to; what is not described may not be in an answer.
static COMPONENTS: LazyLock<Value> = LazyLock::new(|| {
    let mut components = DESCRIPTION["components"].clone();
    close(&mut components);
    components
});

/// What the page of the protocol describes: everything here but `catchup` and `edits` is said there, too.
static PROTOCOL: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../docs/protocol/chat.v1.schema.json")).unwrap());

/// Forbids what is not named. Clients must not do so: a later version may say more.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("properties").is_some_and(Value::is_object) {
                fields.entry("additionalProperties").or_insert(false.into());
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn validate(schema: &Value, value: &Value) -> Result<(), String> {
    holds(&json!({ "allOf": [schema], "components": *COMPONENTS }), value)
}

/// Checks that a frame is one of the protocol, and a room one as the protocol's lists have it.
fn validate_frame(value: &Value) -> Result<(), String> {
    let definition = match value["type"].as_str() {
        Some("catchup" | "edits") | None => return Ok(()),
        Some("room") => "summary",
        Some(_) => "server",
    };
    holds(&json!({ "$ref": format!("#/$defs/{definition}"), "$defs": PROTOCOL["$defs"] }), value)
}

/// Validates. Each schema is compiled once: there are few, and many answers.
fn holds(schema: &Value, value: &Value) -> Result<(), String> {
    static COMPILED: Mutex<BTreeMap<String, Arc<Validator>>> = Mutex::new(BTreeMap::new());
    let compile = || {
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        Arc::new(options.build(schema).unwrap())
    };
    let validator = COMPILED.lock().unwrap().entry(schema.to_string()).or_insert_with(compile).clone();
    validator.validate(value).map_err(|error| format!("{error} at {} in {value}", error.instance_path()))
}

/// Finds the description of a path: the one with the fewest parameters of those that match.
fn path_of(path: &str) -> Option<&'static Value> {
    let given: Vec<_> = path.split('?').next().unwrap().split('/').collect();
    let matches = |template: &str| {
        let parts: Vec<_> = template.split('/').collect();
        parts.len() == given.len()
            && parts.iter().zip(&given).all(|(part, given)| part.starts_with('{') || part == given)
    };
    let paths = DESCRIPTION["paths"].as_object().unwrap().iter().filter(|(template, _)| matches(template));
    paths.min_by_key(|(template, _)| template.matches('{').count()).map(|(_, path)| path)
}

/// Checks that an answer is one that is described.
pub(crate) fn check(method: &str, path: &str, reply: &Reply) {
    let Some(described) = path_of(path) else { return assert_eq!(reply.status, 404, "{method} {path}: {reply:?}") };
    if reply.status == 401 {
        return; // the host's own, in the host's own shape
    }
    let operation = &described[if method == "HEAD" { "get".to_owned() } else { method.to_lowercase() }];
    if operation.is_null() {
        return assert_eq!(reply.status, 405, "{method} {path}: {reply:?}");
    }
    let response = resolved(&operation["responses"][reply.status.to_string()]);
    assert!(!response.is_null(), "{method} {path} does not describe {reply:?}");
    let Some(content) = response["content"].as_object().filter(|_| method != "HEAD") else { return };
    let mime = reply.header("content-type").unwrap_or_default().split(';').next().unwrap();
    let content =
        content.get(mime).unwrap_or_else(|| panic!("{method} {path} does not describe the type of {reply:?}"));
    if mime == "application/json" {
        let value = serde_json::from_str(&reply.body).unwrap();
        let valid = validate(&content["schema"], &value).and_then(|()| validate_frame(&value));
        valid.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
    }
}

fn resolved(response: &'static Value) -> &'static Value {
    match response["$ref"].as_str() {
        Some(reference) => {
            DESCRIPTION.pointer(reference.trim_start_matches('#')).expect("what is referred to is there")
        }
        None => response,
    }
}

/// Returns what `GET /a/{b}` looks like whatever the parameter is called.
fn nameless(route: &str) -> String {
    let mut parts = route.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |route, part| route + "/" + part)
}

fn described() -> BTreeSet<String> {
    let paths = DESCRIPTION["paths"].as_object().unwrap().iter();
    let routes = paths.flat_map(|(path, methods)| {
        methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    routes.map(|route| nameless(&route)).collect()
}

/// Returns the routes that the first column of a page's tables names.
fn tabled(text: &str, bar: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|line| line.trim_start().strip_prefix(bar));
    let routes = rows.filter_map(|row| row.trim_start().strip_prefix('`')?.split('`').next());
    routes.filter(|route| route.contains(" /")).map(nameless).collect()
}

#[test]
fn the_description_the_page_and_the_router_s_own_table_name_the_same_routes() {
    assert_eq!(tabled(ROUTES, "/// |"), described());
    let chat = PAGE.split("## Accounts").next().unwrap();
    assert_eq!(tabled(chat, "|"), described());
}

#[tokio::test]
async fn a_path_takes_the_methods_that_are_described_and_no_other() {
    let site = Site::memory().await;
    let room = site.public("ann", "order:4711").await;
    site.say("ann", &room, "at position 2").await.expect(201);
    for (template, methods) in DESCRIPTION["paths"].as_object().unwrap() {
        let path = template.replace("/rooms/{room}", &room).replace("{name}", "order:4711").replace("{user}", "bob");
        let path = path.replace("{seq}", "2");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let is_described = methods.get(method.to_lowercase()).is_some();
            let reply = site.ask("ann", method, &path, Some(json!({ "key": key() }))).await;
            assert_ne!(reply.status, 404, "{method} {path}");
            assert_eq!(reply.status != 405, is_described, "{method} {path}: {reply:?}");
            if !is_described {
                let allowed: BTreeSet<_> = reply.header("allow").unwrap().split(',').map(str::to_lowercase).collect();
                let mut described: BTreeSet<_> = methods.as_object().unwrap().keys().cloned().collect();
                if described.contains("get") {
                    described.insert("head".into());
                }
                assert_eq!(allowed, described, "{path}");
            }
        }
    }
}

#[test]
fn every_route_of_the_router_is_described() {
    let routes = ROUTES.split(".route(\"").skip(1).map(|rest| nameless(rest.split('"').next().unwrap()));
    let paths = DESCRIPTION["paths"].as_object().unwrap().keys().map(|path| nameless(path));
    assert_eq!(routes.collect::<BTreeSet<_>>(), paths.collect::<BTreeSet<_>>());
}

#[test]
fn every_example_is_one_of_what_it_is_an_example_of() {
    fn walk(value: &Value, seen: &mut usize) {
        let Some(fields) = value.as_object() else {
            return value.as_array().into_iter().flatten().for_each(|value| walk(value, seen));
        };
        let named = fields.get("examples").and_then(Value::as_object).into_iter().flatten();
        let of_schema = fields.get("examples").and_then(Value::as_array).into_iter().flatten();
        if let Some(schema) = fields.get("schema") {
            let examples = fields.get("example").into_iter().chain(named.map(|(_, example)| &example["value"]));
            examples.for_each(|example| check_example(schema, example, seen));
        }
        of_schema.for_each(|example| check_example(value, example, seen));
        fields.values().for_each(|value| walk(value, seen));
    }
    fn check_example(schema: &Value, example: &Value, seen: &mut usize) {
        validate(schema, example).unwrap_or_else(|error| panic!("{error}"));
        *seen += 1;
    }
    let mut seen = 0;
    walk(&DESCRIPTION, &mut seen);
    assert!(seen > 20, "{seen}");
}

#[test]
fn the_page_tells_the_status_of_every_code_that_a_route_answers() {
    // Of a connection alone: nothing is greeted, followed or of an unknown type here.
    let of_sockets = ["unknown_type", "not_greeted", "left", "removed", "unfollowed"];
    for code in Code::ALL.iter().filter(|code| !of_sockets.contains(&code.name())) {
        let status = Failure::from(*code).into_response().status().as_u16();
        let row = PAGE.lines().find(|line| line.starts_with(&format!("| {status} |")));
        assert!(row.is_some_and(|row| row.contains(&format!("`{}`", code.name()))), "{status} {code}");
    }
}

#[tokio::test]
async fn the_description_is_served_where_the_routes_are() {
    let site = Site::memory().await;
    let reply = site.send("GET", "/openapi.json", "", None).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let served: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(served, *DESCRIPTION);
    assert_eq!(served["servers"][0]["url"], ".");
}
