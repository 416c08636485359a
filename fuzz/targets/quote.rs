//! The reply of a quote service: a price with cents, or a refusal that repeats nothing of the reply.
#![no_main]

// The readers alone: the HTTP client of the whole crate is most of what would have to be built.
#[allow(dead_code, unreachable_pub, reason = "the bot uses more of it")]
#[path = "../../examples/stock-bot/src/code.rs"]
mod code;
#[path = "../../examples/stock-bot/src/quote.rs"]
mod quote;
#[allow(dead_code, unreachable_pub, reason = "the bot uses more of it")]
#[path = "../../examples/stock-bot/src/refusal.rs"]
mod refusal;
#[path = "../../examples/stock-bot/src/reply.rs"]
mod reply;

use std::error::Error;

use self::{code::StockCode, quote::Quote};
use fuzz::Words;

static WORDS: Words = Words::new();

fuzz::target!(judge);

fn judge(reply: &[u8]) {
    let code: StockCode = "aapl.us".parse().unwrap();
    match Quote::from_csv(&code, reply) {
        Ok(quote) => {
            let text = quote.to_string();
            let price = text.strip_prefix("AAPL.US quote is $").and_then(|text| text.strip_suffix(" per share"));
            let (dollars, cents) = price.and_then(|price| price.split_once('.')).unwrap();
            assert!(!dollars.is_empty() && cents.len() == 2, "{text}");
            assert!((dollars.to_owned() + cents).bytes().all(|byte| byte.is_ascii_digit()), "{text}");
            assert!(!quote.price().is_zero(), "{text}");
        }
        Err(refusal) => {
            WORDS.hear(&refusal);
            let mut cause = refusal.source();
            while let Some(error) = cause {
                WORDS.hear(&error);
                cause = error.source();
            }
        }
    }
}
