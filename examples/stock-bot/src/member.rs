//! The bot as a member of rooms: it needs neither a queue nor a server that knows the command, only a [`Hub`].

use std::sync::Arc;

use chat_core::{Body, Draft, Entry, Event, Hub, HubError, Text};
use futures::StreamExt;

use crate::{QuoteSource, StockCode};

/// What a text begins with that the bot answers. A slash would be the server's.
pub const CALL: &str = "stock=";

/// Answers `stock=CODE` in all rooms that the hub's user is in, until the hub ends.
///
/// The answer's key follows from that of the question: whatever is repeated, and however many bots of this user there
/// are, it is stored once.
pub async fn attend(hub: Arc<dyn Hub>, source: QuoteSource) {
    let mut events = hub.events(Vec::new());
    while let Some(event) = events.next().await {
        let Event::Entry(entry) = event else { continue };
        let Some(code) = entry.body.text().and_then(|text| text.strip_prefix(CALL)) else { continue };
        let sentence = sentence(&source, code).await;
        if let Err(error) = answer(&*hub, &entry, sentence).await {
            tracing::warn!(room = %entry.room, %error, "an answer is not taken");
        }
    }
}

async fn sentence(source: &QuoteSource, code: &str) -> String {
    let code = match code.trim().parse::<StockCode>() {
        Ok(code) => code,
        Err(error) => return error.to_string(),
    };
    source.quote(&code).await.map_or_else(|refusal| refusal.to_string(), |quote| quote.to_string())
}

async fn answer(hub: &dyn Hub, question: &Entry, sentence: String) -> Result<(), HubError> {
    let draft = Draft { key: question.key.derive("stock"), body: Body::Text(Text::new(sentence)) };
    hub.room(question.room).await?.post(draft).await.map(drop)
}
