//! Accounts in MongoDB: one document a user, with all that is theirs, so that each step is one change of one document.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::{
    Client, Collection, IndexModel,
    bson::{Binary, Document, doc, spec::BinarySubtype},
    error::{Error, ErrorKind, WriteFailure},
    options::{
        Acknowledgment, ClientOptions, IndexOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
    },
};
use serde::{Deserialize, Serialize};

use super::{AccountStore, Failure, LOGINS_MAX, LoginRow, NewLogin, NewUser, UserRow, without};

/// Is the code of "another document has this value in a unique index".
const DUPLICATE_KEY: i32 = 11000;

/// How long to wait for a primary, and for a majority.
const WITHIN: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
struct User {
    #[serde(rename = "_id")]
    id: String,
    look: String,
    name: String,
    password: String,
    created: i64,
    /// When an operator kept them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    banned: Option<i64>,
    #[serde(default)]
    logins: Vec<StoredLogin>,
    #[serde(default)]
    places: Vec<Place>,
}

/// Is all that is read of a user to know that there is one.
#[derive(Deserialize)]
struct Id {
    #[serde(rename = "_id")]
    id: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredLogin {
    token: Binary,
    login: String,
    created: i64,
    expires: i64,
}

#[derive(Serialize, Deserialize)]
struct Place {
    place: String,
    seen: i64,
}

struct Users(Collection<User>);

pub(super) async fn open(url: &str) -> Result<Box<dyn AccountStore>, Failure> {
    let (url, namespace) = without(url, "namespace");
    let mut options = ClientOptions::parse(&url).await?;
    options.server_selection_timeout.get_or_insert(WITHIN);
    // What was answered as registered is with a majority, and read from there.
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.read_concern = Some(ReadConcern::majority());
    let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(WITHIN);
    options.write_concern = Some(concern.build());
    let database = options.default_database.clone().ok_or("the URL names no database")?;
    let name = format!("{}account_users", namespace.as_deref().unwrap_or("chat_"));
    let users = Client::with_options(options)?.database(&database).collection(&name);
    let index =
        |keys, unique| IndexModel::builder().keys(keys).options(IndexOptions::builder().unique(unique).build()).build();
    users.create_index(index(doc! { "look": 1 }, true)).await?;
    users.create_index(index(doc! { "logins.token": 1 }, false)).await?;
    users.create_index(index(doc! { "logins.login": 1 }, false)).await?;
    Ok(Box::new(Users(users)))
}

fn binary(bytes: &[u8]) -> Binary {
    Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() }
}

fn is_taken(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Write(WriteFailure::WriteError(error)) if error.code == DUPLICATE_KEY)
}

impl Users {
    /// Changes one document, and returns whether there was one.
    async fn change(&self, one: Document, update: Document) -> Result<bool, Failure> {
        Ok(self.0.update_one(one, update).await?.matched_count == 1)
    }

    async fn logins(&self, user: &str) -> Result<Vec<StoredLogin>, Failure> {
        Ok(self.0.find_one(doc! { "_id": user }).await?.map(|user| user.logins).unwrap_or_default())
    }

    async fn end(&self, user: &str, logins: impl Iterator<Item = StoredLogin>) -> Result<Vec<String>, Failure> {
        let ended: Vec<_> = logins.map(|login| login.login).collect();
        let pull = doc! { "$pull": { "logins": { "login": { "$in": ended.clone() } } } };
        self.change(doc! { "_id": user }, pull).await?;
        Ok(ended)
    }
}

#[async_trait]
impl AccountStore for Users {
    async fn add_user(&self, user: NewUser<'_>) -> Result<bool, Failure> {
        let [id, look, name, password] = [user.id, user.look, user.name, user.password].map(str::to_owned);
        let (banned, logins, places) = (None, Vec::new(), Vec::new());
        let user = User { id, look, name, password, created: user.created, banned, logins, places };
        match self.0.insert_one(user).await {
            Err(error) if is_taken(&error) => Ok(false),
            done => Ok(done.map(|_| true)?),
        }
    }

    async fn is_look_taken(&self, look: &str) -> Result<bool, Failure> {
        Ok(self.0.find_one(doc! { "look": look }).await?.is_some())
    }

    async fn user(&self, id: &str, place: &str) -> Result<Option<UserRow>, Failure> {
        let user = self.0.find_one(doc! { "_id": id }).await?.filter(|user| !user.password.is_empty());
        let row = user.map(|user| UserRow {
            known: user.places.iter().any(|known| known.place == place),
            banned: user.banned.is_some(),
            name: user.name,
            password: user.password,
        });
        Ok(row)
    }

    async fn users(&self, ids: &[&str]) -> Result<Vec<String>, Failure> {
        let there = doc! { "_id": { "$in": ids }, "password": { "$ne": "" } };
        let mut found = self.0.clone_with_type::<Id>().find(there).projection(doc! { "_id": 1 }).await?;
        let mut ids = Vec::new();
        while found.advance().await? {
            ids.push(found.deserialize_current()?.id);
        }
        Ok(ids)
    }

    async fn set_password(&self, id: &str, old: &str, new: &str) -> Result<bool, Failure> {
        self.change(doc! { "_id": id, "password": old }, doc! { "$set": { "password": new } }).await
    }

    async fn ban(&self, id: &str, now: i64) -> Result<bool, Failure> {
        self.change(doc! { "_id": id, "password": { "$ne": "" } }, doc! { "$set": { "banned": now } }).await
    }

    async fn unban(&self, id: &str) -> Result<bool, Failure> {
        self.change(doc! { "_id": id, "banned": { "$exists": true } }, doc! { "$unset": { "banned": "" } }).await
    }

    async fn remove(&self, id: &str) -> Result<(), Failure> {
        let nothing = doc! { "name": "", "password": "", "logins": [], "places": [] };
        self.change(doc! { "_id": id }, doc! { "$set": nothing, "$unset": { "banned": "" } }).await?;
        Ok(())
    }

    async fn remember_place(&self, user: &str, place: &str, now: i64) -> Result<(), Failure> {
        let seen = doc! { "$set": { "places.$.seen": now } };
        if !self.change(doc! { "_id": user, "places.place": place }, seen).await? {
            let push = doc! { "$push": { "places": { "place": place, "seen": now } } };
            self.change(doc! { "_id": user, "places.place": { "$ne": place } }, push).await?;
        }
        Ok(())
    }

    async fn add_login(&self, new: NewLogin<'_>) -> Result<bool, Failure> {
        let NewLogin { token, login, user, password, created, expires } = new;
        let login = doc! { "token": binary(token), "login": login, "created": created, "expires": expires };
        let allowed = doc! { "_id": user, "password": password, "banned": { "$exists": false } };
        self.change(allowed, doc! { "$push": { "logins": login } }).await
    }

    async fn end_oldest_logins(&self, user: &str) -> Result<Vec<String>, Failure> {
        let mut logins = self.logins(user).await?;
        logins.sort_by(|a, b| (b.created, &a.login).cmp(&(a.created, &b.login)));
        self.end(user, logins.into_iter().skip(LOGINS_MAX.into())).await
    }

    async fn end_logins(&self, user: &str, except: &str) -> Result<Vec<String>, Failure> {
        let logins = self.logins(user).await?;
        self.end(user, logins.into_iter().filter(|login| login.login != except)).await
    }

    async fn login(&self, token: &[u8], now: i64) -> Result<Option<LoginRow>, Failure> {
        let token = binary(token);
        let Some(user) = self.0.find_one(doc! { "logins.token": token.clone() }).await? else { return Ok(None) };
        let login = user.logins.into_iter().find(|login| login.token == token && login.expires > now);
        let row = |login: StoredLogin| LoginRow {
            user: user.id,
            name: user.name,
            login: login.login,
            expires: login.expires,
        };
        Ok(login.map(row))
    }

    async fn end_login(&self, login: &str) -> Result<(), Failure> {
        let pull = doc! { "$pull": { "logins": { "login": login } } };
        self.change(doc! { "logins.login": login }, pull).await.map(drop)
    }

    async fn forget(&self, now: i64, seen_before: i64) -> Result<(), Failure> {
        let ended = doc! { "logins": { "expires": { "$lte": now } }, "places": { "seen": { "$lt": seen_before } } };
        self.0.update_many(doc! {}, doc! { "$pull": ended }).await?;
        Ok(())
    }

    async fn close(&self) {
        self.0.client().clone().shutdown().await;
    }
}
