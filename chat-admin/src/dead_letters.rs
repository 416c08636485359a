//! `dead-letters`: the jobs that nobody will do, until an operator decides.

use chat_core::queue::{DeadId, DeadLetters as Port, QueueName};
use clap::{Args, Subcommand};

use crate::{Failure, url::StoreUrl};

/// Letters that are asked for at once: each page costs the queue a look at all of them.
const PAGE: u16 = 500;

/// Lists, inspects, replays or purges the jobs of a queue that were given up
#[derive(Args, Debug)]
pub(crate) struct DeadLetters {
    /// The queue's URL as --queue takes it, or @FILE with one in it
    #[arg(long, value_name = "URL")]
    queue: StoreUrl,
    /// The queue's name: commands.NAME for the jobs of a slash command, replies for what bots send back
    name: String,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Prints a line for each: its id, when it was given up (in ms), how often it was delivered, and why
    List,
    /// Prints the body of one
    Inspect { id: String },
    /// Puts one back into its queue, as a new job that never expires
    Replay { id: String },
    /// Forgets all of them
    Purge,
}

impl DeadLetters {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let name = QueueName::new(&self.name)?;
        let letters = chat_engine::open_dead_letters(self.queue.reveal()).await?;
        let gone = |id: &str| Failure::from(format!("there is no letter {id} in {name}"));
        match &self.task {
            Task::List => list(&*letters, &name).await?,
            Task::Inspect { id } => {
                let job = letters.inspect(&name, &DeadId::new(&**id)).await?.ok_or_else(|| gone(id))?;
                println!("{}", String::from_utf8_lossy(&job.body));
            }
            Task::Replay { id } => {
                if !letters.replay(&name, &DeadId::new(&**id)).await? {
                    return Err(gone(id));
                }
                println!("{id}: replayed");
            }
            Task::Purge => println!("{} forgotten", letters.purge(&name).await?),
        }
        Ok(())
    }
}

async fn list(letters: &dyn Port, name: &QueueName) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let page = letters.list(name, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id.clone());
        for letter in &page {
            // A reason may be anybody's: it stays on its line.
            println!("{} {} {} {}", letter.id.as_str(), letter.died.0, letter.attempts, letter.reason.escape_debug());
        }
    }
}
