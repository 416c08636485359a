//! An axum application with users of its own gets a chat. What is added for that is between the first two marks; after them
//! the shop says in the chat what it alone may say, by a kind of message of its own.
//!
//! ```sh
//! cargo run -p embed
//! curl -H 'cookie: shop=a1' 'localhost:3000/chat/rooms?which=public'
//! curl -H 'cookie: shop=a1' -X POST localhost:3000/orders/4711/pay
//! ```

use std::{collections::HashMap, time::Duration};

use axum::{
    Router,
    extract::{FromRef, FromRequestParts, Path},
    http::{StatusCode, header::COOKIE, request::Parts},
    routing::{get, post},
};
use chat_engine::{Body, Chat, Draft, Hub, HubError, Identity, Members, OpenError, RoomSpec, UserId};
use serde_json::json;

#[cfg(test)]
mod tests;

/// The shop's customers, by the session in their cookie. A real one asks its database.
#[derive(Clone, Debug)]
struct Shop {
    sessions: HashMap<&'static str, Customer>,
}

/// Who is signed in: the shop's own extractor, which its own pages use.
#[derive(Clone, Debug)]
struct Customer {
    number: u32,
    name: &'static str,
}

impl<S: Send + Sync> FromRequestParts<S> for Customer
where
    Shop: FromRef<S>,
{
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let cookies = parts.headers.get(COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let session = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("shop="));
        let customer = session.and_then(|session| Shop::from_ref(state).sessions.get(session).cloned());
        customer.ok_or((StatusCode::UNAUTHORIZED, "please sign in"))
    }
}

fn shop() -> Shop {
    let customer = |number, name| Customer { number, name };
    Shop { sessions: HashMap::from([("a1", customer(1, "Ann")), ("b2", customer(2, "Bob"))]) }
}

async fn home(customer: Customer) -> String {
    format!("Welcome back, {}! Your orders have a chat now, at /chat.", customer.name)
}

// ---- the chat ----------------------------------------------------------------------------------------------------

async fn with_chat(shop: Router<Shop>, chat: &Chat) -> Result<Router<Shop>, HubError> {
    chat.hub(Identity::system()).create(RoomSpec::public("Help").named("help")).await?; // once
    let routes = chat.router(|customer: Customer| Identity::human(UserId::from(customer.number), customer.name));
    Ok(shop.nest("/chat", routes))
}

// ---- a kind of message of the shop's own -------------------------------------------------------------------------

/// Opens the chat. Nobody but the shop posts kinds with a dot, so a client may believe them.
async fn open_chat(store: &str) -> Result<Chat, OpenError> {
    Chat::builder().store(store).policy(Members::default().people_post_kinds(&[])).build().await
}

/// Tells in the chat of an order that it is paid. A client that does not know `shop.paid` shows the text.
async fn tell_paid(chat: &Chat, customer: &Customer, order: u32) -> Result<(), HubError> {
    let spec = RoomSpec::private(format!("Order {order}")).named(format!("order:{order}"));
    let room = chat.hub(Identity::system()).create(spec.members([UserId::from(customer.number)])).await?;
    let (kind, text) = ("shop.paid".to_owned(), format!("Order {order} is paid"));
    // `Draft::new` makes a key. A shop that tells it again after a crash keeps the key with the order: under one key it is told once.
    room.post(Draft::new(Body::Custom { kind, text, data: json!({ "order": order }) })).await?;
    Ok(())
}

fn shop_routes(chat: Chat) -> Router<Shop> {
    let pay = async move |customer: Customer, Path(order): Path<u32>| {
        // Here the shop takes the money.
        tell_paid(&chat, &customer, order).await.map_err(|error| (StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
    };
    Router::new().route("/", get(home)).route("/orders/{order}/pay", post(pay))
}

// ------------------------------------------------------------------------------------------------------------------

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = open_chat("sqlite:embed.db").await?;
    let app = with_chat(shop_routes(chat.clone()), &chat).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}/", listener.local_addr()?);
    let stopped = async move {
        let _ = tokio::signal::ctrl_c().await;
        chat.drain(Duration::from_secs(10)).await; // what was taken is answered, and clients come back by themselves
    };
    axum::serve(listener, app.with_state(shop())).with_graceful_shutdown(stopped).await?;
    Ok(())
}
