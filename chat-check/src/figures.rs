//! How long things took, out of a history: the same figures for a run of a minute ago and for one of last year.

mod isolation;
mod partition;
mod presence;
mod revoked;
mod storm;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    time::Duration,
};

pub use self::{
    isolation::Isolation,
    storm::{Round, Storm},
};
use crate::history::{Event, Fault, How, Name, Record};

/// Is a list of times, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times(Vec<u64>);

impl Times {
    /// Returns the time that so many of a hundred do not exceed.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.max(1) - 1).copied().map(Duration::from_micros)
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Holds the figures of a history.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Figures {
    /// From sending to the answer, whatever is broken meanwhile.
    pub ack: Times,
    /// The same for what was sent while something was broken, by the kind of fault.
    pub ack_in: BTreeMap<String, Times>,
    /// The same for what was sent in between.
    pub ack_between: Times,
    /// From a slash command to the answer of a bot in the room.
    pub answer: Times,
    /// From sending to each receiver that was there.
    pub delivery: Times,
    /// From reaching a server again to having what was there then, of those who missed something.
    pub resume: Times,
    /// From being cut off by a server to the same.
    pub away: Times,
    /// From a kill to a server that listens.
    pub restart: Times,
    /// How long a server that was asked to stop took.
    pub drain: Times,
    /// From a request, while a node was cut off from its store, to the answer.
    pub storeless: Times,
    /// From when a node was cut off from its clients to when it had ended all their connections.
    pub half_open: Times,
    /// From when somebody went to when a watcher was told so, and the same of those who came.
    pub gone: Times,
    #[allow(missing_docs)] // see above
    pub here: Times,
    /// From the end of a login to the end of each of its connections, with a broker and without one.
    pub revoked: [Times; 2],
    /// From the death of a node to when each of those who sat there has heard what was said since.
    pub back: Times,
    /// What else was measured of those who only sit there.
    pub storm: Option<Storm>,
    /// Drafts acknowledged in a second, over all.
    pub rate: u64,
    /// The most connections that were opened in one second.
    pub rush: u64,
    /// By how much a node's memory grew while its broker was blocked, at most, in KiB; absent if it never was.
    pub growth_kib: Option<u64>,
}

impl Figures {
    /// Takes the figures of a history.
    pub fn of(history: &[Record]) -> Self {
        let mut figures = Self::default();
        let mut pass = Pass { faults: faults(history), ..Pass::default() };
        for record in history {
            pass.see(record, &mut figures);
        }
        (figures.storeless, figures.half_open) = (partition::storeless(history), partition::half_open(history));
        [figures.gone, figures.here] = presence::seen(history);
        (figures.storm, figures.back) = storm::storm(history);
        figures.revoked = revoked::cut_off(history);
        for times in figures.lists() {
            times.0.sort_unstable();
        }
        let begin = history.iter().find(|record| matches!(record.event, Event::Open(_))).map_or(0, |record| record.t);
        let seconds = history.last().map_or(0, |record| record.t - begin) / 1_000_000;
        figures.rush = rush(&pass.opened);
        figures.rate = figures.ack.count() as u64 / seconds.max(1);
        figures
    }
}

/// Returns the most that were opened within a second.
fn rush(opened: &[(u64, u64)]) -> u64 {
    let (mut first, mut within, mut most) = (0, 0, 0);
    for (t, count) in opened {
        within += count;
        while opened[first].0 + 1_000_000 <= *t {
            within -= opened[first].1;
            first += 1;
        }
        most = within.max(most);
    }
    most
}

/// Returns what was broken, and when.
fn faults(history: &[Record]) -> Vec<&Fault> {
    let faults =
        history.iter().filter_map(|record| if let Event::Fault(fault) = &record.event { Some(fault) } else { None });
    faults.filter(|fault| fault.start < fault.stop).collect()
}

type Place<'h> = (&'h Name, &'h Name);

/// Is what has to be known of the lines before.
#[derive(Default)]
struct Pass<'h> {
    faults: Vec<&'h Fault>,
    /// When each command was first sent, by the key of its answer, and what the notice looks like that there is none.
    asked: HashMap<&'h Name, (u64, &'h Name)>,
    /// When each draft was first sent, by its key.
    sent: HashMap<&'h Name, u64>,
    acked: HashSet<Place<'h>>,
    /// The furthest position that anybody knows of, by room.
    heads: HashMap<&'h Name, u64>,
    /// Where each client stands, by client and room.
    places: HashMap<&'h Name, HashMap<&'h Name, u64>>,
    hung_up: HashMap<&'h Name, u64>,
    /// The latest connection of each client.
    links: HashMap<&'h Name, u64>,
    /// Connections opened: when, and how many.
    opened: Vec<(u64, u64)>,
    resuming: HashMap<&'h Name, Resuming<'h>>,
}

/// Is a client on its way to where the heads were when it came back.
struct Resuming<'h> {
    since: u64,
    missing: HashMap<&'h Name, u64>,
}

impl<'h> Pass<'h> {
    fn see(&mut self, Record { t, event }: &'h Record, figures: &mut Figures) {
        match event {
            Event::Send(it) => drop(self.sent.entry(&it.key).or_insert(*t)),
            Event::Ack(it) => {
                self.head(&it.room, it.seq);
                if let Some(sent) = self.sent.get(&it.key).filter(|_| self.acked.insert((&it.c, &it.key))) {
                    figures.ack.0.push(t - sent);
                    self.sort(*sent, t - sent, figures);
                }
            }
            Event::Command(it) => drop(self.asked.entry(&it.reply).or_insert((*t, &it.notice))),
            Event::Sub(it) => self.stands(&it.c, &it.room, it.from, *t, figures),
            Event::Gap(it) => self.stands(&it.c, &it.room, it.b, *t, figures),
            Event::Unsub(it) => self.leaves(&it.c, &it.room, *t, figures),
            Event::Reset(it) => self.leaves(&it.c, &it.room, *t, figures), // what it missed may be gone
            Event::Recv(it) => {
                self.head(&it.room, it.seq);
                if let Some((asked, _)) = self.asked.remove(&it.key).filter(|(_, notice)| **notice != it.hash) {
                    figures.answer.0.push(t - asked);
                }
                if let Some(sent) = self.sent.get(&it.key).filter(|_| it.how == How::Live) {
                    figures.delivery.0.push(t - sent);
                }
                self.stands(&it.c, &it.room, it.seq, *t, figures);
            }
            Event::Open(it) => {
                self.links.insert(&it.c, it.link);
                self.opened.push((*t, 1));
                self.comes_back(&it.c, *t);
            }
            // One that was given up may end after the next one has begun.
            Event::Hangup(it) if self.links.get(&it.c).is_none_or(|latest| *latest <= it.link) => {
                self.hung_up.insert(&it.c, *t);
            }
            Event::Fault(it) if &*it.kind == "restore" => self.heads.clear(), // each log ends earlier now
            Event::Fault(it) if &*it.kind == "kill" => figures.restart.0.push(it.stop - it.start),
            Event::Sample(it) if &*it.what == "opened" => self.opened.push((*t, it.value)),
            Event::Sample(it) if &*it.what == "growth_kib" => {
                figures.growth_kib = figures.growth_kib.max(Some(it.value));
            }
            Event::Exit(it) => figures.drain.0.push(it.took_ms * 1_000),
            _ => {}
        }
    }

    /// Adds the time of a draft to those of the faults in which it was sent.
    fn sort(&self, sent: u64, took: u64, figures: &mut Figures) {
        let mut meanwhile = self.faults.iter().filter(|fault| (fault.start..=fault.stop).contains(&sent)).peekable();
        if meanwhile.peek().is_none() {
            figures.ack_between.0.push(took);
        }
        for fault in meanwhile {
            figures.ack_in.entry(fault.kind.to_string()).or_default().0.push(took);
        }
    }

    fn head(&mut self, room: &'h Name, seq: u64) {
        let head = self.heads.entry(room).or_default();
        *head = seq.max(*head);
    }

    fn stands(&mut self, c: &'h Name, room: &'h Name, seq: u64, t: u64, figures: &mut Figures) {
        self.places.entry(c).or_default().insert(room, seq);
        self.arrives(c, room, seq, t, figures);
    }

    fn leaves(&mut self, c: &'h Name, room: &'h Name, t: u64, figures: &mut Figures) {
        self.places.entry(c).or_default().remove(room);
        self.arrives(c, room, u64::MAX, t, figures);
    }

    fn comes_back(&mut self, c: &'h Name, t: u64) {
        let Some(places) = self.places.get(c) else { return };
        let heads = &self.heads;
        let missing = places.iter().filter_map(|(room, at)| Some((*room, *heads.get(room).filter(|head| *head > at)?)));
        let missing: HashMap<_, _> = missing.collect();
        if !missing.is_empty() {
            self.resuming.insert(c, Resuming { since: t, missing });
        }
    }

    fn arrives(&mut self, c: &'h Name, room: &'h Name, seq: u64, t: u64, figures: &mut Figures) {
        let Some(resuming) = self.resuming.get_mut(c) else { return };
        if resuming.missing.get(room).is_some_and(|head| *head <= seq) {
            resuming.missing.remove(room);
        }
        if resuming.missing.is_empty() {
            figures.resume.0.push(t - resuming.since);
            self.resuming.remove(c);
            figures.away.0.extend(self.hung_up.remove(c).map(|cut| t - cut));
        }
    }
}

impl Figures {
    fn lists(&mut self) -> impl Iterator<Item = &mut Times> {
        let Self { ack, ack_in, ack_between, answer, delivery, resume, away, restart, drain, .. } = self;
        let common = [ack, ack_between, answer, delivery, resume, away, restart, drain];
        let rare = [&mut self.storeless, &mut self.half_open, &mut self.gone, &mut self.here, &mut self.back];
        common.into_iter().chain(ack_in.values_mut()).chain(rare).chain(&mut self.revoked)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acknowledged {} drafts a second; at most {} connections opened in one", self.rate, self.rush)?;
        let lists = [
            ("send to ack", &self.ack),
            ("  in peace", &self.ack_between),
            ("command to answer", &self.answer),
            ("send to delivery", &self.delivery),
            ("back to caught up", &self.resume),
            ("cut off to caught up", &self.away),
            ("kill to listening", &self.restart),
            ("node dead to back", &self.back),
            ("SIGTERM to exit", &self.drain),
            ("no store to answer", &self.storeless),
            ("no clients to found", &self.half_open),
            ("went to seen", &self.gone),
            ("came to seen", &self.here),
            ("revoked to cut off", &self.revoked[0]),
            ("without a broker", &self.revoked[1]),
        ];
        let broken = self.ack_in.iter().map(|(kind, times)| (format!("  in {kind}"), times));
        let lists = lists.into_iter().map(|(what, times)| (what.to_owned(), times));
        for (what, times) in lists.chain(broken).filter(|(_, times)| times.count() > 0) {
            let at = |percent| times.percentile(percent).unwrap_or_default();
            write!(f, "\n{what:<21}{:>8} times", times.count())?;
            write!(f, "  p50 {:>9}  p90 {:>9}  p99 {:>9}", Ms(at(50)), Ms(at(90)), Ms(at(99)))?;
            write!(f, "  most {:>9}", Ms(at(100)))?;
        }
        if let Some(storm) = &self.storm {
            write!(f, "\n{storm}")?;
        }
        if let Some(growth) = self.growth_kib {
            write!(f, "\nmemory of a node grew by {growth} KiB at most while the broker was blocked")?;
        }
        plot(f, "send to ack", &self.ack)?;
        plot(f, "send to delivery", &self.delivery)?;
        plot(f, "back to caught up", &self.resume)
    }
}

/// Is a time in milliseconds, as precise as it is worth.
struct Ms(Duration);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_secs_f64() * 1_000.0;
        f.pad(&if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") })
    }
}

/// The bounds of the bars, in ms; the last bar has none.
const BARS: [u64; 14] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, u64::MAX];
const BAR_WIDTH: usize = 50;

/// Draws how many times took how long.
fn plot(f: &mut fmt::Formatter<'_>, title: &str, times: &Times) -> fmt::Result {
    let mut bars = [0_usize; BARS.len()];
    for time in &times.0 {
        bars[BARS.partition_point(|bound| bound.saturating_mul(1_000) <= *time).min(BARS.len() - 1)] += 1;
    }
    let most = bars.iter().max().copied().unwrap_or_default();
    if most == 0 {
        return Ok(());
    }
    write!(f, "\n\n{title}")?;
    let first = bars.iter().position(|count| *count > 0).unwrap_or(0);
    let last = bars.iter().rposition(|count| *count > 0).unwrap_or(0);
    for (bar, bound) in bars.iter().zip(BARS).take(last + 1).skip(first) {
        let label = if bound == u64::MAX { "more".to_owned() } else { format!("< {bound} ms") };
        // Eighths of a character, and at least one for what is there at all.
        let eighths = (bar * BAR_WIDTH * 8).div_ceil(most);
        let end = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8];
        write!(f, "\n{label:>11} ▕{}{end} {bar}", "█".repeat(eighths / 8))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let times = Times((1..=200).collect());
        let at = |percent| times.percentile(percent).unwrap().as_micros();
        assert_eq!((at(0), at(50), at(99), at(100)), (1, 100, 198, 200));
        assert_eq!(Times::default().percentile(50), None);
    }

    #[test]
    fn a_rush_is_looked_for_in_any_second() {
        let opened = [(0, 5), (900_000, 1), (1_000_000, 3), (1_800_000, 2), (3_000_000, 5)];
        assert_eq!(rush(&opened), 6);
        assert_eq!(rush(&[]), 0);
    }

    fn history(lines: &[&str]) -> Vec<Record> {
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_client_has_resumed_when_it_has_what_was_there_when_it_came_back() {
        let history = history(&[
            r#"{"t":0,"event":"open","c":"a","link":1}"#,
            r#"{"t":0,"event":"sub","c":"a","user":"ann","room":"tea","from":1}"#,
            r#"{"t":10,"event":"send","c":"b","user":"bob","room":"tea","key":"k2","hash":"h2"}"#,
            r#"{"t":15,"event":"hangup","c":"a","link":1}"#,
            r#"{"t":20,"event":"ack","c":"b","room":"tea","key":"k2","seq":2,"id":"e2"}"#,
            r#"{"t":30,"event":"open","c":"a","link":2}"#,
            r#"{"t":35,"event":"recv","c":"a","user":"ann","room":"tea","seq":2,"id":"e2","key":"k2","hash":"h2","how":"replay"}"#,
            r#"{"t":40,"event":"recv","c":"a","user":"ann","room":"tea","seq":3,"id":"e3","key":"k3","hash":"h3","how":"live"}"#,
        ]);
        let figures = Figures::of(&history);
        assert_eq!((figures.ack.0, figures.resume.0, figures.away.0), (vec![10], vec![5], vec![20]));
        assert!(
            figures.delivery.0.is_empty(),
            "a replay is no delivery, and of the other nobody knows when it was sent"
        );
    }

    #[test]
    fn a_connection_that_ends_after_the_next_one_has_begun_cut_nobody_off() {
        let history = history(&[
            r#"{"t":0,"event":"open","c":"a","link":1}"#,
            r#"{"t":0,"event":"sub","c":"a","user":"ann","room":"tea","from":1}"#,
            r#"{"t":10,"event":"open","c":"a","link":2}"#,
            r#"{"t":20,"event":"hangup","c":"a","link":1}"#,
            r#"{"t":30,"event":"ack","c":"b","room":"tea","key":"k2","seq":2,"id":"e2"}"#,
            r#"{"t":90,"event":"open","c":"a","link":3}"#,
            r#"{"t":95,"event":"recv","c":"a","user":"ann","room":"tea","seq":2,"id":"e2","key":"k2","hash":"h2","how":"replay"}"#,
        ]);
        let figures = Figures::of(&history);
        assert_eq!((figures.resume.0, figures.away.0), (vec![5], vec![]));
    }

    #[test]
    fn a_plot_shows_the_most_frequent_as_the_longest() {
        let figures = Figures { ack: Times(vec![500, 600, 700, 30_000]), ..Figures::default() };
        let shown = figures.to_string();
        assert!(shown.contains(&format!("     < 1 ms ▕{} 3\n", "█".repeat(BAR_WIDTH))), "{shown}");
        assert!(shown.contains("    < 50 ms ▕████████████████▊ 1"), "{shown}");
    }
}
