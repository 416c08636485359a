//! A disk that can be full: a small one in memory, which nobody outside this process and its children sees.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::Failure;

/// How long it stays full, from when the nodes have noticed.
pub(super) const FULL_FOR: Duration = Duration::from_secs(30);
/// Enough for a new database, its write-ahead log and some minutes of messages.
const SIZE: &str = "size=512m,mode=755";
/// Set in a process that has mounts of its own.
const OWN_MOUNTS: &str = "CHAT_CHECK_OWN_MOUNTS";

/// Runs this program again with mounts of its own, which go when it and its children have ended, however that is.
/// Returns only if it does so already, or if it cannot.
pub(super) fn own_mounts() -> Result<(), Failure> {
    if std::env::var_os(OWN_MOUNTS).is_some() {
        return Ok(());
    }
    let mut again = Command::new("unshare");
    again.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe()?);
    let failed = again.args(std::env::args_os().skip(1)).env(OWN_MOUNTS, "1").exec();
    Err(format!("a small disk needs a mount, and that needs root: {failed}").into())
}

/// Mounts a small disk on a folder that is there.
pub(super) fn mount(folder: &Path) -> Result<(), Failure> {
    let done = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "chat-check"]).arg(folder).output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("mount: {}", String::from_utf8_lossy(&done.stderr)).into())
}

/// Is a file that takes all room there was on a disk; dropping it gives the room back.
#[derive(Debug)]
pub(super) struct Filled(PathBuf);

impl Filled {
    /// Fills the disk on which a folder is.
    pub(super) fn up(folder: &Path) -> Result<Self, Failure> {
        let filled = Self(folder.join("filled-up"));
        let mut file = File::create(&filled.0)?;
        let piece = vec![0; 64 * 1024];
        loop {
            match file.write_all(&piece) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => return Ok(filled),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
