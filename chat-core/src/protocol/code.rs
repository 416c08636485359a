//! What a client is told when something cannot be done, and when a connection ends.

use std::{borrow::Cow, fmt, time::Duration};

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal $retry:literal,)+) => {
        /// Says why a request was not done: a number and a name that never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Code { $($(#[$doc])* $name = $number,)+ }

        impl Code {
            /// All codes, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Tells whether the same request may succeed later. If so, a send under this key may yet be stored,
            /// and the client sends it again before any later one to that room.
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retry,)+ }
            }
        }
    };
}

codes! {
    /// The frame is not one JSON object of the protocol, or a field has the wrong type.
    Invalid = 1000 "invalid" false,
    /// The type of the request is not known.
    UnknownType = 1001 "unknown_type" false,
    /// The key is not a UUID of version 7 or 8.
    InvalidKey = 1002 "invalid_key" false,
    /// The body is not allowed: empty, too long, of an unknown kind.
    InvalidBody = 1003 "invalid_body" false,
    /// Another body is stored under this key.
    Conflict = 1010 "conflict" false,
    /// The key is older than what the room still keeps, so whether it was stored is not known.
    TooOld = 1011 "too_old" false,
    /// There is no such room or message, or it is not yours to see.
    NotFound = 1020 "not_found" false,
    /// You may see it, but not do this.
    Denied = 1021 "denied" false,
    /// No valid authentication.
    Unauthenticated = 1022 "unauthenticated" false,
    /// `hello` must come first, and once.
    NotGreeted = 1023 "not_greeted" false,
    /// There is no command of this name.
    UnknownCommand = 1030 "unknown_command" false,
    /// The command cannot be read, or its arguments are wrong.
    InvalidCommand = 1031 "invalid_command" false,
    /// The command failed.
    CommandFailed = 1032 "command_failed" false,
    /// A limit on how much one client may have at once is reached.
    TooMany = 1040 "too_many" false,
    /// You left the room.
    Left = 1050 "left" false,
    /// Somebody took you out of the room.
    Removed = 1051 "removed" false,
    /// You asked to receive it no more.
    Unfollowed = 1052 "unfollowed" false,
    /// It cannot be done now; whether a send was stored is open.
    Retry = 1100 "retry" true,
    /// An earlier send of yours to this room waits to be sent again first.
    Behind = 1101 "behind" true,
    /// Too many requests; wait for `retry_after_ms`.
    RateLimited = 1102 "rate_limited" true,
    /// This node is going away; connect again.
    Draining = 1103 "draining" true,
}

impl Code {
    /// Returns the number.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Is why a user's request was not done: fit to be shown to that user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubError {
    /// The code.
    pub code: Code,
    /// One plain sentence, in the words of the person who asked.
    pub message: Cow<'static, str>,
    /// How long to wait before trying again.
    pub retry_after: Option<Duration>,
}

impl HubError {
    /// Makes an error with a sentence.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }

    /// Sets how long to wait.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<Code> for HubError {
    fn from(code: Code) -> Self {
        let message = match code {
            Code::Invalid => "this is not a frame of the protocol",
            Code::UnknownType => "this type of request is not known",
            Code::InvalidKey => "the key must be a UUID of version 7 or 8",
            Code::InvalidBody => "this cannot be posted",
            Code::Conflict => "another message was already sent under this key",
            Code::TooOld => "this is too old to be sent again",
            Code::NotFound => "not found",
            Code::Denied => "you may not do this",
            Code::Unauthenticated => "please log in",
            Code::NotGreeted => "say hello first, once",
            Code::UnknownCommand => "there is no such command",
            Code::InvalidCommand => "this command cannot be read",
            Code::CommandFailed => "the command failed",
            Code::TooMany => "this is more than is allowed at once",
            Code::Left => "you left the room",
            Code::Removed => "you were removed from the room",
            Code::Unfollowed => "you receive this room no more",
            Code::Retry => "this does not work right now, please try again",
            Code::Behind => "an earlier message has to be sent again first",
            Code::RateLimited => "too fast, please wait a moment",
            Code::Draining => "the server is restarting, please connect again",
        };
        Self::new(code, message)
    }
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for HubError {}

macro_rules! close_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal $reason:literal $reconnect:literal,)+) => {
        /// Says why a connection ended, as a WebSocket close code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum CloseCode { $($(#[$doc])* $name = $number,)+ }

        impl CloseCode {
            /// All close codes.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the reason in a few stable words.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason,)+ }
            }

            /// Tells whether the client should connect again by itself and resume.
            pub const fn reconnect(self) -> bool {
                match self { $(Self::$name => $reconnect,)+ }
            }
        }
    };
}

close_codes! {
    /// The client said goodbye.
    Normal = 1000 "goodbye" false,
    /// Bytes that are no WebSocket.
    Protocol = 1002 "protocol error" false,
    /// A binary frame on the text protocol.
    Unsupported = 1003 "only text frames" false,
    /// A text frame that is not UTF-8.
    NotUtf8 = 1007 "not UTF-8" false,
    /// Fragments or pings without end.
    Policy = 1008 "abusive framing" false,
    /// A message above the limit.
    TooLarge = 1009 "message too large" false,
    /// A fault of ours.
    Internal = 1011 "internal error" true,
    /// The node is going away.
    Draining = 1012 "restarting, resume" true,
    /// No valid authentication.
    Unauthenticated = 4001 "unauthenticated" false,
    /// The authentication ended; connect with a new one.
    Expired = 4002 "authentication expired" false,
    /// The authentication was taken back.
    Revoked = 4003 "logged out" false,
    /// No `hello` in time.
    HelloTimeout = 4004 "no hello in time" true,
    /// Too many connections of this user or address.
    TooMany = 4005 "too many connections" true,
    /// Nothing could be written and nothing was read for too long.
    Slow = 4010 "slow, resume" true,
    /// Too many invalid frames in a row.
    Abusive = 4020 "too many invalid frames" false,
}

/// Is how a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub code: CloseCode,
    /// How long the client should wait at least before it connects again.
    pub retry_after: Option<Duration>,
}

impl Close {
    /// Ends a connection without advice on waiting.
    pub const fn new(code: CloseCode) -> Self {
        Self { code, retry_after: None }
    }

    /// Advises to wait before connecting again.
    #[must_use]
    pub const fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<CloseCode> for Close {
    fn from(code: CloseCode) -> Self {
        Self::new(code)
    }
}
