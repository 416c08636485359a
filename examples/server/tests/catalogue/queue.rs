//! A1 to A15: what comes over queues and brokers.

use crate::row::Part;

pub(crate) const PART: Part = Part {
    title: "Jobs, results and hints",
    intro: "What workers and other nodes are sent, or strangers who can write to their queues. The rows of `servers` are run \
            against two server processes and a `stock-bot` on real services, on RabbitMQ and on Redis unless one is named: a \
            command is answered afterwards as before, and nothing is stored but what the row says. The others are shown on \
            the engine and on the adapters.",
    rows: &[ENGINE, ADAPTERS, SERVERS],
};

proven_in! { ENGINE;
    "A1.job" "jobs that are empty, no JSON, of another command" => "dead letters; those around them are done",
        "chat-core/tests/remote.rs", "unreadable_jobs_go_dead_and_those_around_them_are_done";
    "A1.result" "results that are empty, no JSON, a megabyte of brackets" => "dead letters; those around them are posted",
        "chat-core/tests/results.rs", "unreadable_results_go_dead_and_those_around_them_are_posted";
    "A1.long" "a job of 1 MiB and one byte" => "refused by the queue",
        "chat-core/src/memory/queue.rs", "a_job_over_one_mebibyte_is_refused";
    "A2" "a job, a result of another version" => "dead letters, and the version is named",
        "chat-core/src/command/wire.rs", "another_version_is_told_from_what_is_unreadable";
    "A3" "a result for a room that the caller has left" => "posted: the others in the room saw who asked",
        "chat-core/tests/results.rs", "an_answer_comes_into_the_room_though_who_asked_has_left";
    "A4" "results with another room, key, user, deadline or ticket" => "dead letters, nothing is posted",
        "chat-core/tests/results.rs", "forged_results_go_dead_and_post_nothing";
    "A5" "a result after the deadline" => "nothing beside the notice",
        "chat-core/tests/results.rs", "a_result_after_the_deadline_changes_nothing";
    "A5.job" "a job after its deadline" => "not done, answered with a failure",
        "chat-core/tests/remote.rs", "a_job_after_its_deadline_is_answered_without_being_done";
    "A6" "results three times, and in disorder" => "posted once each",
        "chat-core/tests/results.rs", "results_that_come_twice_and_in_disorder_are_posted_once_each";
    "A6.other" "another answer to the same command" => "the first one stands",
        "chat-core/tests/commands.rs", "a_result_is_stored_once_however_often_it_comes_and_only_where_it_was_asked_for";
    "A7" "hints of what has passed, far ahead, negative, upside down, of another room, with other contents" => "the log wins",
        "chat-core/tests/hints.rs", "the_log_wins_over_whatever_is_said_at_the_broker";
    "A9" "a job whose command panics each time" => "answered with a failure, a dead letter after 5 attempts",
        "chat-core/tests/remote.rs", "a_job_that_panics_each_time_is_answered_and_goes_dead_while_others_are_done";
    "A15" "20,000 hints of one room as fast as they are taken" => "a read of the log every 50 ms; messages still pass",
        "chat-core/tests/hints.rs", "a_flood_of_hints_for_one_room_costs_a_few_reads";
}

proven_in! { ADAPTERS;
    "A8" "headers of a million deaths, of negative numbers, of 100 kB, a job of 1 MiB and one byte, at RabbitMQ" =>
        "tried too often, expired, too long: dead letters; others are jobs like any other",
        "chat-broker-amqp/tests/servers/queues.rs", "jobs_that_others_made_up_disturb_no_other_job";
    "A8.hint" "hints that are empty, of another version, of 100 kB, at RabbitMQ" => "passed over",
        "chat-broker-amqp/tests/servers/brokers.rs", "messages_that_nobody_can_read_are_passed_over";
    "A9.worker" "a job that ends its worker each time, at RabbitMQ" => "a dead letter after 5 attempts",
        "chat-broker-amqp/tests/servers/queues.rs", "a_job_that_takes_its_worker_along_goes_dead_after_all_attempts";
    "A10" "a job that no queue takes, at RabbitMQ" => "the queues are made again, and it is done",
        "chat-broker-amqp/tests/servers/queues.rs", "queues_deleted_under_our_hands_are_made_again";
    "A11.full" "a job that RabbitMQ refuses, since its queue is full" => "an error that says so; taken when there is room",
        "chat-broker-amqp/tests/servers/queues.rs", "a_full_queue_refuses_until_a_job_is_done";
    "A11" "a job that RabbitMQ never confirms" => "an error after 10 s; it can be pushed again",
        "chat-broker-amqp/tests/servers/queues.rs", "a_job_that_is_not_confirmed_is_refused_and_can_be_pushed_again";
    "A12" "the queue of a node is deleted under it" => "interrupted; made again under a fresh name",
        "chat-broker-amqp/tests/servers/brokers.rs", "a_queue_deleted_under_its_consumer_is_made_again";
    "A12.exchange" "the exchange is deleted: publications close their channel (404)" => "made again, with its bindings",
        "chat-broker-amqp/tests/servers/brokers.rs", "an_exchange_deleted_with_its_bindings_is_made_again";
    "A12.locked" "a connection that only the node takes for broken: its queue is locked (405)" => "a fresh name",
        "chat-broker-amqp/tests/servers/brokers.rs", "a_connection_that_only_we_take_for_broken_is_made_again_under_a_fresh_name";
    "A12.vhost" "the virtual host is deleted, and made again" => "interrupted; joined again",
        "chat-broker-amqp/tests/servers/brokers.rs", "a_virtual_host_that_is_gone_is_waited_for";
    "A13" "RabbitMQ is short of memory (`connection.blocked`)" => "hints are refused at once; nobody waits",
        "chat-broker-amqp/tests/servers/alone.rs", "a_broker_short_of_memory_refuses_at_once_until_it_has_some";
    "A13.job" "the same, and a job" => "refused; what is waiting is handed out",
        "chat-broker-amqp/tests/servers/alone.rs", "a_broker_short_of_memory_takes_no_jobs_and_still_hands_them_out";
    "A14" "a queue that somebody made otherwise (406)" => "an error with its name",
        "chat-broker-amqp/tests/servers/queues.rs", "a_queue_that_somebody_made_otherwise_is_a_clear_error";
    "A14.exchange" "an exchange of another kind (406)" => "an error with its name",
        "chat-broker-amqp/tests/servers/brokers.rs", "an_exchange_of_another_kind_is_a_clear_error";
}

proven_in! { SERVERS;
    "A1.servers" "jobs and results that are empty, no JSON, gob, a megabyte of brackets" => "dead letters: unreadable",
        "examples/server/tests/cluster/strangers.rs", "a1_what_nobody_can_read_goes_dead";
    "A2.servers" "a genuine job and a genuine result of another version" => "dead letters, and the version is named",
        "examples/server/tests/cluster/strangers.rs", "a2_another_version_is_named";
    "A3.servers" "a result for a room that the caller has left" => "posted: the others in the room saw who asked",
        "examples/server/tests/cluster/strangers.rs", "a3_who_has_left_is_answered_in_the_room";
    "A4.servers" "results with another room, key, user, deadline, command or ticket" => "dead letters, nothing is posted",
        "examples/server/tests/cluster/strangers.rs", "a4_forged_answers_post_nothing";
    "A5.servers" "a result, and the job itself, after the deadline" => "nothing beside the notice",
        "examples/server/tests/cluster/strangers.rs", "a5_what_is_late_changes_nothing";
    "A6.servers" "results three times, in disorder, and another answer to one of them" => "the first of each, once",
        "examples/server/tests/cluster/strangers.rs", "a6_an_answer_that_comes_again_is_posted_once";
    "A7.servers" "hints of what has passed, far ahead, negative, upside down, of another room, with other contents, \
                  without a seal, with a wrong one, with the right one; genuine ones again" => "the log wins",
        "examples/server/tests/cluster/hints.rs", "a7_the_log_wins";
    "A8.servers" "jobs and results with other content types, lying headers, of 1 MiB and one byte, at RabbitMQ" =>
        "dead letters with the reason",
        "examples/server/tests/cluster/strangers.rs", "a8_headers_that_lie_and_bodies_that_are_too_long_go_dead";
    "A9.servers" "a job whose command panics each time" => "answered with a failure, a dead letter after 5 attempts",
        "examples/server/tests/cluster/strangers.rs", "a9_a_job_that_panics_each_time_is_answered_and_goes_dead";
    "A10.servers" "all queues are deleted under servers and bots, at RabbitMQ" => "made again; the next command is answered",
        "examples/server/tests/cluster/strangers.rs", "a10_queues_deleted_under_servers_and_bots_are_made_again";
    "A14.servers" "the queue of results was made otherwise (406), at RabbitMQ" =>
        "named in the log once a second at most; when it is removed, commands are answered",
        "examples/server/tests/cluster/strangers.rs", "a14_a_queue_that_somebody_made_otherwise_is_named_and_ends_nothing";
    "A15.servers" "100,000 hints of one room as fast as they are taken" => "a read of the log every 50 ms; messages still pass",
        "examples/server/tests/cluster/hints.rs", "a15_a_flood_is_a_read_every_50_ms";
}
