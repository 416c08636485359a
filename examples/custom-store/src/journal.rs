//! The file: one line of JSON for each write.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use chat_core::{Draft, Entry, RoomId, Seq, StoreError, StoreErrorKind, UserId, model::NewEntry};
use serde::{Deserialize, Serialize};

/// Is what was written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// Entries at the positions they got.
    Stored(Vec<Entry>),
    /// Entries of logs that another store keeps.
    Projected(Vec<Entry>),
    Marked(UserId, RoomId, Seq),
    Trimmed(RoomId, Seq),
}

#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    /// Reads what a file holds. The last line may have broken off, when the power failed or the process was killed.
    pub(crate) fn read(path: &Path) -> Result<Vec<Line>, StoreError> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(failed("read the journal"))?,
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        // Without the parser's own words: they would repeat what people wrote.
        let unreadable = |_| StoreError::new(StoreErrorKind::Corrupt, "read a line of the journal");
        lines.map(|line| serde_json::from_slice(line).map_err(unreadable)).collect()
    }

    /// Makes a file of these lines, which takes the place of the old one at once or not at all.
    pub(crate) fn write(path: &Path, lines: &[Line]) -> Result<Self, StoreError> {
        let fresh = path.with_extension("new");
        let mut text = Vec::new();
        for line in lines {
            encode(&mut text, line)?;
        }
        let replace = || {
            let mut file = File::create(&fresh)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&fresh, path)?;
            // The name is in the folder, which has to reach the disk, too.
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder)?.sync_all()?;
            OpenOptions::new().append(true).open(path)
        };
        replace().map(Self).map_err(failed("write the journal"))
    }

    /// Adds a line. When this returns it is on the disk.
    ///
    /// It holds up the thread for as long as the disk takes; a store for many would hand this to a thread of its own.
    pub(crate) fn append(&mut self, line: &Line) -> Result<(), StoreError> {
        let mut text = Vec::new();
        encode(&mut text, line)?;
        self.0.write_all(&text).and_then(|()| self.0.sync_data()).map_err(failed("write to the journal"))
    }
}

fn encode(text: &mut Vec<u8>, line: &Line) -> Result<(), StoreError> {
    let unwritable = |error| StoreError::new(StoreErrorKind::Other, "write JSON").with_source(error);
    serde_json::to_writer(&mut *text, line).map_err(unwritable)?;
    text.push(b'\n');
    Ok(())
}

/// Maps by what the system says, never by its words.
fn failed(what: &str) -> impl Fn(io::Error) -> StoreError + '_ {
    move |error| {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::IsADirectory => StoreErrorKind::Other,
            _ => StoreErrorKind::Unavailable,
        };
        StoreError::new(kind, what).with_source(error)
    }
}

/// Makes an entry what it was before it had a position.
pub(crate) fn draft(entry: &Entry) -> NewEntry {
    let draft = Draft { key: entry.key, body: entry.body.clone() };
    let mut new = NewEntry::new(entry.id, draft, entry.author.clone(), entry.name.clone(), entry.at);
    new.sent_at = entry.sent_at;
    new
}
