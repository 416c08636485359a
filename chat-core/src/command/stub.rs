use super::*;
use crate::queue::{QueueName, WorkQueue};
#[derive(Clone, Debug)] pub struct CommandResult { pub name: String, pub key: Key, pub room: RoomId, pub user: UserId, pub deadline: Timestamp, pub ticket: Ticket, pub outcome: Outcome }
#[derive(Clone, Debug)] pub enum Outcome { Say(String), Whisper(String), Nothing, Failed(String) }
pub struct RemoteCommand; impl RemoteCommand { pub fn new(_: Arc<dyn WorkQueue>) -> Self { Self } }
#[async_trait] impl Command for RemoteCommand { async fn run(&self, _: Invocation) -> Result<Reply, CommandError> { Ok(Reply::Later) } }
pub fn replies() -> QueueName { QueueName::new("replies").unwrap() }
pub fn decode_result(_: &[u8]) -> Result<CommandResult, CommandError> { Err(CommandError::Retry("x".into())) }
