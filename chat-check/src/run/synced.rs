//! Whether a server on SQLite waits for the disk before it says `ack` (T24): strace writes down what it asks the system for.

use std::{fs, path::Path, sync::Arc};

use chat_core::Hub;
use chat_transport_ws::client::{ClientConfig, RemoteHub};
use serde_json::json;

use super::{
    Failure,
    rest::Rest,
    server::{Launch, Server, signal},
};

/// What strace shows of a file whose name ends so was asked of the log's file.
const WAL: &str = "chat.db-wal>";
/// An `ack`, as strace shows bytes that are written.
const ACK: &str = "\\\"type\\\":\\\"ack\\\"";

/// Sends so many drafts one after the other. Returns what came of it, in words.
pub(super) async fn run(binary: &Path, folder: &Path, times: u64) -> Result<String, Failure> {
    let trace = folder.join("strace");
    let traced = ["-f", "-y", "-s", "64", "-e", "trace=fdatasync,fsync,write,writev,sendto,sendmsg", "-o"];
    let mut before: Vec<_> = traced.map(str::to_owned).to_vec();
    before.extend([trace.display().to_string(), binary.display().to_string()]);
    let args = vec!["--store".to_owned(), format!("sqlite:{}", folder.join("chat.db").display())];
    let secret = "only for this run: strace".to_owned();
    let launch = Launch {
        binary: "strace".into(),
        before,
        folder: folder.to_owned(),
        args,
        ports: Vec::new(),
        secret,
        network: None,
        clocks: None,
    };
    let mut server = Server::start(Arc::new(launch), "node1".to_owned()).await?;

    let rest = Rest::at([server.address].into())?;
    let token = rest.register("ann").await?;
    let room = rest.create(&token, json!({ "title": "tea", "members": [] })).await?;
    let config = ClientConfig::default().header("authorization", format!("Bearer {token}"));
    let hub = RemoteHub::connect(format!("ws://{}/chat/ws", server.address), config).await?;
    let room = hub.room(room).await?;
    for number in 0..times {
        room.post(hub.draft_text(format!("{number}"))).await?;
    }
    // What is traced, and with it strace: killed itself, it would leave the server running.
    let traced = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.id()))?;
    let traced: Vec<u32> = traced.split_whitespace().filter_map(|id| id.parse().ok()).collect();
    signal("KILL", &traced)?;
    server.ended().await?;
    let (acks, synced) = count(&fs::read_to_string(&trace)?);
    let said = format!("{synced} of {acks} acks came after the log's file was synced to the disk, of {times} drafts");
    if acks < times || synced < acks { Err(said.into()) } else { Ok(said) }
}

/// Returns how many acks were written, and how many of them after a sync of their own.
fn count(trace: &str) -> (u64, u64) {
    let (mut acks, mut synced, mut is_synced) = (0, 0, false);
    // Whose call was interrupted by another's line ends in a line of its own, which does not name the file.
    let mut unfinished = Vec::new();
    for line in trace.lines() {
        let process = line.split_whitespace().next().unwrap_or_default();
        let is_sync = line.contains("fdatasync(") || line.contains("fsync(");
        if is_sync && line.contains(WAL) && line.contains("<unfinished") {
            unfinished.push(process);
        } else if is_sync && line.contains(WAL) {
            is_synced |= line.ends_with("= 0");
        } else if line.contains("sync resumed>") && unfinished.contains(&process) {
            unfinished.retain(|other| *other != process);
            is_synced |= line.ends_with("= 0");
        } else if line.contains(ACK) {
            acks += 1;
            synced += u64::from(std::mem::take(&mut is_synced));
        }
    }
    (acks, synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: &str = "7 fdatasync(9</tmp/chat.db-wal>) = 0\n";
    const SAID: &str = "8 sendto(5<socket:[1]>, \"\\201~\\0{\\\"type\\\":\\\"ack\\\",\", 90, 0, NULL, 0) = 90\n";

    #[test]
    fn an_ack_needs_a_sync_of_its_own_before_it() {
        assert_eq!(count(&[SYNC, SAID, SYNC, SAID].concat()), (2, 2));
        assert_eq!(count(&[SYNC, SAID, SAID, SYNC].concat()), (2, 1));
    }

    #[test]
    fn a_sync_counts_when_it_has_ended_well() {
        let begins = "7 fdatasync(9</tmp/chat.db-wal> <unfinished ...>\n";
        let ends = "7 <... fdatasync resumed>) = 0\n";
        assert_eq!(count(&[begins, SAID, ends].concat()), (1, 0));
        assert_eq!(count(&[begins, ends, SAID].concat()), (1, 1));
        assert_eq!(count(&["7 fdatasync(9</tmp/chat.db-wal>) = -1 EIO\n", SAID].concat()), (1, 0));
        assert_eq!(count(&["7 fdatasync(9</tmp/accounts.db-wal>) = 0\n", SAID].concat()), (1, 0));
    }
}
