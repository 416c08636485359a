//! A chat in the terminal.
//!
//! ```sh
//! cargo run -p chat-server -- --demo                  # in one terminal
//! cargo run -p chat-terminal -- --user ann --register # in another: asks for a password
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `state` | what is known and what a key or an event makes of it: pure |
//! | `ui` | how that looks |
//! | `net` | the client's hub, and what the state wants done with it |
//! | `rest` | login and public rooms, over HTTP |

mod net;
mod rest;
mod state;
#[cfg(test)]
mod tests;
mod ui;

use std::{
    error::Error,
    io::{IsTerminal, stdin, stdout},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use crossterm::event::{Event, EventStream};
use futures::StreamExt;
use ratatui::DefaultTerminal;
use tokio::time::interval;

use crate::{
    net::Net,
    rest::Rest,
    state::{State, Wish},
};

/// How often what only time changes is looked at: who types, whether we are online.
const TICK: Duration = Duration::from_millis(250);

/// Chats in the terminal with a chat-server.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Where the server is
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Your user name; the password is asked for
    #[arg(long)]
    user: String,
    /// Makes the account first
    #[arg(long)]
    register: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Err("this needs a terminal; programs use the REST interface or the client in chat-transport-ws".into());
    }
    // An error means that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let password = rpassword::prompt_password(format!("password of {}: ", options.user))?;
    let rest = Rest::login(&options.server, &options.user, &password, options.register).await?;
    let (net, news) = Net::connect(rest).await?;

    // `init` also sees to it that a panic leaves a usable terminal behind.
    let mut terminal = ratatui::try_init()?;
    let ended = chat(&mut terminal, &net, news).await;
    ratatui::try_restore()?;
    for text in net.close().await {
        println!("not sent: {text}");
    }
    ended
}

/// Draws, and waits for a key, for news or for time to pass.
async fn chat(terminal: &mut DefaultTerminal, net: &Net, mut news: net::Inbox) -> Result<(), Box<dyn Error>> {
    let mut state = State::new(net.me());
    net.grant(Wish::List);
    let (mut keys, mut tick) = (EventStream::new(), interval(TICK));
    while !state.ends {
        terminal.draw(|frame| ui::draw(frame, &state))?;
        let wanted = tokio::select! {
            key = keys.next() => match key.ok_or("the terminal is gone")?? {
                Event::Key(key) => state.key(key, Instant::now()),
                _ => Vec::new(), // resized, say: what is needed is to be drawn again
            },
            Some(news) = news.recv() => state.hear(news, Instant::now()),
            _ = tick.tick() => state.tick(net.is_online(), Instant::now()),
        };
        for wish in wanted {
            net.grant(wish);
        }
    }
    Ok(())
}
