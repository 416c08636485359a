//! What concerns all of the broker, and so everybody who uses it: these run one at a time, apart from all others.

use std::time::Duration;

use chat_broker_amqp::AmqpBroker;
use chat_core::{
    broker::BrokerErrorKind,
    queue::{DeadLetters, Job, QueueErrorKind, Settlement, WorkQueue},
};
use tokio::time::{Instant, sleep};

use crate::{
    PATIENCE,
    brokers::{Node, are_joined},
    common::{Alarm, Killed, Place},
    queues::{consume, done, name, next, push, push_again},
};

/// The broker stops reading from those who publish, and says so.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_broker_short_of_memory_refuses_at_once_until_it_has_some() {
    let place = Place::make();
    let broker = AmqpBroker::new(place.config(""));
    let (speaker, mut listener) = (Node::attach(&broker).await, Node::attach(&broker).await);
    are_joined(&speaker, &mut listener).await;
    let alarm = Alarm::raise();
    let deadline = Instant::now() + PATIENCE;
    while speaker.says("held back").await != Err(BrokerErrorKind::Blocked) {
        assert!(Instant::now() < deadline, "it is never said that publishers are held back");
        sleep(Duration::from_millis(20)).await;
    }
    let begun = Instant::now();
    assert_eq!(speaker.says("held back").await, Err(BrokerErrorKind::Blocked));
    assert!(begun.elapsed() < Duration::from_secs(1), "nobody waits for it");
    drop(alarm);
    are_joined(&speaker, &mut listener).await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_broker_short_of_memory_takes_no_jobs_and_still_hands_them_out() {
    let place = Place::make();
    let queue = place.queue();
    let mut jobs = consume(&queue).await;
    push(&queue, "before").await;
    let alarm = Alarm::raise();
    let error = queue.push(&name(), Job::new("held back")).await.unwrap_err();
    assert_eq!(error.kind(), QueueErrorKind::Unavailable);
    done(&mut jobs, "before").await;
    drop(alarm);
    push_again(&queue, "after").await;
    loop {
        let delivery = next(&mut jobs).await; // what was held back may come, too
        let last = delivery.job.body == "after";
        delivery.settle(Settlement::Done).await.unwrap();
        if last {
            break;
        }
    }
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn jobs_letters_and_delays_outlive_a_broker_that_is_killed() {
    let place = Place::make();
    let queue = place.queue();
    let mut jobs = consume(&queue).await;
    push(&queue, "dead").await;
    next(&mut jobs).await.settle(Settlement::Dead("no use".into())).await.unwrap();
    push(&queue, "later").await;
    next(&mut jobs).await.settle(Settlement::Retry(Duration::from_secs(2))).await.unwrap();
    push(&queue, "waiting").await;
    let killed = Killed::kill();
    let refused = queue.push(&name(), Job::new("refused")).await.unwrap_err();
    assert_eq!(refused.kind(), QueueErrorKind::Unavailable);
    drop(killed);
    let mut left = vec!["later", "waiting"];
    while !left.is_empty() {
        let delivery = next(&mut jobs).await; // in either order: the delay may be over when the broker is back
        left.retain(|body| delivery.job.body != *body);
        delivery.settle(Settlement::Done).await.unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    let letters = loop {
        match queue.list(&name(), None, 10).await {
            Ok(letters) => break letters,
            Err(error) => assert!(error.is_transient() && Instant::now() < deadline, "{error}"), // it has just started
        }
    };
    assert_eq!(letters.iter().map(|letter| &*letter.reason).collect::<Vec<_>>(), ["no use"]);
}
