//! The schema and its versions.

use chat_core::{StoreError, StoreErrorKind};

use crate::prefix::Prefix;

/// Names a database system whose SQL is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// SQLite 3.51, built into this crate.
    Sqlite,
}

impl Dialect {
    /// Returns the migrations in order; the last statement of each records its number.
    fn files(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[include_str!("../migrations/sqlite/0001_first.sql")],
        }
    }

    /// Returns the version that this program was written for.
    fn current(self) -> usize {
        self.files().len()
    }

    pub(crate) fn script(self, prefix: &Prefix) -> String {
        self.files().iter().map(|file| prefix.fill(file)).collect::<Vec<_>>().join("\n")
    }

    /// Returns what has to be run in a database whose schema is of version `found` (0: there is none).
    pub(crate) fn missing(self, found: i64) -> Result<&'static [&'static str], StoreError> {
        let found = usize::try_from(found).unwrap_or(usize::MAX);
        self.files().get(found..).ok_or_else(|| self.unfit(found))
    }

    /// Accepts only a database that needs no migration.
    pub(crate) fn check(self, found: i64) -> Result<(), StoreError> {
        let missing = self.missing(found)?;
        if missing.is_empty() { Ok(()) } else { Err(self.unfit(self.current() - missing.len())) }
    }

    fn unfit(self, found: usize) -> StoreError {
        let versions = format!("open a database of schema version {found} with a program for {}", self.current());
        StoreError::new(StoreErrorKind::Schema, versions)
    }
}
