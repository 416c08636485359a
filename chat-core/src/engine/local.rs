//! A session inside this process: events instead of bytes.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures::Stream;
use parking_lot::Mutex;

use super::Session;
use crate::{
    fanout::{Class, Encoding, Frame, Outbox, Push},
    hub::Event,
    protocol::{Close, CloseCode, Code, HubError, ServerFrame},
};

/// Events that wait for a receiver that is busy; then it is parked and served from the log.
const EVENTS_MAX: usize = 512;

/// Is the outbox of a session in this process.
#[derive(Debug, Default)]
pub(super) struct LocalOutbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    closed: Option<Close>,
    refused: bool,
    waker: Option<Waker>,
}

impl Outbox for LocalOutbox {
    fn push(&self, frame: &Frame) -> Push {
        let Some(event) = &frame.event else { return Push::Taken }; // an answer: nobody asked by frame
        let mut state = self.state.lock();
        let waiting = state.events.len();
        match frame.class {
            _ if state.closed.is_some() => return Push::Gone,
            Class::Entry if waiting >= EVENTS_MAX => {
                state.refused = true;
                return Push::Full;
            }
            Class::Signal if waiting >= EVENTS_MAX / 2 => return Push::Taken,
            _ => state.events.push_back(event.clone()),
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Push::Taken
    }

    fn close(&self, why: Close) {
        let mut state = self.state.lock();
        state.closed.get_or_insert(why);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

/// Encodes nothing: receivers in this process take the event.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoBytes;

impl Encoding for NoBytes {
    fn encode(&self, _: &ServerFrame<'_>) -> Bytes {
        Bytes::new()
    }
}

/// Is the stream of a local session's events. Dropping it ends the session.
pub(super) struct Events {
    session: Session,
    outbox: Arc<LocalOutbox>,
    ended: bool,
}

impl Events {
    pub(super) fn new(session: Session, outbox: Arc<LocalOutbox>) -> Self {
        Self { session, outbox, ended: false }
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let (event, room) = {
            let mut state = this.outbox.state.lock();
            let event = state.events.pop_front();
            let room = state.refused && state.events.len() < EVENTS_MAX / 2;
            state.refused &= !room;
            match (&event, state.closed) {
                (Some(_), _) => (event, room),
                (None, Some(close)) => {
                    this.ended = true;
                    (Some(Event::Closed(HubError::new(code_of(close), close.code.reason()))), false)
                }
                (None, None) => {
                    state.waker = Some(context.waker().clone());
                    (None, room)
                }
            }
        };
        if room {
            this.session.drained();
        }
        event.map_or(Poll::Pending, |event| Poll::Ready(Some(event)))
    }
}

fn code_of(close: Close) -> Code {
    match close.code {
        CloseCode::Draining => Code::Draining,
        CloseCode::TooMany => Code::TooMany,
        code if code.reconnect() => Code::Retry,
        _ => Code::Unauthenticated,
    }
}
