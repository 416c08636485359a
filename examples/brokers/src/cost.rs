//! What is spent: processor time, and bytes that come in. Linux only: others have no `/proc`.

use std::{
    fs,
    path::PathBuf,
    process::{Command, id},
    time::{Duration, Instant},
};

use crate::place::Place;

/// Counts from its beginning on.
pub(crate) struct Meter {
    servers: Vec<u32>,
    ports: Vec<u16>,
    began: Instant,
    before: Spent,
}

/// Is what this process and the servers have spent, per second or in all.
#[derive(Clone, Copy, Default)]
pub(crate) struct Spent {
    pub(crate) ours: f64,
    pub(crate) servers: f64,
    pub(crate) bytes_in: f64,
}

impl Meter {
    pub(crate) fn start(place: &Place) -> Self {
        let ports = place.ports();
        let servers = listeners(&ports);
        let before = spent(&servers, &ports);
        Self { servers, ports, began: Instant::now(), before }
    }

    /// Returns what was spent for each second: of CPU, seconds.
    pub(crate) fn per_second(&self) -> Spent {
        let (after, seconds) = (spent(&self.servers, &self.ports), self.began.elapsed().as_secs_f64());
        Spent {
            ours: (after.ours - self.before.ours) / seconds,
            servers: (after.servers - self.before.servers) / seconds,
            bytes_in: (after.bytes_in - self.before.bytes_in) / seconds,
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

fn spent(servers: &[u32], ports: &[u16]) -> Spent {
    let cpu = |process: &u32| cpu(*process).as_secs_f64();
    Spent { ours: cpu(&id()), servers: servers.iter().map(cpu).sum(), bytes_in: bytes_in(ports) }
}

/// Returns the CPU time of all threads, by the scheduler's own account, in which nothing is rounded to ticks.
fn cpu(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let ran = tasks.filter_map(|task| {
        let schedule = fs::read_to_string(task.path().join("schedstat")).ok()?;
        schedule.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(ran.sum())
}

/// Returns what the kernel has counted on our connections to these ports.
fn bytes_in(ports: &[u16]) -> f64 {
    let Ok(said) = Command::new("ss").args(["-tinpHO"]).output() else { return f64::NAN };
    let (text, ours) = (String::from_utf8_lossy(&said.stdout), format!("pid={},", id()));
    let there = |line: &&str| {
        let peer = line.split_whitespace().nth(4).and_then(|peer| peer.rsplit(':').next()?.parse().ok());
        line.contains(&ours) && peer.is_some_and(|port| ports.contains(&port))
    };
    let received = |line: &str| line.split("bytes_received:").nth(1)?.split(' ').next()?.parse::<f64>().ok();
    text.lines().filter(there).filter_map(received).sum()
}

/// Finds the processes on this machine that listen at these ports.
fn listeners(ports: &[u16]) -> Vec<u32> {
    let sockets: Vec<_> =
        ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().flat_map(|file| listening(file, ports)).collect();
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|number| open_files(*number).any(|file| sockets.contains(&file))).collect()
}

fn open_files(process: u32) -> impl Iterator<Item = PathBuf> {
    let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok())
}

/// Returns the listening sockets as they are called among open files.
fn listening(file: &str, ports: &[u16]) -> Vec<PathBuf> {
    const LISTENING: &str = "0A";
    let table = fs::read_to_string(file).unwrap_or_default();
    let socket = |line: &str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let port = u16::from_str_radix(columns.get(1)?.rsplit(':').next()?, 16).ok()?;
        let listens = columns.get(3) == Some(&LISTENING) && ports.contains(&port);
        listens.then(|| PathBuf::from(format!("socket:[{}]", columns.get(9).unwrap_or(&"0"))))
    };
    table.lines().filter_map(socket).collect()
}
