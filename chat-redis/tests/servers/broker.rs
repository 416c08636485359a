//! The broker through outages, and what it refuses.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chat_check::proxy::{Proxy, Way};
use chat_core::{
    UserId,
    broker::{Attached, Broker, BrokerErrorKind, Heard, Link, Topic},
    conformance::run,
    model::NodeId,
    presence::Presence,
    queue::{Job, QueueName, WorkQueue},
};
use chat_redis::{RedisBroker, RedisConfig, RedisPresence, RedisQueue};
use futures::{StreamExt, stream::BoxStream};
use tokio::time::{sleep, timeout};

use crate::redis::{Redis, cluster, cluster_url};

/// How long a recovery may take on a slow machine: the broker tries every second.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longer than the driver's own attempts to reconnect last.
const LONG_OUTAGE: Duration = Duration::from_secs(10);

pub(crate) struct Node {
    pub(crate) link: Arc<dyn Link>,
    heard: BoxStream<'static, Heard>,
}

async fn node(url: &str, number: u8) -> Node {
    let broker = RedisBroker::open(url).await.unwrap();
    let Attached { link, heard } = broker.attach(NodeId::random([number; 16])).await.unwrap();
    Node { link, heard }
}

pub(crate) async fn pair(url: &str) -> (Node, Node) {
    let (speaker, listener) = (node(url, 1).await, node(url, 2).await);
    listener.link.listen(&topics()).await.unwrap();
    (speaker, listener)
}

/// Enough for every server of a cluster to have some.
pub(crate) fn topics() -> Vec<Topic> {
    (0..24).map(|number| Topic::new(number).unwrap()).collect()
}

impl Node {
    pub(crate) async fn interrupted(&mut self) {
        let interrupted = async { while self.heard.next().await.unwrap() != Heard::Interrupted {} };
        timeout(PATIENCE, interrupted).await.expect("told of the interruption");
    }

    /// Returns the topic of the next payload within a while.
    async fn next_topic(&mut self) -> Option<Topic> {
        loop {
            match timeout(Duration::from_millis(200), self.heard.next()).await {
                Ok(Some(Heard::Payload { topic, .. })) => return Some(topic),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

/// Speaks on all topics until each was heard since.
pub(crate) async fn all_is_heard(speaker: &Node, listener: &mut Node) {
    let deadline = Instant::now() + PATIENCE;
    let mut missing = topics();
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "not heard: {missing:?}");
        for topic in &missing {
            let _ = speaker.link.publish(&[(*topic, Bytes::from_static(b"hint"))]).await;
        }
        while let Some(topic) = listener.next_topic().await {
            missing.retain(|other| *other != topic);
        }
    }
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_long_outage_is_told_and_then_all_is_heard_again() {
    run(async {
        let mut redis = Redis::start(&[]);
        let (speaker, mut listener) = pair(&redis.url()).await;
        redis.kill();
        listener.interrupted().await;
        let refused = speaker.link.publish(&[(topics()[0], Bytes::new())]).await.unwrap_err();
        assert_eq!(refused.kind(), BrokerErrorKind::Unavailable);
        // What one begins to hear meanwhile is heard afterwards, too.
        let late = Topic::new(999).unwrap();
        assert!(listener.link.listen(&[late]).await.unwrap_err().is_transient());
        listener.interrupted().await; // told again, 15 s later: the engine polls faster for 30 s each time
        redis.restart();
        listener.interrupted().await; // before anything else: it says that all is heard again
        speaker.link.publish(&[(late, Bytes::new())]).await.unwrap();
        assert_eq!(listener.next_topic().await, Some(late));
        all_is_heard(&speaker, &mut listener).await;
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_node_that_the_server_cuts_off_is_told_and_hears_again() {
    run(async {
        let redis = Redis::start(&[]);
        let (speaker, mut listener) = pair(&redis.url()).await;
        // As it does with a client that does not read: its buffer is thrown away.
        assert_eq!(redis.cli(&["client", "kill", "type", "pubsub"]).trim(), "1");
        listener.interrupted().await;
        all_is_heard(&speaker, &mut listener).await;
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_server_that_sleeps_holds_nobody_up_and_is_heard_when_it_wakes() {
    run(async {
        let redis = Redis::start(&["--enable-debug-command", "yes"]);
        let (speaker, mut listener) = pair(&redis.url()).await;
        let mut sleeping = redis.begin(&["debug", "sleep", "9"]);
        sleep(Duration::from_millis(200)).await; // until the command is there
        let begun = Instant::now();
        let refused = speaker.link.publish(&[(topics()[0], Bytes::new())]).await.unwrap_err();
        assert!(refused.is_transient() && begun.elapsed() < Duration::from_secs(5), "{refused} {:?}", begun.elapsed());
        listener.interrupted().await;
        sleeping.wait().unwrap();
        all_is_heard(&speaker, &mut listener).await;
    });
}

/// Both ends take the connection for whole, and nothing passes any more: as behind a firewall that has forgotten it.
#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_connection_over_which_nothing_comes_is_given_up_and_made_again() {
    run(async {
        let redis = Redis::start(&[]);
        let proxy = Proxy::to(redis.address().parse().unwrap()).await.unwrap();
        let speaker = node(&redis.url(), 1).await;
        let mut listener = node(&format!("redis://{}", proxy.address()), 2).await;
        listener.link.listen(&topics()).await.unwrap();
        all_is_heard(&speaker, &mut listener).await;
        proxy.answers(Way::Swallow);
        let begun = Instant::now();
        let refused = listener.link.publish(&[(topics()[0], Bytes::new())]).await.unwrap_err();
        assert!(refused.is_transient() && begun.elapsed() < Duration::from_secs(5), "{refused} {:?}", begun.elapsed());
        listener.interrupted().await; // what it only hears over is asked, too
        proxy.answers(Way::Pass);
        all_is_heard(&speaker, &mut listener).await;
        listener.link.publish(&[(topics()[0], Bytes::new())]).await.unwrap();
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_server_of_a_cluster_that_comes_back_is_heard_again() {
    run(async {
        let mut nodes = cluster();
        let (speaker, mut listener) = pair(&cluster_url(&nodes)).await;
        all_is_heard(&speaker, &mut listener).await;
        nodes[1].kill();
        listener.interrupted().await;
        // The topics of the others go on.
        for topic in topics() {
            let _ = speaker.link.publish(&[(topic, Bytes::new())]).await;
        }
        let mut heard = 0;
        while listener.next_topic().await.is_some() {
            heard += 1;
        }
        assert!((1..topics().len()).contains(&heard), "{heard} topics are heard");
        sleep(LONG_OUTAGE).await;
        nodes[1].restart();
        listener.interrupted().await;
        all_is_heard(&speaker, &mut listener).await;
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn topics_whose_slot_moves_are_heard_at_its_new_server() {
    run(async {
        let nodes = cluster();
        let (speaker, mut listener) = pair(&cluster_url(&nodes)).await;
        let id = |node: &Redis| node.cli(&["cluster", "myid"]).trim().to_owned();
        let slot = nodes[0].cli(&["cluster", "keyslot", "chat:hint:7"]).trim().to_owned();
        for node in &nodes {
            node.cli(&["cluster", "setslot", &slot, "node", &id(&nodes[2])]);
        }
        // It may have been there already; then it moves now.
        for node in &nodes {
            node.cli(&["cluster", "setslot", &slot, "node", &id(&nodes[1])]);
        }
        all_is_heard(&speaker, &mut listener).await;
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_missing_or_wrong_password_is_refused_for_good() {
    run(async {
        let redis = Redis::start(&["--requirepass", "right"]);
        let with = |secret: &str| format!("redis://{secret}{}", redis.address());
        for secret in ["", ":wrong@", "somebody:right@"] {
            let refused = RedisBroker::open(&with(secret)).await.unwrap_err();
            assert!(refused.kind() == BrokerErrorKind::Other && !refused.is_transient(), "{secret} {refused}");
        }
        let (speaker, mut listener) = pair(&with(":right@")).await;
        all_is_heard(&speaker, &mut listener).await;
    });
}

#[test]
#[ignore = "needs redis-server: scripts/test"]
fn a_role_with_rights_to_its_own_names_suffices() {
    run(async {
        let redis = Redis::start(&[]);
        redis.cli(&["acl", "setuser", "support", "on", ">pw", "~support:*", "&support:*", "+@all", "-@admin"]);
        let with = |namespace: &str| format!("redis://support:pw@{}?namespace={namespace}", redis.address());
        let (speaker, mut listener) = pair(&with("support")).await;
        all_is_heard(&speaker, &mut listener).await;
        let queue = RedisQueue::open(&with("support")).await.unwrap();
        queue.push(&QueueName::new("jobs").unwrap(), Job::new("job")).await.unwrap();
        let users = [UserId::new("ann").unwrap()];
        let presence = RedisPresence::open(&with("support")).await.unwrap();
        presence.enter(NodeId::random([1; 16]), &users).await.unwrap();
        assert_eq!(presence.online(&users).await.unwrap(), [true]);
        let elsewhere = RedisPresence::open(&with("sales")).await.unwrap();
        assert!(!elsewhere.online(&users).await.unwrap_err().is_transient());
    });
}

#[test]
fn a_redis_without_password_elsewhere_is_refused_before_it_is_asked() {
    run(async {
        // An address of documentation: whoever tried to connect would wait.
        let begun = Instant::now();
        let refused = RedisBroker::connect(RedisConfig::new("redis://192.0.2.1")).await.unwrap_err();
        assert!(refused.to_string().contains("needs a password"), "{refused}");
        assert!(begun.elapsed() < Duration::from_secs(1));
    });
}
