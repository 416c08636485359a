//! Frames on their way out.

use std::collections::VecDeque;

use chat_core::protocol::Request;
use tokio_tungstenite::tungstenite::Message;

use super::{frames::ServerLimits, request};

/// Holds the frames, and counts the requests.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) frames: VecDeque<Message>,
    pub(super) limits: ServerLimits,
    reference: u64,
}

impl Outgoing {
    /// Asks something; returns the `ref` that the answer will repeat.
    pub(super) fn ask(&mut self, request: &Request) -> u64 {
        self.reference += 1;
        self.frames.push_back(Message::text(request::encode(self.reference, request)));
        self.reference
    }

    /// Asks something unless it is longer than the server takes.
    pub(super) fn ask_within(&mut self, request: &Request) -> Option<u64> {
        let reference = self.ask(request);
        if self.frames.back().is_some_and(|frame| frame.len() <= self.limits.frame_bytes) {
            return Some(reference);
        }
        self.frames.pop_back();
        None
    }
}
