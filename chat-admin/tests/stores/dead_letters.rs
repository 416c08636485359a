//! Dead letters on the queues of real servers.

use chat_core::queue::{Consume, Job, QueueName, Settlement};
use futures::StreamExt;

use crate::{
    common::{admin, done},
    fresh, url,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs RabbitMQ: scripts/test"]
async fn jobs_given_up_on_rabbitmq_are_listed_inspected_replayed_and_purged() {
    all_tasks("CHAT_TEST_AMQP").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis: scripts/test"]
async fn jobs_given_up_on_redis_are_listed_inspected_replayed_and_purged() {
    all_tasks("CHAT_TEST_REDIS").await;
}

async fn all_tasks(server: &str) {
    let queue = format!("{}?namespace={}", url(server), fresh());
    let name = QueueName::new("commands.stock").unwrap();
    let jobs = chat_engine::open_queue(&queue).await.unwrap();
    let mut worker = jobs.consume(&name, Consume::default()).await.unwrap();
    for body in ["first", "second", "third"] {
        jobs.push(&name, Job::new(body)).await.unwrap();
        let delivery = worker.next().await.unwrap().unwrap();
        delivery.settle(Settlement::Dead(format!("{body}\nis no use"))).await.unwrap();
    }

    let ask = |task: &[&str]| done(&[&["dead-letters", "--queue", &queue, "commands.stock"], task].concat());
    let list = ask(&["list"]);
    let letters: Vec<Vec<_>> = list.lines().map(|line| line.splitn(4, ' ').collect()).collect();
    let told: Vec<_> = letters.iter().map(|letter| letter[2..].join(" ")).collect();
    assert_eq!(told, [r"1 first\nis no use", r"1 second\nis no use", r"1 third\nis no use"]);
    assert_eq!(ask(&["inspect", letters[1][0]]), "second\n");
    ask(&["replay", letters[1][0]]);
    let again = worker.next().await.unwrap().unwrap();
    assert_eq!(again.job.body, "second");
    again.settle(Settlement::Done).await.unwrap();
    assert_eq!(admin(&["dead-letters", "--queue", &queue, "commands.stock", "replay", letters[1][0]]).status, Some(1));
    assert_eq!(ask(&["purge"]), "2 forgotten\n");
    assert_eq!(ask(&["list"]), "");
}
