-- The first schema. `{p}` stands for the prefix of all names.
-- Rooms and users are known by an internal number inside this database and by their own id outside.
--
-- No transaction holds these statements together: whatever broke off is run again, so each can be run twice.

CREATE TABLE IF NOT EXISTS `{p}schema` (
    version BIGINT NOT NULL PRIMARY KEY,
    digest  VARCHAR(64) NOT NULL        -- of the migration that made it, which is compared whenever the database is opened
) ENGINE = InnoDB;

-- User ids are compared byte by byte, trailing spaces included: no collation of texts does that in MySQL and MariaDB alike.
CREATE TABLE IF NOT EXISTS {p}users (
    num  BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id   VARBINARY(128) NOT NULL UNIQUE,
    name TEXT                           -- the latest display name seen; NULL until one was
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {p}rooms (
    num        BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id         BINARY(16) NOT NULL UNIQUE,
    head       BIGINT NOT NULL,         -- the last position, and the id of the entry there
    head_id    BINARY(16) NOT NULL,
    guard      BIGINT NOT NULL,         -- the position of the last entry that took a right away
    first      BIGINT NOT NULL,         -- the first position that is read
    trimmed_ms BIGINT,                  -- the highest time in a key that was trimmed
    active     BIGINT NOT NULL,
    record     LONGTEXT NOT NULL,       -- JSON: name, title, topic, visibility, history, data, created
    visibility VARCHAR(16) NOT NULL,
    KEY {p}rooms_public (visibility)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {p}entries (
    room    BIGINT NOT NULL,
    seq     BIGINT NOT NULL,
    id      BINARY(16) NOT NULL,
    `key`   BINARY(16) NOT NULL,
    author  BIGINT NOT NULL,
    hash    BINARY(16),                 -- of the body; NULL once it was deleted
    message TINYINT NOT NULL,           -- 1: history shows it
    edits   BIGINT,                     -- the position of the message that this entry edits
    body    LONGTEXT NOT NULL,          -- JSON, as written; blank once it was deleted
    shown   LONGTEXT,                   -- JSON: the body with later entries applied, and what they did
    at      BIGINT NOT NULL,
    sent_at BIGINT NOT NULL,
    PRIMARY KEY (room, seq),
    UNIQUE KEY `{p}keys` (room, author, `key`),
    KEY {p}messages (room, message, seq, author), -- holds all that counting unread messages needs
    KEY {p}edits (room, edits)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {p}members (
    room   BIGINT NOT NULL,
    `user` BIGINT NOT NULL,
    role   VARCHAR(16) NOT NULL,
    since  BIGINT NOT NULL,
    PRIMARY KEY (room, `user`),
    KEY {p}members_by_user (`user`, room)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS {p}marks (
    room   BIGINT NOT NULL,
    `user` BIGINT NOT NULL,
    `read` BIGINT NOT NULL,
    PRIMARY KEY (room, `user`)
) ENGINE = InnoDB;

-- Who follows all logs, such as a search index.
CREATE TABLE IF NOT EXISTS {p}feeds (
    num      BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    consumer VARCHAR(32) NOT NULL UNIQUE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How far each of them is: a row for each room that has a log.
CREATE TABLE IF NOT EXISTS {p}places (
    room   BIGINT NOT NULL,
    feed   BIGINT NOT NULL,
    place  BIGINT NOT NULL,
    behind TINYINT NOT NULL,            -- 1 while the place is below the head
    PRIMARY KEY (room, feed),
    KEY {p}places_behind (feed, behind, room)
) ENGINE = InnoDB;

INSERT IGNORE INTO `{p}schema` (version, digest) VALUES (1, '{digest}');
