//! What clients send: any bytes are a request or an error in our words, under the request's `ref`.
#![no_main]

use chat_core::{
    Body,
    protocol::{Request, decode},
};
use fuzz::Words;

static WORDS: Words = Words::new();

fuzz::target!(judge);

fn judge(data: &[u8]) {
    match decode(data) {
        Ok((_, request)) => {
            assert!(data.trim_ascii_start().starts_with(b"{"), "only objects are requests");
            if let Request::Send { draft, .. } = request {
                assert_eq!(Body::decode(&draft.body.encode()).as_ref(), Ok(&draft.body));
            }
        }
        Err(refused) => WORDS.hear(&refused.error),
    }
}
