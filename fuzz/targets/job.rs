//! What a work queue brings: jobs for workers and their answers.
#![no_main]

fuzz::target!(judge);

fn judge(data: &[u8]) {
    chat_core::fuzzing::job(data);
}
