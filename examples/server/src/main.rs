//! A complete chat server on chat-engine: accounts, rooms, a web page and a stock bot in one process.
//!
//! ```sh
//! cargo run --release -p chat-server -- --demo
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `config` | what an operator can set, from flags, environment and file |
//! | `accounts` | users, passwords, logins |
//! | `auth` | who asks: cookie or bearer token |
//! | `api` | register, log in, log out |
//! | `web` | the page |
//! | `app` | all routes, and the chat itself as one line: `nest("/chat", chat.router(…))` |
//! | `bot` | the stock bot |
//! | `serve`, `signals` | listeners and TLS, and when to stop |
//! | `admin`, `telemetry` | health, metrics, logs |

mod accounts;
mod admin;
mod api;
mod app;
mod auth;
mod bot;
mod client;
mod config;
mod rules;
mod serve;
mod signals;
mod telemetry;
mod web;

use std::{error::Error, io::Write, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use chat_core::Store;
use chat_engine::{Chat, ChatBuilder, Limits};
use chat_transport_ws::{Origins, PerAddress, WsConfig};
use tokio::{net::TcpListener, sync::watch, time};

use accounts::Accounts;
use app::App;
use config::Config;
use rules::Rules;
use signals::Signals;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    // First of all: whatever makes a TLS connection later asks for it. Fails only if there is one, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Config::load().map_err(Failure::from).and_then(|config| run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat-server: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(config: &Config) -> Result<(), Failure> {
    telemetry::log(config.log_format, &config.log).map_err(|error| format!("--log: {error}"))?;
    let metrics = admin::collect()?;
    let mut signals = Signals::new()?;
    let tls = config.tls.as_ref().map(serve::tls).transpose()?;
    // What can fail without leaving a file behind comes first.
    let chat = bot::add(Chat::builder(), config).await?;
    let people = serve::bind(config.listen, "--listen").await?;
    let operators = match config.admin {
        Some(address) => Some(serve::bind(address, "--admin").await?),
        None => None,
    };
    let app = open(chat, config).await?;
    greet(config, &people, operators.as_ref())?;

    admin::keep_small(metrics.clone());
    tokio::spawn(forget_hourly(app.clone()));
    if let Some(listener) = operators {
        // Until the very end: operators want to see how a server stops.
        tokio::spawn(serve::operators(listener, admin::routes(app.clone(), metrics), std::future::pending()));
    }
    let (stop, stopped) = watch::channel(());
    let serving = tokio::spawn(serve::people(people, tls, config, app.routes(), stopped));

    signals.next().await;
    tracing::info!(grace = ?config.drain_grace, "stopping; a second signal ends this at once");
    drop(stop);
    let drained = async {
        app.drain(config.drain_grace).await;
        serving.await
    };
    tokio::select! {
        served = drained => served??,
        () = time::sleep(config.drain_grace) => tracing::warn!("not everything was done within the grace"),
        () = signals.next() => tracing::warn!("ended by a second signal"),
    }
    tracing::info!("stopped");
    Ok(())
}

/// Opens store, accounts and chat, in this order: a store that cannot be reached leaves no accounts behind.
async fn open(chat: ChatBuilder, config: &Config) -> Result<App, Failure> {
    let store = open_store(config).await.map_err(|error| format!("--store: {}", chain(&*error)))?;
    let accounts = Accounts::open(config.accounts.reveal(), config.session).await;
    let accounts = accounts.map_err(|error| format!("--accounts {}: {}", config.accounts, chain(&error)))?;
    let accounts = Arc::new(accounts);
    let mut chat = chat
        .store(store)
        .ws(sockets(config))
        .retention(config.retention)
        .limits(if config.load_profile { Limits::load_profile() } else { Limits::default() })
        .policy(Rules { accounts: accounts.clone() })
        .engine(|engine| engine.authenticator(accounts.clone()));
    if let Some(broker) = &config.broker {
        chat = chat.broker(broker.reveal());
    }
    if let Some(bridge) = &config.bridge {
        chat = chat.bridge(bridge.reveal());
    }
    if let Some(presence) = &config.presence {
        chat = chat.presence(presence.reveal());
    }
    if let Some(secret) = &config.secret {
        chat = chat.secret(secret.reveal());
    }
    Ok(App::new(config, accounts, chat.build().await?))
}

async fn open_store(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    for url in [&config.store].into_iter().chain(&config.messages).filter(|url| url.is_sqlite()) {
        accounts::keep_private(url.reveal()).map_err(|error| format!("{url}: {error}"))?;
    }
    Ok(match &config.messages {
        Some(messages) => chat_engine::open_hybrid(messages.reveal(), config.store.reveal()).await?,
        None => chat_engine::open_store(config.store.reveal()).await?,
    })
}

/// Sets what a WebSocket may do here. Which pages may connect is judged together with who is logged in, by `auth`.
fn sockets(config: &Config) -> WsConfig {
    let mut sockets = WsConfig::default();
    sockets.origins = Origins::any();
    if config.load_profile {
        sockets.per_address = PerAddress::unlimited();
    }
    sockets
}

/// Tells the person who started this where to go. The last line is there for programs: everything is open by then.
fn greet(config: &Config, people: &TcpListener, operators: Option<&TcpListener>) -> Result<(), Failure> {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let url = |address: SocketAddr| format!("{scheme}://{address}");
    let page = url(people.local_addr()?);
    let messages = config.messages.as_ref().unwrap_or(&config.store);
    let mut lines = vec![format!("chat-server {}", env!("CARGO_PKG_VERSION")), format!("  messages  {messages}")];
    if config.messages.is_some() {
        lines.push(format!("  rooms     {}", config.store));
    }
    if config.accounts != config.store {
        lines.push(format!("  accounts  {}", config.accounts));
    }
    if let Some(broker) = &config.broker {
        lines.push(format!("  broker    {broker}"));
    }
    if let Some(bridge) = &config.bridge {
        lines.push(format!("  bridge    {bridge}"));
    }
    if let Some(queue) = &config.queue {
        lines.push(format!("  queue     {queue}"));
    }
    if let Some(presence) = &config.presence {
        lines.push(format!("  presence  {presence}"));
    }
    if config.is_demo() {
        lines.push("  quotes    sample prices, not real: try /stock=AAPL.US in a room".to_owned());
    }
    if let Some(operators) = operators {
        lines.push(format!("  admin on  http://{}  (/live /ready /metrics)", operators.local_addr()?));
    }
    lines.push(format!("  page      {page}/  open it in a browser and create an account"));
    lines.push(format!("listening on {page}"));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "listening on {page}");
    // Whether anybody reads this makes no difference to the server.
    let _ = writeln!(std::io::stdout(), "{}", lines.join("\n"));
    Ok(())
}

async fn forget_hourly(app: App) {
    let mut hourly = time::interval(Duration::from_hours(1));
    loop {
        hourly.tick().await;
        if let Err(error) = app.accounts().forget().await {
            tracing::warn!(%error, "ended logins are not forgotten yet");
        }
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
