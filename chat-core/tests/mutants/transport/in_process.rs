//! A transport without a socket: a queue of frames in one direction, and of texts in the other.

use std::{
    collections::VecDeque,
    mem,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use chat_core::{
    Class, Close, CloseCode, Encoding, Engine, Flow, Frame, Identity, Outbox, Peer, Push, ServerFrame, Session, UserId,
    conformance::transport::Wire, protocol,
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};

use super::Defect;

const BUDGET: usize = 64 * 1024;

pub(super) struct Json;

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
            Class::Answer if self.defect == Defect::LosesAnswers => return Push::Taken,
            Class::Signal if self.defect == Defect::KeepsSignals => {}
            Class::Signal if state.bytes > BUDGET / 2 => return Push::Taken,
            Class::Entry if state.bytes + frame.bytes.len() > BUDGET => return self.refuse(&mut state),
            _ => {}
        }
        state.bytes += frame.bytes.len();
        self.add(&mut state, frame);
        self.filled.notify_one();
        Push::Taken
    }

    fn close(&self, mut why: Close) {
        let mut state = self.state.lock();
        if !mem::replace(&mut state.closed, true) {
            if self.defect == Defect::ForgetsWhenToComeBack {
                why.retry_after = None;
            }
            let close = Json.encode(&ServerFrame::Close(&why));
            match self.defect {
                Defect::EndsWithoutAWord => {}
                Defect::ClosesFirst => state.waiting.push_front(close),
                _ => state.waiting.push_back(close),
            }
        }
        self.filled.notify_one();
        self.drained.notify_one();
    }
}

impl Line {
    fn refuse(&self, state: &mut State) -> Push {
        if self.defect == Defect::DropsWhatDoesNotFit {
            return Push::Taken;
        }
        state.refused = self.defect != Defect::HidesThatThereIsRoom;
        Push::Full
    }

    /// Does something else with every tenth entry if there is a defect.
    fn add(&self, state: &mut State, frame: &Frame) {
        let tenth = frame.class == Class::Entry && self.pushed.fetch_add(1, Ordering::SeqCst) % 10 == 9;
        let mut bytes = frame.bytes.clone();
        match self.defect {
            Defect::DropsAFrame if tenth => return,
            Defect::DoublesAFrame if tenth => state.waiting.push_back(bytes.clone()),
            Defect::SwapsFrames if tenth => return state.waiting.push_front(bytes),
            Defect::CutsLongFrames => bytes.truncate(1_024),
            _ => {}
        }
        state.waiting.push_back(bytes);
    }
}

pub(super) struct InProcess {
    line: Arc<Line>,
    sent: mpsc::UnboundedSender<String>,
}

impl InProcess {
    pub(super) fn connect(engine: &Engine, name: &str, encoding: &Arc<dyn Encoding>, defect: Defect) -> Self {
        let (filled, drained) = (Notify::new(), Notify::new());
        let line = Arc::new(Line { defect, pushed: AtomicUsize::new(0), state: Mutex::default(), filled, drained });
        let who = Identity::human(UserId::new(name).unwrap(), name);
        let session = engine.connect(Peer::known(None, who), line.clone(), encoding.clone());
        let (sent, received) = mpsc::unbounded_channel();
        let hello_within = match defect {
            Defect::WaitsForHelloForEver => Duration::MAX,
            _ => engine.limits().hello_within,
        };
        tokio::spawn(serve(session, line.clone(), received, hello_within));
        Self { line, sent }
    }
}

/// Does what the task of a connection does.
async fn serve(
    mut session: Session,
    line: Arc<Line>,
    mut received: mpsc::UnboundedReceiver<String>,
    hello_within: Duration,
) {
    let mut hello = pin!(sleep(hello_within));
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
                Some(text) => hear(&mut session, &text, line.defect),
                None if line.defect == Defect::KeepsWhoWasCut => return mem::forget(session),
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

fn hear(session: &mut Session, text: &str, defect: Defect) -> Flow {
    let is_wrong = !text.starts_with(r#"{""#);
    match defect {
        Defect::SwallowsWrongBytes if is_wrong => Flow::More,
        Defect::EndsOnWrongBytes if is_wrong => Flow::End(CloseCode::Policy.into()),
        _ => session.receive(text.as_bytes()),
    }
}

#[async_trait]
impl Wire for InProcess {
    async fn send(&mut self, text: &str) {
        let _ = self.sent.send(text.to_owned()); // nobody hears it after the end
    }

    async fn receive(&mut self) -> Option<String> {
        loop {
            {
                let mut state = self.line.state.lock();
                if let Some(bytes) = state.waiting.pop_front() {
                    state.bytes = state.bytes.saturating_sub(bytes.len()); // a doubled frame counts once
                    if state.bytes <= BUDGET / 2 && mem::take(&mut state.refused) {
                        self.line.drained.notify_one();
                    }
                    return Some(String::from_utf8_lossy(&bytes).into_owned());
                }
                if state.closed {
                    return None;
                }
            }
            self.line.filled.notified().await;
        }
    }
}
