//! What strangers write into the queues of running servers and bots: rows A1 to A9 of the catalogue, on RabbitMQ and on
//! Redis.
//!
//! After each case a command is answered as before it, and the room holds what the case says and nothing else.

use std::{sync::Arc, time::Duration};

use chat_core::{
    Invocation, Reply, WorkQueue,
    command::{BotRunner, replies, requests},
    memory::MemoryQueue,
    queue::{Consume, DeadLetters, Delivery, Job, QueueName, Settlement},
};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    bots::{Bot, answers, command, texts},
    rabbitmq::Shared,
    server::{Server, key},
    variable,
};

/// As long as a command may take, and a little more.
const PATIENCE: Duration = Duration::from_mins(1);
/// What the bot says to [`Lab::still_works`].
const QUOTE: &str = "AAPL.US quote is $93.42 per share";
/// What a caller hears whose command nobody has answered within 30 s.
const LATE: &str = "/stock gave no answer in time";

/// Makes a test on RabbitMQ and one on Redis of each case.
macro_rules! on_both {
    ($($case:ident)+) => {
        mod rabbitmq {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
            async fn $case() {
                super::$case(super::Lab::at("CHAT_TEST_AMQP", stringify!($case)).await).await;
            })+
        }

        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs PostgreSQL, RabbitMQ and Redis: scripts/test"]
            async fn $case() {
                super::$case(super::Lab::at("CHAT_TEST_REDIS", stringify!($case)).await).await;
            })+
        }
    };
}

on_both! {
    a1_what_nobody_can_read_goes_dead
    a2_another_version_is_named
    a3_who_has_left_is_answered_in_the_room
    a4_forged_answers_post_nothing
    a5_what_is_late_changes_nothing
    a6_an_answer_that_comes_again_is_posted_once
    a9_a_job_that_panics_each_time_is_answered_and_goes_dead
}

/// Is two servers that hand `/stock` to whoever is at the queue, somebody on them, and a stranger at that queue.
struct Lab {
    servers: [Server; 2],
    ann: String,
    room: String,
    queue: Arc<dyn WorkQueue>,
    dead: Arc<dyn DeadLetters>,
    /// Last, so that it goes last.
    shared: Shared,
}

fn jobs() -> QueueName {
    requests("stock").unwrap()
}

fn results() -> QueueName {
    replies().unwrap()
}

impl Lab {
    /// `at` is the variable that says where the queues are, `case` begins with the row's number.
    async fn at(at: &str, case: &str) -> Self {
        let own = format!("{}{}", case.split('_').next().unwrap(), if at.ends_with("AMQP") { "a" } else { "r" });
        Self::of(Shared::make(&own, "").with_queue(at)).await
    }

    async fn of(shared: Shared) -> Self {
        let servers = [shared.server(), shared.server()];
        let ann = servers[0].token_of_new("ann").await;
        let room = servers[0].create_room(&ann, "money").await;
        let queue = chat_engine::open_queue(shared.queue()).await.unwrap();
        let dead = chat_engine::open_dead_letters(shared.queue()).await.unwrap();
        Self { servers, ann, room, queue, dead, shared }
    }

    /// Lets Ann ask for a code, takes the job out of the queue before any bot does, and returns it.
    async fn intercept(&self, code: &str) -> Job {
        command(&self.servers[0], &self.ann, &self.room, &format!("/stock={code}")).await;
        let mut jobs = self.queue.consume(&jobs(), Consume::default()).await.unwrap();
        let taken = next(&mut jobs).await;
        let job = taken.job.clone();
        taken.settle(Settlement::Done).await.unwrap();
        job
    }

    /// Returns what a bot answers to Ann's question, without handing it in.
    async fn ask(&self, code: &str) -> String {
        answer(self.intercept(code).await, "$1.00").await
    }

    async fn hand_in(&self, result: impl Into<Vec<u8>>) {
        self.queue.push(&results(), Job::new(result.into())).await.unwrap();
    }

    /// Waits until so many letters are dead, and returns the reasons, sorted.
    async fn dead(&self, queue: &QueueName, count: usize) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let letters = self.dead.list(queue, None, 100).await.unwrap();
            if letters.len() >= count {
                let mut reasons: Vec<_> = letters.into_iter().map(|letter| letter.reason).collect();
                reasons.sort();
                return reasons;
            }
            assert!(Instant::now() < deadline, "{} of {count} letters in {queue}", letters.len());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the room holds these texts, in any order, for a reader at the other server.
    async fn holds(&self, expected: &[&str]) {
        assert_eq!(answers(&self.servers[1], &self.ann, &self.room, expected.len()).await, expected);
    }

    /// Lets a bot answer a command, and sees that the room holds nothing else beside `texts`.
    async fn still_works(&self, _bot: &Bot, held: &[&str]) {
        command(&self.servers[1], &self.ann, &self.room, "/stock=aapl.us").await;
        let mut expected = [held, &[QUOTE]].concat();
        expected.sort_unstable();
        self.holds(&expected).await;
        sleep(Duration::from_secs(1)).await; // for something that came later, if there were something
        assert_eq!(texts(&self.servers[0], &self.ann, &self.room).await, expected);
    }
}

async fn next(jobs: &mut (impl StreamExt<Item = Result<Delivery, chat_core::queue::QueueError>> + Unpin)) -> Delivery {
    timeout(PATIENCE, jobs.next()).await.expect("a job").expect("the stream goes on").unwrap()
}

/// Does a job as a bot does, and returns the result.
async fn answer(job: Job, price: &'static str) -> String {
    let elsewhere = MemoryQueue::new();
    elsewhere.push(&jobs(), job).await.unwrap();
    let work = move |call: Invocation| async move { Ok(Reply::Say(format!("{} is {price}", call.args[0]))) };
    let bot = BotRunner::new(Arc::new(elsewhere.clone())).command("stock", work);
    let working = tokio::spawn(bot.run(std::future::pending()));
    let mut results = elsewhere.consume(&results(), Consume::default()).await.unwrap();
    let result = next(&mut results).await;
    working.abort();
    String::from_utf8(result.job.body.to_vec()).unwrap()
}

/// Returns what is no message of ours.
fn unreadable() -> Vec<Vec<u8>> {
    let gob = b"\x0d\x7f\x04\x01\x02\xff\x80\x00\x01\x0c\x01\x10\x00\x00"; // what a program in Go would write
    vec![Vec::new(), b"{".to_vec(), b"null".to_vec(), b"{}".to_vec(), gob.to_vec(), vec![b'['; 1024 * 1024]]
}

async fn a1_what_nobody_can_read_goes_dead(lab: Lab) {
    let bot = Bot::start(&lab.shared);
    for body in unreadable() {
        lab.queue.push(&jobs(), Job::new(body.clone())).await.unwrap();
        lab.hand_in(body).await;
    }
    lab.still_works(&bot, &[]).await;
    for queue in [jobs(), results()] {
        assert_eq!(lab.dead(&queue, 6).await, ["unreadable"; 6]);
    }
}

async fn a2_another_version_is_named(lab: Lab) {
    let job = lab.intercept("aa.us").await;
    let newer = |body: &str| body.replacen(r#""v":1"#, r#""v":2"#, 1);
    let newer_job = newer(std::str::from_utf8(&job.body).unwrap());
    let result = answer(job, "$1.00").await;
    assert_ne!(newer(&result), result);
    let bot = Bot::start(&lab.shared);
    lab.queue.push(&jobs(), Job::new(newer_job)).await.unwrap();
    lab.hand_in(newer(&result)).await;
    for queue in [jobs(), results()] {
        assert_eq!(lab.dead(&queue, 1).await, ["of version 2, not 1"]);
    }
    lab.still_works(&bot, &[]).await;
}

async fn a3_who_has_left_is_answered_in_the_room(lab: Lab) {
    let result = lab.ask("aa.us").await;
    let bob = lab.servers[1].token_of_new("bob").await;
    lab.servers[1].join(&bob, &lab.room).await;
    let leave = format!("/chat/rooms/{}/leave", lab.room);
    let left = lab.servers[0].post_as(&lab.ann, &leave, json!({ "key": key() })).await;
    assert!(left.status.is_success(), "{left:?}");
    lab.hand_in(result).await;
    let lab = Lab { ann: bob, ..lab };
    lab.holds(&["aa.us is $1.00"]).await;
    lab.still_works(&Bot::start(&lab.shared), &["aa.us is $1.00"]).await;
}

async fn a4_forged_answers_post_nothing(lab: Lab) {
    let other = lab.servers[0].create_room(&lab.ann, "other").await;
    let (genuine, asked_too) = (lab.ask("aa.us").await, lab.ask("bb.us").await);
    let [value, another]: [Value; 2] = [&genuine, &asked_too].map(|text| serde_json::from_str(text).unwrap());
    let changes = [
        ("room", json!(other)),
        ("key", another["body"]["key"].clone()),
        ("user", json!("eve")),
        ("deadline", json!(9_000_000_000_000_i64)),
        ("name", json!("weather")),
        ("ticket", json!("0".repeat(64))), // signed with nothing, for another command, not at all
        ("ticket", another["body"]["ticket"].clone()),
        ("ticket", json!("")),
    ];
    for (field, to) in &changes {
        let mut forged = value.clone();
        assert_ne!(std::mem::replace(&mut forged["body"][field], to.clone()), *to, "{field}");
        lab.hand_in(forged.to_string()).await;
    }
    let reasons = lab.dead(&results(), changes.len()).await;
    let forged = "forged, or signed with another secret";
    assert!(reasons.iter().all(|reason| reason == forged || reason == "unreadable"), "{reasons:?}");
    lab.hand_in(genuine).await;
    lab.still_works(&Bot::start(&lab.shared), &["aa.us is $1.00"]).await;
    assert!(texts(&lab.servers[0], &lab.ann, &other).await.is_empty());
}

async fn a5_what_is_late_changes_nothing(lab: Lab) {
    let job = lab.intercept("aa.us").await;
    let late = answer(job.clone(), "$1.00").await;
    lab.holds(&[LATE]).await;
    lab.hand_in(late).await;
    // The job itself once more, without the expiry that it had in the queue.
    lab.queue.push(&jobs(), Job::new(job.body)).await.unwrap();
    lab.hand_in("the last one").await;
    lab.dead(&results(), 1).await; // so the ones before it were handled
    lab.still_works(&Bot::start(&lab.shared), &[LATE]).await;
}

async fn a6_an_answer_that_comes_again_is_posted_once(lab: Lab) {
    let disputed = lab.intercept("dd.us").await;
    let (first, second) = (answer(disputed.clone(), "$1.00").await, answer(disputed, "$2.00").await);
    let results = [lab.ask("aa.us").await, lab.ask("bb.us").await, first];
    for _ in 0..3 {
        for result in results.iter().rev() {
            lab.hand_in(result.clone()).await;
        }
    }
    let held = ["aa.us is $1.00", "bb.us is $1.00", "dd.us is $1.00"];
    lab.holds(&held).await;
    lab.hand_in(second).await;
    lab.still_works(&Bot::start(&lab.shared), &held).await;
}

async fn a9_a_job_that_panics_each_time_is_answered_and_goes_dead(lab: Lab) {
    let fragile = |call: Invocation| async move {
        assert_ne!(call.args[0], "poison");
        Ok(Reply::Say(format!("{} is $1.00", call.args[0])))
    };
    let bot = BotRunner::new(lab.queue.clone()).command("stock", fragile);
    let working = tokio::spawn(bot.run(std::future::pending()));
    command(&lab.servers[0], &lab.ann, &lab.room, "/stock=poison").await;
    command(&lab.servers[0], &lab.ann, &lab.room, "/stock=aa.us").await;
    let held = ["aa.us is $1.00", "the command failed"];
    lab.holds(&held).await;
    assert_eq!(lab.dead(&jobs(), 1).await, ["given up on attempt 5: the command failed"]);
    assert!(!working.is_finished(), "the bot lives");
    working.abort();
    lab.still_works(&Bot::start(&lab.shared), &held).await;
}

/// Is somebody at the RabbitMQ who is not bound to what our own programs write.
struct Raw {
    channel: Channel,
    _connection: Connection,
}

impl Raw {
    async fn connect() -> Self {
        let url = variable("CHAT_TEST_AMQP");
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { channel, _connection: connection }
    }

    async fn publish(&self, queue: String, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions::default();
        let sent = self.channel.basic_publish("".into(), queue.into(), options, body, properties).await.unwrap();
        assert!(sent.await.unwrap().is_ack());
    }
}

fn header(name: &str, value: AMQPValue) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(name.into(), value);
    BasicProperties::default().with_headers(headers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn a8_headers_that_lie_and_bodies_that_are_too_long_go_dead() {
    let lab = Lab::at("CHAT_TEST_AMQP", "a8").await;
    let bot = Bot::start(&lab.shared);
    lab.still_works(&bot, &[]).await;
    let raw = Raw::connect().await;
    for queue in ["jobs.commands.stock.normal", "jobs.replies.normal"] {
        let lies = [
            BasicProperties::default().with_content_type("image/png".into()),
            BasicProperties::default().with_content_type("application/x-gob".into()),
            header("x-death", AMQPValue::LongLongInt(1_000_000)),
            header("x-padding", AMQPValue::LongString("x".repeat(100_000).into())), // a frame is 128 KiB
            header("chat-attempts", AMQPValue::LongLongInt(i64::MAX)),
            header("chat-due", AMQPValue::LongLongInt(-1)),
            header("chat-expires", AMQPValue::LongLongInt(i64::MIN)),
        ];
        for properties in lies {
            raw.publish(lab.shared.name(queue), b"{}", properties).await;
        }
        raw.publish(lab.shared.name(queue), &vec![b'x'; 1024 * 1024 + 1], BasicProperties::default()).await;
    }
    for queue in [jobs(), results()] {
        let mut expected = vec!["expired", "larger than a job may be", "not done after 4294967295 attempts"];
        expected.extend(["unreadable"; 5]);
        assert_eq!(lab.dead(&queue, 8).await, expected);
    }
    lab.still_works(&bot, &[QUOTE]).await;
}

/// What comes back because no queue takes it is not lost: the queues are made again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn a10_queues_deleted_under_servers_and_bots_are_made_again() {
    let lab = Lab::at("CHAT_TEST_AMQP", "a10").await;
    let bot = Bot::start(&lab.shared);
    lab.still_works(&bot, &[]).await;
    let raw = Raw::connect().await;
    for queue in ["jobs.commands.stock.high", "jobs.commands.stock.normal", "jobs.replies.high", "jobs.replies.normal"]
    {
        let name = lab.shared.name(queue);
        raw.channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
    }
    lab.still_works(&bot, &[QUOTE]).await;
}

/// Servers and bots say so and go on; when somebody has removed it, they are as they should be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn a14_a_queue_that_somebody_made_otherwise_is_named_and_ends_nothing() {
    let shared = Shared::make("a14", "").with_queue("CHAT_TEST_AMQP");
    let raw = Raw::connect().await;
    let theirs = shared.name("jobs.replies.normal");
    let options = QueueDeclareOptions::durable();
    raw.channel.queue_declare(theirs.clone().into(), options, FieldTable::default()).await.unwrap();
    let lab = Lab::of(shared).await;
    let (bot, begun) = (Bot::start(&lab.shared), Instant::now());
    let complaints = || {
        let log = lab.servers[0].log();
        log.lines().filter(|line| line.contains("PRECONDITION_FAILED") && line.contains(&theirs)).count()
    };
    while complaints() < 2 {
        assert!(begun.elapsed() < PATIENCE, "the log never names the queue");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(complaints() <= 2 + usize::try_from(begun.elapsed().as_secs()).unwrap(), "the log is flooded");
    raw.channel.queue_delete(theirs.into(), QueueDeleteOptions::default()).await.unwrap();
    lab.still_works(&bot, &[]).await;
}
