//! Users and their logins: what the engine leaves to its host.

mod attempts;
mod name;
mod password;
mod store;
mod token;

use std::{net::IpAddr, time::Duration};

use async_trait::async_trait;
use chat_core::{Authenticator, Clock, Code, HubError, Identity, Timestamp, UserId, clock::SystemClock};

use crate::config::Secret;

use attempts::{Attempts, Place};
use name::{NameError, ShownName, UserName};
use password::{HashError, Hasher, PasswordError, Verdict};
use store::{AccountStore, NewLogin, NewUser, UserRow};
pub(crate) use store::{LoginRow, keep_private};

/// A place that nobody logged in from for so long is a stranger's again.
const PLACE_KEPT_MS: i64 = 90 * 24 * 60 * 60 * 1_000;

/// Says why something about an account was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("this name is taken, or looks like one that is")]
    Taken,
    /// Says the same for an unknown user as for a wrong password.
    #[error("user name or password is wrong")]
    Wrong,
    #[error("the current password is wrong")]
    WrongCurrent,
    /// Said only to who knows the password.
    #[error("this account is closed; ask who runs this chat")]
    Banned,
    #[error("the account was changed just now, please try again")]
    Changed,
    #[error("too many wrong passwords, please wait a moment")]
    TooMany(Duration),
    #[error(transparent)]
    Hash(#[from] HashError),
    #[error("the accounts cannot be reached")]
    Store(#[from] store::Failure),
    #[error("this machine has no random numbers")]
    Random(#[from] getrandom::Error),
}

/// What of it the person who asked is told.
impl From<AccountError> for HubError {
    fn from(error: AccountError) -> Self {
        let code = match &error {
            AccountError::Name(_) | AccountError::Password(_) => Code::InvalidBody,
            AccountError::Taken => Code::Conflict,
            AccountError::Wrong => Code::Unauthenticated,
            AccountError::WrongCurrent | AccountError::Banned => Code::Denied,
            AccountError::TooMany(wait) => return Self::new(Code::RateLimited, error.to_string()).after(*wait),
            AccountError::Hash(_) | AccountError::Changed => Code::Retry,
            AccountError::Store(_) | AccountError::Random(_) => {
                tracing::error!(?error, "accounts failed");
                return Code::Retry.into();
            }
        };
        Self::new(code, error.to_string())
    }
}

/// Is somebody who wants an account.
pub(crate) struct Registration<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    pub(crate) name: Option<&'a str>,
}

/// Is another password for somebody who is logged in.
pub(crate) struct NewPassword<'a> {
    pub(crate) user: &'a str,
    /// The login that goes on.
    pub(crate) login: &'a str,
    pub(crate) current: &'a str,
    pub(crate) new: &'a str,
}

/// Is a new login. The token is shown to its user and to nobody else, once.
pub(crate) struct NewSession {
    pub(crate) token: Secret,
    pub(crate) row: LoginRow,
    /// The logins that ended because there were too many.
    pub(crate) ended: Vec<String>,
}

/// Keeps accounts.
pub(crate) struct Accounts {
    db: Box<dyn AccountStore>,
    hasher: Hasher,
    attempts: Attempts,
    session: Duration,
}

impl Accounts {
    /// Opens the accounts at a URL; logins will last for `session`.
    pub(crate) async fn open(url: &str, session: Duration) -> Result<Self, AccountError> {
        let accounts =
            Self { db: store::open(url).await?, hasher: Hasher::new()?, attempts: Attempts::default(), session };
        accounts.forget().await?;
        Ok(accounts)
    }

    /// Makes an account and returns its id and display name.
    pub(crate) async fn register(&self, new: Registration<'_>, from: IpAddr) -> Result<(String, String), AccountError> {
        let user = UserName::parse(new.user)?;
        let shown = ShownName::parse(new.name.unwrap_or(new.user))?;
        let password = password::normal(new.password);
        password::check(&password, user.id())?;
        // Hashing is dear: what can be refused is refused before. The insert below decides for good.
        if self.db.is_look_taken(user.look()).await? || self.db.is_look_taken(shown.look()).await? {
            return Err(AccountError::Taken);
        }
        let hash = self.hasher.hash(&password).await?;
        let (id, name) = (user.id(), shown.as_str());
        let row = NewUser { id, look: user.look(), name, password: &hash, created: now() };
        if !self.db.add_user(row).await? {
            return Err(AccountError::Taken);
        }
        self.db.remember_place(id, &Place::of(from).to_string(), now()).await?;
        Ok((id.to_owned(), name.to_owned()))
    }

    /// Begins a login.
    pub(crate) async fn login(&self, user: &str, typed: &str, from: IpAddr) -> Result<NewSession, AccountError> {
        let id = UserName::parse(user).map(|name| name.id().to_owned()).unwrap_or_default();
        let Some((row, verdict)) = self.prove(&id, typed, from).await? else { return Err(AccountError::Wrong) };
        if row.banned {
            return Err(AccountError::Banned);
        }
        let mut stored = row.password;
        if verdict == Verdict::Outdated {
            let renewed = self.hasher.hash(&password::normal(typed)).await?;
            if !self.db.set_password(&id, &stored, &renewed).await? {
                return Err(AccountError::Changed);
            }
            stored = renewed;
        }
        self.db.remember_place(&id, &Place::of(from).to_string(), now()).await?;
        self.begin(id, row.name, &stored).await
    }

    /// Checks a password, as often as guessing allows. `None`: it is wrong, or there is no such user, which takes as
    /// long.
    async fn prove(&self, id: &str, typed: &str, from: IpAddr) -> Result<Option<(UserRow, Verdict)>, AccountError> {
        let (password, place) = (password::normal(typed), Place::of(from));
        let row = self.db.user(id, &place.to_string()).await?;
        let known = row.as_ref().is_some_and(|row| row.known);
        self.attempts.take(id, place, known).map_err(AccountError::TooMany)?;
        let stored = row.as_ref().map(|row| row.password.clone());
        let verdict = self.hasher.verify(&password, stored).await;
        if !matches!(verdict, Ok(Verdict::Wrong)) {
            self.attempts.refund(id, place, known);
        }
        let verdict = verdict?;
        if verdict == Verdict::Wrong {
            // An unknown name is left out of the log: it may be a password, typed into the wrong field.
            tracing::info!(user = ?row.is_some().then_some(id), address = %from, "wrong password");
        }
        Ok(row.filter(|_| verdict != Verdict::Wrong).map(|row| (row, verdict)))
    }

    async fn begin(&self, user: String, name: String, stored_password: &str) -> Result<NewSession, AccountError> {
        let (fresh, login, created) = (token::fresh()?, token::login_id()?, now());
        let expires = created.saturating_add(i64::try_from(self.session.as_millis()).unwrap_or(i64::MAX));
        let stored = token::stored(&fresh).unwrap_or_default();
        let (token, login_id) = (&*stored, &*login);
        let new = NewLogin { token, login: login_id, user: &user, password: stored_password, created, expires };
        if !self.db.add_login(new).await? {
            return Err(AccountError::Changed);
        }
        let ended = self.db.end_oldest_logins(&user).await?;
        Ok(NewSession { token: Secret::new(&fresh), row: LoginRow { user, name, login, expires }, ended })
    }

    /// Replaces the password of who is logged in, and ends all their other logins, whose ids are returned.
    pub(crate) async fn change_password(
        &self,
        new: NewPassword<'_>,
        from: IpAddr,
    ) -> Result<Vec<String>, AccountError> {
        let fresh = password::normal(new.new);
        password::check(&fresh, new.user)?;
        let Some((row, _)) = self.prove(new.user, new.current, from).await? else {
            return Err(AccountError::WrongCurrent);
        };
        let hash = self.hasher.hash(&fresh).await?;
        // From here on no login with the old password begins: each is added only while the hash is the one it knew.
        if !self.db.set_password(new.user, &row.password, &hash).await? {
            return Err(AccountError::Changed);
        }
        Ok(self.db.end_logins(new.user, new.login).await?)
    }

    /// Returns the ids of those who have these names, one for each; `None` if nobody has one of them. Asks the database
    /// once, however many they are.
    pub(crate) async fn find(&self, users: &[&str]) -> Result<Option<Vec<String>>, AccountError> {
        if users.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let Ok(names) = users.iter().map(|user| UserName::parse(user)).collect::<Result<Vec<_>, _>>() else {
            return Ok(None);
        };
        let mut ids: Vec<_> = names.iter().map(UserName::id).collect();
        ids.sort_unstable();
        ids.dedup();
        let there = self.db.users(&ids).await?;
        let found = there.len() == ids.len();
        Ok(found.then(|| names.iter().map(|name| name.id().to_owned()).collect()))
    }

    /// Keeps a user out from now on. Returns their id and the logins that have ended; `None` if there is no such user.
    pub(crate) async fn ban(&self, user: &str) -> Result<Option<(String, Vec<String>)>, AccountError> {
        let id = UserName::parse(user)?.id().to_owned();
        if !self.db.ban(&id, now()).await? {
            return Ok(None);
        }
        let ended = self.db.end_logins(&id, "").await?;
        Ok(Some((id, ended)))
    }

    /// Forgets a user: name, password, logins, places. The id stays taken, since rooms know it: whoever had it next would
    /// be a member of theirs. Returns the id and the logins that have ended; `None` if there is no such user.
    pub(crate) async fn remove(&self, user: &str) -> Result<Option<(String, Vec<String>)>, AccountError> {
        // Banned first, so that no login begins meanwhile.
        let Some((id, ended)) = self.ban(user).await? else { return Ok(None) };
        self.db.remove(&id).await?;
        Ok(Some((id, ended)))
    }

    /// Lets a user log in again; `false` if nobody kept them out.
    pub(crate) async fn unban(&self, user: &str) -> Result<bool, AccountError> {
        Ok(self.db.unban(UserName::parse(user)?.id()).await?)
    }

    /// Returns the login of a token unless it has ended.
    pub(crate) async fn session(&self, token: &str) -> Result<Option<LoginRow>, AccountError> {
        let Some(stored) = token::stored(token) else { return Ok(None) };
        Ok(self.db.login(&stored, now()).await?)
    }

    /// Ends a login. Its token is worth nothing when this returns.
    pub(crate) async fn logout(&self, login: &str) -> Result<(), AccountError> {
        Ok(self.db.end_login(login).await?)
    }

    /// Forgets what has ended. Called at the start and once an hour.
    pub(crate) async fn forget(&self) -> Result<(), AccountError> {
        Ok(self.db.forget(now(), now() - PLACE_KEPT_MS).await?)
    }

    /// Closes the database.
    pub(crate) async fn close(&self) {
        self.db.close().await;
    }
}

/// Lets a client of ours bring its token in `hello`.
#[async_trait]
impl Authenticator for Accounts {
    async fn authenticate(&self, token: &str) -> Result<Identity, Code> {
        let row = self.session(token).await.map_err(|error| {
            tracing::warn!(%error, "a token could not be checked");
            Code::Retry
        })?;
        row.ok_or(Code::Unauthenticated)?.identity()
    }
}

impl LoginRow {
    /// Returns who this is to the engine.
    pub(crate) fn identity(&self) -> Result<Identity, Code> {
        let user = UserId::new(&*self.user).map_err(|_| Code::Unauthenticated)?;
        Ok(Identity::human(user, &*self.name).with_login(&*self.login).with_expiry(Timestamp(self.expires)))
    }
}

fn now() -> i64 {
    SystemClock.now().0
}

#[cfg(test)]
mod tests;
