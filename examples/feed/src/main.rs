//! Tells somebody else of every message, at least once: here a file of JSON lines, elsewhere a search index or a webhook.
//!
//! ```sh
//! cargo run -p chat-feed -- sqlite:chat.db messages.jsonl
//! ```
//!
//! It may run beside the server, on any store. Kill it whenever you like: it goes on where it stopped, and what it may tell
//! twice has the same `room` and `seq` both times.

use std::{
    error::Error,
    fs::{File, OpenOptions},
    io::Write,
    time::Duration,
};

use chat_core::store::{Behind, Consumer, FullStore};

/// How long to wait when nothing is behind. To ask costs one look into an index.
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(path)) = (args.next(), args.next()) else { return Err("usage: chat-feed STORE FILE".into()) };
    let store = chat_engine::open_full_store(&url).await?;
    let consumer = Consumer::new("feed-example")?;
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if file.metadata()?.len() > 0 {
        writeln!(file)?; // ends a line in which the last process was killed
    }
    loop {
        if tell(&*store, &consumer, &mut file).await? == 0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Tells what is behind, and returns in how many rooms something was.
async fn tell(store: &dyn FullStore, consumer: &Consumer, file: &mut File) -> Result<usize, Box<dyn Error>> {
    let rooms = store.behind(consumer, 100).await?;
    for Behind { room, place, .. } in &rooms {
        let page = store.read(*room, *place, 200).await?;
        for message in page.iter().filter(|entry| entry.body.is_message()) {
            writeln!(file, "{}", serde_json::to_string(message)?)?;
        }
        // First what it is for, and safely so, then the place: who is killed between the two tells it again.
        file.sync_data()?;
        if let Some(last) = page.last() {
            store.advance(consumer, &[(*room, last.seq)]).await?;
        }
    }
    Ok(rooms.len())
}
