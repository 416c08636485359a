//! A1 to A15: what comes over queues and brokers.

use crate::row::Part;

pub(crate) const PART: Part = Part {
    title: "Jobs, results and hints",
    intro: "What workers and other nodes are sent, or strangers who can write to their queues. The server process has its \
            queue and broker in memory, where nobody else reaches them: these are shown by tests of the engine. What is \
            particular to RabbitMQ (A8, A10 to A14) belongs to its adapter.",
    rows: &[ROWS],
};

proven_in! { ROWS;
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
