//! What is broken, and how.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use tokio::time::sleep;

use super::{
    Failure,
    chance::Chance,
    client::Client,
    recorder::Recorder,
    rest::Rest,
    server::{GRACE, Server},
};
use crate::history::{Ended, Event};

/// Is a way to break a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// kill -9 and start again.
    Kill,
    /// SIGSTOP, and SIGCONT after a while.
    Pause,
    /// SIGTERM, and start again.
    Drain,
    /// Connections are cut after the server has said `ack` and before the client hears it; some drafts are sent by
    /// two clients at once.
    Cut,
    /// One client in ten stops reading, one in twenty reads at 64 kbit/s, and the others are compared with what they
    /// had before. It is done once, and takes as long as it takes.
    Slow,
}

/// In the scenario `cut`, one ack in so many does not arrive.
const CUT_ONE_IN: u64 = 20;
const SERVER: &str = "server";

/// Is what is needed to break things.
pub(super) struct Breaker<'a> {
    pub(super) server: &'a mut Server,
    pub(super) rest: &'a Rest,
    pub(super) clients: Vec<&'a Client>,
    pub(super) recorder: &'a Recorder,
    pub(super) chance: Chance,
    /// How long the load runs in peace before each fault, on average.
    pub(super) every: Duration,
}

impl Breaker<'_> {
    /// Breaks the server so many times; it is whole again after that. `done` is told each time.
    pub(super) async fn run(&mut self, scenario: Scenario, rounds: u32, done: impl Fn(u32)) -> Result<(), Failure> {
        if scenario == Scenario::Cut {
            self.clients.iter().for_each(|client| client.tap.cut_one_in(CUT_ONE_IN));
        }
        for round in 1..=rounds {
            let part = self.chance.within(50..150);
            sleep(self.every * u32::try_from(part)? / 100).await;
            let start = self.recorder.now();
            match scenario {
                Scenario::Kill => self.kill(start).await?,
                Scenario::Pause => self.pause(start).await?,
                Scenario::Drain => self.drain(start).await?,
                Scenario::Cut | Scenario::Slow => {}
            }
            done(round);
        }
        self.clients.iter().for_each(|client| client.tap.cut_one_in(0));
        Ok(())
    }

    async fn kill(&mut self, start: u64) -> Result<(), Failure> {
        self.server.kill()?;
        self.restart().await?;
        self.recorder.fault("kill", SERVER, start);
        Ok(())
    }

    async fn pause(&mut self, start: u64) -> Result<(), Failure> {
        self.server.signal("STOP")?;
        sleep(Duration::from_millis(self.chance.within(200..3_000))).await;
        self.server.signal("CONT")?;
        self.recorder.fault("pause", SERVER, start);
        Ok(())
    }

    async fn drain(&mut self, start: u64) -> Result<(), Failure> {
        let began = Instant::now();
        self.server.signal("TERM")?;
        let status = self.server.ended().await?;
        let (took_ms, grace_ms) = (began.elapsed().as_millis().try_into()?, GRACE.as_millis().try_into()?);
        self.recorder.fault("drain", SERVER, start);
        self.recorder.add(Event::Exit(Ended { target: SERVER.into(), status: status.code(), took_ms, grace_ms }));
        self.restart().await
    }

    async fn restart(&mut self) -> Result<(), Failure> {
        self.server.restart().await?;
        self.rest.lead_to(self.server.address);
        self.clients.iter().for_each(|client| client.proxy.lead_to(self.server.address));
        Ok(())
    }
}
