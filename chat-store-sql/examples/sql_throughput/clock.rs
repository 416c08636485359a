//! Two loops that take turns, and what each of them costs.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long a turn lasts: short, so that a noisy moment of the machine meets both.
const TURN: Duration = Duration::from_millis(100);

/// Processes whose CPU is counted: this one, or a server with its children.
pub(crate) struct Processes {
    root: u32,
    children: bool,
}

impl Processes {
    pub(crate) fn this() -> Self {
        Self { root: std::process::id(), children: false }
    }

    /// Finds the server by the file it keeps its process number in. `None`: it runs elsewhere.
    pub(crate) fn server(pid_file: Option<String>) -> Option<Self> {
        let number = fs::read_to_string(pid_file?).ok()?;
        let root = number.lines().next()?.trim().parse().ok()?;
        Some(Self { root, children: true })
    }

    fn all(&self) -> Vec<u32> {
        let mut all = vec![self.root];
        if self.children {
            let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
            let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
            all.extend(numbers.filter(|number| parent(*number) == Some(self.root)));
        }
        all
    }

    /// Returns the CPU time, by the scheduler's own account, in which nothing is rounded to ticks.
    fn cpu(&self) -> Duration {
        let threads = self.all().into_iter().flat_map(|number| {
            let tasks = fs::read_dir(format!("/proc/{number}/task")).into_iter().flatten().flatten();
            tasks.map(|task| task.path()).collect::<Vec<PathBuf>>()
        });
        let ran = threads.filter_map(|thread| {
            let schedule = fs::read_to_string(thread.join("schedstat")).ok()?;
            schedule.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(ran.sum())
    }
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// Is what a loop did.
#[derive(Default)]
pub(crate) struct Took {
    done: usize,
    wall: Duration,
    client: Duration,
    server: Duration,
    /// How long each call took, in µs.
    calls: Vec<f64>,
}

impl Took {
    pub(crate) fn per_second(&self) -> f64 {
        self.done as f64 / self.wall.as_secs_f64()
    }

    /// Returns the CPU time of one item in this process and in the server, in µs.
    pub(crate) fn cpu_us(&self) -> (f64, f64) {
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / self.done as f64;
        (each(self.client), each(self.server))
    }

    /// Returns the time that so many percent of the calls kept within, in ms.
    pub(crate) fn percentile_ms(&self, percent: usize) -> f64 {
        let mut calls = self.calls.clone();
        calls.sort_by(f64::total_cmp);
        calls.get((calls.len() * percent / 100).min(calls.len().saturating_sub(1))).copied().unwrap_or_default() / 1e3
    }
}

/// Lets two loops take turns for a while; each call of them does `items`.
pub(crate) async fn race(
    lasts: Duration,
    items: usize,
    server: Option<&Processes>,
    mut one: impl AsyncFnMut(),
    mut other: impl AsyncFnMut(),
) -> [Took; 2] {
    one().await; // what is done once, such as preparing statements
    other().await;
    let mut took = [Took::default(), Took::default()];
    let began = Instant::now();
    while began.elapsed() < lasts * 2 {
        turn(&mut took[0], items, server, &mut one).await;
        turn(&mut took[1], items, server, &mut other).await;
    }
    took
}

async fn turn(took: &mut Took, items: usize, server: Option<&Processes>, step: &mut impl AsyncFnMut()) {
    let this = Processes::this();
    let of_server = || server.map(Processes::cpu).unwrap_or_default();
    // This process last, and below first: to look into the server costs this one more than a batch.
    let (server_before, before) = (of_server(), this.cpu());
    let began = Instant::now();
    while began.elapsed() < TURN {
        let call = Instant::now();
        step().await;
        took.calls.push(call.elapsed().as_secs_f64() * 1e6);
        took.done += items;
    }
    took.wall += began.elapsed();
    took.client += this.cpu().saturating_sub(before);
    took.server += of_server().saturating_sub(server_before);
}
