//! Jobs whose workers, queues and broker go away, and jobs that are none.

use std::time::Duration;

use chat_broker_amqp::AmqpQueue;
use chat_check::proxy::{Proxy, Way};
use chat_core::queue::{
    Consume, DeadLetters, Delivery, Job, QueueError, QueueErrorKind, QueueName, Settlement, WorkQueue,
};
use futures::{StreamExt, stream::BoxStream};
use lapin::{
    BasicProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    PATIENCE,
    common::{Place, channel, server},
};

pub(crate) type Jobs = BoxStream<'static, Result<Delivery, QueueError>>;

/// The one name whose queues a place deletes at its end.
pub(crate) fn name() -> QueueName {
    QueueName::new("conformance.jobs").unwrap()
}

pub(crate) async fn consume(queue: &AmqpQueue) -> Jobs {
    queue.consume(&name(), Consume::default()).await.unwrap()
}

pub(crate) async fn push(queue: &AmqpQueue, body: &'static str) {
    queue.push(&name(), Job::new(body)).await.unwrap();
}

/// Pushes until the queue takes it, as whoever pushes does.
pub(crate) async fn push_again(queue: &AmqpQueue, body: &'static str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = queue.push(&name(), Job::new(body)).await {
        assert!(error.is_transient() && Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the next job, however often the connection is lost before.
pub(crate) async fn next(jobs: &mut Jobs) -> Delivery {
    let next = async {
        loop {
            if let Ok(delivery) = jobs.next().await.expect("the stream goes on") {
                return delivery;
            }
        }
    };
    timeout(PATIENCE, next).await.expect("a delivery")
}

pub(crate) async fn done(jobs: &mut Jobs, body: &str) {
    let delivery = next(jobs).await;
    assert_eq!(delivery.job.body, body);
    delivery.settle(Settlement::Done).await.unwrap();
}

fn over(proxy: &Proxy, place: &Place) -> AmqpQueue {
    AmqpQueue::new(place.config_at(&proxy.address().to_string(), ""))
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_job_in_hand_comes_again_when_the_connection_is_lost() {
    let (place, proxy) = (Place::make(), Proxy::to(server()).await.unwrap());
    let queue = over(&proxy, &place);
    let mut jobs = consume(&queue).await;
    push(&queue, "job").await;
    let in_hand = next(&mut jobs).await;
    proxy.reset();
    let again = next(&mut jobs).await;
    assert_eq!((&again.job.body[..], again.attempt), (&b"job"[..], 2));
    // Whoever still holds the first delivery cannot settle it any more, and does no harm.
    assert!(in_hand.settle(Settlement::Retry(Duration::ZERO)).await.is_err());
    again.settle(Settlement::Done).await.unwrap();
    push_again(&queue, "next").await;
    done(&mut jobs, "next").await;
}

/// As a job does that ends the process each time: nobody is left to say that it failed.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_job_that_takes_its_worker_along_goes_dead_after_all_attempts() {
    let place = Place::make();
    let queue = place.queue();
    push(&queue, "poison").await;
    for attempt in 1..=5 {
        let mut jobs = consume(&queue).await;
        assert_eq!(next(&mut jobs).await.attempt, attempt);
        drop(jobs);
    }
    let mut jobs = consume(&queue).await;
    push(&queue, "good").await;
    done(&mut jobs, "good").await;
    let letters = queue.list(&name(), None, 10).await.unwrap();
    assert_eq!((letters.len(), &*letters[0].reason, letters[0].attempts), (1, "not done after 5 attempts", 5));
}

/// A message that no queue takes comes back; a queue that is missing closes the channel of who asks it.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn queues_deleted_under_our_hands_are_made_again() {
    let place = Place::make();
    let queue = place.queue();
    let mut jobs = consume(&queue).await;
    push(&queue, "before").await;
    done(&mut jobs, "before").await;
    let (_connection, channel) = channel().await;
    for rest in ["jobs.conformance.jobs.high", "jobs.conformance.jobs.normal"] {
        channel.queue_delete(place.name(rest).into(), QueueDeleteOptions::default()).await.unwrap();
    }
    push(&queue, "after").await;
    done(&mut jobs, "after").await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_job_that_is_not_confirmed_is_refused_and_can_be_pushed_again() {
    let (place, proxy) = (Place::make(), Proxy::to(server()).await.unwrap());
    let queue = over(&proxy, &place);
    push(&queue, "before").await;
    proxy.answers(Way::Swallow);
    let begun = Instant::now();
    let error = queue.push(&name(), Job::new("unconfirmed")).await.unwrap_err();
    assert_eq!(error.kind(), QueueErrorKind::Unavailable);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    proxy.answers(Way::Pass);
    proxy.cut();
    push_again(&queue, "again").await;
    let mut jobs = consume(&place.queue()).await;
    done(&mut jobs, "before").await;
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_queue_that_somebody_made_otherwise_is_a_clear_error() {
    let place = Place::make();
    let (_connection, channel) = channel().await;
    let (theirs, durable) = (place.name("jobs.conformance.jobs.normal"), QueueDeclareOptions::durable());
    channel.queue_declare(theirs.into(), durable, FieldTable::default()).await.unwrap();
    let queue = place.queue();
    let error = queue.push(&name(), Job::new("job")).await.unwrap_err();
    assert_eq!(error.kind(), QueueErrorKind::Other, "{error}");
    assert!(error.to_string().contains("PRECONDITION_FAILED"), "{error}");
    let Err(error) = queue.consume(&name(), Consume::default()).await else { panic!("it is no queue of ours") };
    assert_eq!(error.kind(), QueueErrorKind::Other, "{error}");
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn a_full_queue_refuses_until_a_job_is_done() {
    let place = Place::make();
    let queue = AmqpQueue::new(place.config("").jobs_max(2));
    let mut pushed = 0;
    // Quorum queues notice a little late that they are full.
    let error = loop {
        match queue.push(&name(), Job::new("job")).await {
            Ok(()) => pushed += 1,
            Err(error) => break error,
        }
        assert!(pushed < 100, "it is never full");
    };
    assert_eq!(error.kind(), QueueErrorKind::Full, "{error}");
    let mut jobs = consume(&queue).await;
    for _ in 0..pushed {
        done(&mut jobs, "job").await;
    }
    push_again(&queue, "job").await;
}

/// Whoever can publish to the broker can put anything into a queue.
#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn jobs_that_others_made_up_disturb_no_other_job() {
    let place = Place::make();
    let queue = place.queue();
    push(&queue, "before").await;
    let (_connection, channel) = channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap(); // each is there before the next job is pushed
    let publish = async |body: &[u8], headers: FieldTable| {
        let name = place.name("jobs.conformance.jobs.normal");
        let properties = BasicProperties::default().with_headers(headers).with_content_type("image/png".into());
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), name.into(), options, body, properties).await.unwrap().await.unwrap();
    };
    publish(b"", FieldTable::default()).await;
    publish(&vec![b'x'; 1024 * 1024 + 1], FieldTable::default()).await;
    let table = [
        ("chat-attempts", AMQPValue::LongLongInt(-1)),
        ("chat-attempts", AMQPValue::LongString("many".into())),
        ("chat-attempts", AMQPValue::LongLongInt(i64::MAX)),
        ("chat-expires", AMQPValue::LongLongInt(i64::MIN)),
        ("chat-due", AMQPValue::Boolean(true)),
        ("chat-priority", AMQPValue::LongLongInt(7)),
        ("x-death", AMQPValue::LongLongInt(1_000_000)),
        ("x-padding", AMQPValue::LongString("x".repeat(100_000).into())),
    ];
    for (header, value) in table {
        let mut headers = FieldTable::default();
        headers.insert(header.into(), value);
        publish(b"made up", headers).await;
    }
    push(&queue, "after").await;
    let mut jobs = consume(&queue).await;
    done(&mut jobs, "before").await;
    let mut delivered = 0;
    loop {
        let delivery = next(&mut jobs).await;
        if delivery.job.body == "after" {
            delivery.settle(Settlement::Done).await.unwrap();
            break;
        }
        delivered += 1;
        delivery.settle(Settlement::Dead("made up".into())).await.unwrap();
    }
    // Too large, tried too often and expired ones were never delivered.
    assert_eq!(delivered, 7);
    assert_eq!(queue.purge(&name()).await.unwrap(), 10);
}

#[tokio::test]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn two_namespaces_share_no_jobs() {
    let (one, other) = (Place::make(), Place::make());
    let (ours, theirs) = (one.queue(), other.queue());
    push(&theirs, "theirs").await;
    push(&ours, "ours").await;
    done(&mut consume(&ours).await, "ours").await;
    done(&mut consume(&theirs).await, "theirs").await;
}
