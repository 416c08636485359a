-- The first schema. `{p}` stands for the prefix of all names.
-- Rooms and users are known by an internal number inside this database and by their own id outside.

CREATE TABLE {p}schema (
    version INTEGER PRIMARY KEY,
    digest  TEXT NOT NULL               -- of the migration that made it, which is compared whenever the database is opened
) STRICT;

CREATE TABLE {p}users (
    num  INTEGER PRIMARY KEY,
    id   TEXT NOT NULL UNIQUE,
    name TEXT                           -- the latest display name seen; NULL until one was
) STRICT;

CREATE TABLE {p}rooms (
    num        INTEGER PRIMARY KEY,
    id         BLOB NOT NULL UNIQUE,
    head       INTEGER NOT NULL,        -- the last position, and the id of the entry there
    head_id    BLOB NOT NULL,
    guard      INTEGER NOT NULL,        -- the position of the last entry that took a right away
    first      INTEGER NOT NULL,        -- the first position that is read
    trimmed_ms INTEGER,                 -- the highest time in a key that was trimmed
    active     INTEGER NOT NULL,
    record     TEXT NOT NULL,           -- JSON: name, title, topic, visibility, history, data, created
    visibility TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.visibility') VIRTUAL
) STRICT;

-- Only public rooms are listed for everybody; an index of all would be written to with every message.
CREATE INDEX {p}rooms_public ON {p}rooms (active DESC, id) WHERE visibility = 'public';

CREATE TABLE {p}entries (
    room    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    id      BLOB NOT NULL,
    key     BLOB NOT NULL,
    author  INTEGER NOT NULL,
    hash    BLOB,                       -- of the body; NULL once it was deleted
    message INTEGER NOT NULL,           -- 1: history shows it
    edits   INTEGER,                    -- the position of the message that this entry edits
    body    TEXT NOT NULL,              -- JSON, as written; blank once it was deleted
    shown   TEXT,                       -- JSON: the body with later entries applied, and what they did
    at      INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    PRIMARY KEY (room, seq),
    UNIQUE (room, author, key)
) STRICT, WITHOUT ROWID;

-- Holds all that counting unread messages needs.
CREATE INDEX {p}messages ON {p}entries (room, seq, author) WHERE message = 1;

CREATE INDEX {p}edits ON {p}entries (room, edits) WHERE edits IS NOT NULL;

-- Those that may name people: joins, leaves, roles. Read when a person is erased.
CREATE INDEX {p}others ON {p}entries (room, seq) WHERE message = 0;

CREATE TABLE {p}members (
    room  INTEGER NOT NULL,
    user  INTEGER NOT NULL,
    role  TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

CREATE INDEX {p}members_by_user ON {p}members (user, room);

CREATE TABLE {p}marks (
    room INTEGER NOT NULL,
    user INTEGER NOT NULL,
    read INTEGER NOT NULL,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

-- Who follows all logs, such as a search index.
CREATE TABLE {p}feeds (
    num      INTEGER PRIMARY KEY,
    consumer TEXT NOT NULL UNIQUE
) STRICT;

-- How far each of them is: a row for each room that has a log.
CREATE TABLE {p}places (
    room   INTEGER NOT NULL,
    feed   INTEGER NOT NULL,
    place  INTEGER NOT NULL,
    behind INTEGER NOT NULL,            -- 1 while the place is below the head
    PRIMARY KEY (room, feed)
) STRICT, WITHOUT ROWID;

CREATE INDEX {p}places_behind ON {p}places (feed, room) WHERE behind = 1;

CREATE TRIGGER {p}moved AFTER UPDATE OF head ON {p}rooms BEGIN
    UPDATE {p}places SET behind = 1 WHERE room = new.num AND behind = 0;
END;

INSERT INTO {p}schema (version, digest) VALUES (1, '{digest}');
