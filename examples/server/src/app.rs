//! What all routes share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_engine::Chat;

use crate::{accounts::Accounts, config::Config};

/// Is the running server, cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    accounts: Arc<Accounts>,
    chat: Chat,
    allowed_origins: Vec<String>,
    session: Duration,
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
            demo: config.is_demo(),
            stopping: AtomicBool::new(false),
        }))
    }
}
