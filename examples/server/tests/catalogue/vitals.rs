//! How a process is, as the kernel counts it.

use std::{fs, io, time::Duration};

/// A tick of `/proc/PID/stat` on every Linux there is (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Is a process to be watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vitals {
    pid: u32,
}

impl Vitals {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid }
    }

    /// Tells whether the process lives: one that ended stays as a zombie until it is waited for.
    pub(crate) fn is_alive(self) -> bool {
        self.stat().first().is_some_and(|state| state != "Z" && state != "X")
    }

    /// Returns the processor time of all threads so far.
    pub(crate) fn cpu(self) -> Duration {
        let stat = self.stat();
        let ticks: u32 = [11, 12].iter().map(|field| stat[*field].parse::<u32>().unwrap()).sum();
        TICK * ticks
    }

    /// Returns the resident memory now, in bytes.
    pub(crate) fn memory(self) -> u64 {
        self.status("VmRSS:")
    }

    /// Returns the most resident memory since the last [`forget_peak`](Self::forget_peak).
    pub(crate) fn memory_peak(self) -> u64 {
        self.status("VmHWM:")
    }

    /// Lets the peak begin at what is resident now (`proc(5)`, `clear_refs`).
    pub(crate) fn forget_peak(self) -> io::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5")
    }

    /// Returns the fields after the name, which is in parentheses and may hold anything.
    fn stat(self) -> Vec<String> {
        let line = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let after = line.rsplit(')').next().unwrap_or_default();
        after.split_whitespace().map(str::to_owned).collect()
    }

    fn status(self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// Is what a process took since it began.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    vitals: Vitals,
    /// The most memory that was in use between cases. What an allocator has kept from an earlier case it may use
    /// again, and that is no growth; what a case took for a moment and gave back is.
    pub(crate) mark: u64,
    cpu: Duration,
}

impl Measure {
    /// Begins; `mark` is that of an earlier measure.
    pub(crate) fn begin(vitals: Vitals, mark: u64) -> Self {
        vitals.forget_peak().unwrap();
        Self { vitals, mark: mark.max(vitals.memory()), cpu: vitals.cpu() }
    }

    /// Begins again, after what belongs to the preparations.
    pub(crate) fn restart(&mut self) {
        *self = Self::begin(self.vitals, self.mark);
    }

    /// Returns how much more memory was in use at some time.
    pub(crate) fn grown(&self) -> u64 {
        self.vitals.memory_peak().saturating_sub(self.mark)
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.vitals.cpu().saturating_sub(self.cpu)
    }
}
