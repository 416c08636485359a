//! How names are spelled in a database: the only text that is ever put into a statement.

use chat_core::{StoreError, StoreErrorKind};

use crate::Dialect;

/// Begins the names of all tables. Checked, so that it may stand in a statement.
#[derive(Clone, Debug)]
pub(crate) struct Prefix {
    text: String,
    dialect: Dialect,
}

impl Prefix {
    pub(crate) fn new(text: &str, dialect: Dialect) -> Result<Self, StoreError> {
        if is_plain(text) {
            return Ok(Self { text: text.to_owned(), dialect });
        }
        let rule = "a namespace is at most 32 of a-z, 0-9 and _, and begins with no digit";
        Err(StoreError::new(StoreErrorKind::Other, rule))
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Fills the prefix into a statement of ours, and spells it as the dialect wants it. What it is about is
    /// bound; in MySQL's scripts it stands in hexadecimal digits.
    ///
    /// Statements are written with `?1`, `?2`… for parameters, double quotes around names that some dialect reserves,
    /// `greatest` and `least`, and `CROSS JOIN … ON` where the tables are to be visited in the order written.
    pub(crate) fn fill(&self, statement: &'static str) -> String {
        let mut text = self.name(statement);
        for (common, own) in self.dialect.spelling() {
            text = text.replace(common, &self.name(own));
        }
        text
    }

    /// Fills in the prefix and nothing else.
    pub(crate) fn name(&self, text: &str) -> String {
        text.replace("{p}", &self.text)
    }
}

/// Tells whether a text may be a part of a name.
pub(crate) fn is_plain(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    let begins_well = !text.starts_with(|first: char| first.is_ascii_digit());
    text.len() <= 32 && begins_well && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_prefix_cannot_leave_its_place_in_a_statement() {
        for bad in ["a;", "a b", "A", "é", "1a", "a\"", "a'", "a-b", &"a".repeat(33)] {
            assert!(Prefix::new(bad, Dialect::Sqlite).is_err(), "{bad}");
        }
        let prefix = Prefix::new("x_", Dialect::Sqlite).unwrap();
        assert_eq!(prefix.fill("SELECT * FROM {p}rooms"), "SELECT * FROM x_rooms");
        assert!(Prefix::new("", Dialect::Sqlite).is_ok());
    }

    #[test]
    fn each_dialect_reads_its_own_spelling() {
        let common = "SELECT greatest(a, ?1) FROM {p}a CROSS JOIN {p}entries AS e{by_messages} ON e.\"key\" = ?2";
        let table = [
            (
                Dialect::Sqlite,
                "SELECT max(a, ?1) FROM c_a CROSS JOIN c_entries AS e INDEXED BY c_messages ON e.\"key\" = ?2",
            ),
            (Dialect::Postgres, "SELECT greatest(a, $1) FROM c_a JOIN c_entries AS e ON e.\"key\" = $2"),
            (
                Dialect::MySql,
                "SELECT greatest(a, ?1) FROM c_a STRAIGHT_JOIN c_entries AS e FORCE INDEX (c_messages) ON e.`key` = ?2",
            ),
        ];
        for (dialect, own) in table {
            assert_eq!(Prefix::new("c_", dialect).unwrap().fill(common), own);
        }
    }
}
