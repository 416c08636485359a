//! The page: it shows every type, code and close code, and its examples are what the code reads and writes.

use std::collections::BTreeSet;

use chat_core::{
    Body,
    protocol::{CloseCode, Code, NAME, decode},
};
use serde_json::Value;

use crate::{PAGE, examples, schema};

fn types(kind: &str) -> BTreeSet<String> {
    let parsed = examples(kind).into_iter().map(|line| serde_json::from_str::<Value>(line).expect(line));
    parsed.map(|frame| frame["type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_request_has_an_example_that_is_understood() {
    for line in examples("json client") {
        decode(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {}", error.error));
    }
    assert_eq!(types("json client"), schema::types("client"));
}

#[test]
fn every_frame_of_a_server_has_an_example() {
    assert_eq!(types("json server"), schema::types("server"));
    assert!(PAGE.contains(NAME));
}

#[test]
fn every_body_of_the_page_is_written_as_it_is_stored() {
    for line in examples("json body") {
        let body = Body::decode(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let stored: Value = serde_json::from_str(&body.encode()).unwrap();
        assert_eq!(stored, serde_json::from_str::<Value>(line).unwrap());
    }
}

#[test]
fn every_code_is_on_the_page() {
    for code in Code::ALL {
        let retryable = if code.is_retryable() { "yes" } else { "no" };
        let row = format!("| {} | `{}` | {retryable} |", code.number(), code.name());
        assert!(PAGE.contains(&row), "{row}");
    }
}

#[test]
fn every_close_code_is_on_the_page() {
    for code in CloseCode::ALL {
        let reconnect = if code.reconnect() { "yes" } else { "no" };
        let row = format!("| {} | {} | {reconnect} |", *code as u16, code.reason());
        assert!(PAGE.contains(&row), "{row}");
    }
}
