//! The command line: `chat-check run SCENARIO` breaks a server and judges it, `chat-check history FILE…` judges again.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chat_check::{
    checker,
    figures::{Figures, Isolation, Times},
    history,
    run::{self, Failure, Plan, Scenario, Try},
};
use clap::Parser;
use tempfile::TempDir;

/// Breaks a chat server on purpose, and checks from outside that it kept its promises
#[derive(Debug, Parser)]
#[command(version)]
enum Asked {
    /// Judges histories that were written before
    History {
        /// One JSON object a line
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Starts a server, lets clients talk, breaks it, heals it, and judges what the clients saw
    Run {
        #[command(flatten)]
        plan: Box<Plan>,
        /// Keeps the history, the database and the log in this empty folder; otherwise only if a promise is broken
        #[arg(long)]
        keep: Option<PathBuf>,
    },
    /// Tries a store itself, without servers
    Store {
        #[command(flatten)]
        what: Try,
    },
}

fn main() -> ExitCode {
    let done = match Asked::parse() {
        Asked::History { files } => files.iter().try_fold(true, |clean, file| Ok(judge(file)?.0 && clean)),
        Asked::Store { what } => try_store(&what),
        Asked::Run { plan, keep } => run::equip(&plan).and_then(|()| start(plan, keep)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chat-check: {error}");
            ExitCode::from(2)
        }
    }
}

/// Judges a history and prints the verdict. Returns whether it is clean, and how long things took.
fn judge(file: &Path) -> Result<(bool, Figures), Failure> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let opened = File::open(file).map_err(|error| named(&error))?;
    let history = history::read(BufReader::new(opened)).map_err(|error| named(&error))?;
    let verdict = checker::check(&history);
    for violation in &verdict.violations {
        println!("{}\n", violation.show(&history));
    }
    let figures = Figures::of(&history);
    println!("{}\n\n{figures}\n", verdict.summary);
    let broken: Vec<_> = verdict.counts.iter().map(|(promise, count)| format!("{promise:?} {count} times")).collect();
    let broken =
        if broken.is_empty() { "all promises were kept".to_owned() } else { format!("BROKEN: {}", broken.join(", ")) };
    println!("{}: {broken}", file.display());
    let isolation = Isolation::of(&history);
    if let Some(isolation) = &isolation {
        println!("\n{isolation}");
    }
    let is_isolated = isolation.is_none_or(|isolation| isolation.broken().is_empty());
    Ok((verdict.is_clean() && is_isolated, figures))
}

#[tokio::main]
async fn start(mut plan: Box<Plan>, keep: Option<PathBuf>) -> Result<bool, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = *plan.seed.get_or_insert(now.as_secs());
    let rounds = if plan.scenario == Scenario::Slow { 1 } else { plan.rounds };
    println!("{:?} × {rounds}, {} drafts a second, seed {seed}", plan.scenario, plan.rate);
    let (folder, temporary) = folder(keep)?;
    let done = run::run(&plan, &folder).await.and_then(|history| judge(&history));
    // Who waits for what is not to be told apart where several things are away at once.
    let is_timed = plan.scenario != Scenario::Everything;
    let good = done.as_ref().is_ok_and(|(clean, figures)| *clean && (!is_timed || is_fast_enough(figures)));
    if let Some(folder) = temporary.filter(|_| !good) {
        println!("what happened is kept in {}", folder.keep().display());
    }
    done.map(|_| good)
}

#[tokio::main]
async fn try_store(what: &Try) -> Result<bool, Failure> {
    println!("{:?} × {} on {}", what.trial, what.times, what.store);
    let (folder, _temporary) = folder(None)?;
    println!("{}", run::try_store(what, &folder).await?);
    Ok(true)
}

/// Returns the folder to keep, or one that goes when this is over.
fn folder(keep: Option<PathBuf>) -> Result<(PathBuf, Option<TempDir>), Failure> {
    let Some(folder) = keep else {
        let folder = tempfile::Builder::new().prefix("chat-check-").tempdir()?;
        return Ok((folder.path().to_owned(), Some(folder)));
    };
    std::fs::create_dir_all(&folder)?;
    if std::fs::read_dir(&folder)?.next().is_some() {
        return Err(format!("{} is not empty", folder.display()).into());
    }
    Ok((folder, None))
}

/// Times are for reading; only what takes five times as long as it may is an error, on whatever machine.
fn is_fast_enough(figures: &Figures) -> bool {
    // A hundredth may be the machine's; a single request that hangs is one too many.
    let bounds = [
        ("back to caught up", &figures.resume, 99, 2),
        ("kill to listening", &figures.restart, 99, 1),
        ("an answer without the store", &figures.storeless, 100, 5),
        ("finding half-open clients", &figures.half_open, 100, 35),
    ];
    let took = |times: &Times, percent| times.percentile(percent).unwrap_or_default();
    let is_slow = |times, percent, seconds| took(times, percent) > 5 * Duration::from_secs(seconds);
    let slow: Vec<_> =
        bounds.into_iter().filter(|(_, times, percent, seconds)| is_slow(times, *percent, *seconds)).collect();
    for (what, times, percent, seconds) in &slow {
        println!("TOO SLOW: {what} takes {:?}, {seconds} s are meant", took(times, *percent));
    }
    slow.is_empty()
}
