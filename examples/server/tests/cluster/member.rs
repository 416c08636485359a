//! The stock bot as a member of a room, inside the process of the chat and outside of it: one line differs.

use std::{sync::Arc, time::Duration};

use chat_core::{
    Draft, Engine, Event, Hub, Identity, RoomId, RoomSpec, Start, UserId,
    model::{Body, MemberChange, Membership},
};
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use futures::StreamExt;
use stock_bot::{QuoteSource, SampleServer, SourceConfig, member::attend, sample};
use tokio::time::{sleep, timeout};

use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(30);

/// Lets a bot come into a room and answer there.
async fn a_bot_answers(bot: Arc<dyn Hub>, asker: &dyn Hub, room: RoomId) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (address, serving) = SampleServer::bind("127.0.0.1:0").await.unwrap();
    tokio::spawn(serving);
    let source = SourceConfig::new(sample::template(address)).allow_private_hosts();
    let working = tokio::spawn(attend(bot, QuoteSource::new(source).unwrap()));

    let room = asker.room(room).await.unwrap();
    let texts = room.events(Start::Head).filter_map(|event| async move {
        let Event::Entry(entry) = event else { return None };
        entry.body.text().map(str::to_owned)
    });
    let mut texts = texts.boxed();
    let quote = async { while texts.next().await.unwrap() != "AAPL.US quote is $93.42 per share" {} };
    let asking = async {
        loop {
            room.post(Draft::text("stock=aapl.us")).await.unwrap();
            sleep(Duration::from_millis(200)).await; // until the bot is there
        }
    };
    tokio::select! {
        () = quote => {}
        () = asking => {}
        () = sleep(PATIENCE) => panic!("no quote"),
    }
    for text in ["what about stocks?", "stock=../../etc", "stock=nope.us"] {
        room.post(Draft::text(text)).await.unwrap();
    }
    let mut heard = Vec::new();
    while heard.last().is_none_or(|text| text != "No quote for NOPE.US: no price is known for this code") {
        heard.push(timeout(PATIENCE, texts.next()).await.unwrap_or_else(|_| panic!("only {heard:?}")).unwrap());
    }
    assert_eq!(
        heard.iter().filter(|text| text.contains("etc")).count(),
        1,
        "what was typed is not repeated: {heard:?}"
    );
    assert!(heard.iter().any(|text| text.starts_with("A stock code has")), "{heard:?}");
    working.abort();
}

fn join(user: &str) -> Draft {
    Draft::new(Body::Member(MemberChange { user: UserId::new(user).unwrap(), change: Membership::Join }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_process_of_the_chat() {
    let engine = Engine::builder().build().await.unwrap();
    let hub = |name: &str| engine.hub(Identity::human(UserId::new(name).unwrap(), name));
    let room = hub("ann").create(RoomSpec::public("money")).await.unwrap();
    room.post(join("quotes")).await.unwrap();
    a_bot_answers(Arc::new(hub("quotes")), &hub("ann"), room.id()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_another_process_over_websocket() {
    let server = Server::start(&[]);
    let (ann, quotes) = (server.token_of_new("ann").await, server.token_of_new("quotes").await);
    let room = server.create_room(&ann, "money").await;
    server.join(&quotes, &room).await;
    let (ann, quotes) = (hub(&server, &ann).await, hub(&server, &quotes).await);
    a_bot_answers(Arc::new(quotes), &ann, room.parse().unwrap()).await;
}

async fn hub(server: &Server, token: &str) -> RemoteHub {
    let url = format!("{}/chat/ws", server.url.replacen("http", "ws", 1));
    let config = ClientConfig::default().header("authorization", format!("Bearer {token}"));
    RemoteHub::connect(url, config).await.unwrap()
}
