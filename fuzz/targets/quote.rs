//! The reply of a quote service: a price with cents, or a refusal that repeats nothing of the reply.
#![no_main]

use std::error::Error;

use fuzz::Words;
use stock_bot::{Quote, StockCode};

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
