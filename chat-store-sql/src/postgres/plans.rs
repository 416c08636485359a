//! How PostgreSQL carries the statements out.

#![allow(clippy::unwrap_used)]

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row};

use super::open;
use crate::{Dialect, SqlConfig, SqlStore, connection::Connection, people, plans, prefix::Prefix, read, restore};

/// Returns the types of the procedure's parameters, and its statements, in which these are `$1`, `$2`….
fn of_the_procedure() -> (String, Vec<String>) {
    let script = Dialect::Postgres.script(&Prefix::new("chat_", Dialect::Postgres).unwrap());
    let body = script.split_once("CREATE PROCEDURE").unwrap().1;
    let (signature, body) = body.split_once("AS $$").unwrap();
    let parameters = signature.split_once('(').unwrap().1.split(',').map(str::trim).take(12);
    let parameters: Vec<_> = parameters.map(|parameter| parameter.split_once(' ').unwrap()).collect();
    let lines = body.split_once("$$;").unwrap().0.lines().filter(|line| !line.trim_start().starts_with("--"));
    let lines: Vec<_> = lines.collect();
    let statements = lines.join("\n").replace("PERFORM 1", "SELECT 1").replace(" INTO seqs ", " ");
    let statements = statements.replace("INTO outcomes, seqs, stored_ids ", "");
    let begins = |text: &str| ["SELECT", "WITH", "INSERT"].iter().filter_map(|verb| text.find(verb)).min();
    let statements = statements.split(';').filter_map(|text| Some(text[begins(text)?..].to_owned()));
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '.' || c == '$';
    let numbered = |statement: String| {
        let mut out = String::new();
        for piece in statement.split_inclusive(|c| !word(c)) {
            let name = piece.trim_end_matches(|c| !word(c));
            match parameters.iter().position(|(parameter, _)| *parameter == name) {
                Some(at) => out += &piece.replace(name, &format!("${}", at + 1)),
                None => out += piece,
            }
        }
        out
    };
    let types: Vec<_> = parameters.iter().map(|(_, kind)| *kind).collect();
    (format!("({})", types.join(", ")), statements.map(numbered).collect())
}

/// Returns the plan of a statement, which is made without looking at what it is given.
async fn plan(connection: &mut PgConnection, types: &str, statement: &str) -> Vec<String> {
    let named = (1..20).filter(|n| statement.contains(&format!("${n}"))).count();
    let count = if types.is_empty() { named } else { types.split(',').count() };
    let given = if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) };
    connection.command(format!("PREPARE asked{types} AS {statement}")).await.unwrap();
    let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE asked{given}"));
    let plan = sqlx::raw_sql(explain).fetch_all(&mut *connection).await.unwrap();
    connection.command("DEALLOCATE asked".to_owned()).await.unwrap();
    plan.iter().map(|line| line.get(0)).collect()
}

#[tokio::test]
#[ignore = "needs PostgreSQL: scripts/test"]
async fn no_statement_walks_through_a_table() {
    let (url, name) = plans::place("CHAT_TEST_POSTGRES");
    let config = SqlConfig::new(format!("{url}?schema={name}"));
    drop(SqlStore::connect(config.clone()).await.unwrap());
    let (options, schema) = open::options(&config).unwrap();
    let mut connection = open::connect(&options, &open::session(&config, schema.as_deref())).await.unwrap();

    let prefix = Prefix::new("chat_", Dialect::Postgres).unwrap();
    let own = [&PgConnection::STATEMENTS.all()[..], &plans::steps::<PgConnection>()].concat();
    // But for the search for all rooms of a person, who is being erased: that looks at everything once.
    let hot = [own, plans::shared()].concat().into_iter().filter(|statement| !statement.contains("instr("));
    let filled = hot.map(|statement| prefix.fill(statement));
    let (types, procedure) = of_the_procedure();
    assert_eq!(procedure.len(), 4, "the lock, the usual case, the names, the judgement: {procedure:?}");
    let procedure = procedure.into_iter().map(|statement| (&*types, statement));
    for (types, statement) in filled.map(|statement| ("", statement)).chain(procedure) {
        let plan = plan(&mut connection, types, &statement).await;
        for (line, next) in plan.iter().zip(plan.iter().skip(1).chain([&String::new()])) {
            // The table of the version has one row.
            assert!(!line.contains("Seq Scan") || line.contains("on chat_schema"), "{line} in {statement}");
            // What is searched is searched by more than the room alone.
            let of_entries = line.contains("Index") && line.contains("on chat_entries");
            assert!(
                !of_entries || next.contains("Index Cond") && next.contains(" AND "),
                "{line} {next} in {statement}"
            );
        }
    }
    // That search reads much, but only of the rooms on its page.
    let search = plan(&mut connection, "", &prefix.fill(people::ROOMS_OF)).await;
    for (line, next) in search.iter().zip(search.iter().skip(1)) {
        let looked_up = line.contains("on chat_members") || line.contains("on chat_marks");
        assert!(!looked_up || next.contains("Index Cond"), "all of it is read: {line} {next}");
    }
    // All but the edits of one message, which its index gives in no order.
    let pages = read::STATEMENTS.iter().chain(restore::STATEMENTS).filter(|page| page.contains("{p}entries"));
    for page in pages.filter(|page| !page.contains("e.edits")) {
        let plan = plan(&mut connection, "", &prefix.fill(page)).await.join("\n");
        assert!(!plan.contains("Sort"), "all of a room is read for one page: {plan} in {page}");
    }
    connection.command(format!("DROP SCHEMA {name} CASCADE")).await.unwrap();
    connection.close().await.unwrap();
}
