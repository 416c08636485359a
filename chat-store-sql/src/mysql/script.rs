//! Statements that carry their values, so that several make one round trip.
//!
//! A value is a number, or bytes in hexadecimal digits: nothing that people write can be read as SQL.

use chat_core::StoreError;
use sqlx::{AssertSqlSafe, MySqlConnection, mysql::MySqlRow};

use crate::{connection::Arg, error::during};

/// When the next statement goes into another packet: at 2 MiB, an eighth of what the server takes. A message of 64 KiB is twice
/// as long in digits.
const PACKET: usize = 2 * 1024 * 1024;

/// Is what is sent to the server, packet by packet. A statement that fails ends its packet.
#[derive(Default)]
pub(super) struct Script(Vec<String>);

impl Script {
    /// Adds a statement without values.
    pub(super) fn say(&mut self, statement: &str) {
        let packet = self.packet();
        packet.push_str(statement);
        packet.push(';');
    }

    /// Adds a statement with these rows where `{rows}` stands: several statements, if they are too long for one; none for
    /// no rows.
    pub(super) fn rows<const N: usize>(&mut self, statement: &str, rows: impl IntoIterator<Item = [Arg; N]>) {
        let (before, after) = statement.split_once("{rows}").unwrap_or((statement, ""));
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let packet = self.packet();
            packet.push_str(before);
            let mut separator = "";
            while packet.len() < PACKET
                && let Some(row) = rows.next()
            {
                packet.push_str(separator);
                push(packet, &row);
                separator = ",";
            }
            packet.push_str(after);
            packet.push(';');
        }
    }

    /// Returns the packet to go on with, which takes one row more at least.
    fn packet(&mut self) -> &mut String {
        if self.0.last().is_none_or(|packet| packet.len() > PACKET / 2) {
            self.0.push(String::new());
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    pub(super) async fn run(self, connection: &mut MySqlConnection, what: &str) -> Result<(), StoreError> {
        self.fetch(connection, what).await.map(drop)
    }

    /// Returns the rows of all statements, one after the other.
    pub(super) async fn fetch(self, connection: &mut MySqlConnection, what: &str) -> Result<Vec<MySqlRow>, StoreError> {
        let mut found = Vec::new();
        for packet in self.0 {
            found.extend(sqlx::raw_sql(AssertSqlSafe(packet)).fetch_all(&mut *connection).await.map_err(during(what))?);
        }
        Ok(found)
    }
}

/// Writes a row: in parentheses, if it has several columns.
fn push<const N: usize>(text: &mut String, row: &[Arg; N]) {
    let (before, after) = if N == 1 { ("", "") } else { ("(", ")") };
    text.push_str(before);
    for (column, arg) in row.iter().enumerate() {
        text.push_str(if column == 0 { "" } else { "," });
        match arg {
            Arg::Int(int) => text.push_str(&int.to_string()),
            Arg::Text(None) => text.push_str("NULL"),
            Arg::Text(Some(of)) => quote(text, "_utf8mb4 X'", of.as_bytes()),
            Arg::Bytes(bytes) => quote(text, "X'", bytes),
        }
    }
    text.push_str(after);
}

/// Writes bytes in digits, straight into the text.
fn quote(text: &mut String, before: &str, bytes: &[u8]) {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    text.push_str(before);
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
    text.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_no_sql() {
        let mut script = Script::default();
        script.say("BEGIN");
        script.rows(
            "INSERT INTO t VALUES {rows}",
            [[Arg::from("'); --"), Arg::Text(None)], [7_i64.into(), vec![255].into()]],
        );
        script.rows("SELECT 1 IN ({rows})", [[Arg::from(-1_i64)]]);
        script.rows("SELECT {rows}", Vec::<[Arg; 1]>::new());
        let text = "BEGIN;INSERT INTO t VALUES (_utf8mb4 X'27293b202d2d',NULL),(7,X'ff');SELECT 1 IN (-1);";
        assert_eq!(script.0, [text]);
    }

    #[test]
    fn long_statements_are_several() {
        let mut script = Script::default();
        let row = || [Arg::from("x".repeat(PACKET / 10))];
        script.rows("INSERT INTO t VALUES ({rows})", (0..20).map(|_| row()));
        assert!(script.0.len() > 1 && script.0.iter().all(|packet| packet.len() < PACKET * 3 / 2));
        assert_eq!(script.0.concat().matches("_utf8mb4").count(), 20);
        assert!(script.0.iter().all(|packet| packet.starts_with("INSERT") && packet.ends_with(");")));
    }
}
