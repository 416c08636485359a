//! The scenario `clocks`: the time of day of each node steps and drifts, while people come and go, and nodes die.
//!
//! What is said meanwhile is judged as in all scenarios, and who is seen to be online as in `presence`: a clock that is
//! wrong excuses nobody.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tokio::{task::JoinSet, time::sleep};

use super::{Failure, chance::Chance, presence::Crowd, recorder::Recorder};

/// A clock steps to one of these, in seconds, and goes at one of these rates from then on.
const STEPS: [i64; 3] = [600, -600, 0];
const RATES: [&str; 3] = ["1.02", "0.98", "1"];
/// Ghosts of people who went with their node have this time to show up after all have seen them go.
const GHOSTS_FOR: Duration = Duration::from_secs(30);

/// Is the time of day of one node. Only that: tokio waits by the other clock, which no operator can set.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    node: String,
    file: PathBuf,
}

impl Clock {
    /// Returns the clock of a node, which is right to begin with.
    pub(super) fn of(node: &str, folder: &Path) -> io::Result<Self> {
        let clock = Self { node: node.to_owned(), file: folder.join(format!("{node}.clock")) };
        if !clock.file.exists() {
            clock.set(0, "1")?;
        }
        Ok(clock)
    }

    /// Lets a program that is about to begin live by this clock.
    pub(super) fn give(&self, command: &mut Command, library: &Path) {
        command.env("LD_PRELOAD", library).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command.env("FAKETIME_TIMESTAMP_FILE", &self.file).env("FAKETIME_CACHE_DURATION", "1");
    }

    /// Sets it so many seconds ahead of what it would be, and lets it go at a rate since the process began.
    fn set(&self, ahead: i64, rate: &str) -> io::Result<()> {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{ahead:+} x{rate}"))?;
        std::fs::rename(new, &self.file) // it is read at any moment
    }
}

/// Steps the clocks of all nodes.
pub(super) struct Stepper {
    pub(super) clocks: Vec<Clock>,
    pub(super) chance: Chance,
    pub(super) recorder: Recorder,
    pub(super) rounds: u32,
    /// How long all clocks go on between two steps, on average.
    pub(super) every: Duration,
}

impl Stepper {
    async fn step(mut self) -> Result<(), Failure> {
        for _ in 0..self.rounds {
            sleep(self.chance.around(self.every)).await;
            let (clock, start) = (self.chance.one_of(&self.clocks), self.recorder.now());
            let (ahead, rate) = (*self.chance.one_of(&STEPS), *self.chance.one_of(&RATES));
            clock.set(ahead, rate)?;
            self.recorder.fault("clock", &clock.node, start);
        }
        Ok(())
    }
}

impl Crowd<'_> {
    /// Lets people come and go, and nodes die with them, as long as the clocks step.
    pub(super) async fn live_by_wrong_clocks(mut self, stepper: Stepper) -> Result<(), Failure> {
        let mut steps = JoinSet::from_iter([stepper.step()]);
        let done = loop {
            self.change_shifts().await?;
            self.show("half of all went and came");
            self.kill(GHOSTS_FOR).await?;
            self.show("a node died with its people");
            if let Some(done) = steps.try_join_next() {
                break done;
            }
        };
        done??;
        self.finish().await
    }
}

/// Finds the library that gives a program another time of day.
pub(super) fn faketime() -> Result<PathBuf, Failure> {
    let mut folders = std::fs::read_dir("/usr/lib")?.flatten().map(|folder| folder.path());
    let found =
        folders.find_map(|folder| Some(folder.join("faketime/libfaketimeMT.so.1")).filter(|path| path.exists()));
    found.ok_or_else(|| "libfaketime is not there: install faketime".into())
}
