//! What all routes share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, middleware};
use chat_core::UserId;
use chat_engine::Chat;
use tokio::time;

use crate::{
    accounts::Accounts,
    api,
    auth::{self, LoggedIn},
    client::{self, Tls},
    config::Config,
    telemetry, web,
};

/// How often closing a login's connections is tried again: within the 30 s that an ended login may still receive.
const REVOKE_EVERY: Duration = Duration::from_secs(2);

/// Is the running server, cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    accounts: Arc<Accounts>,
    chat: Chat,
    allowed_origins: Vec<String>,
    session: Duration,
    tls: bool,
    demo: bool,
    stopping: AtomicBool,
}

impl App {
    pub(crate) fn new(config: &Config, accounts: Arc<Accounts>, chat: Chat) -> Self {
        Self(Arc::new(Inner {
            accounts,
            chat,
            allowed_origins: config.allowed_origins.clone(),
            session: config.session,
            tls: config.tls.is_some(),
            demo: config.is_demo(),
            stopping: AtomicBool::new(false),
        }))
    }

    /// Returns everything people reach: the page at `/`, accounts at `/api`, the chat at `/chat`.
    pub(crate) fn routes(&self) -> Router {
        let chat = self.0.chat.router(|who: LoggedIn| who.identity).fallback(api::not_found);
        Router::new()
            .merge(web::routes())
            .nest("/api", api::routes())
            .nest("/chat", chat)
            .layer(middleware::from_fn(auth::refuse_token_in_query))
            .layer(middleware::from_fn_with_state(Tls(self.0.tls), client::find))
            .layer(middleware::from_fn(web::protect))
            .layer(middleware::from_fn(telemetry::observe))
            .with_state(self.clone())
    }

    pub(crate) fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// Returns the other sites whose pages may use this server.
    pub(crate) fn allowed_origins(&self) -> &[String] {
        &self.0.allowed_origins
    }

    /// Returns how long a login lasts.
    pub(crate) fn session(&self) -> Duration {
        self.0.session
    }

    /// Tells whether quotes are made up here.
    pub(crate) fn is_demo(&self) -> bool {
        self.0.demo
    }

    /// Tells whether people should be sent here.
    pub(crate) async fn is_ready(&self) -> bool {
        !self.0.stopping.load(Ordering::Relaxed) && self.0.chat.engine().is_ready().await
    }

    /// Closes the connections of logins that have ended, on every node. Goes on in the background if the chat's store
    /// cannot be reached now.
    pub(crate) async fn end_sockets(&self, user: &UserId, logins: &[String]) {
        for login in logins {
            if let Err(error) = self.0.chat.engine().revoke(user, Some(login)).await {
                tracing::warn!(%error, login, "the connections of an ended login are still open");
                tokio::spawn(self.clone().keep_ending(user.clone(), login.clone()));
            }
        }
    }

    /// Tries until it works; a login is over at the latest when its time is.
    async fn keep_ending(self, user: UserId, login: String) {
        let tries = self.session().as_secs() / REVOKE_EVERY.as_secs();
        for _ in 0..tries {
            time::sleep(REVOKE_EVERY).await;
            if self.0.chat.engine().revoke(&user, Some(&login)).await.is_ok() {
                return;
            }
        }
    }

    /// Stops in order: no new people, what was received is answered and stored, clients are told to come back.
    pub(crate) async fn drain(&self, grace: Duration) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.chat.drain(grace).await;
        self.0.accounts.close().await;
    }
}
