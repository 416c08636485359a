//! Rows of an SQL database that somebody else may have changed.
#![no_main]

use fuzz::Words;

static WORDS: Words = Words::new();

fuzz::target!(judge);

fn judge(data: &[u8]) {
    for error in chat_store_sql::fuzzing::row(data) {
        WORDS.hear(&error);
    }
}
