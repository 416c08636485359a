//! The schema and its versions.

use chat_core::{StoreError, StoreErrorKind};
use sha2::{Digest, Sha256};

use crate::{
    SqlConfig,
    connection::{Connection, Fetch},
    error::during,
    prefix::Prefix,
};

/// Is what a database tells of a migration that was run there: its number, and the digest of its text. The number is below zero
/// while the migration is under way, where no transaction holds it together.
pub(crate) type Recorded = (i64, String);

/// Is a migration: its number and its text.
pub(crate) type Migration = (i64, &'static str);

/// Is said before a migration in MySQL and MariaDB, which commit each statement that changes the schema by itself: whoever finds
/// some of the tables knows which text made them.
const BEGIN: &str =
    "CREATE TABLE IF NOT EXISTS `{p}schema` (version BIGINT NOT NULL PRIMARY KEY, digest VARCHAR(64) NOT NULL)
    ENGINE = InnoDB;
INSERT IGNORE INTO `{p}schema` (version, digest) VALUES (-{number}, '{digest}');
";

/// Is said after it.
const END: &str = "DELETE FROM `{p}schema` WHERE version = -{number};
";

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
    /// Returns the migrations in order; the last statement of each records its number and its digest.
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
                // A bare parameter is looked at by its planner, which then prepares the statement anew each time it is bound.
                ("LIMIT ?", "LIMIT 0 + ?"),
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

    pub(crate) fn script(self, prefix: &Prefix) -> String {
        self.migrations().map(|migration| to_run(migration, prefix)).collect::<Vec<_>>().join("\n")
    }

    fn migrations(self) -> impl Iterator<Item = Migration> {
        (1..).zip(self.files().iter().copied())
    }

    /// Returns what lists the columns of the table of versions: none, if there is no such table.
    fn columns(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT name FROM pragma_table_info('{p}schema')",
            // By a table, and not by to_regclass alone: in a transaction that has waited for its turn, what the session
            // remembers of names is renewed only when a table is opened.
            Self::Postgres => {
                "SELECT attname::text FROM pg_catalog.pg_attribute
                 WHERE attrelid = to_regclass('\"{p}schema\"') AND attnum > 0 AND NOT attisdropped"
            }
            Self::MySql => {
                "SELECT column_name FROM information_schema.columns
                 WHERE table_schema = DATABASE() AND table_name = '{p}schema'"
            }
        }
    }

    /// Returns what has to be run in a database that records these migrations.
    pub(crate) fn missing(self, recorded: &[Recorded]) -> Result<Vec<Migration>, StoreError> {
        let newest = recorded.iter().map(|(version, _)| version.abs()).max().unwrap_or(0);
        let mut missing: Vec<_> = self.migrations().collect();
        for (version, digest) in recorded {
            let known = self.migrations().find(|(number, _)| *number == version.abs());
            let (number, file) = known.ok_or_else(|| self.unfit(newest))?;
            if *digest != digest_of(file) {
                return Err(made_from_other_text(&format!("version {number}")));
            }
            missing.retain(|(missing, _)| missing != version);
        }
        let done = recorded.iter().filter(|(version, _)| *version > 0).count();
        // One after the other, without a hole.
        let in_order =
            missing.first().is_none_or(|(next, _)| usize::try_from(*next).is_ok_and(|next| next == done + 1));
        if in_order { Ok(missing) } else { Err(self.unfit(newest)) }
    }

    /// Accepts only a database that needs no migration.
    pub(crate) fn check(self, recorded: &[Recorded]) -> Result<(), StoreError> {
        let found = recorded.iter().map(|(version, _)| *version).max().unwrap_or(0).max(0);
        if self.missing(recorded)?.is_empty() { Ok(()) } else { Err(self.unfit(found)) }
    }

    fn unfit(self, found: i64) -> StoreError {
        let versions = format!("open a database of schema version {found} with a program for {}", self.files().len());
        StoreError::new(StoreErrorKind::Schema, versions)
    }
}

/// Returns a migration as it is run: with the prefix of the names, and with the digest that it records.
pub(crate) fn to_run((number, file): Migration, prefix: &Prefix) -> String {
    let (begin, end) = if prefix.dialect() == Dialect::MySql { (BEGIN, END) } else { ("", "") };
    let whole = format!("{begin}{file}{end}").replace("{number}", &number.to_string());
    prefix.name(&whole.replace("{digest}", &digest_of(file)))
}

/// Returns SHA-256 of a migration's lines, in hex: however a checkout of the sources ends lines.
fn digest_of(file: &str) -> String {
    let mut digest = Sha256::new();
    for line in file.lines() {
        digest.update(line);
        digest.update("\n");
    }
    hex::encode(digest.finalize())
}

/// Reads which migrations were run in a database, in their order.
pub(crate) async fn recorded<C: Connection>(connection: &mut C, prefix: &Prefix) -> Result<Vec<Recorded>, StoreError> {
    let what = "read the version of the schema";
    let columns = prefix.name(prefix.dialect().columns());
    let columns = Fetch::<(String,)>::fetch(connection, columns, Vec::new()).await.map_err(during(what))?;
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    if !columns.iter().any(|(column,)| column == "digest") {
        return Err(made_from_other_text("without digests"));
    }
    let sql = prefix.fill("SELECT version, digest FROM \"{p}schema\" ORDER BY version");
    Fetch::<Recorded>::fetch(connection, sql, Vec::new()).await.map_err(during(what))
}

/// Refuses tables that look right by their number alone: they may lack what this program's statements name.
fn made_from_other_text(which: &str) -> StoreError {
    let refused = format!(
        "open a database whose schema ({which}) was made from another text than this program has for it; use the program \
         that made it, or begin in an empty database or another namespace"
    );
    StoreError::new(StoreErrorKind::Schema, refused)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A database that was made with a release is opened by the next one only if the text is the same: what changes is
    /// another migration.
    #[test]
    fn a_migration_that_was_released_stays_as_it_is() {
        let released = [
            (Dialect::Sqlite, ["ca0a4712d0448a2b55680c83adace0c7a48765d2bdcb7aa616ae72e3737aaa99"]),
            (Dialect::Postgres, ["1a93fe821765c29713454261bd8b2a0508b328a1c713b8d8211bb8978d3d270a"]),
            (Dialect::MySql, ["32126b55be773107fecfece84de6d7d5feebc840edfc63501bf7cf26d16f8fee"]),
        ];
        for (dialect, digests) in released {
            let found: Vec<_> = dialect.files().iter().map(|file| digest_of(file)).collect();
            assert_eq!(found, digests, "{dialect:?}");
        }
    }

    #[test]
    fn the_digest_is_of_the_lines_and_not_of_how_they_end() {
        assert_eq!(digest_of("a;\nb;\n"), digest_of("a;\r\nb;\r\n"));
        assert_ne!(digest_of("a;\nb;\n"), digest_of("a;b;\n"));
    }

    #[test]
    fn migrations_are_recorded_one_after_the_other() {
        let first = digest_of(Dialect::Sqlite.files()[0]);
        assert_eq!(Dialect::Sqlite.missing(&[]).unwrap().len(), 1);
        assert!(Dialect::Sqlite.check(&[(1, first.clone())]).is_ok());
        assert_eq!(Dialect::Sqlite.missing(&[(-1, first.clone())]).unwrap().len(), 1, "it was not run to its end");
        for wrong in [
            vec![],
            vec![(2, first.clone())],
            vec![(-1, first.clone())],
            vec![(-1, String::new()), (1, first.clone())],
            vec![(1, first), (2, String::new())],
        ] {
            assert_eq!(Dialect::Sqlite.check(&wrong).unwrap_err().kind(), StoreErrorKind::Schema);
        }
    }
}
