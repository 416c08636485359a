//! What a case says in JSON, and the answers in words.

use serde_json::{Value, json};

use crate::{
    case::{Case, same},
    raw::Raw,
    server::key,
};

/// A harmless request behind each bad one: while it is answered, the connection lives.
const HARMLESS: &str = r#"{"type":"rooms","ref":999,"limit":1}"#;

/// Says one thing on a good connection. In the text, `ROOM` is the case's own room, `SECRET` a private and `PUBLIC` a
/// public room of somebody else's, `KEY` a new key. What is to be answered under its `ref` has 7 for it.
pub(crate) fn asks(text: &str) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let mut raw = case.greeted().await;
        case.answer(&mut raw, text).await
    }
}

/// Says several things, one after the other, on one connection.
pub(crate) fn asks_each(texts: &[&str]) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let mut raw = case.greeted().await;
        let mut answers = Vec::new();
        for text in texts {
            answers.push(case.answer(&mut raw, text).await);
        }
        same(answers)
    }
}

/// The same for what is too long to be written down.
pub(crate) fn asks_made(make: impl FnOnce() -> String) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| asks(&make())(case).await
}

/// Posts each of these bodies to the case's room.
pub(crate) fn posts_each(bodies: &[Value]) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let texts: Vec<_> = bodies.iter().map(send).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        asks_each(&texts)(case).await
    }
}

/// Posts each of these texts.
pub(crate) fn says_each(texts: &[&str]) -> impl AsyncFnOnce(&mut Case) -> String {
    async move |case| {
        let bodies: Vec<_> = texts.iter().map(|text| json!({ "kind": "text", "text": text })).collect();
        posts_each(&bodies)(case).await
    }
}

/// Writes a request to post a body.
pub(crate) fn send(body: &Value) -> String {
    format!(r#"{{"type":"send","ref":7,"room":"ROOM","key":"KEY","body":{body}}}"#)
}

impl Case {
    pub(crate) fn fill(&self, text: &str) -> String {
        let text = text.replace("ROOM", &self.room).replace("KEY", &key());
        text.replace("SECRET", &self.stranger.secret).replace("PUBLIC", &self.stranger.public)
    }

    /// Says a text and something harmless. Returns in words what answers the text, or `ignored`. An `ack` states that
    /// something is stored.
    pub(crate) async fn answer(&mut self, raw: &mut Raw, text: &str) -> String {
        let text = self.fill(text);
        raw.say(&text).await;
        raw.say(HARMLESS).await;
        let asked: Value = serde_json::from_str(&text).unwrap_or_default();
        // A send has a way of its own, and may be overtaken by what is behind it.
        let is_send = asked["type"] == "send";
        let (mut answers, mut is_alive) = (Vec::new(), false);
        while !is_alive || is_send && answers.is_empty() {
            let frame = match raw.hear().await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            if frame["ref"] == 999 {
                is_alive = true;
            } else if let Some(answer) = in_words(&frame, &asked["ref"]) {
                self.stores(u64::from(answer == "ack" && frame["room"] == *self.room));
                answers.push(answer);
            }
        }
        if answers.is_empty() { "ignored".into() } else { answers.join(", ") }
    }
}

/// Says what an answer is; `None` for what comes by itself.
fn in_words(frame: &Value, reference: &Value) -> Option<String> {
    let kind = frame["type"].as_str().unwrap();
    match kind {
        // What we cannot read as a whole, the server may have read far enough to know the `ref`.
        "error" if frame["ref"] != *reference && (frame["ref"] != 7 || !reference.is_null()) => {
            Some(format!("error {} under another ref", frame["name"]))
        }
        "error" => Some(format!("error {}", frame["name"].as_str().unwrap())),
        "close" => None, // the frame that follows says the same
        "reset" => Some("reset".into()),
        _ if frame["ref"].is_null() => None,
        _ => Some(kind.to_owned()),
    }
}
