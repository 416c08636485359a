//! `export-user`: hands out what is held of a person.

use std::io::{self, BufWriter, Write};

use chat_core::{UserId, people};
use clap::Args;

use crate::{Failure, open::open, url::StoreUrl};

/// Prints everything that is held of a person, as JSON lines
///
/// A line is a `person`, a `room` with their membership and how far they have read, or an `entry` of that room that they
/// wrote (messages, edits, reactions) or that names them.
#[derive(Args, Debug)]
pub(crate) struct ExportUser {
    /// The user's id
    user: UserId,
    /// The store
    #[arg(long)]
    store: StoreUrl,
    /// The store of the messages, where chat-server is told one with --messages
    #[arg(long, value_name = "STORE")]
    messages: Option<StoreUrl>,
}

impl ExportUser {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let store = open(&self.store, self.messages.as_ref()).await?;
        let mut out = BufWriter::new(io::stdout());
        let mut written = Ok(());
        let lines = people::export(&*store, &self.user, |line| {
            if written.is_ok() {
                written =
                    serde_json::to_writer(&mut out, &line).map_err(io::Error::from).and_then(|()| out.write_all(b"\n"));
            }
        });
        let lines = lines.await?;
        written?;
        out.flush()?;
        if lines == 0 {
            return Err("nothing is held of this user".into());
        }
        eprintln!("{lines} lines");
        Ok(())
    }
}
