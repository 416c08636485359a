//! `export-room`: prints a room as lines that `import` accepts.

use std::{
    collections::HashMap,
    io::{self, BufWriter, Write},
};

use chat_core::{Page, RoomId, Seq, Store, UserId, store::Listing};
use clap::Args;

use crate::{
    Failure,
    lines::{Line, MemberLine, MessageLine, RoomLine, room_of},
    progress::Progress,
    url::StoreUrl,
};

/// Prints a room, its members, and its messages with what was done to them, as JSON lines
#[derive(Args, Debug)]
pub(crate) struct ExportRoom {
    /// The host's own name for the room, or its id
    room: String,
    /// The store
    #[arg(long, value_name = "STORE")]
    store: StoreUrl,
}

impl ExportRoom {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.store.must_exist()?;
        let store = chat_engine::open_store(self.store.reveal()).await?;
        let (room, _) = room_of(&self.room);
        let Some(line) = describe(&*store, room).await? else {
            return Err(format!("there is no room {} in {}", self.room, self.store).into());
        };
        let mut out = BufWriter::new(io::stdout().lock());
        print(&mut out, &Line::Room(line))?;
        let (mut after, mut ids, mut progress) = (Seq::ZERO, HashMap::new(), Progress::new("entries read"));
        loop {
            let entries = store.read(room, after, Page::LIMIT_MAX).await?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            progress.add(entries.len() as u64);
            for entry in &entries {
                let id = |seq: Seq| ids.get(&seq).map(ToString::to_string);
                let Some(line) = MessageLine::of(entry, id) else { continue };
                print(&mut out, &Line::Message(line))?;
                if entry.body.is_message() {
                    ids.insert(entry.seq, entry.key);
                }
            }
        }
        Ok(out.flush()?)
    }
}

fn print(out: &mut impl Write, line: &Line) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, line)?;
    Ok(out.write_all(b"\n")?)
}

async fn describe(store: &dyn Store, id: RoomId) -> Result<Option<RoomLine>, Failure> {
    let mut listed = store.rooms(&Listing::One(id, UserId::system()), &Page::newest(1)).await?;
    let Some(room) = listed.pop().map(|summary| summary.room) else { return Ok(None) };
    let (mut members, mut page) = (Vec::new(), Page::newest(Page::LIMIT_MAX));
    loop {
        let more = store.members(id, &page).await?;
        let Some(last) = more.last() else { break };
        page = page.after_user(last.user.clone());
        members.extend(more.into_iter().map(|member| MemberLine { user: member.user, role: member.role }));
    }
    Ok(Some(RoomLine {
        room: room.name.unwrap_or_else(|| id.to_string().into()),
        title: room.title,
        topic: room.topic,
        visibility: room.visibility,
        history: room.history,
        data: room.data,
        created: room.created,
        members,
    }))
}
