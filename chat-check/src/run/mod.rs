//! Drives a server: starts it, lets clients talk, breaks it, heals it, and hands the history to the checker.
//!
//! ```text
//!   this process                                                another process
//!   publisher ─┐                              ┌─ kill, stop, freeze ─┐
//!   receiver  ─┴─ client ─ proxy and tap ─────┴──── TCP ──────────── chat-server ── SQLite
//!        └──── history ────┘                              REST: the log at the end
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `server` | the process that is broken |
//! | `client`, `tap`, `frames` | a client; what its wire says |
//! | `stage`, `load`, `chance` | who there is, who sends what at which rate, what the seed decides |
//! | `faults`, `slow` | what is broken; clients that do not read |
//! | `rest`, `recorder`, `progress` | accounts, rooms and logs over HTTP; the history; what is shown |

mod chance;
mod client;
mod faults;
mod frames;
mod load;
mod progress;
mod recorder;
mod rest;
mod server;
mod slow;
mod stage;
mod tap;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

pub use self::faults::Scenario;
use self::{
    chance::Chance, client::Entrance, faults::Breaker, progress::Progress, recorder::Recorder, rest::Rest,
    server::Server, slow::Slow, stage::Stage,
};

/// Is why a run could not be done; broken promises are no failure of the run.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Says what to run. Each default is what two busy cores can do beside other work.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// What is broken
    #[arg(value_enum)]
    pub scenario: Scenario,
    /// How many times; `slow` is done once
    #[arg(long, default_value_t = 20)]
    pub rounds: u32,
    /// How long everything runs in peace before each time, on average, in ms
    #[arg(long, default_value_t = 800)]
    pub every: u64,
    /// Drafts a second, all publishers together
    #[arg(long, default_value_t = 100)]
    pub rate: u32,
    /// People, each with a client that sends and receives
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(4..=200))]
    pub users: u32,
    /// Rooms, each with half of the people in it
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub rooms: u32,
    /// More connections, which only sit there
    #[arg(long, default_value_t = 0)]
    pub idle: u32,
    /// Decides what is broken when and who sends where
    #[arg(long)]
    pub seed: Option<u64>,
    /// The server to be broken; by default the one beside this program
    #[arg(long)]
    pub server: Option<PathBuf>,
    /// The run is given up after so many seconds
    #[arg(long, default_value_t = 540)]
    pub at_most: u64,
}

impl Plan {
    /// Returns how many clients are slow.
    fn slow(&self) -> Slow {
        let is_slow = u32::from(self.scenario == Scenario::Slow);
        let one_in = |count| is_slow as usize * (self.users as usize).div_ceil(count);
        Slow { stalled: one_in(10), narrow: one_in(20) }
    }
}

/// Runs the plan in `folder`. Returns the file with the history.
///
/// # Errors
/// If it cannot be done: the server does not start, say, or does not come back. All that was begun is ended then, too.
pub async fn run(plan: &Plan, folder: &Path) -> Result<PathBuf, Failure> {
    let history = folder.join("history.jsonl");
    let recorder = Recorder::to(&history)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        done = timeout(Duration::from_secs(plan.at_most), drive(plan, folder, &recorder)) => {
            done.map_err(|_| format!("not done after {} s", plan.at_most))??;
        }
        _ = terminate.recv() => return Err("ended by a signal".into()),
        _ = interrupt.recv() => return Err("interrupted".into()),
    }
    recorder.finish()?;
    Ok(history)
}

async fn drive(plan: &Plan, folder: &Path, recorder: &Recorder) -> Result<(), Failure> {
    let mut chance = Chance::of(plan.seed.unwrap_or_default());
    let binary = plan.server.clone().map_or_else(beside_this_program, Ok)?;
    let mut server = Server::start(binary, folder.to_owned()).await?;
    let rest = Rest::at(server.address)?;
    let text_min = if plan.scenario == Scenario::Slow { slow::TEXT } else { 0 };
    let entrance = Entrance { server: server.address, recorder: recorder.clone(), text_min, is_slow: false };
    let stage = Stage::set(plan, entrance, rest.clone(), &mut chance).await?;
    let crowd = stage.perform(plan, &mut chance).await?;
    if plan.scenario == Scenario::Slow {
        let gauges = slow::Gauges::watch(&server, recorder)?;
        slow::run(&stage, plan.slow(), &gauges, recorder).await;
        stage.settle(crowd).await?;
        return stage.write_ends().await;
    }

    let (clients, every) = (stage.clients(&crowd), Duration::from_millis(plan.every));
    let mut breaker = Breaker { server: &mut server, rest: &rest, clients, recorder, chance, every };
    let progress = Progress::new(recorder.clone(), plan.rounds);
    breaker.run(plan.scenario, plan.rounds, |round| progress.show(round)).await?;

    stage.settle(crowd).await?;
    stage.write_ends().await
}

fn beside_this_program() -> Result<PathBuf, Failure> {
    let server = std::env::current_exe()?.with_file_name("chat-server");
    if !server.exists() {
        return Err(format!("{} is not there: build it, or name another by --server", server.display()).into());
    }
    Ok(server)
}
