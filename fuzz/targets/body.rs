//! Bodies, stored ones and those in frames: what is read is one object and is written so that it reads the same.
#![no_main]

use chat_core::Body;
use fuzz::Words;

static WORDS: Words = Words::new();

fuzz::text_target!(judge);

fn judge(json: &str) {
    match Body::decode(json) {
        Ok(body) => hold(json, &body),
        Err(error) => WORDS.hear(&error),
    }
}

fn hold(json: &str, body: &Body) {
    assert!(json.trim_ascii_start().starts_with('{'), "a body is an object");
    let encoded = body.encode();
    assert_eq!(Body::decode(&encoded).as_ref(), Ok(body));
    assert_eq!(Body::decode(&encoded).unwrap().encode(), encoded, "the hash of a body lasts");
    assert_eq!(Body::decode(&serde_json::to_string(body).unwrap()).unwrap().kind(), body.kind());

    let mut blank = body.clone();
    blank.blank();
    assert_eq!(blank.text().unwrap_or_default(), "", "nothing is left of a deleted message");
}
