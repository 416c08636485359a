//! Stock bots, each a process of its own on the queue of commands, with sample prices.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{Failure, chance::Chance};

/// Is all bots; dropping it kills them.
#[derive(Debug)]
pub(super) struct Bots {
    binary: PathBuf,
    queue: String,
    folder: PathBuf,
    processes: Vec<Child>,
}

impl Bots {
    pub(super) fn start(binary: &Path, queue: &str, folder: &Path, count: u32) -> Result<Self, Failure> {
        let (binary, queue, folder) = (binary.to_owned(), queue.to_owned(), folder.to_owned());
        let mut bots = Self { binary, queue, folder, processes: Vec::new() };
        for _ in 0..count {
            let bot = bots.spawn(bots.processes.len())?;
            bots.processes.push(bot);
        }
        Ok(bots)
    }

    fn spawn(&self, at: usize) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.folder.join(format!("{}.log", name(at))))?;
        Command::new(&self.binary)
            .arg("--sample")
            .env("STOCK_QUEUE", &self.queue)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
    }

    /// Ends one as a power cut would, and starts it again. Returns its name.
    pub(super) fn kill_one(&mut self, chance: &mut Chance) -> Result<String, Failure> {
        let at = usize::try_from(chance.below(self.processes.len() as u64))?;
        end(&mut self.processes[at])?;
        self.processes[at] = self.spawn(at)?;
        Ok(name(at))
    }
}

impl Drop for Bots {
    fn drop(&mut self) {
        for bot in &mut self.processes {
            let _ = end(bot);
        }
    }
}

fn name(at: usize) -> String {
    format!("bot{}", at + 1)
}

fn end(bot: &mut Child) -> io::Result<()> {
    bot.kill()?;
    bot.wait().map(drop)
}
