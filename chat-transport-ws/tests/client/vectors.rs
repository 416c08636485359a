//! Runs the golden vectors of the protocol: `docs/protocol/vectors`, explained in the README there.

use futures::StreamExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::script::{Conversation, Script};

#[derive(Deserialize)]
struct Conversations {
    welcome: Value,
    conversations: Vec<Conversation>,
}

#[derive(Deserialize)]
struct ServerFrames {
    vectors: Vec<ServerFrame>,
}

#[derive(Deserialize)]
struct ServerFrame {
    name: String,
    frame: String,
    /// What the application is told: the frame as this event, or nothing; left out where it is said elsewhere.
    #[serde(default, deserialize_with = "given")]
    hears: Option<Value>,
    reconnects: Option<bool>,
}

/// Tells `null` from a field that is not there.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

fn conversations() -> Conversations {
    serde_json::from_str(include_str!("../../../docs/protocol/vectors/conversations.json")).unwrap()
}

/// Runs many short scripts, some at a time, and says which of them failed.
async fn all(runs: impl IntoIterator<Item = (String, impl Future<Output = ()> + Send + 'static)>) -> usize {
    let runs = runs.into_iter().map(|(name, run)| async { (name, tokio::spawn(run).await) });
    let ended: Vec<_> = futures::stream::iter(runs).buffer_unordered(8).collect().await;
    let failed: Vec<_> = ended.iter().filter(|(_, ended)| ended.is_err()).map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    ended.len()
}

#[tokio::test]
async fn every_conversation_goes_as_written() {
    let Conversations { welcome, conversations } = conversations();
    let runs = conversations.into_iter().map(|conversation| {
        let (name, welcome) = (conversation.name.clone(), welcome.clone());
        (name, async move {
            let mut script = Script::new(&welcome, &conversation).await;
            for step in &conversation.steps {
                script.step(step).await;
            }
            script.end().await;
        })
    });
    assert!(all(runs).await >= 70);
}

#[tokio::test]
async fn every_frame_of_a_server_is_understood() {
    let welcome = conversations().welcome;
    let frames: ServerFrames =
        serde_json::from_str(include_str!("../../../docs/protocol/vectors/server-frames.json")).unwrap();
    let runs = frames.vectors.into_iter().map(|vector| (vector.name.clone(), understands(welcome.clone(), vector)));
    assert!(all(runs).await >= 80);
}

async fn understands(welcome: Value, vector: ServerFrame) {
    let frame: Value = serde_json::from_str(&vector.frame).unwrap();
    let mut script = Script::new(&welcome, &Conversation::bare()).await;
    script.step(&json!({"greet": {}})).await;
    if frame["room"].is_string() {
        let followed = json!({"type": "followed", "room": frame["room"], "seq": 41, "id": frame["id"]});
        script.step(&json!({"say": followed})).await;
    }
    script.step(&json!({"say": vector.frame})).await;
    if let Some(event @ Value::String(_)) = &vector.hears {
        let mut told = frame.clone();
        told["event"] = event.clone();
        told.as_object_mut().unwrap().remove("type");
        script.step(&json!({"hears": told})).await;
    }
    if let Some(reconnects) = vector.reconnects {
        script.step(&json!({"cut": {"code": frame["code"]}})).await;
        let greet = json!({"greet": {"after_ms": frame["retry_after_ms"]}});
        script.step(&if reconnects { greet } else { json!({"ends": true}) }).await;
    }
    assert!(vector.reconnects == Some(false) || script.is_online());
    if vector.hears == Some(Value::Null) {
        script.end().await;
    }
}

#[tokio::test]
#[should_panic(expected = "was not to be told")]
async fn a_script_that_does_not_match_fails() {
    let mut script = Script::new(&conversations().welcome, &Conversation::bare()).await;
    let room = "33299aa6-6f98-859d-8863-19731fb11c8f";
    script.step(&json!({"greet": {}})).await;
    script.step(&json!({"say": {"type": "followed", "room": room, "seq": 4}})).await;
    script.step(&json!({"say": {"type": "gap", "room": room, "from": 5, "to": 6, "why": "retention"}})).await;
    script.end().await;
}
