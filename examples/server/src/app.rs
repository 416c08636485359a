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

use crate::{
    accounts::Accounts,
    api,
    auth::{self, LoggedIn},
    client::{self, Tls},
    config::Config,
    telemetry, web,
};

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
        let chat = self.0.chat.router(|who: LoggedIn| who.identity);
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

    /// Closes the connections of logins that have ended.
    pub(crate) async fn end_sockets(&self, user: &UserId, logins: &[String]) {
        let _ = (user, logins, &self.0.chat);
    }

    /// Stops in order: no new people, what was received is answered and stored, clients are told to come back.
    pub(crate) async fn drain(&self, grace: Duration) {
        self.0.stopping.store(true, Ordering::Relaxed);
        self.0.chat.drain(grace).await;
        self.0.accounts.close().await;
    }
}
