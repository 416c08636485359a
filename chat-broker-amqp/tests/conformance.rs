//! The broker and the work queue keep the promises of their ports.
//!
//! Run by `scripts/test`, or by hand:
//! `eval "$(scripts/services env)"; cargo test -p chat-broker-amqp --test conformance -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::Place;

chat_core::broker_conformance!(
    #[ignore = "needs RabbitMQ: scripts/test"]
    fanout,
    async || Place::make().broker("")
);

chat_core::broker_conformance!(
    #[ignore = "needs RabbitMQ: scripts/test"]
    partitioned,
    async || Place::make().broker("&partitioned=1")
);

chat_core::work_queue_conformance!(
    #[ignore = "needs RabbitMQ: scripts/test"]
    queue,
    async || Place::make().queue_under_test()
);

chat_core::dead_letters_conformance!(
    #[ignore = "needs RabbitMQ: scripts/test"]
    dead_letters,
    async || Place::make().dead_letters()
);
