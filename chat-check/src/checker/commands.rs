//! Slash commands and their one answer.

use std::collections::HashMap;

use super::{
    finding::{At, Findings, Promise::P15},
    room::Room,
};
use crate::history::{Asking, Event, How, Record};

/// A command that has no answer after 30 s has a notice that says so. What was stored in time may arrive a little later.
const ANSWERED_WITHIN_US: u64 = 35_000_000;

/// A command that was taken has one answer in the log. Of one that was not, nobody knows: it may be in the queue.
pub(super) fn judge(history: &[Record], room: &Room<'_>, findings: &mut Findings) {
    let commands: HashMap<_, _> =
        room.commands.iter().rev().map(|(at, asked)| ((&*asked.c, &*asked.key), (*at, *asked))).collect();
    let mut answers = HashMap::<_, u64>::new();
    for row in room.rows() {
        *answers.entry((&*row.user, &*row.key)).or_default() += 1;
    }
    let mut taken = HashMap::new();
    for (at, accepted) in &room.accepted {
        let Some((asked_at, asked)) = commands.get(&(&*accepted.c, &*accepted.key)) else { continue };
        taken.insert((&*asked.bot, &*asked.reply), (*at, *asked));
        match answers.get(&(&*asked.bot, &*asked.reply)).copied().unwrap_or_default() {
            1 => {}
            0 => findings.add(P15, &[*asked_at, *at], format!("{} was taken and never answered", asked.key)),
            count => findings.add(P15, &[*asked_at, *at], format!("{} was answered {count} times", asked.key)),
        }
    }
    late_answers(history, room, &taken, findings);
}

/// An answer that comes too late is not given: the notice is the answer then.
fn late_answers(
    history: &[Record],
    room: &Room<'_>,
    taken: &HashMap<(&str, &str), (At, &Asking)>,
    findings: &mut Findings,
) {
    // By key alone: a receiver is not told the author here, and keys of answers follow from those of the commands.
    let taken: HashMap<_, _> = taken.iter().map(|((_, reply), taken)| (*reply, taken)).collect();
    for (at, event) in &room.heard {
        let Event::Recv(it) = event else { continue };
        let Some((taken_at, asked)) = taken.get(&*it.key).filter(|_| it.how == How::Live) else { continue };
        let late = history[*at].t.saturating_sub(history[*taken_at].t);
        if it.hash != asked.notice && late > ANSWERED_WITHIN_US {
            findings.add(P15, &[*taken_at, *at], format!("{} was answered after {} s", asked.key, late / 1_000_000));
        }
    }
}
