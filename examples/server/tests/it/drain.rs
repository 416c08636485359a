//! What clients see of a server that is told to stop while they talk.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{SinkExt, StreamExt, future::join_all};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

use crate::{
    server::{PATIENCE, Server, key},
    socket::Socket,
};

const GRACE: Duration = Duration::from_secs(10);
const TALKERS: usize = 6;

/// Is what one client sent and heard until it was closed.
struct Talk {
    /// The keys by the `ref` they were sent under, from 0.
    sent: Vec<String>,
    /// The answers by `ref`.
    answers: BTreeMap<usize, Value>,
    close: Value,
    frame: Option<CloseFrame>,
}

/// Sends without pause until the connection ends, and reads all the while.
async fn talk(socket: Socket, room: String, acked: Arc<AtomicUsize>) -> Talk {
    let (mut sink, mut stream) = socket.into_inner().split();
    let sending = async {
        let mut sent = Vec::new();
        loop {
            let (reference, key) = (sent.len(), key());
            let body = json!({ "kind": "text", "text": format!("message {reference}") });
            let frame = json!({ "type": "send", "ref": reference, "room": room, "key": key, "body": body });
            if sink.send(Message::text(frame.to_string())).await.is_err() {
                return sent;
            }
            sent.push(key);
        }
    };
    let hearing = async {
        let (mut answers, mut close) = (BTreeMap::new(), Value::Null);
        loop {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    match frame["type"].as_str() {
                        Some("ack" | "error") => {
                            acked.fetch_add(usize::from(frame["type"] == "ack"), Ordering::Relaxed);
                            let reference = usize::try_from(frame["ref"].as_u64().unwrap()).unwrap();
                            assert!(answers.insert(reference, frame).is_none(), "answered twice");
                        }
                        Some("close") => close = frame,
                        _ => {}
                    }
                }
                Some(Ok(Message::Close(frame))) => return (answers, close, frame),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("cut instead of closed: {error}"),
                None => panic!("ended without a close frame"),
            }
        }
    };
    let (sent, (answers, close, frame)) = tokio::join!(sending, hearing);
    Talk { sent, answers, close, frame }
}

/// Reads the whole room, oldest first, as positions by key.
async fn stored(server: &Server, token: &str, room: &str) -> BTreeMap<String, u64> {
    let (mut stored, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = server.get_as(token, &format!("/chat/rooms/{room}/messages?after={after}&limit=200")).await.json();
        let entries = page["entries"].as_array().unwrap();
        let Some(last) = entries.last() else { return stored };
        after = last["seq"].as_u64().unwrap();
        stored.extend(
            entries.iter().map(|entry| (entry["key"].as_str().unwrap().to_owned(), entry["seq"].as_u64().unwrap())),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_before_the_close_is_answered_and_what_is_acknowledged_is_stored() {
    let mut server = Server::start(&["--load-profile", "--drain-grace", "10s"]);
    let token = server.token_of_new("ann").await;
    let room = server.create_room(&token, "tea").await;
    let acked = Arc::new(AtomicUsize::new(0));
    let mut talks = Vec::new();
    for _ in 0..TALKERS {
        let socket = Socket::open(&server, &token).await;
        talks.push(tokio::spawn(talk(socket, room.clone(), acked.clone())));
    }
    let patience = Instant::now() + PATIENCE;
    while acked.load(Ordering::Relaxed) < 100 * TALKERS {
        assert!(Instant::now() < patience, "only {acked:?} were acknowledged");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let began = Instant::now();
    server.signal("TERM");
    let talks: Vec<Talk> = join_all(talks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(server.ended().code(), Some(0));
    assert!(began.elapsed() < GRACE, "{:?}", began.elapsed());

    server.crash_and_restart(); // it has ended already: this only starts it again
    let stored = stored(&server, &token, &room).await;
    for Talk { sent, answers, close, frame } in talks {
        let frame = frame.expect("a close frame with a code");
        assert_eq!((u16::from(frame.code), &*frame.reason), (1012, "restarting, resume"));
        assert_eq!((close["code"].as_u64(), close["reconnect"].as_bool()), (Some(1012), Some(true)));
        assert!(close["retry_after_ms"].is_u64(), "{close}");
        // What was read is a prefix of what was sent: no answer is missing among them.
        assert_eq!(answers.keys().copied().collect::<Vec<_>>(), (0..answers.len()).collect::<Vec<_>>());
        for (reference, answer) in answers {
            let key = &sent[reference];
            match answer["type"].as_str() {
                Some("ack") => assert_eq!(stored.get(key).copied(), answer["seq"].as_u64(), "acknowledged, not stored"),
                _ => assert_eq!(answer["retryable"], true, "{answer}"),
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_never_said_hello_does_not_hold_up_the_end() {
    let mut server = Server::start(&["--drain-grace", "10s"]);
    let token = server.token_of_new("ann").await;
    let silent = Socket::try_open(&server, &[("authorization", &format!("Bearer {token}"))]).await.unwrap();
    let began = Instant::now();
    server.signal("TERM");
    assert_eq!(u16::from(silent.closed().await.unwrap().code), 1012);
    assert_eq!(server.ended().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "it waited for hello: {:?}", began.elapsed());
}
