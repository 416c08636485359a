//! Certificates: one programme of faults on every pair of a store and a broker, and what came of it, in a file each.
//!
//! A pair that has a certificate is not run again, so that a run that was cut off goes on where it was. Only a pair that
//! kept all promises gets one.

mod page;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};

use crate::{
    checker::Verdict,
    figures::{Figures, Times},
    run::{Failure, Plan},
};

/// Says which pairs, and where their certificates go.
#[derive(Clone, Debug, clap::Args)]
pub struct Pairs {
    /// Where the certificates are; the page beside the folder has them in a table
    #[arg(long, default_value = "docs/certificates")]
    pub folder: PathBuf,
    /// Only pairs whose name begins so, such as `postgres` or `postgres-redis`
    #[arg(long, default_value = "")]
    pub only: String,
    /// Runs pairs that have their certificate again
    #[arg(long)]
    pub again: bool,
    /// Drafts a second, all publishers together
    #[arg(long, default_value_t = 50)]
    pub rate: u32,
}

/// Databases that several nodes share. A hybrid is two: one for the messages, one for everything else.
const STORES: [&str; 4] = ["postgres", "mariadb", "mongodb", HYBRID];
const HYBRID: &str = "hybrid";
/// What nodes hear each other over, and which of the run's own servers that is.
const BROKERS: [(&str, Option<&str>); 4] = [
    ("none", None),
    ("redis", Some("redis")),
    ("rabbitmq", Some("rabbitmq")),
    ("rabbitmq_partitioned", Some("rabbitmq")),
];

/// Is a store and a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    store: &'static str,
    broker: &'static str,
    service: Option<&'static str>,
}

impl Pair {
    /// Returns all pairs. A file is one node's alone, which needs no broker.
    pub fn all() -> Vec<Self> {
        let alone = Self { store: "sqlite", broker: "none", service: None };
        let cluster = Self { store: "postgres", broker: "redis_cluster", service: Some("redis_cluster") };
        let pair = |store| BROKERS.map(|(broker, service)| Self { store, broker, service });
        [alone].into_iter().chain(STORES.into_iter().flat_map(pair)).chain([cluster]).collect()
    }

    /// Returns its name, which is also that of its file.
    pub fn name(self) -> String {
        format!("{}-{}", self.store, self.broker)
    }

    /// Returns the words after `chat-check` that run its programme.
    pub fn command(self, rate: u32, seed: u64) -> Vec<String> {
        let nodes = if self.store == "sqlite" { 1 } else { 3 };
        let broker = self.service.map(|service| format!("--broker {service} --service {service} ")).unwrap_or_default();
        let store = if self.store == HYBRID { "postgres --messages mongodb" } else { self.store };
        let partitioned = if self.broker.ends_with("_partitioned") { "--partitioned " } else { "" };
        let words = format!(
            "run programme --rounds 1 --every 1500 --nodes {nodes} --store {store} {broker}{partitioned}--rate {rate} --seed \
             {seed} --at-most 900"
        );
        words.split(' ').map(str::to_owned).collect()
    }

    /// Returns what is installed of it, as it calls itself.
    fn versions(self) -> BTreeMap<String, String> {
        let version = |name: &str| Some((name.to_owned(), version_of(name)?));
        let stores = if self.store == HYBRID { vec!["postgres", "mongodb"] } else { vec![self.store] };
        stores.into_iter().chain(self.service).filter_map(version).collect()
    }
}

fn version_of(name: &str) -> Option<String> {
    let command = match name {
        "postgres" => "$(ls -v /usr/lib/postgresql/*/bin/postgres | tail -1) --version",
        "mariadb" => "mariadbd --version",
        "mongodb" => "ls \"${CARGO_TARGET_DIR:-target}/test-tools/secantusdb\" | grep ==",
        "rabbitmq" => "dpkg-query -W -f 'RabbitMQ ${Version}' rabbitmq-server",
        "redis" | "redis_cluster" => "redis-server --version",
        _ => return None,
    };
    said(Command::new("sh").args(["-c", command]))
}

/// Returns the commit of the sources; with a plus if they were changed since.
pub fn commit() -> String {
    let commit = said(Command::new("git").args(["rev-parse", "--short=12", "HEAD"])).unwrap_or_default();
    let changed = said(Command::new("git").args(["status", "--porcelain", "--", "*.rs", "*.toml"])).is_some();
    format!("{commit}{}", if changed { "+" } else { "" })
}

/// Returns the first line that a command prints, in the repository.
fn said(command: &mut Command) -> Option<String> {
    let done = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).output().ok()?;
    let said = String::from_utf8_lossy(&done.stdout);
    said.lines().next().map(|line| line.trim().to_owned()).filter(|line| done.status.success() && !line.is_empty())
}

/// Is what a pair did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the words of the summary and of the figures
pub struct Certificate {
    pub store: String,
    pub broker: String,
    pub nodes: u32,
    pub versions: BTreeMap<String, String>,
    pub command: String,
    pub commit: String,
    pub date: String,
    /// The load average of the machine at the begin and at the end.
    pub load: [String; 2],
    pub sent: u64,
    pub acked: u64,
    pub refused: u64,
    pub delivered: u64,
    pub stored: u64,
    pub lost: u64,
    pub doubled: u64,
    pub reordered: u64,
    pub gaps_explained: u64,
    pub gaps_unexplained: u64,
    pub behind: u64,
    pub resets: u64,
    pub faults: BTreeMap<String, Fault>,
    pub ack: Ms,
    pub ack_in_peace: Ms,
    pub delivery: Ms,
    pub resume: Ms,
}

/// Is what was broken: how many times, and how long drafts took that were sent meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Fault {
    pub rounds: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<Ms>,
}

/// Is a list of times in two numbers, in ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Ms {
    pub p50: u64,
    pub p99: u64,
}

impl Ms {
    fn of(times: &Times) -> Self {
        let at = |percent| times.percentile(percent).unwrap_or_default().as_millis().try_into().unwrap_or(u64::MAX);
        Self { p50: at(50), p99: at(99) }
    }
}

/// Is when and on what a run was done.
#[derive(Clone, Debug)]
pub struct Around {
    /// The load average before.
    load: String,
    commit: String,
}

impl Around {
    /// Looks around before a run.
    pub fn look(commit: &str) -> Self {
        Self { load: load(), commit: commit.to_owned() }
    }
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

impl Certificate {
    /// Makes the certificate of a run.
    pub fn of(pair: Pair, plan: &Plan, words: &[String], around: Around, verdict: &Verdict, figures: &Figures) -> Self {
        let summary = verdict.summary.clone();
        let fault = |(kind, rounds): (String, u64)| {
            let ack = figures.ack_in.get(&kind).map(Ms::of);
            (kind, Fault { rounds, ack })
        };
        Self {
            store: pair.store.to_owned(),
            broker: pair.broker.to_owned(),
            nodes: plan.nodes,
            versions: pair.versions(),
            command: format!("chat-check {}", words.join(" ")),
            commit: around.commit,
            date: said(Command::new("date").args(["-u", "+%F %H:%M UTC"])).unwrap_or_default(),
            load: [around.load, load()],
            sent: summary.sent,
            acked: summary.acked,
            refused: summary.nacked,
            delivered: summary.delivered,
            stored: summary.stored,
            lost: summary.lost,
            doubled: summary.doubled,
            reordered: summary.reordered,
            gaps_explained: summary.gaps_explained,
            gaps_unexplained: summary.gaps_unexplained,
            behind: summary.behind,
            resets: summary.resets,
            faults: summary.faults.into_iter().map(fault).collect(),
            ack: Ms::of(&figures.ack),
            ack_in_peace: Ms::of(&figures.ack_between),
            delivery: Ms::of(&figures.delivery),
            resume: Ms::of(&figures.resume),
        }
    }

    /// Returns where the certificate of a pair is.
    pub fn place(folder: &Path, pair: Pair) -> PathBuf {
        folder.join(format!("{}.json", pair.name()))
    }

    /// Reads the certificate of a pair, if there is one.
    pub fn read(folder: &Path, pair: Pair) -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::place(folder, pair)).ok()?).ok()
    }

    /// Writes it, and the page with all of them.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path, pair: Pair) -> Result<(), Failure> {
        fs::create_dir_all(folder)?;
        fs::write(Self::place(folder, pair), serde_json::to_string_pretty(self)? + "\n")?;
        let all: Vec<_> = Pair::all().into_iter().filter_map(|pair| Self::read(folder, pair)).collect();
        Ok(fs::write(folder.with_extension("md"), page::of(&all))?)
    }
}
