//! The command line: `chat-check run SCENARIO` breaks a server and judges it, `chat-check history FILE…` judges again.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chat_check::{
    certify::{self, Around, Certificate, Pair, Pairs},
    checker::{self, Verdict},
    figures::{Figures, Isolation, Times},
    history::{self, Record},
    run::{self, Failure, Plan, Scenario, Stopped, Try},
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
    /// Runs one programme of faults on every pair of a store and a broker that has no certificate
    Certify {
        #[command(flatten)]
        what: Pairs,
    },
    /// Is a process of clients that only sit there, which a run starts and tells what to do
    #[command(hide = true)]
    Sit,
    /// Tries a store itself, without servers
    Store {
        #[command(flatten)]
        what: Try,
    },
}

fn main() -> ExitCode {
    let done = match Asked::parse() {
        Asked::History { files } => files.iter().try_fold(true, |clean, file| Ok(judge(file)?.0 && clean)),
        Asked::Sit => sit(),
        Asked::Store { what } => try_store(&what),
        Asked::Certify { what } => certify(&what),
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

fn read(file: &Path) -> Result<Vec<Record>, Failure> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let opened = File::open(file).map_err(|error| named(&error))?;
    Ok(history::read(BufReader::new(opened)).map_err(|error| named(&error))?)
}

/// Judges a history and prints the verdict. Returns whether it is clean, and how long things took.
fn judge(file: &Path) -> Result<(bool, Figures), Failure> {
    let history = read(file)?;
    let verdict = checker::check(&history);
    for violation in &verdict.violations {
        println!("{}\n", violation.show(&history));
    }
    let figures = Figures::of(&history);
    println!("{}\n\n{figures}\n", verdict.summary);
    println!("{}: {}", file.display(), in_short(&verdict));
    let isolation = Isolation::of(&history);
    if let Some(isolation) = &isolation {
        println!("\n{isolation}");
    }
    let is_isolated = isolation.is_none_or(|isolation| isolation.broken().is_empty());
    let is_calm = figures.storm.as_ref().is_none_or(|storm| storm.broken().is_empty());
    Ok((verdict.is_clean() && is_isolated && is_calm, figures))
}

fn in_short(verdict: &Verdict) -> String {
    let broken: Vec<_> = verdict.counts.iter().map(|(promise, count)| format!("{promise:?} {count} times")).collect();
    if broken.is_empty() { "all promises were kept".to_owned() } else { format!("BROKEN: {}", broken.join(", ")) }
}

/// Runs one pair after the other; a line says what came of each. Returns whether all have a certificate now.
#[tokio::main]
async fn certify(what: &Pairs) -> Result<bool, Failure> {
    let (commit, mut good) = (certify::commit(), true);
    for pair in Pair::all().into_iter().filter(|pair| pair.name().starts_with(&what.only)) {
        let came = if Certificate::read(&what.folder, pair).is_some() && !what.again {
            Ok("has its certificate".to_owned())
        } else {
            certify_pair(what, pair, &commit).await
        };
        match came {
            Ok(came) => println!("{}: {came}", pair.name()),
            Err(error) if error.is::<Stopped>() => return Err(error),
            Err(error) => {
                println!("{}: NO CERTIFICATE: {error}", pair.name());
                good = false;
            }
        }
    }
    Ok(good)
}

async fn certify_pair(what: &Pairs, pair: Pair, commit: &str) -> Result<String, Failure> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let words = pair.command(what.rate, seed);
    let Asked::Run { plan, .. } =
        Asked::try_parse_from(["chat-check"].into_iter().chain(words.iter().map(|it| &**it)))?
    else {
        return Err("the words of a run are none".into());
    };
    println!("{}: {}", pair.name(), words.join(" "));
    let around = Around::look(commit);
    let (folder, temporary) = folder(None)?;
    let file = run::run(&plan, &folder).await?;
    let history = read(&file)?;
    let verdict = checker::check(&history);
    if !verdict.is_clean() {
        let kept = temporary.map(TempDir::keep).unwrap_or(folder);
        return Err(format!("{}; what happened is kept in {}", in_short(&verdict), kept.display()).into());
    }
    let figures = Figures::of(&history);
    Certificate::of(pair, &plan, &words, around, &verdict, &figures).write(&what.folder, pair)?;
    let (acked, delivered) = (verdict.summary.acked, verdict.summary.delivered);
    Ok(format!("{} {acked} acknowledged, {delivered} delivered", in_short(&verdict)))
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
async fn sit() -> Result<bool, Failure> {
    run::sit().await.map(|()| true)
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
        ("coming back from a dead node", &figures.back, 99, 5),
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
