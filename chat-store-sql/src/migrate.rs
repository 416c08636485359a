//! The schema and its versions.

use chat_core::{StoreError, StoreErrorKind};

use crate::{SqlConfig, prefix::Prefix};

/// Names a database system whose SQL is spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// SQLite 3.51, built into this crate.
    Sqlite,
    /// PostgreSQL 14 or newer.
    Postgres,
    /// MariaDB 10.6 or newer, or MySQL 8.
    MySql,
}

impl SqlConfig {
    /// Returns what [`migrate`](Self::migrate) would do in an empty database, as one script to be run by hand.
    pub fn script(&self) -> Result<String, StoreError> {
        let dialect = match self.scheme() {
            "sqlite" => Dialect::Sqlite,
            "postgres" | "postgresql" => Dialect::Postgres,
            "mysql" | "mariadb" => Dialect::MySql,
            scheme => {
                let what = format!("print a schema for `{scheme}:`");
                return Err(StoreError::new(StoreErrorKind::Unsupported, what));
            }
        };
        let script = dialect.script(&Prefix::new(&self.namespace, dialect)?);
        match dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => Ok(crate::postgres::in_schema(self)? + &script),
            _ => Ok(script),
        }
    }
}

impl Dialect {
    /// Returns the migrations in order; the last statement of each records its number.
    fn files(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[include_str!("../migrations/sqlite/0001_first.sql")],
            Self::Postgres => &[include_str!("../migrations/postgres/0001_first.sql")],
            Self::MySql => &[include_str!("../migrations/mysql/0001_first.sql")],
        }
    }

    /// Returns what is spelled differently from how statements are written; see [`Prefix::fill`].
    pub(crate) fn spelling(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Sqlite => &[
                ("greatest(", "max("),
                ("least(", "min("),
                ("{by_messages}", " INDEXED BY {p}messages"),
                ("{by_edits}", " INDEXED BY {p}edits"),
                ("{by_others}", " INDEXED BY {p}others"),
            ],
            // Its planner finds the order by itself, and its statistics say which index.
            Self::Postgres => &[
                ("CROSS JOIN", "JOIN"),
                ("?", "$"),
                ("{by_messages}", ""),
                ("{by_edits}", ""),
                ("{by_others}", ""),
                ("instr(", "strpos("),
            ],
            Self::MySql => &[
                ("CROSS JOIN", "STRAIGHT_JOIN"),
                ("\"", "`"),
                ("{by_messages}", " FORCE INDEX ({p}messages)"),
                ("{by_edits}", " FORCE INDEX ({p}edits)"),
                ("{by_others}", " FORCE INDEX ({p}messages)"),
            ],
        }
    }

    /// Returns the version that this program was written for.
    fn current(self) -> usize {
        self.files().len()
    }

    pub(crate) fn script(self, prefix: &Prefix) -> String {
        self.files().iter().map(|file| prefix.name(file)).collect::<Vec<_>>().join("\n")
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
