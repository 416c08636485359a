//! What clients receive after their login has ended: P13.

use std::collections::HashMap;

use super::finding::{At, Findings, Promise::P13};
use crate::history::{Event, Record, Revocation};

pub(super) fn judge(history: &[Record], findings: &mut Findings) {
    let mut revoked = HashMap::<&str, (At, u64, &Revocation)>::new();
    for (at, Record { t, event }) in history.iter().enumerate() {
        let (c, got) = match event {
            Event::Revoked(it) => {
                revoked.entry(&it.c).or_insert((at, *t, it));
                continue;
            }
            Event::Recv(it) => (&it.c, "received"),
            Event::Wire(it) => (&it.c, "was sent"),
            Event::Answered(it) => (&it.c, "was answered"),
            _ => continue,
        };
        let Some((since, begin, it)) = revoked.get(&**c) else { continue };
        if *t > begin + it.within_ms * 1_000 {
            let late = (t - begin) / 1_000;
            let what = format!("{c} {got} something {late} ms after its {}, {} ms are meant", it.why, it.within_ms);
            findings.add(P13, &[*since, at], what);
        }
    }
}
