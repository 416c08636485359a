//! What people type: any text is a text, a command that reads the same when it is shown, or an error in our words.
#![no_main]

use chat_core::command::{Parsed, parse};
use fuzz::Words;

static WORDS: Words = Words::new();

fuzz::text_target!(judge);

fn judge(text: &str) {
    match parse(text) {
        Parsed::Text(shown) => assert!(text.ends_with(shown) && text.len() - shown.len() <= 1),
        Parsed::Command(line) => assert_eq!(parse(&line.to_string()), Parsed::Command(line)),
        Parsed::Invalid(error) => WORDS.hear(&error),
        other => unreachable!("{other:?}"),
    }
}
