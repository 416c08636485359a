//! What the code that all dialects share asks of a connection.

use std::future::Future;

use chat_core::{RoomId, Seq, StoreError, UserId, store::Consumer};
use sqlx::Error;

use crate::{
    error::during,
    prefix::Prefix,
    row::{BehindRow, EntryRow, HeadRow, KeptRow, KnownRow, MarkRow, MemberRow, RoomRow, StateRow, SummaryRow},
    statements::Statements,
};

/// Is a value for a statement's `?1`, `?2`….
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    Int(i64),
    Text(Option<String>),
    Bytes(Vec<u8>),
}

/// Lists the values of a statement.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { vec![$($crate::connection::Arg::from($arg)),*] };
}
pub(crate) use args;

/// Is a connection of one dialect. It is given statements that have been [filled](Prefix::fill).
pub(crate) trait Connection:
    Fetch<BehindRow>
    + Fetch<EntryRow>
    + Fetch<HeadRow>
    + Fetch<KeptRow>
    + Fetch<KnownRow>
    + Fetch<MarkRow>
    + Fetch<MemberRow>
    + Fetch<RoomRow>
    + Fetch<StateRow>
    + Fetch<SummaryRow>
    + Fetch<(i64, i64)>
    + Fetch<(i64, String)>
    + Fetch<(Vec<u8>, i64)>
    + Fetch<(String,)>
    + Fetch<(Vec<u8>,)>
{
    /// What this dialect says in its own way.
    const STATEMENTS: Statements;

    /// Runs a statement and returns how many rows it wrote.
    fn execute(&mut self, sql: String, args: Vec<Arg>) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Runs a command without arguments, such as COMMIT, which need not be a statement that can be prepared.
    fn command(&mut self, sql: String) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Reads rows of one type.
pub(crate) trait Fetch<T>: Send {
    fn fetch(&mut self, sql: String, args: Vec<Arg>) -> impl Future<Output = Result<Vec<T>, Error>> + Send;
}

/// Is a connection, together with how names are spelled there.
pub(crate) struct Db<'a, C> {
    pub(crate) connection: &'a mut C,
    pub(crate) prefix: &'a Prefix,
}

impl<C: Connection> Db<'_, C> {
    pub(crate) async fn execute(&mut self, what: &str, sql: &'static str, args: Vec<Arg>) -> Result<u64, StoreError> {
        self.connection.execute(self.prefix.fill(sql), args).await.map_err(during(what))
    }

    pub(crate) async fn fetch<T>(&mut self, what: &str, sql: &'static str, args: Vec<Arg>) -> Result<Vec<T>, StoreError>
    where
        C: Fetch<T>,
    {
        Fetch::<T>::fetch(self.connection, self.prefix.fill(sql), args).await.map_err(during(what))
    }
}

/// Makes a driver's connection one of ours. `$prepare` turns a statement and its arguments into those of the driver.
macro_rules! connection {
    ($connection:ty, $row:ty, $statements:expr, $prepare:path) => {
        impl $crate::connection::Connection for $connection {
            const STATEMENTS: $crate::statements::Statements = $statements;

            async fn execute(&mut self, sql: String, args: Vec<$crate::connection::Arg>) -> Result<u64, sqlx::Error> {
                let (sql, args) = $prepare(sql, args);
                let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
                for arg in args {
                    query = match arg {
                        $crate::connection::Arg::Int(int) => query.bind(int),
                        $crate::connection::Arg::Text(text) => query.bind(text),
                        $crate::connection::Arg::Bytes(bytes) => query.bind(bytes),
                    };
                }
                Ok(query.execute(self).await?.rows_affected())
            }

            async fn command(&mut self, sql: String) -> Result<(), sqlx::Error> {
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(self).await?;
                Ok(())
            }
        }

        impl<T> $crate::connection::Fetch<T> for $connection
        where
            T: for<'r> sqlx::FromRow<'r, $row> + Send + Unpin,
        {
            async fn fetch(&mut self, sql: String, args: Vec<$crate::connection::Arg>) -> Result<Vec<T>, sqlx::Error> {
                let (sql, args) = $prepare(sql, args);
                let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
                for arg in args {
                    query = match arg {
                        $crate::connection::Arg::Int(int) => query.bind(int),
                        $crate::connection::Arg::Text(text) => query.bind(text),
                        $crate::connection::Arg::Bytes(bytes) => query.bind(bytes),
                    };
                }
                query.fetch_all(self).await
            }
        }
    };
}
pub(crate) use connection;

impl From<i64> for Arg {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<u16> for Arg {
    fn from(int: u16) -> Self {
        Self::Int(int.into())
    }
}

impl From<Seq> for Arg {
    fn from(seq: Seq) -> Self {
        Self::Int(seq.to_stored())
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<&Consumer> for Arg {
    fn from(consumer: &Consumer) -> Self {
        consumer.as_str().into()
    }
}

impl From<&UserId> for Arg {
    fn from(user: &UserId) -> Self {
        user.as_str().into()
    }
}

impl From<Option<&UserId>> for Arg {
    fn from(user: Option<&UserId>) -> Self {
        Self::Text(user.map(|user| user.as_str().to_owned()))
    }
}

impl From<Vec<u8>> for Arg {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<RoomId> for Arg {
    fn from(room: RoomId) -> Self {
        Self::Bytes(room.as_bytes().to_vec())
    }
}
