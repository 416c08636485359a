//! The stock bot as processes of its own: whatever is killed, a command has one answer.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    rabbitmq::Shared,
    server::{PATIENCE, Server, binary, key, with_json},
};

/// As long as a command may take, and a little more: then there is at least the notice that it took too long.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);

/// Is a running bot; dropping it kills it.
pub(crate) struct Bot(Child);

impl Bot {
    pub(crate) fn start(shared: &Shared) -> Self {
        let beside = Path::new(binary().get_program()).with_file_name("stock-bot");
        let mut bot = Command::new(&beside);
        bot.args(["--sample", "--queue", shared.queue()]).stdout(Stdio::null()).stderr(Stdio::null());
        let bot = bot.spawn().unwrap_or_else(|error| panic!("{}: {error}: cargo build -p stock-bot", beside.display()));
        Self(bot)
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.0.kill(); // with SIGKILL
        let _ = self.0.wait();
    }
}

/// Types a command until a server has taken it.
pub(crate) async fn command(server: &Server, token: &str, room: &str, text: &str) {
    let (path, key) = (format!("/chat/rooms/{room}/messages"), key());
    let deadline = Instant::now() + ANSWERED_WITHIN;
    loop {
        let request = server.request(Method::POST, &path).bearer_auth(token).timeout(PATIENCE);
        let body = json!({ "key": key, "body": { "kind": "text", "text": text } });
        let answer = with_json(request, &body).send().await.unwrap();
        if answer.status() == StatusCode::ACCEPTED {
            return;
        }
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{text}: {:?}", answer.text().await);
        assert!(Instant::now() < deadline, "{text} is never taken");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Returns all texts of a room, sorted.
pub(crate) async fn texts(server: &Server, token: &str, room: &str) -> Vec<String> {
    let page = server.get_as(token, &format!("/chat/rooms/{room}/messages?limit=100")).await.json();
    let entries = page["entries"].as_array().unwrap();
    let mut texts: Vec<_> = entries.iter().map(|entry| entry["body"]["text"].as_str().unwrap().to_owned()).collect();
    texts.sort();
    texts
}

pub(crate) async fn answers(server: &Server, token: &str, room: &str, count: usize) -> Vec<String> {
    let deadline = Instant::now() + ANSWERED_WITHIN;
    loop {
        let texts = texts(server, token, room).await;
        if texts.len() >= count || Instant::now() > deadline {
            return texts;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn a_bot_elsewhere_answers_in_the_room() {
    answers_in_the_room(Shared::make("bot", "").with_queue("CHAT_TEST_AMQP")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL, RabbitMQ and Redis: scripts/test"]
async fn a_bot_elsewhere_answers_over_redis() {
    answers_in_the_room(Shared::make("redisbot", "").with_queue("CHAT_TEST_REDIS")).await;
}

async fn answers_in_the_room(shared: Shared) {
    let (one, two) = (shared.server(), shared.server());
    let ann = one.token_of_new("ann").await;
    let room = one.create_room(&ann, "money").await;
    // Taken although nobody is there to do it.
    command(&one, &ann, &room, "/stock=aapl.us").await;
    let _bot = Bot::start(&shared);
    assert_eq!(answers(&two, &ann, &room, 1).await, ["AAPL.US quote is $93.42 per share"]);
    command(&two, &ann, &room, "/stock=nope.us").await;
    let no_quote = "No quote for NOPE.US: no price is known for this code";
    assert_eq!(answers(&one, &ann, &room, 2).await, ["AAPL.US quote is $93.42 per share", no_quote]);
}
