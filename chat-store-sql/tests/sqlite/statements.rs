//! What statements are made of (S19).

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The places where a statement is more than a text in the source. sqlx takes nothing else unless it is marked so. What is
/// filled in is a [checked prefix](../../src/prefix.rs): `Db`, through which all else goes, takes texts of the source only.
const MARKED: &[(&str, &str)] = &[
    // A measurement, which nobody gives any text.
    (
        "chat-store-sql/examples/sql_throughput/raw.rs",
        "let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();",
    ),
    (
        "chat-store-sql/examples/sql_throughput/raw.rs",
        "let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();",
    ),
    (
        "chat-store-sql/examples/sql_throughput/raw.rs",
        "on!(self, connection => drop(sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap()));",
    ),
    ("chat-store-sql/src/connection.rs", "let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));"),
    ("chat-store-sql/src/connection.rs", "let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));"),
    ("chat-store-sql/src/connection.rs", "sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(self).await?;"),
    (
        "chat-store-sql/src/mysql/plans.rs",
        "let mut query = sqlx::query(AssertSqlSafe(format!(\"EXPLAIN {}\", explain.0)));",
    ),
    // Here values stand in the text, as numbers and in hexadecimal digits: `what_people_write_is_no_sql`, beside it.
    (
        "chat-store-sql/src/mysql/script.rs",
        "found.extend(sqlx::raw_sql(AssertSqlSafe(packet)).fetch_all(&mut *connection).await.map_err(during(what))?);",
    ),
    (
        "chat-store-sql/src/postgres/append.rs",
        "let answers: Answers = sqlx::query_as(AssertSqlSafe(db.prefix.fill(CALL)))",
    ),
    ("chat-store-sql/src/postgres/plans.rs", "let explain = AssertSqlSafe(format!(\"EXPLAIN EXECUTE asked{given}\"));"),
    (
        "chat-store-sql/src/sqlite/plans.rs",
        "let explain = sqlx::AssertSqlSafe(format!(\"EXPLAIN QUERY PLAN {}\", prefix.fill(statement)));",
    ),
    // The accounts of the example take texts of the source, a digest of one, and a schema of a-z, 0-9 and _.
    ("examples/server/src/accounts/store/tables.rs", "let mut query = sqlx::query(sqlx::AssertSqlSafe($spell(sql)));"),
    (
        "examples/server/src/accounts/store/tables.rs",
        "let mut query = sqlx::query_as(sqlx::AssertSqlSafe($spell(sql)));",
    ),
    (
        "examples/server/src/accounts/store/tables.rs",
        "sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(self).await.map(drop)",
    ),
    ("examples/server/src/accounts/tests.rs", "let create = sqlx::AssertSqlSafe(format!(\"CREATE DATABASE {name}\"));"),
    ("examples/server/src/accounts/tests.rs", "let script = sqlx::raw_sql(sqlx::AssertSqlSafe(set + script));"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "node_modules", "tests"].contains(&&*name) && !name.starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nothing_but_a_checked_prefix_is_ever_put_into_a_statement_s19() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut marked = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        for line in fs::read_to_string(file).unwrap().lines().map(str::trim) {
            // A leaked text would be `'static`, as those in the source are.
            assert!(!line.contains(".leak()") && !line.contains("::leak("), "{name}: {line}");
            if line.contains("AssertSqlSafe(") {
                marked.push((name.clone(), line.to_owned()));
            }
        }
    }
    marked.sort();
    let known: Vec<_> = MARKED.iter().map(|(file, line)| ((*file).to_owned(), (*line).to_owned())).collect();
    assert_eq!(marked, known, "a statement needs a second look");
}
