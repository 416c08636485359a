//! Sends back what comes in: what a test suite of WebSocket asks of a server.
//!
//! The front, the handshake, the connection's task, its limits and its outbox are those of every connection; only the
//! session is replaced, and the chat's `close` frame left out, since a chat answers in JSON and knows no binary messages.

use std::{
    future::{Future, ready},
    sync::Arc,
};

use chat_core::{Class, Close, Flow, Frame, Outbox};

use super::{connection::Listener, outbox::SocketOutbox};
use crate::framing::{self, FIN_BINARY, FIN_TEXT};

pub(crate) struct Echo {
    outbox: Arc<SocketOutbox>,
}

impl Echo {
    pub(crate) fn new(outbox: Arc<SocketOutbox>) -> Self {
        Self { outbox }
    }

    fn send_back(&self, first: u8, message: &[u8]) -> Flow {
        self.outbox.push(&Frame::new(Class::Answer, framing::message(first, message), None));
        Flow::More
    }
}

impl Listener for Echo {
    fn text(&mut self, text: &[u8]) -> Flow {
        self.send_back(FIN_TEXT, text)
    }

    fn binary(&mut self, bytes: &[u8]) -> Flow {
        self.send_back(FIN_BINARY, bytes)
    }

    fn ready(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    fn drained(&mut self) {}

    fn is_greeted(&self) -> bool {
        true
    }

    fn last_words(why: &Close) -> Vec<u8> {
        framing::close(why.code)
    }
}
