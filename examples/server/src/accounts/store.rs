//! Where accounts are kept: one small port, and a file for each kind of database.

mod mongo;
mod mysql;
mod postgres;
mod sqlite;
mod tables;

use std::error::Error;

use async_trait::async_trait;

pub(crate) use sqlite::keep_private;

/// Is whatever a driver says.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Logins of one user at once; the oldest end first. More than anybody has devices.
const LOGINS_MAX: u16 = 50;

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

/// Reads and writes accounts. Each call is one step that is done or not, whoever does another at the same time.
#[async_trait]
pub(super) trait AccountStore: Send + Sync {
    /// Adds a user; `false` if the id or the look is taken.
    async fn add_user(&self, user: NewUser<'_>) -> Result<bool, Failure>;

    /// Tells whether somebody's user name looks like this.
    async fn is_look_taken(&self, look: &str) -> Result<bool, Failure>;

    /// Returns a user, and whether `place` is known.
    async fn user(&self, id: &str, place: &str) -> Result<Option<UserRow>, Failure>;

    /// Returns those of these ids that users have, in any order; at least one id is asked for.
    async fn users(&self, ids: &[&str]) -> Result<Vec<String>, Failure>;

    /// Replaces the hash of a password; `false` if it is not `old` any more.
    async fn set_password(&self, id: &str, old: &str, new: &str) -> Result<bool, Failure>;

    /// Keeps a user out; `false` if there is none.
    async fn ban(&self, id: &str, now: i64) -> Result<bool, Failure>;

    /// Lets a user in again; `false` if nobody kept them out.
    async fn unban(&self, id: &str) -> Result<bool, Failure>;

    /// Forgets a user who is banned, with all logins and places; id and look stay taken, and nobody has them.
    async fn remove(&self, id: &str) -> Result<(), Failure>;

    /// Remembers that a user logged in from a place.
    async fn remember_place(&self, user: &str, place: &str, now: i64) -> Result<(), Failure>;

    /// Adds a login; `false` if the user was banned or changed the password while it was being checked.
    async fn add_login(&self, new: NewLogin<'_>) -> Result<bool, Failure>;

    /// Ends the oldest logins of a user beyond the limit and returns their ids.
    async fn end_oldest_logins(&self, user: &str) -> Result<Vec<String>, Failure>;

    /// Ends all logins of a user but one and returns their ids. Those that begin meanwhile may go on: who wants none of
    /// them to begin changes the password, or bans, before.
    async fn end_logins(&self, user: &str, except: &str) -> Result<Vec<String>, Failure>;

    /// Returns the login of a token unless it has ended.
    async fn login(&self, token: &[u8], now: i64) -> Result<Option<LoginRow>, Failure>;

    /// Ends a login.
    async fn end_login(&self, login: &str) -> Result<(), Failure>;

    /// Forgets logins that ended, and places not seen since `seen_before`.
    async fn forget(&self, now: i64, seen_before: i64) -> Result<(), Failure>;

    /// Closes all connections.
    async fn close(&self);
}

/// Opens the accounts at a URL, and makes what is missing.
pub(super) async fn open(url: &str) -> Result<Box<dyn AccountStore>, Failure> {
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        "sqlite" => sqlite::open(url).await,
        "postgres" => postgres::open(url).await,
        "mysql" | "mariadb" => mysql::open(url).await,
        "mongodb" => mongo::open(url).await,
        scheme => Err(format!("no accounts are kept at `{scheme}:`").into()),
    }
}

/// Takes a parameter of the chat's out of a URL that it shares: drivers refuse what they do not know. Returns what is left,
/// and its value.
fn without(url: &str, name: &str) -> (String, Option<String>) {
    let Some((start, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (ours, left): (Vec<_>, Vec<_>) =
        query.split('&').partition(|pair| pair.split_once('=').is_some_and(|(key, _)| key == name));
    let value = ours.last().and_then(|pair| pair.split_once('=')).map(|(_, value)| value.to_owned());
    (if left.is_empty() { start.to_owned() } else { format!("{start}?{}", left.join("&")) }, value)
}
