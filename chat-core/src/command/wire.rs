//! How jobs and results of remote commands are written. The only place that knows.
//!
//! A job and a result are one JSON object each, `{"v":1,"body":{…}}`. Readers ignore fields they do not know; what
//! an older reader would misunderstand gets another `v`.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::{CommandError, Invocation, Reply, Ticket};
use crate::{
    model::{Key, RoomId, Timestamp, UserId},
    queue::{QueueError, QueueName},
};

const VERSION: u32 = 1;

/// Returns the queue of jobs for the command of this name.
pub fn requests(command: &str) -> Result<QueueName, QueueError> {
    QueueName::new(&format!("commands.{command}"))
}

/// Returns the queue of results, of all commands.
pub fn replies() -> Result<QueueName, QueueError> {
    QueueName::new("replies")
}

/// Is what a worker answers to one invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CommandResult {
    /// The command's name.
    pub name: String,
    /// The key it was sent under; the reply is stored under one derived from it.
    pub key: Key,
    /// Where it was typed.
    pub room: RoomId,
    /// Who typed it.
    pub user: UserId,
    /// When an answer is too late.
    pub deadline: Timestamp,
    /// Proves that somebody asked for this.
    pub ticket: Ticket,
    /// What the command answered: never [`Reply::Later`], never [`CommandError::Retry`].
    #[serde(with = "Outcome")]
    pub outcome: Result<Reply, CommandError>,
}

/// Says why a job or a result is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// It is not what a peer of ours writes.
    #[error("unreadable")]
    Unreadable,
    /// A peer of another version wrote it.
    #[error("of version {0}, not {VERSION}")]
    Version(u32),
    /// Its ticket is not one of ours.
    #[error("forged, or signed with another secret")]
    Forged,
}

impl Invocation {
    /// Writes the job for a worker.
    pub(super) fn encode(&self) -> Bytes {
        encode(self)
    }

    /// Reads a job.
    pub(super) fn decode(job: &[u8]) -> Result<Self, WireError> {
        decode(job)
    }

    /// Begins the result of this invocation: what is missing is the outcome.
    pub(super) fn result(&self) -> CommandResult {
        CommandResult {
            name: self.name.clone(),
            key: self.key,
            room: self.room,
            user: self.user.clone(),
            deadline: self.deadline,
            ticket: self.ticket,
            outcome: Ok(Reply::Nothing),
        }
    }
}

impl CommandResult {
    pub(super) fn encode(&self) -> Bytes {
        encode(self)
    }

    /// Reads a result and refuses it unless its ticket was issued under this secret for just this answer.
    pub fn decode(job: &[u8], secret: &[u8]) -> Result<Self, WireError> {
        let result: Self = decode(job)?;
        if Ticket::is_genuine(secret, &result) { Ok(result) } else { Err(WireError::Forged) }
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u32,
    body: T,
}

fn encode(body: &impl Serialize) -> Bytes {
    // Structs with text keys only: cannot fail.
    serde_json::to_vec(&Envelope { v: VERSION, body }).unwrap_or_default().into()
}

pub(super) fn decode<T: DeserializeOwned>(job: &[u8]) -> Result<T, WireError> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    let Version { v } = serde_json::from_slice(job).map_err(|_| WireError::Unreadable)?;
    if v != VERSION {
        return Err(WireError::Version(v));
    }
    serde_json::from_slice(job).map(|Envelope { body, .. }| body).map_err(|_| WireError::Unreadable)
}

/// Is an outcome as it is written: `{"say":"…"}`, `"nothing"`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<'a> {
    Say(Cow<'a, str>),
    Whisper(Cow<'a, str>),
    Nothing,
    Usage(Cow<'a, str>),
    Failed(Cow<'a, str>),
}

impl Outcome<'_> {
    fn serialize<S: Serializer>(outcome: &Result<Reply, CommandError>, serializer: S) -> Result<S::Ok, S::Error> {
        let outcome = match outcome {
            Ok(Reply::Say(text)) => Outcome::Say(text.into()),
            Ok(Reply::Whisper(text)) => Outcome::Whisper(text.into()),
            Ok(Reply::Nothing | Reply::Later) => Outcome::Nothing,
            Err(CommandError::Usage(text)) => Outcome::Usage(text.as_ref().into()),
            Err(CommandError::Failed(text) | CommandError::Retry(text)) => Outcome::Failed(text.as_ref().into()),
        };
        Serialize::serialize(&outcome, serializer)
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Result<Reply, CommandError>, D::Error> {
        Ok(match <Outcome<'static> as Deserialize>::deserialize(deserializer)? {
            Outcome::Say(text) => Ok(Reply::Say(text.into_owned())),
            Outcome::Whisper(text) => Ok(Reply::Whisper(text.into_owned())),
            Outcome::Nothing => Ok(Reply::Nothing),
            Outcome::Usage(text) => Err(CommandError::Usage(text)),
            Outcome::Failed(text) => Err(CommandError::Failed(text)),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        command::{Parsed, parse},
        model::Identity,
    };

    const SECRET: &[u8] = b"a secret of the cluster";

    fn call() -> Invocation {
        let Parsed::Command(line) = parse("/stock=aapl.us --days=2 --all") else { panic!("a command") };
        let ann = Identity::human(UserId::new("ann").unwrap(), "Ann");
        let key = Key::new(1_700_000_000_123, [7; 10]);
        let mut call = line.invocation(&ann, RoomId::named("r"), key, Timestamp(1_700_000_030_123));
        call.ticket = Ticket::issue(SECRET, &call);
        call
    }

    fn said(text: &str) -> CommandResult {
        CommandResult { outcome: Ok(Reply::Say(text.into())), ..call().result() }
    }

    #[test]
    fn the_wire_format_is_pinned_since_old_workers_read_it() {
        let ticket = serde_json::to_string(&call().ticket).unwrap();
        let job = format!(
            concat!(
                r#"{{"v":1,"body":{{"name":"stock","args":["aapl.us"],"flags":[["days","2"],["all",null]],"#,
                r#""room":"{room}","user":"ann","user_name":"Ann","key":"{key}","deadline":1700000030123,"#,
                r#""ticket":{ticket}}}}}"#
            ),
            room = call().room,
            key = call().key,
            ticket = ticket,
        );
        assert_eq!(call().encode(), job);
        assert_eq!(Invocation::decode(job.as_bytes()), Ok(call()));
        assert_eq!(ticket, "\"345d9b9e4d54048042803690eca0b9309519ebc519a7b9640dc40c50983d8dd8\"");
    }

    #[test]
    fn every_outcome_survives_the_way_back() {
        let outcomes = [
            Ok(Reply::Say("a".into())),
            Ok(Reply::Whisper("b".into())),
            Ok(Reply::Nothing),
            Err(CommandError::Usage("c".into())),
            Err(CommandError::Failed("d".into())),
        ];
        for outcome in outcomes {
            let result = CommandResult { outcome, ..call().result() };
            assert_eq!(CommandResult::decode(&result.encode(), SECRET), Ok(result));
        }
    }

    #[test]
    fn an_answer_to_what_nobody_asked_is_forged() {
        let genuine = said("AAPL.US quote is $93.42 per share");
        let forged = [
            CommandResult { name: "weather".into(), ..genuine.clone() },
            CommandResult { key: Key::new(1_700_000_000_123, [8; 10]), ..genuine.clone() },
            CommandResult { room: RoomId::named("another"), ..genuine.clone() },
            CommandResult { user: UserId::new("eve").unwrap(), ..genuine.clone() },
            CommandResult { deadline: genuine.deadline.plus_ms(1), ..genuine.clone() },
            CommandResult { ticket: Ticket::default(), ..genuine.clone() },
        ];
        for forged in forged {
            assert_eq!(CommandResult::decode(&forged.encode(), SECRET), Err(WireError::Forged), "{forged:?}");
        }
        assert_eq!(CommandResult::decode(&genuine.encode(), b"another secret"), Err(WireError::Forged));
        assert_eq!(CommandResult::decode(&genuine.encode(), SECRET), Ok(genuine));
    }

    #[test]
    fn another_version_is_told_from_what_is_unreadable() {
        assert_eq!(Invocation::decode(br#"{"v":2,"what":"ever"}"#), Err(WireError::Version(2)));
        for unreadable in ["", "null", "{}", r#"{"v":1}"#, r#"{"v":1,"body":{}}"#, r#"{"v":"1"}"#, "\u{0}"] {
            assert_eq!(Invocation::decode(unreadable.as_bytes()), Err(WireError::Unreadable));
            assert_eq!(CommandResult::decode(unreadable.as_bytes(), SECRET), Err(WireError::Unreadable));
        }
    }

    #[test]
    fn a_ticket_is_not_shown() {
        let hidden = serde_json::to_string(&call().ticket).unwrap();
        assert!(!format!("{:?}", call()).contains(hidden.trim_matches('"')));
    }
}
