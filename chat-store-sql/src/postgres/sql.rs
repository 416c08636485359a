//! What PostgreSQL says in its own way.

use sqlx::{PgConnection, postgres::PgRow};

use crate::{
    connection::{Arg, connection},
    statements::Statements,
    steps::ByJson,
};

const STATEMENTS: Statements = Statements {
    lock: Some(
        "
        SELECT r.num, r.head FROM {p}rooms AS r
        WHERE r.id IN (SELECT decode(v.value, 'hex') FROM json_array_elements_text(?1::json) AS v (value))
        ORDER BY r.id FOR UPDATE",
    ),
    // Who is known under this name already is left alone: an upsert would lock and write their row.
    see: r#"
        INSERT INTO {p}users AS u (id, name)
        SELECT v.value ->> 0, v.value ->> 1 FROM json_array_elements(?1::json) AS v (value)
        LEFT JOIN {p}users AS k ON k.id = v.value ->> 0
        WHERE k.num IS NULL OR k.name IS DISTINCT FROM coalesce(v.value ->> 1, k.name)
        ORDER BY (v.value ->> 0) COLLATE "C"
        ON CONFLICT (id) DO UPDATE SET name = coalesce(excluded.name, u.name)"#,
    create: "
        INSERT INTO {p}rooms (id, head, head_id, guard, first, active, record, visibility)
        VALUES (?1, 0, ?2, 0, 1, ?3, ?4, ?5)",
    join: r#"
        INSERT INTO {p}members (room, "user", role, since)
        SELECT r.num, u.num, v.value ->> 1, ?3
        FROM json_array_elements(?1::json) AS v (value)
        JOIN {p}rooms AS r ON r.id = ?2
        JOIN {p}users AS u ON u.id = v.value ->> 0
        ON CONFLICT (room, "user") DO NOTHING"#,
    mark: r#"
        INSERT INTO {p}marks AS k (room, "user", read)
        SELECT r.num, u.num, least(?3, r.head) FROM {p}rooms AS r JOIN {p}users AS u ON u.id = ?2 WHERE r.id = ?1
        ON CONFLICT (room, "user") DO UPDATE SET read = greatest(k.read, excluded.read)"#,
    heads: "
        SELECT v.n - 1, r.head, r.head_id, r.guard, r.first
        FROM json_array_elements_text(?1::json) WITH ORDINALITY AS v (value, n)
        JOIN {p}rooms AS r ON r.id = decode(v.value, 'hex')",
    places: "
        UPDATE {p}places AS l
        SET place = greatest(l.place, least((v.value ->> 1)::bigint, r.head)),
            behind = CASE WHEN greatest(l.place, (v.value ->> 1)::bigint) < r.head THEN 1 ELSE 0 END
        FROM json_array_elements(?1::json) AS v (value)
        JOIN {p}rooms AS r ON r.id = decode(v.value ->> 0, 'hex')
        JOIN {p}feeds AS f ON f.consumer = ?2
        WHERE l.room = r.num AND l.feed = f.num",
    gate: Some([
        "SELECT version, 0::bigint FROM \"{p}schema\" FOR SHARE",
        "SELECT version, 0::bigint FROM \"{p}schema\" FOR UPDATE",
    ]),
};

impl ByJson for PgConnection {
    const LOOK: &'static str = "
        SELECT v.n - 1, r.head, r.guard, r.trimmed_ms, u.name, e.seq, e.id, e.hash
        FROM json_array_elements(?1::json) WITH ORDINALITY AS v (value, n)
        JOIN {p}rooms AS r ON r.id = decode(v.value ->> 0, 'hex')
        LEFT JOIN {p}users AS u ON u.id = v.value ->> 1
        LEFT JOIN {p}entries AS e ON e.room = r.num AND e.author = u.num AND e.key = decode(v.value ->> 2, 'hex')";
    const INSERT: &'static str = "
        INSERT INTO {p}entries (room, seq, id, key, author, hash, message, edits, body, at, sent_at)
        SELECT r.num, (v.value ->> 1)::bigint, decode(v.value ->> 2, 'hex'), decode(v.value ->> 3, 'hex'), u.num,
               decode(v.value ->> 5, 'hex'), (v.value ->> 6)::boolean::int, (v.value ->> 7)::bigint, v.value ->> 8,
               (v.value ->> 9)::bigint, (v.value ->> 10)::bigint
        FROM json_array_elements(?1::json) AS v (value)
        JOIN {p}rooms AS r ON r.id = decode(v.value ->> 0, 'hex')
        JOIN {p}users AS u ON u.id = v.value ->> 4";
    const ADVANCE: &'static str = "
        WITH moved AS (
            UPDATE {p}rooms AS r
            SET head = (v.value ->> 1)::bigint, head_id = decode(v.value ->> 2, 'hex'),
                guard = greatest(r.guard, (v.value ->> 3)::bigint), active = greatest(r.active, (v.value ->> 4)::bigint)
            FROM json_array_elements(?1::json) AS v (value) WHERE r.id = decode(v.value ->> 0, 'hex')
            RETURNING r.num
        )
        UPDATE {p}places AS l SET behind = 1 FROM moved WHERE l.room = moved.num AND l.behind = 0";
}

connection!(PgConnection, PgRow, STATEMENTS, as_is);

fn as_is(sql: String, args: Vec<Arg>) -> (String, Vec<Arg>) {
    (sql, args)
}
