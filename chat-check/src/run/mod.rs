//! Drives a server: starts it, lets clients talk, breaks it, heals it, and hands the history to the checker.
//!
//! ```text
//!   this process                                                other processes
//!   publisher ─┐                              ┌─ kill, stop, freeze ─┬────────────────┐
//!   receiver  ─┴─ client ─ proxy and tap ─────┴──── TCP ──────────── chat-servers ── their store
//!        └──── history ────┘                              REST: the log at the end
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `plan` | what is to be run |
//! | `cluster`, `server` | the processes that are broken |
//! | `service`, `beside` | a server of the run's own; the brokers and others beside the store |
//! | `bots` | bots in processes of their own |
//! | `store`, `postgres`, `disk` | the store; who takes over as its primary; a disk that is full |
//! | `direct`, `synced` | a store that is tried without servers; a server that is traced |
//! | `client`, `tap`, `frames` | a client; what its wire says |
//! | `network`, `partition` | a network of the run's own; its links that are broken |
//! | `presence`, `sight` | people who come and go; who watches them |
//! | `clocks` | the nodes' time of day, which steps and drifts |
//! | `revoke` | logins that end |
//! | `stage`, `load`, `chance` | who there is, who sends what at which rate, what the seed decides |
//! | `idle`, `sitting` | connections that only sit there; a process of them |
//! | `faults`, `everything`, `slow`, `storm` | what is broken; all of it, at random; clients that do not read; a node with many |
//! | `rest`, `recorder`, `progress` | accounts, rooms and logs over HTTP; the history; what is shown |

mod beside;
mod bots;
mod chance;
mod client;
mod clocks;
mod cluster;
mod direct;
mod disk;
mod everything;
mod faults;
mod frames;
mod idle;
mod load;
mod network;
mod partition;
mod plan;
mod postgres;
mod presence;
mod progress;
mod recorder;
mod rest;
mod revoke;
mod server;
mod service;
mod sight;
mod sitting;
mod slow;
mod stage;
mod store;
mod storm;
mod synced;
mod tap;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};

use self::{
    beside::{Beside, Over},
    bots::Bots,
    chance::Chance,
    client::Entrance,
    clocks::Stepper,
    cluster::Cluster,
    everything::Mending,
    faults::Breaker,
    partition::Links,
    postgres::Standbys,
    presence::Crowd,
    progress::Progress,
    recorder::Recorder,
    rest::Rest,
    revoke::Revoker,
    server::{Launch, Server},
    stage::{SETTLED_WITHIN, Stage},
    store::Store,
};
pub use self::{
    direct::{Trial, Try},
    plan::{Plan, Scenario},
    sitting::sit,
};

/// Is why a run could not be done; broken promises are no failure of the run.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Is why a run has ended early: somebody has stopped it.
#[derive(Debug, thiserror::Error)]
#[error("ended by a signal")]
pub struct Stopped;

/// Gives this process what a plan needs that a process can only be given when it begins. Returns at once, or begins the
/// program again.
///
/// # Errors
/// If it may not have that.
pub fn equip(plan: &Plan) -> Result<(), Failure> {
    if plan.scenario == Scenario::StoreFull { disk::own_mounts() } else { Ok(()) }
}

/// Runs the plan in `folder`. Returns the file with the history.
///
/// # Errors
/// If it cannot be done: the server does not start, say, or does not come back. All that was begun is ended then, too.
pub async fn run(plan: &Plan, folder: &Path) -> Result<PathBuf, Failure> {
    let history = folder.join("history.jsonl");
    let recorder = Recorder::to(&history)?;
    bounded(plan.at_most, drive(plan, folder, &recorder)).await?;
    recorder.finish()?;
    Ok(history)
}

/// Tries a store in `folder`. Returns what came of it, in words.
///
/// # Errors
/// If a promise is broken, or it cannot be done. All that was begun is ended then, too.
pub async fn try_store(what: &Try, folder: &Path) -> Result<String, Failure> {
    match what.trial {
        Trial::Sync => {
            let binary = what.server.clone().map_or_else(beside_this_program, Ok)?;
            bounded(what.at_most, synced::run(&binary, folder, what.times)).await
        }
        _ => bounded(what.at_most, direct::try_store(what, folder)).await,
    }
}

/// Does something for so many seconds at most, and not after a signal.
async fn bounded<T>(at_most: u64, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        done = timeout(Duration::from_secs(at_most), work) => done.map_err(|_| format!("not done after {at_most} s"))?,
        _ = terminate.recv() => Err(Stopped.into()),
        _ = interrupt.recv() => Err(Stopped.into()),
    }
}

async fn drive(plan: &Plan, folder: &Path, recorder: &Recorder) -> Result<(), Failure> {
    let mut chance = Chance::of(plan.seed.unwrap_or_default());
    let network = partition::network(plan)?;
    let store = Store::open(&plan.store, folder, plan.scenario == Scenario::StoreFull, network.as_ref())?;
    if plan.scenario.breaks_store() {
        store.own()?; // before anybody is troubled
    }
    if plan.scenario == Scenario::Storm {
        store.count_reads()?; // before anybody is connected
    }
    let standbys =
        if plan.scenario.needs_postgres() { Some(Standbys::of(store.own()?, store.url()).await?) } else { None };
    let mut beside = Beside::open(plan, folder, network.as_ref())?;
    // Before anybody waits for it, it is known to be there.
    let service = plan.service.clone().or(plan.queue.clone()).unwrap_or_default();
    if plan.scenario.breaks_service() {
        beside.service(&service)?;
    }
    let launch = Launch { network: network.clone(), ..launch(plan, folder, &store, standbys.as_ref(), &beside)? };
    let mut cluster = Cluster::start(launch, plan.nodes).await?;
    let bots = match beside.queue().filter(|_| plan.scenario == Scenario::Bots) {
        Some(queue) => Some(Bots::start(&cluster.nodes[0].beside("stock-bot")?, queue, folder, plan.bots)?),
        None => None,
    };
    let rest = Rest::at(cluster.addresses())?;
    if plan.scenario == Scenario::Presence {
        let crowd = Crowd::gather(plan, &mut cluster, &rest, Vec::new(), recorder, chance).await?;
        return crowd.perform(plan, network.as_deref()).await;
    }
    let text_min = if plan.scenario == Scenario::Slow { slow::TEXT } else { 0 };
    let nodes = cluster.addresses();
    let entrance = Entrance { nodes, recorder: recorder.clone(), text_min, is_slow: false };
    if plan.scenario == Scenario::Revoke {
        let (cluster, rest, beside, network) = (&cluster, &rest, &beside, network.as_deref());
        return Revoker { entrance, cluster, rest, beside, network, chance }.run(plan).await;
    }
    let stage = Stage::set(plan, &suffix(plan, &store), entrance, rest.clone(), &mut chance).await?;
    let crowd = stage.perform(plan, &mut chance).await?;
    if plan.scenario == Scenario::Slow {
        let [server] = &cluster.nodes[..] else { return Err("`slow` measures one node".into()) };
        let gauges = slow::Gauges::watch(server, recorder)?;
        slow::run(&stage, plan.slow(), &gauges, recorder).await;
        stage.settle(crowd).await?;
        return stage.write_ends().await;
    }

    if plan.scenario == Scenario::Clocks {
        let clocks = cluster.nodes.iter().map(Server::clock).collect::<Result<_, _>>()?;
        let (rounds, every) = (plan.rounds, Duration::from_millis(plan.every));
        let stepper = Stepper { clocks, chance: chance.fork(), recorder: recorder.clone(), rounds, every };
        let clients = stage.clients(&crowd);
        let people = Crowd::gather(plan, &mut cluster, &rest, clients, recorder, chance).await?;
        people.live_by_wrong_clocks(stepper).await?;
        stage.settle(crowd).await?;
        return stage.write_ends().await;
    }

    let idlers = stage.idlers(plan, &crowd).await?;
    let (clients, every) = (stage.clients(&crowd), Duration::from_millis(plan.every));
    let links = network.map(|network| Links::of(network, plan, &mut chance));
    let (cluster, store, beside, rest) = (&mut cluster, &store, &mut beside, &rest);
    let mending = Mending::default();
    let mut breaker = Breaker {
        cluster,
        store,
        standbys,
        beside,
        service,
        rest,
        rooms: stage.rooms(),
        clients,
        recorder,
        chance,
        links,
        every,
        mending,
        bots,
        idlers,
    };
    let steps = plan.steps();
    let progress = Progress::new(recorder.clone(), steps.iter().map(|(_, rounds)| rounds).sum());
    breaker.run(&steps, |round| progress.show(round)).await?;
    if let Some(idlers) = &breaker.idlers {
        idlers.settle(&idlers.cry().await?, SETTLED_WITHIN).await;
        idlers.write_ends(rest).await?;
    }

    stage.settle(crowd).await?;
    stage.write_ends().await
}

fn launch(
    plan: &Plan,
    folder: &Path,
    store: &Store,
    standbys: Option<&Standbys>,
    beside: &Beside,
) -> Result<Launch, Failure> {
    let binary = plan.server.clone().map_or_else(beside_this_program, Ok)?;
    let url = standbys.map_or_else(|| store.url().to_owned(), |standbys| standbys.url(store.url()));
    let (args, ports) = (vec!["--store".to_owned(), url], beside.args(Over::Old));
    let secret = format!("only for this run: {:016x}", plan.seed.unwrap_or_default());
    let clocks = if plan.scenario == Scenario::Clocks { Some(clocks::faketime()?) } else { None };
    Ok(Launch { binary, before: Vec::new(), folder: folder.to_owned(), args, ports, secret, network: None, clocks })
}

/// Where others have been before, people of this run need names that nobody had.
fn suffix(plan: &Plan, store: &Store) -> String {
    if store.is_shared() { format!("-{:x}", plan.seed.unwrap_or_default()) } else { String::new() }
}

fn beside_this_program() -> Result<PathBuf, Failure> {
    let server = std::env::current_exe()?.with_file_name("chat-server");
    if !server.exists() {
        return Err(format!("{} is not there: build it, or name another by --server", server.display()).into());
    }
    Ok(server)
}
