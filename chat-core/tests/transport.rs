//! A transport without a socket passes the suite of transports, and broken ones do not.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::{
    Class, Close, CloseCode, Encoding, Engine, Flow, Frame, Outbox, Peer, Push, ServerFrame, Session,
    conformance::transport::{self, TransportUnderTest, Wire},
    protocol,
};
use common::human;
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};

const BUDGET: usize = 64 * 1024;

chat_core::transport_conformance!(in_process, || async { under_test(Defect::None) });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    DropsAFrame,
    DoublesAFrame,
    SwapsFrames,
}

fn under_test(defect: Defect) -> TransportUnderTest {
    TransportUnderTest::new(move |engine: Engine| async move {
        let encoding: Arc<dyn Encoding> = Arc::new(Json);
        move |name: &str| {
            let wire: Box<dyn Wire> = Box::new(InProcess::connect(&engine, name, &encoding, defect));
            async move { wire }
        }
    })
}

struct Json;

impl Encoding for Json {
    fn encode(&self, frame: &ServerFrame<'_>) -> Bytes {
        protocol::encode(frame).into()
    }
}

/// What waits for one client.
struct Line {
    defect: Defect,
    pushed: AtomicUsize,
    state: Mutex<State>,
    /// There is something to read, or the end.
    filled: Notify,
    /// There is room again, or the end.
    drained: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    refused: bool,
    closed: bool,
}

impl Outbox for Line {
    fn push(&self, frame: &Frame) -> Push {
        let mut state = self.state.lock();
        match frame.class {
            _ if state.closed => return Push::Gone,
            Class::Signal if state.bytes > BUDGET / 2 => return Push::Taken,
            Class::Entry if state.bytes + frame.bytes.len() > BUDGET => {
                state.refused = true;
                return Push::Full;
            }
            _ => {}
        }
        state.bytes += frame.bytes.len();
        self.add(&mut state, frame);
        self.filled.notify_one();
        Push::Taken
    }

    fn close(&self, why: Close) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.closed, true) {
            state.waiting.push_back(Json.encode(&ServerFrame::Close(&why)));
        }
        self.filled.notify_one();
        self.drained.notify_one();
    }
}

impl Line {
    /// Does something else with every tenth entry if there is a defect.
    fn add(&self, state: &mut State, frame: &Frame) {
        let tenth = frame.class == Class::Entry && self.pushed.fetch_add(1, Ordering::SeqCst) % 10 == 9;
        match self.defect {
            Defect::DropsAFrame if tenth => return,
            Defect::DoublesAFrame if tenth => state.waiting.push_back(frame.bytes.clone()),
            Defect::SwapsFrames if tenth => return state.waiting.push_front(frame.bytes.clone()),
            _ => {}
        }
        state.waiting.push_back(frame.bytes.clone());
    }
}

struct InProcess {
    line: Arc<Line>,
    sent: mpsc::UnboundedSender<String>,
}

impl InProcess {
    fn connect(engine: &Engine, name: &str, encoding: &Arc<dyn Encoding>, defect: Defect) -> Self {
        let (filled, drained) = (Notify::new(), Notify::new());
        let line = Arc::new(Line { defect, pushed: AtomicUsize::new(0), state: Mutex::default(), filled, drained });
        let session = engine.connect(Peer::known(None, human(name)), line.clone(), encoding.clone());
        let (sent, received) = mpsc::unbounded_channel();
        tokio::spawn(serve(session, line.clone(), received, engine.limits().hello_within));
        Self { line, sent }
    }
}

/// Does what the task of a connection does.
async fn serve(
    mut session: Session,
    line: Arc<Line>,
    mut received: mpsc::UnboundedReceiver<String>,
    hello_within: std::time::Duration,
) {
    let mut hello = std::pin::pin!(sleep(hello_within));
    loop {
        let flow = tokio::select! {
            () = line.drained.notified() => {
                if line.state.lock().closed {
                    return;
                }
                session.drained();
                Flow::More
            }
            () = &mut hello, if !session.is_greeted() => Flow::End(CloseCode::HelloTimeout.into()),
            text = received.recv() => match text {
                Some(text) => session.receive(text.as_bytes()),
                None => return,
            },
        };
        match flow {
            Flow::More => {}
            Flow::Wait => session.ready().await,
            Flow::End(why) => return line.close(why),
        }
    }
}

#[async_trait]
impl Wire for InProcess {
    async fn send(&mut self, text: &str) {
        self.sent.send(text.to_owned()).unwrap();
    }

    async fn receive(&mut self) -> Option<String> {
        loop {
            {
                let mut state = self.line.state.lock();
                if let Some(bytes) = state.waiting.pop_front() {
                    state.bytes = state.bytes.saturating_sub(bytes.len()); // a doubled frame counts once
                    if state.bytes <= BUDGET / 2 && std::mem::take(&mut state.refused) {
                        self.line.drained.notify_one();
                    }
                    return Some(String::from_utf8(bytes.to_vec()).unwrap());
                }
                if state.closed {
                    return None;
                }
            }
            self.line.filled.notified().await;
        }
    }
}

async fn is_noticed(defect: Defect) {
    let case = transport::frames_arrive_whole_and_in_order(under_test(defect));
    assert!(AssertUnwindSafe(case).catch_unwind().await.is_err(), "nobody noticed: {defect:?}");
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_drops_a_frame_is_noticed() {
    is_noticed(Defect::DropsAFrame).await;
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_doubles_a_frame_is_noticed() {
    is_noticed(Defect::DoublesAFrame).await;
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_changes_the_order_is_noticed() {
    is_noticed(Defect::SwapsFrames).await;
}
