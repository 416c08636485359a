//! The scenario `slow`: the same load twice on one server, first with nobody slow, then with some who do not read.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use chat_core::Hub;
use futures::future;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Failure,
    client::Client,
    progress::Progress,
    recorder::Recorder,
    rest::http,
    server::{Server, number_after},
    stage::Stage,
};
use crate::{
    history::{Event, Sample},
    proxy::Way,
};

/// Drafts have so many characters: what nobody reads soon fills all buffers on its way.
pub(super) const TEXT: usize = 1_000;
/// 64 kbit/s, in bytes a second.
const NARROW: u32 = 8_000;
/// Before anything is measured: the server's recent entries of each room, which it keeps for all, are complete then.
const WARM_UP: Duration = Duration::from_secs(35);
const WITHOUT: Duration = Duration::from_secs(30);
/// How long is waited for the server to give up those who take nothing: 60 s, and five times the 5 s it may be late.
const WITH_MAX: Duration = Duration::from_secs(86);
/// Progress is shown this often.
const PIECE: Duration = Duration::from_secs(5);
const PIECES: u32 = 26;

/// Says how many clients are slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slow {
    /// They stop reading altogether.
    pub(super) stalled: usize,
    /// They read at 64 kbit/s.
    pub(super) narrow: usize,
}

impl Slow {
    pub(super) fn total(self) -> usize {
        self.stalled + self.narrow
    }
}

/// Goes through the phases. In the end everybody may read as fast as they like.
pub(super) async fn run(stage: &Stage, slow: Slow, gauges: &Gauges, recorder: &Recorder) {
    let began = Instant::now();
    let progress = Progress::new(recorder.clone(), PIECES);
    let (stalled, narrow) = stage.slow().split_at(slow.stalled);
    let phase = |number| sample(recorder, "phase", number);
    let wait = async |until: Duration, done: &dyn Fn() -> bool| {
        let until = Instant::now() + until;
        let mut shown = began.elapsed().as_secs() / PIECE.as_secs();
        while Instant::now() < until && !done() {
            sleep(Duration::from_millis(50)).await;
            let piece = began.elapsed().as_secs() / PIECE.as_secs();
            if piece > std::mem::replace(&mut shown, piece) {
                progress.show(u32::try_from(piece).unwrap_or(PIECES).min(PIECES - 1));
            }
        }
    };
    wait(WARM_UP, &|| false).await;
    phase(1);
    wait(WITHOUT, &|| false).await;

    phase(2);
    let before = gauges.closed();
    let start = recorder.now();
    for client in narrow {
        client.proxy.answers(Way::Bandwidth(NARROW));
    }
    let starts = future::join_all(stalled.iter().map(|client| stall(client, recorder))).await;
    wait(WITH_MAX, &|| gauges.closed() - before >= stalled.len() as u64).await;

    phase(3);
    for (client, start) in stalled.iter().zip(starts) {
        client.proxy.requests(Way::Pass);
        client.proxy.answers(Way::Pass);
        recorder.fault("stalled", &client.c, start);
    }
    for client in narrow {
        client.proxy.answers(Way::Pass);
        recorder.fault("narrow", &client.c, start);
    }
    progress.show(PIECES);
}

/// Lets a client say something a last time, and then neither read nor speak. Returns when that was: from then, at
/// the earliest, the server has seen no sign of life.
async fn stall(client: &Arc<Client>, recorder: &Recorder) -> u64 {
    let start = recorder.now();
    if let Some(room) = client.rooms.first()
        && let Ok(room) = client.hub.room(*room).await
    {
        client.post(room, client.draft(0)).await; // whatever the answer is
    }
    client.proxy.answers(Way::Hold);
    client.proxy.requests(Way::Hold);
    start
}

fn sample(recorder: &Recorder, what: &str, value: u64) {
    recorder.add(Event::Sample(Sample { what: what.into(), value }));
}

/// Measures the server from outside as long as it is kept.
#[derive(Debug)]
pub(super) struct Gauges {
    closed: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// How often memory and counters are read, and how often it is asked whether it lives.
const READ_EVERY: Duration = Duration::from_millis(250);
const ASK_EVERY: Duration = Duration::from_millis(20);
/// What is answered later than this is not counted: then the server is broken, and other figures say so.
const ANSWERS_WITHIN: Duration = Duration::from_mins(1);
const PARKED: &str = "chat_parked_total";
const CLOSED: &str = "chat_ws_closed_total{reason=\"slow, resume\"}";

impl Gauges {
    pub(super) fn watch(server: &Server, recorder: &Recorder) -> Result<Self, Failure> {
        let client = http(ANSWERS_WITHIN)?;
        let closed = Arc::<AtomicU64>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(read(client.clone(), server.admin, server.id(), closed.clone(), recorder.clone()));
        tasks.spawn(ask(client, server.admin, recorder.clone()));
        Ok(Self { closed, _tasks: tasks })
    }

    /// Returns how many connections the server has given up so far since they were slow.
    fn closed(&self) -> u64 {
        self.closed.load(Relaxed)
    }
}

async fn read(client: reqwest::Client, admin: SocketAddr, process: u32, closed: Arc<AtomicU64>, recorder: Recorder) {
    let mut ticks = interval(READ_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        if let Some(kib) = number_after(&status, "VmRSS:") {
            sample(&recorder, "rss_kib", kib);
        }
        let Ok(metrics) = get(&client, admin, "metrics").await else { continue };
        sample(&recorder, "parked", number_after(&metrics, PARKED).unwrap_or(0));
        let count = number_after(&metrics, CLOSED).unwrap_or(0);
        sample(&recorder, "closed", count);
        closed.store(count, Relaxed);
    }
}

async fn ask(client: reqwest::Client, admin: SocketAddr, recorder: Recorder) {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = Instant::now();
        if get(&client, admin, "live").await.is_ok() {
            sample(&recorder, "live_us", asked.elapsed().as_micros().try_into().unwrap_or(u64::MAX));
        }
    }
}

async fn get(client: &reqwest::Client, admin: SocketAddr, path: &str) -> reqwest::Result<String> {
    client.get(format!("http://{admin}/{path}")).send().await?.text().await
}
