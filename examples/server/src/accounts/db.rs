//! The tables of accounts, in SQLite. Each function is one statement, so none leaves a transaction open.

use std::{fs::File, io, os::unix::fs::OpenOptionsExt, str::FromStr, time::Duration};

use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

/// The names begin with `account_`, since the tables may share a file with the chat's.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS account_users (
    id       TEXT PRIMARY KEY NOT NULL,
    look     TEXT NOT NULL UNIQUE,
    name     TEXT NOT NULL,
    password TEXT NOT NULL,
    created  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS account_logins (
    token   BLOB PRIMARY KEY NOT NULL,
    login   TEXT NOT NULL UNIQUE,
    user    TEXT NOT NULL REFERENCES account_users (id),
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS account_logins_by_user ON account_logins (user, created);
CREATE TABLE IF NOT EXISTS account_places (
    user  TEXT NOT NULL REFERENCES account_users (id),
    place TEXT NOT NULL,
    seen  INTEGER NOT NULL,
    PRIMARY KEY (user, place)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS account_bans (
    user TEXT PRIMARY KEY NOT NULL REFERENCES account_users (id),
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Logins of one user at once; the oldest end first. More than anybody has devices.
const LOGINS_MAX: i64 = 50;

/// Is what is known of a user.
#[derive(Clone)]
pub(super) struct UserRow {
    pub(super) name: String,
    pub(super) password: String,
    /// Whether they logged in from this place before.
    pub(super) known: bool,
    /// Whether an operator has banned them.
    pub(super) banned: bool,
}

/// Is a login that has not ended.
#[derive(Clone, Debug)]
pub(crate) struct LoginRow {
    /// The user's id.
    pub(crate) user: String,
    /// The display name.
    pub(crate) name: String,
    /// The login's id.
    pub(crate) login: String,
    /// When it ends, in ms since 1970.
    pub(crate) expires: i64,
}

/// Is the new row of a user.
pub(super) struct NewUser<'a> {
    pub(super) id: &'a str,
    pub(super) look: &'a str,
    pub(super) name: &'a str,
    pub(super) password: &'a str,
    pub(super) created: i64,
}

/// Is the new row of a login.
pub(super) struct NewLogin<'a> {
    pub(super) token: &'a [u8],
    pub(super) login: &'a str,
    pub(super) user: &'a str,
    /// The hash that the typed password was compared with.
    pub(super) password: &'a str,
    pub(super) created: i64,
    pub(super) expires: i64,
}

/// Reads and writes the tables.
#[derive(Clone)]
pub(super) struct Db(SqlitePool);

impl Db {
    /// Opens the database and makes what is missing.
    pub(super) async fn open(url: &str) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was answered as registered survives a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        keep_private(url)?;
        let pool = SqlitePoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5));
        let pool = pool.connect_with(options).await?;
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        Ok(Self(pool))
    }

    /// Adds a user; `false` if the id or the look is taken.
    pub(super) async fn add_user(&self, user: NewUser<'_>) -> Result<bool, sqlx::Error> {
        let done = sqlx::query(
            "INSERT INTO account_users (id, look, name, password, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(user.id)
        .bind(user.look)
        .bind(user.name)
        .bind(user.password)
        .bind(user.created)
        .execute(&self.0)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Tells whether somebody's user name looks like this.
    pub(super) async fn is_look_taken(&self, look: &str) -> Result<bool, sqlx::Error> {
        let row = sqlx::query("SELECT EXISTS (SELECT 1 FROM account_users WHERE look = ?)").bind(look);
        row.fetch_one(&self.0).await?.try_get(0)
    }

    /// Returns a user, and whether `place` is known. There is a row to read for an unknown user too: a stranger with a
    /// clock must not see the difference.
    pub(super) async fn user(&self, id: &str, place: &str) -> Result<Option<UserRow>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT name, password, EXISTS (SELECT 1 FROM account_places WHERE user = id AND place = ?), \
             EXISTS (SELECT 1 FROM account_bans WHERE user = id) FROM (SELECT 1) LEFT JOIN account_users ON id = ?",
        );
        let row = row.bind(place).bind(id).fetch_one(&self.0).await?;
        let (name, password): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        let (known, banned) = (row.try_get(2)?, row.try_get(3)?);
        Ok(name.zip(password).map(|(name, password)| UserRow { name, password, known, banned }))
    }

    /// Replaces the hash of a password; `false` if it is not `old` any more.
    pub(super) async fn set_password(&self, id: &str, old: &str, new: &str) -> Result<bool, sqlx::Error> {
        let update = sqlx::query("UPDATE account_users SET password = ? WHERE id = ? AND password = ?");
        Ok(update.bind(new).bind(id).bind(old).execute(&self.0).await?.rows_affected() == 1)
    }

    /// Keeps a user out; `false` if there is none.
    pub(super) async fn ban(&self, id: &str, now: i64) -> Result<bool, sqlx::Error> {
        let ban = sqlx::query(
            "INSERT INTO account_bans (user, at) SELECT id, ? FROM account_users WHERE id = ? \
             ON CONFLICT (user) DO UPDATE SET at = excluded.at",
        );
        Ok(ban.bind(now).bind(id).execute(&self.0).await?.rows_affected() == 1)
    }

    /// Lets a user in again; `false` if nobody kept them out.
    pub(super) async fn unban(&self, id: &str) -> Result<bool, sqlx::Error> {
        let unban = sqlx::query("DELETE FROM account_bans WHERE user = ?").bind(id);
        Ok(unban.execute(&self.0).await?.rows_affected() == 1)
    }

    /// Remembers that a user logged in from a place.
    pub(super) async fn remember_place(&self, user: &str, place: &str, now: i64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO account_places (user, place, seen) VALUES (?, ?, ?) \
             ON CONFLICT (user, place) DO UPDATE SET seen = excluded.seen",
        )
        .bind(user)
        .bind(place)
        .bind(now)
        .execute(&self.0)
        .await
        .map(drop)
    }

    /// Adds a login; `false` if the user was banned or changed the password while it was being checked.
    pub(super) async fn add_login(&self, new: NewLogin<'_>) -> Result<bool, sqlx::Error> {
        let insert = sqlx::query(
            "INSERT INTO account_logins (token, login, user, created, expires) \
             SELECT ?, ?, id, ?, ? FROM account_users WHERE id = ? AND password = ? \
             AND NOT EXISTS (SELECT 1 FROM account_bans WHERE user = id)",
        );
        let insert = insert.bind(new.token).bind(new.login).bind(new.created).bind(new.expires);
        Ok(insert.bind(new.user).bind(new.password).execute(&self.0).await?.rows_affected() == 1)
    }

    /// Ends the oldest logins of a user beyond the limit and returns their ids.
    pub(super) async fn end_oldest_logins(&self, user: &str) -> Result<Vec<String>, sqlx::Error> {
        let ended = sqlx::query(
            "DELETE FROM account_logins WHERE login IN ( \
             SELECT login FROM account_logins WHERE user = ? ORDER BY created DESC, login LIMIT -1 OFFSET ?) \
             RETURNING login",
        );
        let rows = ended.bind(user).bind(LOGINS_MAX).fetch_all(&self.0).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Ends all logins of a user but one and returns their ids.
    pub(super) async fn end_logins(&self, user: &str, except: &str) -> Result<Vec<String>, sqlx::Error> {
        let ended = sqlx::query("DELETE FROM account_logins WHERE user = ? AND login <> ? RETURNING login");
        let rows = ended.bind(user).bind(except).fetch_all(&self.0).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Returns the login of a token unless it has ended.
    pub(super) async fn login(&self, token: &[u8], now: i64) -> Result<Option<LoginRow>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT user, name, login, expires FROM account_logins JOIN account_users ON id = user \
             WHERE token = ? AND expires > ?",
        );
        let row = row.bind(token).bind(now).fetch_optional(&self.0).await?;
        let read = |row: SqliteRow| {
            let (user, name) = (row.try_get(0)?, row.try_get(1)?);
            Ok(LoginRow { user, name, login: row.try_get(2)?, expires: row.try_get(3)? })
        };
        row.map(read).transpose()
    }

    /// Ends a login.
    pub(super) async fn end_login(&self, login: &str) -> Result<(), sqlx::Error> {
        let delete = sqlx::query("DELETE FROM account_logins WHERE login = ?").bind(login);
        delete.execute(&self.0).await.map(drop)
    }

    /// Forgets logins that ended, and places not seen since `seen_before`.
    pub(super) async fn forget(&self, now: i64, seen_before: i64) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM account_logins WHERE expires <= ?").bind(now).execute(&self.0).await?;
        let places = sqlx::query("DELETE FROM account_places WHERE seen < ?").bind(seen_before);
        places.execute(&self.0).await.map(drop)
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        self.0.close().await;
    }
}

/// Makes a new database readable for its owner only; SQLite gives the files beside it the same mode.
pub(crate) fn keep_private(url: &str) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::from_str(url)?;
    if url.contains(":memory:") {
        return Ok(());
    }
    match File::options().write(true).create_new(true).mode(0o600).open(options.get_filename()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}
