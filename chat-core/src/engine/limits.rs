//! What one engine allows: every queue, page, frame and wait has a bound.

use std::time::Duration;

/// Bounds what clients and the engine itself may take. Each default has its reason beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest frame from a client, in bytes: 64 KiB, as peers have it; a text of 4,000 characters needs 24 KiB at most.
    pub frame_bytes_max: usize,
    /// The longest text, in characters: 4,000, a long mail.
    pub text_chars_max: usize,
    /// The application's data in one body, signal or room, in bytes as JSON: 4 KiB, a reference and some fields, no files.
    pub data_bytes_max: usize,
    /// The members named when a room is created: 256, so that one entry stays below a frame.
    pub members_at_creation_max: usize,
    /// How long a new connection may take to say hello: 10 s, two slow round trips on a bad phone link.
    pub hello_within: Duration,
    /// Rooms followed by one session: 256, the rooms with the latest activity.
    pub rooms_per_session_max: usize,
    /// Sessions of one user on one node: 20, more than anybody has devices.
    pub sessions_per_user_max: usize,
    /// Sends per second of one user on one node: 10, faster than anybody types.
    pub sends_per_second: u32,
    /// Sends at once after a pause: 20.
    pub sends_burst: u32,
    /// Invalid frames in a row before the connection is closed: 20, a client with a bug is no attack.
    pub invalid_frames_max: u32,
    /// Requests of one session under way at once; reading stops then: 64.
    pub requests_in_flight_max: usize,
    /// Frames kept per followed room for those who fall behind: 256.
    pub ring_entries: usize,
    /// How long an entry that came too early waits for those before it: 50 ms, a few times what a broker reorders by.
    pub reorder_wait: Duration,
    /// How often heads are read to find what no hint announced: 1 s.
    pub poll: Duration,
    /// The same while the broker is interrupted and for 30 s after: 250 ms.
    pub poll_interrupted: Duration,
    /// Tasks that append, each with its share of the rooms: 4, since SQL servers gain little from more.
    pub lanes: usize,
    /// Drafts waiting in one lane: 4,096; beyond that senders are told to retry.
    pub lane_queue_max: usize,
    /// Drafts in one call to the store: 256.
    pub batch_max: usize,
    /// How long a sender waits for the store before it is told to retry: 5 s. The draft itself goes on.
    pub append_within: Duration,
    /// How long [`Policy::screen`](crate::Policy::screen) may take: 2 s.
    pub screen_within: Duration,
    /// Whether a draft passes when screening fails or is late; `false` answers retry.
    pub screen_fails_open: bool,
    /// How long a command may take from its acceptance to its reply: 30 s.
    pub command_within: Duration,
    /// Commands of one user under way at once: 8.
    pub commands_per_user_max: usize,
    /// How long a user stays online after the last session ended: 5 s, a reload or a tunnel.
    pub presence_grace: Duration,
    /// How often watched presence is read again: 5 s.
    pub presence_poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 64 * 1024,
            text_chars_max: 4_000,
            data_bytes_max: 4 * 1024,
            members_at_creation_max: 256,
            hello_within: Duration::from_secs(10),
            rooms_per_session_max: 256,
            sessions_per_user_max: 20,
            sends_per_second: 10,
            sends_burst: 20,
            invalid_frames_max: 20,
            requests_in_flight_max: 64,
            ring_entries: 256,
            reorder_wait: Duration::from_millis(50),
            poll: Duration::from_secs(1),
            poll_interrupted: Duration::from_millis(250),
            lanes: 4,
            lane_queue_max: 4_096,
            batch_max: 256,
            append_within: Duration::from_secs(5),
            screen_within: Duration::from_secs(2),
            screen_fails_open: false,
            command_within: Duration::from_secs(30),
            commands_per_user_max: 8,
            presence_grace: Duration::from_secs(5),
            presence_poll: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// Returns limits for load tests: what protects against abuse is raised, what bounds memory stays.
    pub fn load_profile() -> Self {
        Self {
            sends_per_second: 1_000_000,
            sends_burst: 1_000_000,
            sessions_per_user_max: 1_000_000,
            ..Self::default()
        }
    }
}
