//! Writes what the client asks: the mirror of [`chat_core::protocol::decode`].

use chat_core::{
    Cursor, Page,
    protocol::{Outgoing, Request, Target, Which, to_json},
};
use serde_json::{Map, Value, json};

/// Writes a request as JSON text.
pub(super) fn encode(reference: u64, request: &Request) -> String {
    let mut frame = Map::new();
    frame.insert("ref".into(), reference.into());
    fields(request, &mut frame);
    Value::Object(frame).to_string()
}

fn fields(request: &Request, frame: &mut Map<String, Value>) {
    let mut set = |name: &str, value: Value| {
        if !value.is_null() {
            frame.insert(name.into(), value);
        }
    };
    match request {
        Request::Hello { token, cursors } => {
            set("type", "hello".into());
            set("token", json!(token));
            set("cursors", to_json(cursors));
        }
        Request::Refresh { token } => {
            set("type", "refresh".into());
            set("token", json!(token));
        }
        Request::Create { key, spec } => {
            set("type", "create".into());
            set("key", to_json(key));
            set("spec", to_json(spec));
        }
        Request::Rooms { which, page } => {
            set("type", "rooms".into());
            set("which", if *which == Which::Public { "public" } else { "mine" }.into());
            part(page, set);
        }
        Request::Members { room, page } => {
            set("type", "members".into());
            set("room", to_json(room));
            part(page, set);
        }
        Request::History { room, page } => {
            set("type", "history".into());
            set("room", to_json(room));
            part(page, set);
        }
        Request::Follow { room, cursor } => {
            set("type", "follow".into());
            set("room", to_json(room));
            set("cursor", cursor.map_or(Value::Null, at));
        }
        Request::Unfollow { room } => {
            set("type", "unfollow".into());
            set("room", to_json(room));
        }
        Request::Send { target, draft } => {
            set("type", "send".into());
            match target {
                Target::Room(room) => set("room", to_json(room)),
                Target::User(user) => set("to", to_json(user)),
            }
            set("key", to_json(&draft.key));
            set("body", to_json(&draft.body));
        }
        Request::Signal { room, signal } => {
            set("type", "signal".into());
            set("room", to_json(room));
            signalled(signal, set);
        }
        // Later kinds of requests come with a client that makes them.
        _ => {}
    }
}

fn part(page: &Page, mut set: impl FnMut(&str, Value)) {
    set("before", json!(page.before));
    set("after", json!(page.after));
    set("after_user", json!(page.after_user));
    set("limit", page.limit.into());
}

fn at(cursor: Cursor) -> Value {
    let mut at = json!({ "seq": cursor.seq });
    if let Some(id) = cursor.id {
        at["id"] = to_json(&id);
    }
    at
}

fn signalled(signal: &Outgoing, mut set: impl FnMut(&str, Value)) {
    match signal {
        Outgoing::Typing(on) => {
            set("signal", "typing".into());
            set("on", (*on).into());
        }
        Outgoing::Read(seq) => {
            set("signal", "read".into());
            set("seq", to_json(seq));
        }
        Outgoing::Custom { kind, data } => {
            set("signal", kind.as_str().into());
            set("data", data.clone());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chat_core::{Draft, EntryId, Key, RoomId, RoomSpec, Seq, UserId, protocol::decode};

    use super::*;

    #[test]
    fn a_server_reads_what_was_asked() {
        let room = RoomId::named("tea");
        let user = UserId::new("bob").unwrap();
        let cursor = Cursor::new(room, Seq::FIRST, Some(EntryId::new(5, [1; 10])));
        let page = Page::newest(7).before(9);
        let typing = |on| Request::Signal { room, signal: Outgoing::Typing(on) };
        let requests = [
            Request::Hello { token: Some("t".into()), cursors: vec![cursor, Cursor::start(RoomId::named("b"))] },
            Request::Hello { token: None, cursors: Vec::new() },
            Request::Refresh { token: "t".into() },
            Request::Create { key: Key::new(5, [2; 10]), spec: RoomSpec::public("tea").members([user.clone()]) },
            Request::Rooms { which: Which::Public, page: page.clone() },
            Request::Members { room, page: Page::newest(3).after_user(user.clone()) },
            Request::History { room, page },
            Request::Follow { room, cursor: Some(cursor) },
            Request::Follow { room, cursor: None },
            Request::Unfollow { room },
            Request::Send { target: Target::Room(room), draft: Draft::text("hi \"there\"\n") },
            Request::Send { target: Target::User(user), draft: Draft::text("psst") },
            typing(true),
            typing(false),
            Request::Signal { room, signal: Outgoing::Read(Seq::FIRST) },
            Request::Signal { room, signal: Outgoing::Custom { kind: "a.b".into(), data: json!([1]) } },
        ];
        for (request, reference) in requests.into_iter().zip(1..) {
            let text = encode(reference, &request);
            assert_eq!(decode(text.as_bytes()).unwrap(), (Some(reference), request), "{text}");
        }
    }

    #[test]
    fn every_golden_request_can_be_written() {
        let golden = include_str!("../../../docs/protocol/vectors/client-frames.json");
        let golden: Value = serde_json::from_str(golden).unwrap();
        let vectors = golden["vectors"].as_array().unwrap().iter();
        let good: Vec<_> = vectors.filter(|vector| vector["means"].is_object()).collect();
        assert!(good.len() >= 40);
        for vector in good {
            let (_, request) = decode(vector["means"].to_string().as_bytes()).unwrap();
            let text = encode(7, &request);
            assert_eq!(decode(text.as_bytes()).unwrap(), (Some(7), request), "{text}");
        }
    }
}
