//! What is shown while it runs.

use std::{
    io::{IsTerminal, Write},
    time::Instant,
};

use super::recorder::Recorder;

/// Shows how far it is: on a terminal in one line, elsewhere a line for each tenth.
pub(super) struct Progress {
    recorder: Recorder,
    rounds: u32,
    began: Instant,
    terminal: bool,
}

impl Progress {
    pub(super) fn new(recorder: Recorder, rounds: u32) -> Self {
        Self { recorder, rounds, began: Instant::now(), terminal: std::io::stderr().is_terminal() }
    }

    pub(super) fn show(&self, round: u32) {
        let [sent, acked, received] = self.recorder.counts();
        let (seconds, rounds) = (self.began.elapsed().as_secs_f64(), self.rounds);
        let line = format!("{seconds:6.1} s  {round}/{rounds}  sent {sent}  acknowledged {acked}  received {received}");
        let mut out = std::io::stderr().lock();
        // Whether anybody sees it makes no difference to the run.
        if self.terminal {
            let end = if round == rounds { "\n" } else { "" };
            let _ = write!(out, "\r{line}\x1b[K{end}").and_then(|()| out.flush());
        } else if round.is_multiple_of((rounds / 10).max(1)) || round == rounds {
            let _ = writeln!(out, "{line}");
        }
    }
}
