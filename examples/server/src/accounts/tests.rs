//! Accounts on each kind of database: on SQLite always, on real servers by the step `stores` of `scripts/test`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    process::id,
    sync::atomic::{AtomicU32, Ordering},
};

use sqlx::Connection as _;

use super::*;

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
const PASSWORD: &str = "correct horse";

/// How long a login lasts, unless a test says otherwise.
const LASTS: Duration = Duration::from_mins(1);

/// Makes each case a test on each database.
macro_rules! on_each {
    ($($case:ident),+ $(,)?) => {
        on_each!(sqlite, Place::sqlite() => $($case),+);
        on_each!(postgres, Place::postgres() => $($case),+; #[ignore = "needs PostgreSQL: scripts/test"]);
        on_each!(mysql, Place::mysql().await => $($case),+; #[ignore = "needs MariaDB or MySQL: scripts/test"]);
        on_each!(mongodb, Place::mongodb() => $($case),+; #[ignore = "needs MongoDB: scripts/test"]);
    };
    ($name:ident, $place:expr => $($case:ident),+ $(; #[$ignore:meta])?) => {
        on_each!(@ $name, $place, ($(#[$ignore])?) $($case)+);
    };
    (@ $name:ident, $place:expr, $ignore:tt $($case:ident)+) => {
        mod $name {
            use super::Place;
            $(on_each!(# $ignore $case $place);)+
        }
    };
    (# ($($ignore:tt)*) $case:ident $place:expr) => {
        #[tokio::test]
        $($ignore)*
        async fn $case() {
            super::$case($place).await;
        }
    };
}

/// Makes each case a test on each database that has tables.
macro_rules! on_sql {
    ($($case:ident),+ $(,)?) => {
        on_each!(sqlite_tables, Place::sqlite() => $($case),+);
        on_each!(postgres_tables, Place::postgres() => $($case),+; #[ignore = "needs PostgreSQL: scripts/test"]);
        on_each!(mysql_tables, Place::mysql().await => $($case),+; #[ignore = "needs MariaDB or MySQL: scripts/test"]);
    };
}

on_each!(
    who_registers_logs_in_under_any_spelling_until_they_log_out,
    twins_and_look_alikes_are_taken,
    an_unknown_user_and_a_wrong_password_get_the_same_answer,
    strangers_who_guess_stop_each_other_and_not_the_owner,
    a_user_has_at_most_fifty_logins_and_the_oldest_end,
    a_login_ends_by_itself_and_is_forgotten,
    a_hash_of_old_parameters_is_renewed_at_login,
    another_password_ends_all_other_logins_and_the_old_one_opens_none,
    guesses_at_the_current_password_are_counted_like_those_at_the_login,
    a_login_that_was_checked_before_a_change_of_password_or_a_ban_does_not_begin_after_it,
    who_is_banned_is_told_so_only_with_the_right_password,
    who_is_removed_is_a_stranger_whose_name_stays_taken,
    people_are_found_together_under_any_spelling,
    what_was_registered_is_found_by_another_server,
);

on_sql!(tables_of_another_version_are_refused, tables_that_do_not_say_of_which_version_they_are_are_refused);

/// Is a database of a test's own.
struct Place {
    url: String,
    _folder: Option<tempfile::TempDir>,
}

fn server(variable: &str) -> (String, String) {
    static PLACES: AtomicU32 = AtomicU32::new(0);
    let server =
        std::env::var(variable).unwrap_or_else(|_| panic!("{variable} says where the server is: see scripts/services"));
    // By the time as well: what stands under it is not removed, and process numbers come again.
    (server, format!("acc{}_{}_{}", now(), id(), PLACES.fetch_add(1, Ordering::Relaxed)))
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("sqlite:{}/accounts.db", folder.path().display()), _folder: Some(folder) }
    }

    fn postgres() -> Self {
        let (server, name) = server("CHAT_TEST_POSTGRES");
        Self { url: format!("{server}?schema={name}"), _folder: None }
    }

    async fn mysql() -> Self {
        let (server, name) = server("CHAT_TEST_MYSQL");
        let mut root = sqlx::MySqlConnection::connect(&server).await.expect("MySQL answers");
        let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut root).await.unwrap();
        Self { url: format!("{}/{name}", server.rsplit_once('/').unwrap().0), _folder: None }
    }

    fn mongodb() -> Self {
        let (server, name) = server("CHAT_TEST_MONGODB");
        Self { url: format!("{server}/{name}?namespace=a_"), _folder: None }
    }

    /// Runs statements as an operator does, by hand.
    async fn run(&self, script: &str) {
        let (server, schema) = self.url.split_once("?schema=").unwrap_or((&self.url, ""));
        let set = if schema.is_empty() { String::new() } else { format!("SET search_path TO {schema};") };
        let script = sqlx::raw_sql(sqlx::AssertSqlSafe(set + script));
        match server.split_once(':').unwrap().0 {
            "sqlite" => script.execute(&mut sqlx::SqliteConnection::connect(server).await.unwrap()).await.map(drop),
            "postgres" => script.execute(&mut sqlx::PgConnection::connect(server).await.unwrap()).await.map(drop),
            _ => script.execute(&mut sqlx::MySqlConnection::connect(server).await.unwrap()).await.map(drop),
        }
        .unwrap();
    }

    async fn open(&self, session: Duration) -> Accounts {
        Accounts::open(&self.url, session).await.expect("the database answers")
    }
}

fn ann() -> Registration<'static> {
    Registration { user: "Ann", password: PASSWORD, name: None }
}

async fn who_registers_logs_in_under_any_spelling_until_they_log_out(place: Place) {
    let accounts = place.open(LASTS).await;
    assert_eq!(accounts.register(ann(), HOME).await.unwrap(), ("ann".to_owned(), "Ann".to_owned()));
    let session = accounts.login("ＡＮＮ", PASSWORD, HOME).await.unwrap();
    let identity = accounts.authenticate(session.token.reveal()).await.unwrap();
    assert_eq!((identity.user.as_str(), &*identity.name), ("ann", "Ann"));
    assert_eq!((&*identity.login, identity.expires), (&*session.row.login, Some(Timestamp(session.row.expires))));
    accounts.logout(&session.row.login).await.unwrap();
    assert_eq!(accounts.authenticate(session.token.reveal()).await, Err(Code::Unauthenticated));
}

async fn twins_and_look_alikes_are_taken(place: Place) {
    let accounts = place.open(LASTS).await;
    accounts.register(ann(), HOME).await.unwrap();
    for (user, name) in [("ann", None), ("ANN", None), ("\u{430}nn", None), ("bob", Some("Ann"))] {
        let twin = Registration { user, password: PASSWORD, name };
        assert!(matches!(accounts.register(twin, HOME).await, Err(AccountError::Taken)), "{user} {name:?}");
    }
}

async fn an_unknown_user_and_a_wrong_password_get_the_same_answer(place: Place) {
    let accounts = place.open(LASTS).await;
    accounts.register(ann(), HOME).await.unwrap();
    for user in ["ann", "bob", "no name at all", "system"] {
        let answer = accounts.login(user, "wrong horse", HOME).await.map(drop).unwrap_err();
        assert!(matches!(answer, AccountError::Wrong), "{user}: {answer}");
    }
}

async fn strangers_who_guess_stop_each_other_and_not_the_owner(place: Place) {
    let accounts = place.open(LASTS).await;
    accounts.register(ann(), HOME).await.unwrap();
    let mut wrong = 0;
    let refused = loop {
        match accounts.login("ann", "wrong horse", ELSEWHERE).await.map(drop).unwrap_err() {
            AccountError::TooMany(wait) => break wait,
            error => assert!(matches!(error, AccountError::Wrong)),
        }
        wrong += 1;
    };
    assert!(wrong >= 20 && refused <= Duration::from_mins(1), "{wrong} {refused:?}");
    let other = ELSEWHERE.to_string().replace(".1", ".2").parse().unwrap();
    assert!(matches!(accounts.login("ann", PASSWORD, other).await, Err(AccountError::TooMany(_))));
    assert!(accounts.login("ann", PASSWORD, HOME).await.is_ok());
}

async fn a_user_has_at_most_fifty_logins_and_the_oldest_end(place: Place) {
    let accounts = place.open(LASTS).await;
    accounts.register(ann(), HOME).await.unwrap();
    let hash = accounts.db.user("ann", "").await.unwrap().unwrap().password;
    let first = accounts.begin("ann".to_owned(), "Ann".to_owned(), &hash).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await; // a later millisecond: the order is by time
    let mut ended = Vec::new();
    for _ in 0..50 {
        ended.extend(accounts.begin("ann".to_owned(), "Ann".to_owned(), &hash).await.unwrap().ended);
    }
    assert_eq!(ended, [first.row.login]);
    assert!(accounts.session(first.token.reveal()).await.unwrap().is_none());
}

async fn a_login_ends_by_itself_and_is_forgotten(place: Place) {
    let accounts = place.open(Duration::ZERO).await;
    accounts.register(ann(), HOME).await.unwrap();
    let session = accounts.login("ann", PASSWORD, HOME).await.unwrap();
    assert!(accounts.session(session.token.reveal()).await.unwrap().is_none());
    accounts.forget().await.unwrap();
}

async fn a_hash_of_old_parameters_is_renewed_at_login(place: Place) {
    use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};
    let accounts = place.open(LASTS).await;
    accounts.register(ann(), HOME).await.unwrap();
    let cheap = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8_192, 1, 1, None).unwrap());
    let old = PasswordHasher::<argon2::password_hash::phc::PasswordHash>::hash_password(&cheap, PASSWORD.as_bytes());
    let today = accounts.db.user("ann", "").await.unwrap().unwrap().password;
    assert!(accounts.db.set_password("ann", &today, &old.unwrap().to_string()).await.unwrap());
    accounts.login("ann", PASSWORD, HOME).await.unwrap();
    let renewed = accounts.db.user("ann", "").await.unwrap().unwrap().password;
    assert!(renewed.contains("m=19456,t=2,p=1"), "{renewed}");
    assert!(accounts.login("ann", PASSWORD, HOME).await.is_ok());
}

fn other_password<'a>(login: &'a str, current: &'a str) -> NewPassword<'a> {
    NewPassword { user: "ann", login, current, new: "another horse" }
}

async fn another_password_ends_all_other_logins_and_the_old_one_opens_none(place: Place) {
    let accounts = place.open(LASTS).await;
    accounts.register(ann(), HOME).await.unwrap();
    let here = accounts.login("ann", PASSWORD, HOME).await.unwrap();
    let there = accounts.login("ann", PASSWORD, HOME).await.unwrap();
    let wrong = accounts.change_password(other_password(&here.row.login, "wrong horse"), HOME).await;
    assert!(matches!(wrong, Err(AccountError::WrongCurrent)));
    let common = NewPassword { new: "password1", ..other_password(&here.row.login, PASSWORD) };
    assert!(matches!(accounts.change_password(common, HOME).await, Err(AccountError::Password(_))));

    let ended = accounts.change_password(other_password(&here.row.login, PASSWORD), HOME).await.unwrap();
    assert_eq!(ended, [there.row.login]);
    assert!(accounts.session(here.token.reveal()).await.unwrap().is_some());
    assert!(accounts.session(there.token.reveal()).await.unwrap().is_none());
    assert!(matches!(accounts.login("ann", PASSWORD, HOME).await.map(drop), Err(AccountError::Wrong)));
    assert!(accounts.login("ann", "another horse", HOME).await.is_ok());
}

async fn guesses_at_the_current_password_are_counted_like_those_at_the_login(place: Place) {
    let accounts = place.open(LASTS).await;
    accounts.register(ann(), HOME).await.unwrap();
    for _ in 0..60 {
        match accounts.change_password(other_password("", "wrong horse"), ELSEWHERE).await.unwrap_err() {
            AccountError::TooMany(_) => return,
            error => assert!(matches!(error, AccountError::WrongCurrent), "{error}"),
        }
    }
    panic!("sixty guesses");
}

async fn a_login_that_was_checked_before_a_change_of_password_or_a_ban_does_not_begin_after_it(place: Place) {
    let accounts = place.open(LASTS).await;
    accounts.register(ann(), HOME).await.unwrap();
    let old = accounts.db.user("ann", "").await.unwrap().unwrap().password;
    let begin = async |hash: &str| accounts.begin("ann".to_owned(), "Ann".to_owned(), hash).await.map(drop);
    begin(&old).await.unwrap();
    accounts.change_password(other_password("", PASSWORD), HOME).await.unwrap();
    assert!(matches!(begin(&old).await, Err(AccountError::Changed)));
    let new = accounts.db.user("ann", "").await.unwrap().unwrap().password;
    begin(&new).await.unwrap();
    accounts.ban("ann").await.unwrap();
    assert!(matches!(begin(&new).await, Err(AccountError::Changed)));
}

async fn who_is_banned_is_told_so_only_with_the_right_password(place: Place) {
    let accounts = place.open(LASTS).await;
    accounts.register(ann(), HOME).await.unwrap();
    let session = accounts.login("ann", PASSWORD, HOME).await.unwrap();
    let (id, ended) = accounts.ban("ANN").await.unwrap().unwrap();
    assert_eq!((&*id, ended), ("ann", vec![session.row.login]));
    assert_eq!(accounts.authenticate(session.token.reveal()).await, Err(Code::Unauthenticated));
    assert!(matches!(accounts.login("ann", "wrong horse", HOME).await.map(drop), Err(AccountError::Wrong)));
    assert!(matches!(accounts.login("ann", PASSWORD, HOME).await.map(drop), Err(AccountError::Banned)));
    assert!(accounts.ban("bob").await.unwrap().is_none());
    assert!(accounts.unban("Ann").await.unwrap() && !accounts.unban("ann").await.unwrap());
    assert!(accounts.login("ann", PASSWORD, HOME).await.is_ok());
}

async fn who_is_removed_is_a_stranger_whose_name_stays_taken(place: Place) {
    let accounts = place.open(LASTS).await;
    accounts.register(ann(), HOME).await.unwrap();
    let session = accounts.login("ann", PASSWORD, HOME).await.unwrap();
    let (id, ended) = accounts.remove("ANN").await.unwrap().unwrap();
    assert_eq!((&*id, ended), ("ann", vec![session.row.login]));
    assert_eq!(accounts.authenticate(session.token.reveal()).await, Err(Code::Unauthenticated));
    assert!(matches!(accounts.login("ann", PASSWORD, HOME).await.map(drop), Err(AccountError::Wrong)));
    assert!(accounts.remove("ann").await.unwrap().is_none());
    assert!(matches!(accounts.register(ann(), HOME).await, Err(AccountError::Taken)), "her rooms are not another's");
    assert!(matches!(accounts.login("ann", PASSWORD, HOME).await.map(drop), Err(AccountError::Wrong)));
    assert!(accounts.ban("ann").await.unwrap().is_none() && !accounts.unban("ann").await.unwrap());
}

async fn people_are_found_together_under_any_spelling(place: Place) {
    let accounts = place.open(LASTS).await;
    for user in ["Ann", "bob", "eve"] {
        accounts.register(Registration { user, ..ann() }, HOME).await.unwrap();
    }
    accounts.ban("bob").await.unwrap();
    accounts.remove("eve").await.unwrap();
    let find = async |users: &[&str]| accounts.find(users).await.unwrap();
    let ids = |ids: &[&str]| Some(ids.iter().map(ToString::to_string).collect());
    assert_eq!(find(&["BOB", "ＡＮＮ", "bob"]).await, ids(&["bob", "ann", "bob"]));
    assert_eq!(find(&["ann"; 256]).await, ids(&["ann"; 256]));
    assert_eq!(find(&[]).await, ids(&[]));
    for stranger in ["eve", "dan", "no name at all", "system", "\u{430}nn"] {
        assert_eq!(find(&["ann", stranger]).await, None, "{stranger}");
    }
    let crowd: Vec<_> = (0..256).map(|number| format!("p{number}")).collect();
    assert_eq!(find(&crowd.iter().map(String::as_str).collect::<Vec<_>>()).await, None);
}

async fn what_was_registered_is_found_by_another_server(place: Place) {
    let (one, other) = (place.open(LASTS).await, place.open(LASTS).await);
    one.register(ann(), HOME).await.unwrap();
    let session = other.login("ann", PASSWORD, HOME).await.unwrap();
    assert!(one.session(session.token.reveal()).await.unwrap().is_some());
    one.close().await;
    other.logout(&session.row.login).await.unwrap();
    let again = place.open(LASTS).await;
    assert!(again.session(session.token.reveal()).await.unwrap().is_none());
    assert!(matches!(again.register(ann(), HOME).await, Err(AccountError::Taken)));
}

async fn refused(place: Place) {
    let error = store::open(&place.url).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("made by another version of this program"), "{error}");
}

async fn tables_of_another_version_are_refused(place: Place) {
    place.open(LASTS).await.close().await;
    place.open(LASTS).await.close().await;
    place.run("UPDATE account_schema SET digest = 'of another text'").await;
    refused(place).await;
}

async fn tables_that_do_not_say_of_which_version_they_are_are_refused(place: Place) {
    place.open(LASTS).await.close().await;
    place.run("DROP TABLE account_schema").await;
    refused(place).await;
}
