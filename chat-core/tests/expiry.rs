//! Authentication that ends while its session lives, and what takes its place.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use chat_core::{Authenticator, Clock, Code, Engine, Flow, Identity, Peer, Timestamp, clock::SystemClock};
use common::{Client, human, user};
use parking_lot::Mutex;
use serde_json::{Value, json};

const MINUTE_MS: i64 = 60_000;

/// The machine's clock, set forward by hand.
#[derive(Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp(SystemClock.now().0 + self.0.load(Ordering::SeqCst))
    }
}

/// Takes `user/login/minutes` for a token, or `user/login/@ms` where the time of its end does not move. With a `slow` engine, the login is revoked while its token is checked.
#[derive(Default)]
struct Tokens {
    clock: Arc<Hands>,
    slow: Mutex<Option<Engine>>,
}

#[async_trait]
impl Authenticator for Tokens {
    async fn authenticate(&self, token: &str) -> Result<Identity, Code> {
        let [name, login, minutes] = token.split('/').collect::<Vec<_>>()[..] else {
            return Err(Code::Unauthenticated);
        };
        let slow = self.slow.lock().clone();
        if let Some(engine) = slow {
            engine.revoke(&user(name), Some(login)).await.unwrap();
        }
        let expires = match minutes.strip_prefix('@') {
            Some(end) => end.parse().unwrap(),
            None => self.clock.now().0 + minutes.parse::<i64>().unwrap() * MINUTE_MS,
        };
        Ok(human(name).with_login(login).with_expiry(Timestamp(expires)))
    }
}

struct Chat {
    engine: Engine,
    clock: Arc<Hands>,
    tokens: Arc<Tokens>,
}

async fn chat() -> Chat {
    let clock = Arc::new(Hands::default());
    let tokens = Arc::new(Tokens { clock: clock.clone(), slow: Mutex::default() });
    let engine = Engine::builder().clock(clock.clone()).authenticator(tokens.clone()).build().await.unwrap();
    Chat { engine, clock, tokens }
}

impl Chat {
    async fn greeted(&self, token: &str) -> Client {
        let mut client = Client::connect_as(&self.engine, Peer::unknown(None));
        assert_eq!(client.say(&json!({"type": "hello", "ref": 1, "token": token})), Flow::More);
        client.until(|frame| frame["type"] == "followed").await;
        client
    }

    fn minutes_pass(&self, minutes: i64) {
        self.clock.0.fetch_add(minutes * MINUTE_MS, Ordering::SeqCst);
    }

    async fn revoke(&self, login: &str) {
        self.engine.revoke(&user("ann"), Some(login)).await.unwrap();
    }
}

async fn refresh(client: &mut Client, token: &str) -> Value {
    assert_eq!(client.say(&json!({"type": "refresh", "ref": 2, "token": token})), Flow::More);
    client.until(|frame| frame["ref"] == 2).await
}

/// Tells whether the connection is still served: everything asked before has been done by then.
async fn answers(client: &mut Client) -> bool {
    let _ = client.say(&json!({"type": "rooms", "ref": 9}));
    client.until(|frame| frame["ref"] == 9 || frame["type"] == "close").await["type"] == "rooms"
}

#[tokio::test]
async fn a_client_is_warned_once_and_closed_when_its_authentication_ends_s7() {
    let chat = chat().await;
    let mut client = chat.greeted("ann/phone/10").await;
    assert!(answers(&mut client).await);
    chat.minutes_pass(9);
    client.until(|frame| frame["type"] == "expiring").await;
    chat.minutes_pass(1);
    let end = client.until(|frame| frame["type"] == "expiring" || frame["type"] == "close").await;
    assert_eq!(end["code"], 4002, "{end}");
}

#[tokio::test]
async fn a_newer_token_of_the_same_user_keeps_the_session_s7() {
    let chat = chat().await;
    let mut client = chat.greeted("ann/phone/1").await;
    client.until(|frame| frame["type"] == "expiring").await;
    assert_eq!(refresh(&mut client, "ann/phone/10").await["type"], "welcome");
    chat.minutes_pass(9);
    let word = client.until(|frame| frame["type"] == "expiring" || frame["type"] == "close").await;
    assert_eq!(word["type"], "expiring", "warned of the new end, and not closed at the old one");
    assert!(answers(&mut client).await);
    chat.minutes_pass(1);
    assert_eq!(client.until(|frame| frame["type"] == "close").await["code"], 4002);
}

#[tokio::test]
async fn who_refreshes_with_a_token_that_ends_as_soon_is_not_warned_again() {
    let chat = chat().await;
    let token = format!("ann/phone/@{}", chat.clock.now().0 + MINUTE_MS);
    let mut client = chat.greeted(&token).await;
    client.until(|frame| frame["type"] == "expiring").await;
    assert_eq!(refresh(&mut client, &token).await["type"], "welcome");
    let mut other = chat.greeted("bob/phone/1").await;
    other.until(|frame| frame["type"] == "expiring").await; // all sessions have been looked at once more
    chat.minutes_pass(1);
    let word = client.until(|frame| frame["type"] == "expiring" || frame["type"] == "close").await;
    assert_eq!(word["code"], 4002, "{word}");
}

#[tokio::test]
async fn a_session_cannot_change_its_user_and_a_wrong_token_changes_nothing_s7() {
    let chat = chat().await;
    let mut client = chat.greeted("ann/phone/10").await;
    assert_eq!(refresh(&mut client, "bob/phone/10").await["name"], "denied");
    assert_eq!(refresh(&mut client, "nonsense").await["name"], "unauthenticated");
    assert!(answers(&mut client).await);
    chat.revoke("phone").await;
    assert_eq!(client.until(|frame| frame["type"] == "close").await["code"], 4003);
}

#[tokio::test]
async fn a_refreshed_session_ends_with_its_newest_login_and_no_other_s8() {
    let chat = chat().await;
    let mut client = chat.greeted("ann/old/10").await;
    assert_eq!(refresh(&mut client, "ann/new/10").await["type"], "welcome");
    chat.revoke("old").await;
    assert!(answers(&mut client).await, "it lives by another login now");
    chat.revoke("new").await;
    assert_eq!(client.until(|frame| frame["type"] == "close").await["code"], 4003);
}

#[tokio::test]
async fn a_login_that_is_revoked_while_its_token_is_checked_refreshes_nothing_s8() {
    let chat = chat().await;
    let mut client = chat.greeted("ann/old/10").await;
    *chat.tokens.slow.lock() = Some(chat.engine.clone());
    assert_eq!(client.say(&json!({"type": "refresh", "ref": 2, "token": "ann/new/10"})), Flow::More);
    assert_eq!(client.until(|frame| frame["type"] == "close").await["code"], 4003);
}

#[tokio::test]
async fn what_was_given_before_it_was_revoked_does_not_come_in_again() {
    let chat = chat().await;
    let minutes_ago = |minutes: i64| Timestamp(SystemClock.now().0 - minutes * MINUTE_MS);
    chat.engine.revoke(&user("ann"), Some("stolen")).await.unwrap();
    for number in 0..200 {
        // What else is in an inbox since then does not hide it.
        chat.engine.revoke(&user("ann"), Some(&number.to_string())).await.unwrap();
    }
    chat.engine.revoke(&user("bob"), None).await.unwrap();
    let later = Timestamp(SystemClock.now().0 + 1);
    let given = |name: &str, login: &str, issued| human(name).with_login(login).with_issue(issued);
    for (who, comes_in) in [
        (given("ann", "stolen", minutes_ago(60)), false),
        (given("ann", "other", minutes_ago(60)), true),
        (given("bob", "any", minutes_ago(60)), false),
        (given("bob", "any", later), true),
        (human("bob"), true), // the host says that it knows better
    ] {
        let mut client = Client::connect_as(&chat.engine, Peer::known(None, who.clone()));
        let _ = client.say(&json!({"type": "hello", "ref": 1}));
        let answer = client.until(|frame| frame["ref"] == 1).await;
        assert_eq!(answer["type"] == "welcome", comes_in, "{who:?}: {answer}");
    }
}
