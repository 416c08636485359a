//! The only text that is ever put into a statement.

use chat_core::{StoreError, StoreErrorKind};
use sqlx::AssertSqlSafe;

/// Begins the names of all tables. Checked, so that it may stand in a statement.
#[derive(Clone, Debug)]
pub(crate) struct Prefix(String);

impl Prefix {
    pub(crate) fn new(text: &str) -> Result<Self, StoreError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        let begins_well = !text.starts_with(|first: char| first.is_ascii_digit());
        if text.len() <= 32 && begins_well && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        let rule = "a namespace is at most 32 of a-z, 0-9 and _, and begins with no digit";
        Err(StoreError::new(StoreErrorKind::Other, rule))
    }

    /// Fills the prefix into a statement of ours; what it is about is always bound.
    pub(crate) fn sql(&self, statement: &'static str) -> AssertSqlSafe<String> {
        AssertSqlSafe(self.fill(statement))
    }

    pub(crate) fn fill(&self, statement: &'static str) -> String {
        statement.replace("{p}", &self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_prefix_cannot_leave_its_place_in_a_statement() {
        for bad in ["a;", "a b", "A", "é", "1a", "a\"", "a'", "a-b", &"a".repeat(33)] {
            assert!(Prefix::new(bad).is_err(), "{bad}");
        }
        assert_eq!(Prefix::new("x_").unwrap().fill("SELECT * FROM {p}rooms"), "SELECT * FROM x_rooms");
        assert!(Prefix::new("").is_ok());
    }
}
