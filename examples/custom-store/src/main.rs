//! Says something in a room of a chat that is kept in one file, and prints what was said before.
//!
//! ```sh
//! cargo run -p custom-store -- tea.jsonl 'is anybody there?'
//! ```

use std::{process::ExitCode, sync::Arc};

use chat_core::{Draft, Engine, Hub, Identity, Page, RoomSpec, UserId};
use custom_store::FileStore;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(text)) = (args.next(), args.next()) else {
        eprintln!("usage: custom-store FILE TEXT");
        return ExitCode::from(2);
    };
    match say(&path, &text).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn say(path: &str, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    let store = FileStore::open(path).await?;
    let engine = Engine::builder().store(Arc::new(store)).build().await?; // the one line that is about the store
    let ann = engine.hub(Identity::human(UserId::new("ann")?, "Ann"));
    let room = ann.create(RoomSpec::public("Tea").named("tea")).await?;
    room.post(Draft::text(text)).await?;
    for entry in room.history(Page::newest(20)).await? {
        println!("{:>4} {}: {}", entry.seq, entry.name, entry.body.text().unwrap_or_default());
    }
    Ok(())
}
