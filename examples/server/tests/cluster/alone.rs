//! What kills a RabbitMQ that others use: these run one at a time, apart from all others.

use std::{net::TcpStream, process::Command, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    bots::{Bot, answers, command, texts},
    rabbitmq::{Guest, Shared, repairs, services, talk},
    server::Server,
    variable,
};

/// Is the real broker, killed; dropping this starts it again.
struct RealBroker;

impl RealBroker {
    fn kill() -> Self {
        let pid = std::fs::read_to_string(variable("CHAT_TEST_AMQP_PID")).unwrap();
        assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
        // A port that still answers would be taken for another program's, and the next broker gets another one.
        let broker = variable("CHAT_TEST_AMQP");
        while TcpStream::connect(broker.rsplit_once('@').unwrap().1).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Self
    }
}

impl Drop for RealBroker {
    fn drop(&mut self) {
        assert!(services(&["start", "rabbitmq"]), "RabbitMQ does not start again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn a_broker_that_is_killed_interrupts_nobody() {
    let shared = Shared::make("kill", "");
    let (one, two) = (shared.server(), shared.server());
    let host = one.token_of_new("host").await;
    let room = one.create_room(&host, "tea").await;
    let (mut ann, mut bob) = (Guest::join(&one, "ann", &room).await, Guest::join(&two, "bob", &room).await);
    talk(&mut ann, &mut bob, 3, "before").await;
    let broker = RealBroker::kill();
    talk(&mut ann, &mut bob, 3, "without").await;
    // A server can start, and be killed, while there is none.
    let three = shared.server();
    let mut eve = Guest::join(&three, "eve", &room).await;
    ann.says("welcome").await;
    bob.hears("welcome").await;
    eve.hears("welcome").await;
    drop(three);
    let starting = spawn_blocking(move || drop(broker));
    while !starting.is_finished() {
        talk(&mut ann, &mut bob, 1, "while it starts").await;
    }
    starting.await.unwrap();
    talk(&mut ann, &mut bob, 3, "after").await;
    hints_flow_again(&mut ann, &mut bob, [&one, &two]).await;
}

/// Waits until messages come with hints again, and nothing else.
async fn hints_flow_again(ann: &mut Guest, bob: &mut Guest, servers: [&Server; 2]) {
    for round in 0..100 {
        let before = (repairs(servers[0]).await, repairs(servers[1]).await);
        talk(ann, bob, 5, &format!("round {round}")).await;
        if (repairs(servers[0]).await, repairs(servers[1]).await) == before {
            return;
        }
    }
    panic!("the servers still read the log for each message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL and RabbitMQ: scripts/test"]
async fn a_command_has_one_answer_whatever_is_killed() {
    // Which starts it again: the next command waits for it.
    one_answer_each(Shared::make("kills", "").with_queue("CHAT_TEST_AMQP"), || drop(RealBroker::kill())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL, RabbitMQ and Redis: scripts/test"]
async fn a_command_over_redis_has_one_answer_whatever_is_killed() {
    let shared = Shared::make("rediskills", "").with_queue("CHAT_TEST_REDIS");
    one_answer_each(shared, close_all_connections).await;
}

/// Ends the connections of everybody to RabbitMQ.
fn close_all_connections() {
    let close = "[rabbit_networking:close_connection(C, \"test\") || C <- rabbit_networking:connections()]";
    assert!(services(&["erlang", close]));
}

/// Kills a bot after every fourth command, and lets a fault be in the middle.
async fn one_answer_each(shared: Shared, fault: fn()) {
    const COMMANDS: usize = 40;
    let servers = [shared.server(), shared.server()];
    let ann = servers[0].token_of_new("ann").await;
    let room = servers[0].create_room(&ann, "money").await;
    let mut bots = [Bot::start(&shared), Bot::start(&shared)];
    for number in 0..COMMANDS {
        command(&servers[number % 2], &ann, &room, &format!("/stock=x{number:02}.us")).await;
        if number % 4 == 3 {
            bots[number / 4 % 2] = Bot::start(&shared); // which kills the one before it
        }
        if number == COMMANDS / 2 {
            fault();
        }
    }
    let answers = answers(&servers[0], &ann, &room, COMMANDS).await;
    sleep(Duration::from_secs(3)).await; // for a second answer, if there were one
    assert_eq!(texts(&servers[1], &ann, &room).await, answers);
    for number in 0..COMMANDS {
        let code = format!("No quote for X{number:02}.US");
        let of_it = answers.iter().filter(|text| text.starts_with(&code)).count();
        assert!(of_it <= 1, "{code} came {of_it} times");
    }
    let late = answers.iter().filter(|text| *text == "/stock gave no answer in time").count();
    assert_eq!(answers.len(), COMMANDS, "one answer each, {late} of them that there is none: {answers:?}");
    // A machine that is busy may need longer to start RabbitMQ than commands may take that were typed before.
    assert!(late <= COMMANDS / 2 + 1, "{late} of {COMMANDS} were not done");
}
