//! What a broker brings: nothing is believed without the cluster's seal, and what nodes write they read again.
#![no_main]

fuzz::target!(judge);

fn judge(data: &[u8]) {
    chat_core::fuzzing::hint(data);
}
