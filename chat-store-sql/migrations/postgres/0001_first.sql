-- The first schema. `{p}` stands for the prefix of all names.
-- Rooms and users are known by an internal number inside this database and by their own id outside.

CREATE TABLE {p}schema (
    version bigint PRIMARY KEY,
    digest  text NOT NULL               -- of the migration that made it, which is compared whenever the database is opened
);

CREATE TABLE {p}users (
    num  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id   text COLLATE "C" NOT NULL UNIQUE,
    name text                           -- the latest display name seen; NULL until one was
);

-- A row of this table is rewritten with every append to its room. No index holds what changes then, and half of each page is
-- kept free, so that the new version stays in the page of the old one and costs no index entry.
CREATE TABLE {p}rooms (
    num        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         bytea NOT NULL UNIQUE,
    head       bigint NOT NULL,         -- the last position, and the id of the entry there
    head_id    bytea NOT NULL,
    guard      bigint NOT NULL,         -- the position of the last entry that took a right away
    first      bigint NOT NULL,         -- the first position that is read
    trimmed_ms bigint,                  -- the highest time in a key that was trimmed
    active     bigint NOT NULL,
    record     text NOT NULL,           -- JSON: name, title, topic, visibility, history, data, created
    visibility text NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

CREATE INDEX {p}rooms_public ON {p}rooms (num) WHERE visibility = 'public';

CREATE TABLE {p}entries (
    room    bigint NOT NULL,
    seq     bigint NOT NULL,
    id      bytea NOT NULL,
    key     bytea NOT NULL,
    author  bigint NOT NULL,
    hash    bytea,                      -- of the body; NULL once it was deleted
    message smallint NOT NULL,          -- 1: history shows it
    edits   bigint,                     -- the position of the message that this entry edits
    body    text NOT NULL,              -- JSON, as written; blank once it was deleted
    shown   text,                       -- JSON: the body with later entries applied, and what they did
    at      bigint NOT NULL,
    sent_at bigint NOT NULL,
    PRIMARY KEY (room, seq),
    UNIQUE (room, author, key)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);

-- Holds all that counting unread messages needs.
CREATE INDEX {p}messages ON {p}entries (room, seq) INCLUDE (author) WHERE message = 1;

CREATE INDEX {p}edits ON {p}entries (room, edits) WHERE edits IS NOT NULL;

-- Those that may name people: joins, leaves, roles. Read when a person is erased.
CREATE INDEX {p}others ON {p}entries (room, seq) WHERE message = 0;

CREATE TABLE {p}members (
    room   bigint NOT NULL,
    "user" bigint NOT NULL,
    role   text NOT NULL,
    since  bigint NOT NULL,
    PRIMARY KEY (room, "user")
);

CREATE INDEX {p}members_by_user ON {p}members ("user", room);

CREATE TABLE {p}marks (
    room   bigint NOT NULL,
    "user" bigint NOT NULL,
    read   bigint NOT NULL,
    PRIMARY KEY (room, "user")
);

-- Who follows all logs, such as a search index.
CREATE TABLE {p}feeds (
    num      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text COLLATE "C" NOT NULL UNIQUE
);

-- How far each of them is: a row for each room that has a log.
CREATE TABLE {p}places (
    room   bigint NOT NULL,
    feed   bigint NOT NULL,
    place  bigint NOT NULL,
    behind smallint NOT NULL,           -- 1 while the place is below the head
    PRIMARY KEY (room, feed)
);

CREATE INDEX {p}places_behind ON {p}places (feed, room) WHERE behind = 1;

-- Appends drafts that change nothing but their own log, in one round trip. Each array has one element per draft, a share's
-- drafts follow each other, and all of a share have the same guard (NULL: only ask). Answers per draft:
--   0 stored at `seqs`, 1 duplicate of `seqs` and `stored_ids`, 2 conflict, 3 stale since `seqs`, 4 missing, 6 too old.
-- The rules are those of `Standing::judge` in chat-core.
--
-- The COMMIT at the end is also a guard: inside somebody's open transaction the call fails with 2D000 and stores nothing.
CREATE PROCEDURE {p}append(
    rooms bytea[], guards bigint[], ids bytea[], keys bytea[], key_times bigint[], authors text[], names text[],
    hashes bytea[], messages smallint[], bodies text[], ats bigint[], sent_ats bigint[],
    INOUT outcomes smallint[], INOUT seqs bigint[], INOUT stored_ids bytea[]
) LANGUAGE plpgsql AS $$
BEGIN
    -- In the order of ids, so that two callers never wait for each other. What follows are later statements: they see what
    -- was committed by whoever had the locks before. One statement for all would not.
    PERFORM 1 FROM {p}rooms AS r WHERE r.id = ANY (rooms) ORDER BY r.id FOR UPDATE;

    -- Nearly always all is well: every room is there, nobody lost a right, every name is known. Then drafts are only
    -- numbered, and inserted in the order of the indexes. A key that is stored already is found by its index refusing it,
    -- which takes back what this block did.
    BEGIN
        WITH drafts AS (
            SELECT d.*, r.num, u.num AS author_num, r.head + row_number() OVER (PARTITION BY r.num ORDER BY d.n) AS seq
            FROM unnest(rooms, guards, ids, keys, key_times, authors, names, hashes, messages, bodies, ats, sent_ats)
                 WITH ORDINALITY
                 AS d (room, guard, id, key, key_time, author, name, hash, message, body, at, sent_at, n)
            JOIN {p}rooms AS r ON r.id = d.room AND r.guard <= d.guard AND (d.key_time <= r.trimmed_ms) IS NOT TRUE
            JOIN {p}users AS u ON u.id = d.author AND u.name = d.name
        ), ready AS (
            SELECT * FROM drafts WHERE (SELECT count(*) FROM drafts) = cardinality(ids)
        ), inserted AS (
            INSERT INTO {p}entries (room, seq, id, key, author, hash, message, body, at, sent_at)
            SELECT num, seq, id, key, author_num, hash, message, body, at, sent_at FROM ready
        ), moved AS (
            UPDATE {p}rooms AS r SET head = s.head, head_id = s.head_id, active = greatest(r.active, s.active)
            FROM (SELECT num, max(seq) AS head, (array_agg(id ORDER BY seq DESC))[1] AS head_id, max(at) AS active
                  FROM ready GROUP BY num) AS s
            WHERE r.num = s.num
            RETURNING r.num
        ), marked AS (
            UPDATE {p}places AS l SET behind = 1 FROM moved WHERE l.room = moved.num AND l.behind = 0
        )
        SELECT array_agg(a.seq ORDER BY a.n) INTO seqs FROM ready AS a;
    EXCEPTION WHEN unique_violation THEN
        seqs := NULL;
    END;

    IF seqs IS NOT NULL THEN
        outcomes := array_fill(0::smallint, ARRAY[cardinality(ids)]);
        stored_ids := array_fill(NULL::bytea, ARRAY[cardinality(ids)]);
        COMMIT;
        RETURN;
    END IF;

    -- Something is not as usual: each draft is looked up and judged.
    INSERT INTO {p}users AS u (id, name)
    SELECT DISTINCT ON (d.author COLLATE "C") d.author, d.name
    FROM unnest(rooms, guards, authors, names) WITH ORDINALITY AS d (room, guard, author, name, n)
    JOIN {p}rooms AS r ON r.id = d.room AND r.guard <= d.guard
    LEFT JOIN {p}users AS k ON k.id = d.author
    WHERE k.name IS DISTINCT FROM d.name
    ORDER BY d.author COLLATE "C", d.n DESC
    ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE u.name IS DISTINCT FROM excluded.name;

    WITH drafts AS (
        SELECT d.*, r.num, r.head, r.guard AS standing, r.trimmed_ms, u.num AS author_num,
               e.seq AS old_seq, e.id AS old_id, e.hash AS old_hash,
               first_value(d.n) OVER same AS first_n, first_value(d.id) OVER same AS first_id,
               first_value(d.hash) OVER same AS first_hash
        FROM unnest(rooms, guards, ids, keys, key_times, authors, hashes, messages, bodies, ats, sent_ats) WITH ORDINALITY
             AS d (room, guard, id, key, key_time, author, hash, message, body, at, sent_at, n)
        LEFT JOIN {p}rooms AS r ON r.id = d.room
        LEFT JOIN {p}users AS u ON u.id = d.author
        LEFT JOIN {p}entries AS e ON e.room = r.num AND e.author = u.num AND e.key = d.key
        WINDOW same AS (PARTITION BY d.room, d.author, d.key ORDER BY d.n)
    ), judged AS (
        SELECT *, CASE
            WHEN old_seq IS NOT NULL THEN CASE WHEN old_hash IS NULL OR old_hash = hash THEN 1 ELSE 2 END
            WHEN key_time <= trimmed_ms THEN 6
            WHEN guard IS NULL THEN 3
            WHEN num IS NULL THEN 4
            WHEN standing > guard THEN 3
            WHEN n = first_n THEN 0
            WHEN hash = first_hash THEN 1
            ELSE 2
        END AS outcome
        FROM drafts
    ), numbered AS (
        SELECT *, head + count(*) FILTER (WHERE outcome = 0) OVER (PARTITION BY room ORDER BY n) AS seq FROM judged
    ), inserted AS (
        INSERT INTO {p}entries (room, seq, id, key, author, hash, message, body, at, sent_at)
        SELECT num, seq, id, key, author_num, hash, message, body, at, sent_at FROM numbered WHERE outcome = 0 ORDER BY n
    ), moved AS (
        UPDATE {p}rooms AS r SET head = s.head, head_id = s.head_id, active = greatest(r.active, s.active)
        FROM (SELECT num, max(seq) AS head, (array_agg(id ORDER BY n DESC))[1] AS head_id, max(at) AS active
              FROM numbered WHERE outcome = 0 GROUP BY num) AS s
        WHERE r.num = s.num
        RETURNING r.num
    ), marked AS (
        UPDATE {p}places AS l SET behind = 1 FROM moved WHERE l.room = moved.num AND l.behind = 0
    ), answered AS (
        SELECT n, outcome, coalesce(old_id, first_id) AS stored_id, CASE
            WHEN outcome = 3 THEN coalesce(standing, 0)
            ELSE coalesce(old_seq, first_value(seq) OVER (PARTITION BY room, author, key ORDER BY n), 0)
        END AS seq
        FROM numbered
    )
    SELECT array_agg(a.outcome ORDER BY a.n), array_agg(a.seq ORDER BY a.n), array_agg(a.stored_id ORDER BY a.n)
    INTO outcomes, seqs, stored_ids FROM answered AS a;

    COMMIT;
END $$;

INSERT INTO {p}schema (version, digest) VALUES (1, '{digest}');
