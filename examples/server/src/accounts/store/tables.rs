//! Accounts in tables: what is said to every SQL database alike. Each call is one statement that decides, so that none leaves
//! a transaction open.

use std::future::Future;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use sqlx::Error;

use super::{AccountStore, Failure, LOGINS_MAX, LoginRow, NewLogin, NewUser, UserRow};

/// Is a value for a statement's `?`.
#[derive(Clone, Copy)]
pub(super) enum Arg<'a> {
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Is a pool of connections to one kind of database. The names of its tables begin with `account_`, since they may share
/// a database with the chat's.
pub(super) trait Sql:
    Fetch<(i64,)> + Fetch<(String,)> + Fetch<(String, String, String, i64)> + Fetch<Found> + Sync + 'static
{
    /// Runs statements without parameters.
    fn script(&self, sql: String) -> impl Future<Output = Result<(), Error>> + Send;

    /// Runs a statement and returns how many rows it wrote.
    fn execute(&self, sql: &'static str, args: &[Arg<'_>]) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Ends all connections.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Reads rows of one type.
pub(super) trait Fetch<T>: Send {
    /// The statement holds no value, only a `?` for each.
    fn fetch(&self, sql: &str, args: &[Arg<'_>]) -> impl Future<Output = Result<Vec<T>, Error>> + Send;
}

/// Is a name and a password, if there is such a user, and how many places and bans of theirs were found.
type Found = (Option<String>, Option<String>, i64, i64);

/// Makes a driver's pool one of ours. `$spell` turns a statement into one of the driver's.
macro_rules! sql {
    ($pool:ty, $row:ty, $spell:expr) => {
        impl $crate::accounts::store::tables::Sql for $pool {
            async fn script(&self, sql: String) -> Result<(), sqlx::Error> {
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(self).await.map(drop)
            }

            async fn execute(
                &self,
                sql: &'static str,
                args: &[$crate::accounts::store::tables::Arg<'_>],
            ) -> Result<u64, sqlx::Error> {
                let mut query = sqlx::query(sqlx::AssertSqlSafe($spell(sql)));
                for arg in args {
                    query = match *arg {
                        $crate::accounts::store::tables::Arg::Int(int) => query.bind(int),
                        $crate::accounts::store::tables::Arg::Text(text) => query.bind(text.to_owned()),
                        $crate::accounts::store::tables::Arg::Bytes(bytes) => query.bind(bytes.to_vec()),
                    };
                }
                Ok(query.execute(self).await?.rows_affected())
            }

            async fn close(&self) {
                sqlx::Pool::close(self).await;
            }
        }

        impl<T> $crate::accounts::store::tables::Fetch<T> for $pool
        where
            T: for<'r> sqlx::FromRow<'r, $row> + Send + Unpin,
        {
            async fn fetch(
                &self,
                sql: &str,
                args: &[$crate::accounts::store::tables::Arg<'_>],
            ) -> Result<Vec<T>, sqlx::Error> {
                let mut query = sqlx::query_as(sqlx::AssertSqlSafe($spell(sql)));
                for arg in args {
                    query = match *arg {
                        $crate::accounts::store::tables::Arg::Int(int) => query.bind(int),
                        $crate::accounts::store::tables::Arg::Text(text) => query.bind(text.to_owned()),
                        $crate::accounts::store::tables::Arg::Bytes(bytes) => query.bind(bytes.to_vec()),
                    };
                }
                query.fetch_all(self).await
            }
        }
    };
}
pub(super) use sql;

/// Keeps accounts in tables.
pub(super) struct Tables<P>(pub(super) P);

/// Opens accounts in tables that `schema` makes. Where there are none yet, `record` notes its `{digest}` first.
///
/// Tables made from another text are refused: they may lack what the statements name, which somebody would find out who
/// registers.
pub(super) async fn open<P: Sql>(pool: P, record: &str, schema: &str) -> Result<Box<dyn AccountStore>, Failure> {
    let digest = hex::encode(Sha256::digest(schema));
    pool.script(record.replace("{digest}", &digest)).await?;
    let tables = Tables(pool);
    let recorded: Vec<(String,)> = tables.rows("SELECT digest FROM account_schema", &[]).await?;
    if recorded != [(digest,)] {
        let refused = "the tables of the accounts (`account_…`) were made by another version of this program; use that one, or keep \
                       the accounts elsewhere (`--accounts`)";
        return Err(refused.into());
    }
    tables.0.script(schema.to_owned()).await?;
    Ok(Box::new(tables))
}

impl<P: Sql> Tables<P> {
    async fn rows<T>(&self, sql: &str, args: &[Arg<'_>]) -> Result<Vec<T>, Failure>
    where
        P: Fetch<T>,
    {
        Ok(Fetch::<T>::fetch(&self.0, sql, args).await?)
    }

    /// Inserts a row; `None` if a unique column refused it.
    async fn insert(&self, sql: &'static str, args: &[Arg<'_>]) -> Result<Option<u64>, Failure> {
        match self.0.execute(sql, args).await {
            Err(error) if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation) => {
                Ok(None)
            }
            done => Ok(Some(done?)),
        }
    }

    async fn end(&self, logins: Vec<(String,)>) -> Result<Vec<String>, Failure> {
        let mut ended = Vec::with_capacity(logins.len());
        for (login,) in logins {
            self.end_login(&login).await?;
            ended.push(login);
        }
        Ok(ended)
    }
}

#[async_trait]
impl<P: Sql> AccountStore for Tables<P> {
    async fn add_user(&self, user: NewUser<'_>) -> Result<bool, Failure> {
        let sql = "INSERT INTO account_users (id, look, name, password, created) VALUES (?, ?, ?, ?, ?)";
        let [id, look, name, password] = [user.id, user.look, user.name, user.password].map(Arg::Text);
        Ok(self.insert(sql, &[id, look, name, password, Arg::Int(user.created)]).await?.is_some())
    }

    async fn is_look_taken(&self, look: &str) -> Result<bool, Failure> {
        let sql = "SELECT count(*) FROM account_users WHERE look = ?";
        let rows: Vec<(i64,)> = self.rows(sql, &[Arg::Text(look)]).await?;
        Ok(rows.iter().any(|(count,)| *count > 0))
    }

    /// There is a row to read for an unknown user too: a stranger with a clock must not see the difference.
    async fn user(&self, id: &str, place: &str) -> Result<Option<UserRow>, Failure> {
        let sql = "SELECT u.name, u.password, \
                   (SELECT count(*) FROM account_places AS p WHERE p.account = u.id AND p.place = ?), \
                   (SELECT count(*) FROM account_bans AS b WHERE b.account = u.id) \
                   FROM (SELECT 1 AS one) AS always LEFT JOIN account_users AS u ON u.id = ?";
        let rows: Vec<Found> = self.rows(sql, &[Arg::Text(place), Arg::Text(id)]).await?;
        let Some((Some(name), Some(password), places, bans)) = rows.into_iter().next() else { return Ok(None) };
        if password.is_empty() {
            return Ok(None); // removed
        }
        Ok(Some(UserRow { name, password, known: places > 0, banned: bans > 0 }))
    }

    async fn users(&self, ids: &[&str]) -> Result<Vec<String>, Failure> {
        // Each number of ids is a statement of its own, which is prepared and kept: so there are few.
        let count = ids.len().next_power_of_two();
        let places = vec!["?"; count].join(", ");
        let sql = format!("SELECT id FROM account_users WHERE password <> '' AND id IN ({places})");
        let args: Vec<_> = ids.iter().cycle().take(count).map(|id| Arg::Text(id)).collect();
        Ok(self.rows::<(String,)>(&sql, &args).await?.into_iter().map(|(id,)| id).collect())
    }

    async fn set_password(&self, id: &str, old: &str, new: &str) -> Result<bool, Failure> {
        let sql = "UPDATE account_users SET password = ? WHERE id = ? AND password = ?";
        Ok(self.0.execute(sql, &[new, id, old].map(Arg::Text)).await? == 1)
    }

    async fn ban(&self, id: &str, now: i64) -> Result<bool, Failure> {
        let sql =
            "INSERT INTO account_bans (account, at) SELECT id, ? FROM account_users WHERE id = ? AND password <> ''";
        // Who is banned already stays so.
        Ok(self.insert(sql, &[Arg::Int(now), Arg::Text(id)]).await? != Some(0))
    }

    async fn unban(&self, id: &str) -> Result<bool, Failure> {
        Ok(self.0.execute("DELETE FROM account_bans WHERE account = ?", &[Arg::Text(id)]).await? == 1)
    }

    async fn remove(&self, id: &str) -> Result<(), Failure> {
        // The password first: from then on no login begins, whatever becomes of the rest.
        for sql in [
            "UPDATE account_users SET name = '', password = '' WHERE id = ?",
            "DELETE FROM account_logins WHERE account = ?",
            "DELETE FROM account_places WHERE account = ?",
            "DELETE FROM account_bans WHERE account = ?",
        ] {
            self.0.execute(sql, &[Arg::Text(id)]).await?;
        }
        Ok(())
    }

    async fn remember_place(&self, user: &str, place: &str, now: i64) -> Result<(), Failure> {
        let args = [Arg::Int(now), Arg::Text(user), Arg::Text(place)];
        let seen = "UPDATE account_places SET seen = ? WHERE account = ? AND place = ?";
        if self.0.execute(seen, &args).await? == 0 {
            // Another login from there may have been quicker, which is as good.
            self.insert("INSERT INTO account_places (seen, account, place) VALUES (?, ?, ?)", &args).await?;
        }
        Ok(())
    }

    async fn add_login(&self, new: NewLogin<'_>) -> Result<bool, Failure> {
        let sql = "INSERT INTO account_logins (token, login, account, created, expires) \
                   SELECT ?, ?, id, ?, ? FROM account_users AS u WHERE u.id = ? AND u.password = ? \
                   AND NOT EXISTS (SELECT 1 FROM account_bans AS b WHERE b.account = u.id)";
        let NewLogin { token, login, user, password, created, expires } = new;
        let (begins, ends) = (Arg::Int(created), Arg::Int(expires));
        let args = [Arg::Bytes(token), Arg::Text(login), begins, ends, Arg::Text(user), Arg::Text(password)];
        Ok(self.0.execute(sql, &args).await? == 1)
    }

    async fn end_oldest_logins(&self, user: &str) -> Result<Vec<String>, Failure> {
        let sql = "SELECT login FROM account_logins WHERE account = ? ORDER BY created DESC, login LIMIT 1000 OFFSET ?";
        self.end(self.rows(sql, &[Arg::Text(user), Arg::Int(LOGINS_MAX.into())]).await?).await
    }

    async fn end_logins(&self, user: &str, except: &str) -> Result<Vec<String>, Failure> {
        let sql = "SELECT login FROM account_logins WHERE account = ? AND login <> ?";
        self.end(self.rows(sql, &[Arg::Text(user), Arg::Text(except)]).await?).await
    }

    async fn login(&self, token: &[u8], now: i64) -> Result<Option<LoginRow>, Failure> {
        let sql = "SELECT l.account, u.name, l.login, l.expires \
                   FROM account_logins AS l JOIN account_users AS u ON u.id = l.account \
                   WHERE l.token = ? AND l.expires > ? AND u.password <> ''";
        let rows: Vec<(String, String, String, i64)> = self.rows(sql, &[Arg::Bytes(token), Arg::Int(now)]).await?;
        let row = |(user, name, login, expires)| LoginRow { user, name, login, expires };
        Ok(rows.into_iter().next().map(row))
    }

    async fn end_login(&self, login: &str) -> Result<(), Failure> {
        self.0.execute("DELETE FROM account_logins WHERE login = ?", &[Arg::Text(login)]).await?;
        Ok(())
    }

    async fn forget(&self, now: i64, seen_before: i64) -> Result<(), Failure> {
        self.0.execute("DELETE FROM account_logins WHERE expires <= ?", &[Arg::Int(now)]).await?;
        self.0.execute("DELETE FROM account_places WHERE seen < ?", &[Arg::Int(seen_before)]).await?;
        Ok(())
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use parking_lot::Mutex;

    use super::*;

    /// Notes how many places and how many values each statement has, and finds nothing.
    #[derive(Default)]
    struct Noting(Mutex<Vec<(usize, usize)>>);

    impl<T: Send> Fetch<T> for Noting {
        async fn fetch(&self, sql: &str, args: &[Arg<'_>]) -> Result<Vec<T>, Error> {
            self.0.lock().push((sql.matches('?').count(), args.len()));
            Ok(Vec::new())
        }
    }

    impl Sql for Noting {
        async fn script(&self, _: String) -> Result<(), Error> {
            Ok(())
        }

        async fn execute(&self, _: &'static str, _: &[Arg<'_>]) -> Result<u64, Error> {
            Ok(0)
        }

        async fn close(&self) {}
    }

    #[tokio::test]
    async fn however_many_users_are_looked_for_it_is_one_statement_of_a_few() {
        let tables = Tables(Noting::default());
        for count in [1, 2, 3, 100, 256] {
            assert!(tables.users(&vec!["ann"; count]).await.unwrap().is_empty());
        }
        assert_eq!(*tables.0.0.lock(), [(1, 1), (2, 2), (4, 4), (128, 128), (256, 256)]);
    }
}
