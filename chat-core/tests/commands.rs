//! Slash commands from the text somebody posts to the one reply in the room, with a worker beside the engine.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::{
    Action, BotRunner, Code, CommandError, Draft, Engine, EngineBuilder, Hub, Identity, Invocation, Key, Limits,
    Members, Page, Policy, Posted, RemoteCommand, Reply, Room, RoomSpec, Text, WorkQueue,
    command::{replies, requests},
    memory::{MemoryBroker, MemoryQueue, MemoryStore},
    model::Body,
    queue::{Consume, DeadLetters, Job},
    store::Access,
};
use common::{human, user};
use futures::{Stream, StreamExt, future::join_all};

const SECRET: &[u8] = b"a secret of the whole cluster";
const PATIENCE: Duration = Duration::from_secs(20);

/// An engine whose `/stock` is carried out over the queue; it checks that there is one argument.
fn engine(queue: &MemoryQueue) -> EngineBuilder {
    let stock = RemoteCommand::new(Arc::new(queue.clone())).check(|call| match &*call.args {
        [_] => Ok(()),
        _ => Err("/stock=code".into()),
    });
    let mut limits = common::limits();
    limits.command_within = Duration::from_secs(2); // enough for a busy machine, not too long to wait for a notice
    Engine::builder().limits(limits).secret(SECRET).command("stock", "/stock=code: the price of a share", stock)
}

async fn quote(call: Invocation) -> Result<Reply, CommandError> {
    match &*call.args[0] {
        "whisper" => Ok(Reply::Whisper("just for you".into())),
        "none" => Err(CommandError::Failed("no quote for NONE".into())),
        code => Ok(Reply::Say(format!("{} quote is $93.42 per share", code.to_uppercase()))),
    }
}

fn worker(queue: &MemoryQueue) {
    let runner = BotRunner::new(Arc::new(queue.clone())).command("stock", quote);
    tokio::spawn(runner.run(std::future::pending()));
}

async fn lobby(engine: &Engine) -> Arc<dyn Room> {
    engine.hub(human("ann")).create(RoomSpec::public("lobby")).await.unwrap()
}

fn typed(text: &str) -> Draft {
    Draft { key: Key::generate(), body: Body::Text(Text::new(text)) }
}

async fn texts(room: &Arc<dyn Room>) -> Vec<(String, String)> {
    let entries = room.history(Page::default()).await.unwrap();
    entries.iter().map(|entry| (entry.author.to_string(), entry.body.text().unwrap().to_owned())).collect()
}

fn said(text: &str) -> (String, String) {
    ("bot:stock".to_owned(), text.to_owned())
}

async fn next<T>(stream: &mut (impl Stream<Item = T> + Unpin)) -> T {
    tokio::time::timeout(PATIENCE, stream.next()).await.expect("something in time").expect("something before the end")
}

#[tokio::test]
async fn a_worker_answers_in_the_room_as_the_bot_and_the_command_is_not_stored() {
    let queue = MemoryQueue::new();
    let engine = engine(&queue).build().await.unwrap();
    worker(&queue);
    let room = lobby(&engine).await;
    for text in ["/stock=aapl.us", "/STOCK none", "/stock=whisper"] {
        assert_eq!(room.post(typed(text)).await.unwrap(), Posted::Accepted, "{text}");
    }
    let expected = [said("AAPL.US quote is $93.42 per share"), said("no quote for NONE")];
    assert_eq!(texts(&room).await, expected, "a queue in memory acknowledges a command when its reply is stored");
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_answered_to_the_caller_alone() {
    let queue = MemoryQueue::new();
    let engine = engine(&queue).build().await.unwrap();
    let room = lobby(&engine).await;
    let cases = [
        ("/stock=", Code::InvalidCommand),
        ("/stock = aapl", Code::InvalidCommand),
        ("/stock=aapl\n/stock=msft", Code::InvalidCommand),
        ("/stock \"aapl", Code::InvalidCommand),
        ("/", Code::InvalidCommand),
        ("/stok=aapl", Code::UnknownCommand),
    ];
    for (text, code) in cases {
        assert_eq!(room.post(typed(text)).await.unwrap_err().code, code, "{text}");
    }
    let unknown = room.post(typed("/stok=aapl")).await.unwrap_err();
    assert!(unknown.message.contains("/stock"), "{unknown}");
    assert_eq!(texts(&room).await, []);
    let mut jobs = queue.consume(&requests("stock").unwrap(), Consume::default()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), jobs.next()).await.is_err(), "no job was made");
}

#[tokio::test]
async fn escaped_texts_and_texts_of_bots_set_nothing_off() {
    let queue = MemoryQueue::new();
    let engine = engine(&queue).build().await.unwrap();
    worker(&queue);
    let room = lobby(&engine).await;
    room.post(typed("//stock=aapl")).await.unwrap();
    room.post(typed(" /stock=aapl")).await.unwrap();
    room.post(common::join("helper")).await.unwrap();
    let bot = Identity::bot(user("helper"), "helper");
    let as_bot = engine.hub(bot).room(room.id()).await.unwrap();
    as_bot.post(typed("/stock=aapl")).await.unwrap();
    let plain: Vec<_> = texts(&room).await.into_iter().map(|(_, text)| text).collect();
    assert_eq!(plain, ["/stock=aapl", " /stock=aapl", "/stock=aapl"]);
}

#[tokio::test]
async fn a_command_that_nobody_carries_out_has_a_notice_as_its_reply() {
    let queue = MemoryQueue::new();
    let engine = engine(&queue).build().await.unwrap();
    let room = lobby(&engine).await;
    assert_eq!(room.post(typed("/stock=aapl")).await.unwrap(), Posted::Accepted);
    assert_eq!(texts(&room).await, [said("/stock gave no answer in time")]);
}

#[tokio::test]
async fn a_result_is_stored_once_however_often_it_comes_and_only_where_it_was_asked_for() {
    let (queue, elsewhere) = (MemoryQueue::new(), MemoryQueue::new());
    let engine = engine(&queue).build().await.unwrap();
    let room = lobby(&engine).await;
    let other = engine.hub(human("eve")).create(RoomSpec::public("other")).await.unwrap();
    let posting = tokio::spawn({
        let room = room.clone();
        async move { room.post(typed("/stock=aapl")).await }
    });
    // The job is done elsewhere, so that its result can be tampered with on the way back.
    let mut jobs = queue.consume(&requests("stock").unwrap(), Consume::default()).await.unwrap();
    let job = next(&mut jobs).await.unwrap();
    elsewhere.push(&requests("stock").unwrap(), job.job.clone()).await.unwrap();
    worker(&elsewhere);
    let mut results = elsewhere.consume(&replies().unwrap(), Consume::default()).await.unwrap();
    let result = next(&mut results).await.unwrap().job.body.clone();

    let genuine = String::from_utf8(result.to_vec()).unwrap();
    let moved = genuine.replace(&room.id().to_string(), &other.id().to_string());
    for result in [moved, genuine.clone(), genuine.clone(), genuine.replace("93.42", "1.00"), "{}".into()] {
        queue.push(&replies().unwrap(), Job::new(result)).await.unwrap();
    }
    assert_eq!(posting.await.unwrap().unwrap(), Posted::Accepted);
    let refused = async {
        while queue.list(&replies().unwrap(), None, 10).await.unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("the moved and the unreadable result go dead");
    assert_eq!(texts(&room).await, [said("AAPL quote is $93.42 per share")], "the first reply is the only one");
    assert_eq!(texts(&other).await, []);
}

#[tokio::test]
async fn any_node_stores_what_a_worker_answers_to_any_other() {
    let (queue, store, broker) = (MemoryQueue::new(), Arc::new(MemoryStore::default()), MemoryBroker::new());
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let node = engine(&queue).store(store.clone()).broker(Arc::new(broker.clone()));
        nodes.push(node.build().await.unwrap());
    }
    worker(&queue);
    let room = lobby(&nodes[0]).await;
    // At once: where another node took the result, the one that was asked waits for the deadline.
    let posts = (0..6).map(|number| {
        let (hub, id) = (nodes[number % 3].hub(human("ann")), room.id());
        async move { hub.room(id).await.unwrap().post(typed(&format!("/stock=c{number}"))).await.unwrap() }
    });
    assert_eq!(join_all(posts).await, vec![Posted::Accepted; 6]);
    let mut shown = texts(&room).await;
    shown.sort();
    let expected: Vec<_> = (0..6).map(|n| said(&format!("C{n} quote is $93.42 per share"))).collect();
    assert_eq!(shown, expected);
}

/// A host whose rules about commands have a bug.
struct Buggy;

#[async_trait]
impl Policy for Buggy {
    fn authorize(&self, who: &Identity, action: &Action<'_>, access: Option<&Access>) -> Result<(), Code> {
        assert!(!matches!(action, Action::Command(_)), "a bug of the host");
        Members::default().authorize(who, action, access)
    }
}

#[tokio::test]
async fn a_command_that_panics_is_answered_and_takes_no_place_for_ever() {
    let engine = engine(&MemoryQueue::new()).policy(Arc::new(Buggy)).build().await.unwrap();
    let room = lobby(&engine).await;
    for _ in 0..=Limits::default().commands_per_user_max {
        let answer = tokio::time::timeout(PATIENCE, room.post(typed("/stock=aapl"))).await;
        assert_eq!(answer.expect("an answer in time").unwrap_err().code, Code::Retry);
    }
}
