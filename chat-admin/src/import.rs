//! `import`: stores messages from JSON lines, with their own authors and times.

mod check;
mod write;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use chat_core::{RoomId, UserId};
use clap::Args;

use self::{check::check, write::Writer};
use crate::{
    Failure,
    lines::{Line, MessageLine, room_of},
    progress::Progress,
    url::StoreUrl,
};

/// Stores rooms and messages from a file of JSON lines, with the times at which they were sent. The same lines again change
/// nothing. Bad lines are named by number, and then nothing is stored
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The file, as `export-room` prints one
    file: PathBuf,
    /// The store
    #[arg(long, value_name = "STORE")]
    store: StoreUrl,
    /// Stores the good lines even if there are bad ones
    #[arg(long)]
    skip_bad: bool,
}

impl Import {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut lines = Lines::open(&self.file)?;
        self.store.must_exist()?;
        let store = chat_engine::open_people(self.store.reveal()).await?;
        let bad = check(&*store, &mut lines).await?;
        for (line, why) in &bad {
            eprintln!("line {line}: {why}");
        }
        if !bad.is_empty() && !self.skip_bad {
            return Err(format!("{} bad lines; nothing was imported", bad.len()).into());
        }
        let bad: Vec<_> = bad.into_iter().map(|(line, _)| line).collect();

        let (mut lines, mut progress) = (Lines::open(&self.file)?, Progress::new("lines read"));
        let mut writer = Writer::new(store);
        while let Some((number, line)) = lines.next()? {
            progress.add(1);
            match line {
                Ok(line) if bad.binary_search(&number).is_err() => writer.take(number, line, &lines).await?,
                _ => {}
            }
        }
        let done = writer.finish().await?;
        println!("{} imported, {} there already, {} refused", done.stored, done.known, done.refused + bad.len());
        if done.refused + bad.len() == 0 { Ok(()) } else { Err("not all lines were imported".into()) }
    }
}

/// Reads lines, and remembers which room they belong to.
pub(crate) struct Lines {
    file: BufReader<File>,
    number: usize,
    room: Option<RoomId>,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { file: BufReader::new(file), number: 0, room: None })
    }

    /// Returns the next line that is not empty, with its number. What is no line of ours is told, and the rest goes on.
    fn next(&mut self) -> Result<Option<(usize, Result<Line, String>)>, Failure> {
        loop {
            let mut text = Vec::new();
            if self.file.read_until(b'\n', &mut text)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if text.trim_ascii().is_empty() {
                continue;
            }
            let line = serde_json::from_slice(&text).map_err(|error| error.to_string());
            if let Ok(Line::Room(room)) = &line {
                self.room = Some(room_of(&room.room).0);
            }
            return Ok(Some((self.number, line)));
        }
    }

    /// Returns the room of a message.
    fn room(&self, message: &MessageLine) -> Option<RoomId> {
        message.room.as_deref().map(|room| room_of(room).0).or(self.room)
    }
}

fn author(message: &MessageLine) -> Result<UserId, String> {
    UserId::new(&*message.author).map_err(|error| format!("`author`: {error}"))
}
