//! What operators do with a store, from the command line: `chat-admin COMMAND --help` says how.
//!
//! Results go to stdout and progress to stderr. The status is 0 when all is done, 1 when it is not, and 2 when the command
//! line is wrong. No password of a URL is ever printed.
//!
//! A command is one file with a type that clap reads and an `async fn run(self)`, and one line in [`Asked`].

mod copy;
mod dead_letters;
mod erase_user;
mod export_room;
mod export_user;
mod fsck;
mod import;
mod lines;
mod migrate;
mod open;
mod progress;
mod trim;
mod url;

use std::{error::Error, process::ExitCode};

use clap::Parser;

type Failure = Box<dyn Error + Send + Sync>;

/// Does with a chat's store what operators do with one. A STORE is a URL as chat-server takes it, or @FILE with one in it,
/// which other users of the machine cannot read on the command line
#[derive(Debug, Parser)]
#[command(version)]
enum Asked {
    Fsck(fsck::Fsck),
    Migrate(migrate::Migrate),
    EraseUser(erase_user::EraseUser),
    ExportUser(export_user::ExportUser),
    Trim(trim::Trim),
    Copy(copy::Copy),
    Import(import::Import),
    ExportRoom(export_room::ExportRoom),
    DeadLetters(dead_letters::DeadLetters),
}

fn main() -> ExitCode {
    // Whatever makes a TLS connection later asks for it. Fails only if there is one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(Asked::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat-admin: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(asked: Asked) -> Result<(), Failure> {
    match asked {
        Asked::Fsck(command) => command.run().await,
        Asked::Migrate(command) => command.run().await,
        Asked::EraseUser(command) => command.run().await,
        Asked::ExportUser(command) => command.run().await,
        Asked::Trim(command) => command.run().await,
        Asked::Copy(command) => command.run().await,
        Asked::Import(command) => command.run().await,
        Asked::ExportRoom(command) => command.run().await,
        Asked::DeadLetters(command) => command.run().await,
    }
}

/// Joins an error and its causes, leaving out a cause that the text before it has told already.
fn chain(error: &dyn Error) -> String {
    let text = error.to_string();
    match error.source().map(chain) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}
