//! What MySQL and MariaDB say in their own way.

use sqlx::{MySqlConnection, mysql::MySqlRow};

use crate::{
    connection::{Arg, connection},
    statements::Statements,
};

// STRAIGHT_JOIN visits the tables in the order written: rows first, each found by index.
const STATEMENTS: Statements = Statements {
    lock: Some(
        "
        SELECT r.num, r.head
        FROM JSON_TABLE(?1, '$[*]' COLUMNS (room CHAR(32) PATH '$')) AS v
        STRAIGHT_JOIN {p}rooms AS r ON r.id = UNHEX(v.room)
        FOR UPDATE",
    ),
    // Who is known under this name already is left alone: an upsert would lock and write their row.
    see: "
        INSERT INTO {p}users (id, name)
        SELECT v.id, v.name
        FROM JSON_TABLE(?1, '$[*]' COLUMNS (id VARCHAR(128) PATH '$[0]', name TEXT PATH '$[1]')) AS v
        LEFT JOIN {p}users AS k ON k.id = CAST(v.id AS BINARY)
        WHERE k.num IS NULL OR v.name IS NOT NULL AND NOT CAST(k.name AS BINARY) <=> CAST(v.name AS BINARY)
        ON DUPLICATE KEY UPDATE name = coalesce(VALUES(name), {p}users.name)",
    create: "
        INSERT INTO {p}rooms (id, head, head_id, guard, first, active, record, visibility)
        VALUES (?1, 0, ?2, 0, 1, ?3, ?4, ?5)",
    join: r#"
        INSERT INTO {p}members (room, "user", role, since)
        SELECT r.num, u.num, v.role, ?3
        FROM JSON_TABLE(?1, '$[*]' COLUMNS (id VARCHAR(128) PATH '$[0]', role VARCHAR(16) PATH '$[1]')) AS v
        STRAIGHT_JOIN {p}rooms AS r ON r.id = ?2
        STRAIGHT_JOIN {p}users AS u ON u.id = CAST(v.id AS BINARY)
        ON DUPLICATE KEY UPDATE role = {p}members.role"#,
    mark: r#"
        INSERT INTO {p}marks (room, "user", "read")
        SELECT r.num, u.num, least(?3, r.head) FROM {p}rooms AS r STRAIGHT_JOIN {p}users AS u ON u.id = ?2 WHERE r.id = ?1
        ON DUPLICATE KEY UPDATE "read" = greatest({p}marks."read", VALUES("read"))"#,
    heads: "
        SELECT CAST(v.n AS SIGNED) - 1, r.head, r.head_id, r.guard, r.first
        FROM JSON_TABLE(?1, '$[*]' COLUMNS (n FOR ORDINALITY, room CHAR(32) PATH '$')) AS v
        STRAIGHT_JOIN {p}rooms AS r ON r.id = UNHEX(v.room)",
    // In whichever order the two are set, the outcome is the same.
    places: "
        UPDATE JSON_TABLE(?1, '$[*]' COLUMNS (room CHAR(32) PATH '$[0]', place BIGINT PATH '$[1]')) AS v
        STRAIGHT_JOIN {p}rooms AS r ON r.id = UNHEX(v.room)
        STRAIGHT_JOIN {p}feeds AS f ON f.consumer = ?2
        STRAIGHT_JOIN {p}places AS l ON l.room = r.num AND l.feed = f.num
        SET l.behind = greatest(l.place, v.place) < r.head, l.place = greatest(l.place, least(v.place, r.head))",
    gate: Some([
        "SELECT version, 0 FROM \"{p}schema\" LOCK IN SHARE MODE",
        "SELECT version, 0 FROM \"{p}schema\" FOR UPDATE",
    ]),
};

connection!(MySqlConnection, MySqlRow, STATEMENTS, in_order);

/// Gives each `?1`, `?2`… its argument: parameters have no numbers here. A statement without numbers has its arguments in
/// order.
#[allow(clippy::needless_pass_by_value)] // the shape that `connection!` needs
pub(super) fn in_order(sql: String, args: Vec<Arg>) -> (String, Vec<Arg>) {
    if !sql.contains("?1") {
        return (sql, args);
    }
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut ordered = Vec::with_capacity(args.len());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        text.push('?');
        text.push_str(rest);
        ordered.extend(number.parse().ok().and_then(|number: usize| args.get(number.checked_sub(1)?)).cloned());
    }
    (text, ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_gets_its_argument() {
        let (sql, args) = in_order("a = ?2 AND b > ?1 OR c = ?2".to_owned(), vec![1_i64.into(), 2_i64.into()]);
        assert_eq!(sql, "a = ? AND b > ? OR c = ?");
        assert_eq!(format!("{args:?}"), "[Int(2), Int(1), Int(2)]");
    }
}
