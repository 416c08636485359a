//! What SQLite says in its own way.

use sqlx::{SqliteConnection, sqlite::SqliteRow};

use crate::{
    connection::{Arg, connection},
    statements::Statements,
    steps::ByJson,
};

// A statement costs far more than a row does: each is handed to SQLite's own thread and back.
const STATEMENTS: Statements = Statements {
    lock: None,
    see: "
        INSERT INTO {p}users (id, name) SELECT value ->> 0, value ->> 1 FROM json_each(?1) WHERE true
        ON CONFLICT (id) DO UPDATE SET name = excluded.name
            WHERE excluded.name IS NOT NULL AND name IS NOT excluded.name",
    // ?5 is passed over: the column `visibility` follows from the record.
    create: "
        INSERT INTO {p}rooms (id, head, head_id, guard, first, active, record) VALUES (?1, 0, ?2, 0, 1, ?3, ?4)",
    join: "
        INSERT INTO {p}members (room, user, role, since)
        SELECT r.num, u.num, v.value ->> 1, ?3
        FROM json_each(?1) AS v
        CROSS JOIN {p}rooms AS r ON r.id = ?2
        CROSS JOIN {p}users AS u ON u.id = v.value ->> 0
        WHERE true ON CONFLICT (room, user) DO NOTHING",
    mark: "
        INSERT INTO {p}marks (room, user, read)
        SELECT r.num, u.num, min(?3, r.head) FROM {p}rooms AS r CROSS JOIN {p}users AS u ON u.id = ?2 WHERE r.id = ?1
        ON CONFLICT (room, user) DO UPDATE SET read = max(read, excluded.read)",
    heads: "
        SELECT v.key, r.head, r.head_id, r.guard, r.first
        FROM json_each(?1) AS v CROSS JOIN {p}rooms AS r ON r.id = unhex(v.value)",
    // An update would visit the places first. A place that is there is behind for as long as both it and the new one are.
    places: "
        INSERT INTO {p}places (room, feed, place, behind)
        SELECT r.num, f.num, min(v.value ->> 1, r.head), v.value ->> 1 < r.head
        FROM json_each(?1) AS v
        CROSS JOIN {p}rooms AS r ON r.id = unhex(v.value ->> 0)
        CROSS JOIN {p}feeds AS f ON f.consumer = ?2
        WHERE true
        ON CONFLICT (room, feed) DO UPDATE SET place = max(place, excluded.place), behind = min(behind, excluded.behind)",
    gate: None,
};

impl ByJson for SqliteConnection {
    const LOOK: &'static str = "
        SELECT k.key, r.head, r.guard, r.trimmed_ms, u.name, e.seq, e.id, e.hash
        FROM json_each(?1) AS k
        CROSS JOIN {p}rooms AS r ON r.id = unhex(k.value ->> 0)
        LEFT JOIN {p}users AS u ON u.id = k.value ->> 1
        LEFT JOIN {p}entries AS e ON e.room = r.num AND e.author = u.num AND e.key = unhex(k.value ->> 2)";
    const INSERT: &'static str = "
        INSERT INTO {p}entries (room, seq, id, key, author, hash, message, edits, body, at, sent_at)
        SELECT r.num, v.value ->> 1, unhex(v.value ->> 2), unhex(v.value ->> 3), u.num, unhex(v.value ->> 5),
               v.value ->> 6, v.value ->> 7, v.value ->> 8, v.value ->> 9, v.value ->> 10
        FROM json_each(?1) AS v
        CROSS JOIN {p}rooms AS r ON r.id = unhex(v.value ->> 0)
        CROSS JOIN {p}users AS u ON u.id = v.value ->> 4";
    // A trigger of the schema marks the rooms for those who follow them all.
    const ADVANCE: &'static str = "
        UPDATE {p}rooms SET head = v.value ->> 1, head_id = unhex(v.value ->> 2), guard = max(guard, v.value ->> 3),
                            active = max(active, v.value ->> 4)
        FROM json_each(?1) AS v WHERE {p}rooms.id = unhex(v.value ->> 0)";
}

connection!(SqliteConnection, SqliteRow, STATEMENTS, as_is);

fn as_is(sql: String, args: Vec<Arg>) -> (String, Vec<Arg>) {
    (sql, args)
}
