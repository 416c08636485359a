//! What is counted. Handles are looked up once, since the hot path looks nothing up: install a recorder first.

use metrics::{Counter, Gauge, counter, gauge};

pub(crate) struct Metrics {
    /// Open WebSockets.
    open: Gauge,
    /// Frames written by the publisher's own task.
    pub(crate) inline: Counter,
    /// Frames that had to wait for the connection's task.
    pub(crate) queued: Counter,
    /// Writes by which waiting frames left.
    pub(crate) flushes: Counter,
    /// Signals dropped since their receiver was slow.
    pub(crate) signals_dropped: Counter,
    /// Entries refused since their receiver was slow; it is parked.
    pub(crate) full: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            open: gauge!("chat_ws_open"),
            inline: counter!("chat_ws_frames_total", "how" => "inline"),
            queued: counter!("chat_ws_frames_total", "how" => "queued"),
            flushes: counter!("chat_ws_flushes_total"),
            signals_dropped: counter!("chat_ws_signals_dropped_total"),
            full: counter!("chat_ws_full_total"),
        }
    }
}

/// Counts one open WebSocket for as long as it lives.
pub(crate) struct OpenOne(Gauge);

impl Metrics {
    pub(crate) fn open_one(&self) -> OpenOne {
        self.open.increment(1);
        OpenOne(self.open.clone())
    }
}

impl Drop for OpenOne {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// Counts a request for a WebSocket by the status it was answered with.
pub(crate) fn answered(status: http::StatusCode) {
    counter!("chat_ws_handshakes_total", "status" => status.as_str().to_owned()).increment(1);
}

/// Counts a connection's end by its reason.
pub(crate) fn closed(reason: &'static str) {
    counter!("chat_ws_closed_total", "reason" => reason).increment(1);
}

/// Counts a TCP connection turned away before its first byte.
pub(crate) fn turned_away() {
    counter!("chat_ws_turned_away_total").increment(1);
}
