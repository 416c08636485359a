//! One named queue: its keys, and the calls of its scripts.

use std::sync::Arc;

use chat_core::queue::QueueName;
use redis::{Cmd, FromRedisValue, cmd};
use tokio::{runtime::Handle, sync::Notify};

use crate::{error::Failure, servers::Servers};

/// Is one named queue.
pub(super) struct Tray {
    servers: Arc<Servers>,
    /// Begins all of its keys.
    prefix: String,
    /// Rings when there may be something to do.
    pub(super) bell: Notify,
    /// Where what is dropped is given back from.
    pub(super) runtime: Handle,
}

impl Tray {
    pub(super) fn new(servers: Arc<Servers>, queue: &QueueName) -> Self {
        let namespace = servers.namespace();
        let prefix = format!("{namespace}:queue:{{{namespace}:{queue}}}:");
        Self { servers, prefix, bell: Notify::new(), runtime: Handle::current() }
    }

    /// Returns the channel of the bell.
    pub(super) fn bell(&self) -> String {
        format!("{}bell", self.prefix)
    }

    pub(super) fn ring(&self) {
        self.bell.notify_waiters();
    }

    /// Begins a call of a script; its arguments are to be added.
    pub(super) fn call(&self, script: &str) -> Cmd {
        let mut call = cmd("EVAL");
        call.arg([include_str!("prelude.lua"), script].concat());
        let keys = ["high", "normal", "later", "dead", "meta", "job:", "bell"];
        call.arg(keys.len()).arg(keys.map(|key| format!("{}{key}", self.prefix)).as_slice());
        call
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, what: &'static str, call: Cmd) -> Result<T, Failure> {
        self.servers.ask(what, self.prefix.clone(), call).await
    }
}
