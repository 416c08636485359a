//! Accounts on a real SQLite file.
#![allow(clippy::unwrap_used)]

use super::*;

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
const PASSWORD: &str = "correct horse";

async fn open(folder: &tempfile::TempDir) -> Accounts {
    let url = format!("sqlite:{}/accounts.db", folder.path().display());
    Accounts::open(&url, Duration::from_mins(1)).await.unwrap()
}

fn ann() -> Registration<'static> {
    Registration { user: "Ann", password: PASSWORD, name: None }
}

#[tokio::test]
async fn who_registers_logs_in_under_any_spelling_until_they_log_out() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder).await;
    assert_eq!(accounts.register(ann(), HOME).await.unwrap(), ("ann".to_owned(), "Ann".to_owned()));
    let session = accounts.login("ＡＮＮ", PASSWORD, HOME).await.unwrap();
    let identity = accounts.authenticate(session.token.reveal()).await.unwrap();
    assert_eq!((identity.user.as_str(), &*identity.name), ("ann", "Ann"));
    assert_eq!((&*identity.login, identity.expires), (&*session.row.login, Some(Timestamp(session.row.expires))));
    accounts.logout(&session.row.login).await.unwrap();
    assert_eq!(accounts.authenticate(session.token.reveal()).await, Err(Code::Unauthenticated));
}

#[tokio::test]
async fn twins_and_look_alikes_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder).await;
    accounts.register(ann(), HOME).await.unwrap();
    for (user, name) in [("ann", None), ("ANN", None), ("\u{430}nn", None), ("bob", Some("Ann"))] {
        let twin = Registration { user, password: PASSWORD, name };
        assert!(matches!(accounts.register(twin, HOME).await, Err(AccountError::Taken)), "{user} {name:?}");
    }
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_get_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder).await;
    accounts.register(ann(), HOME).await.unwrap();
    for user in ["ann", "bob", "no name at all", "system"] {
        let answer = accounts.login(user, "wrong horse", HOME).await.map(drop).unwrap_err();
        assert!(matches!(answer, AccountError::Wrong), "{user}: {answer}");
    }
}

#[tokio::test]
async fn strangers_who_guess_stop_each_other_and_not_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder).await;
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

#[tokio::test]
async fn a_user_has_at_most_fifty_logins_and_the_oldest_end() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder).await;
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

#[tokio::test]
async fn a_login_ends_by_itself_and_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/accounts.db", folder.path().display());
    let accounts = Accounts::open(&url, Duration::ZERO).await.unwrap();
    accounts.register(ann(), HOME).await.unwrap();
    let session = accounts.login("ann", PASSWORD, HOME).await.unwrap();
    assert!(accounts.session(session.token.reveal()).await.unwrap().is_none());
    accounts.forget().await.unwrap();
}

#[tokio::test]
async fn a_hash_of_old_parameters_is_renewed_at_login() {
    use argon2::{Algorithm, Argon2, Params, Version, password_hash::PasswordHasher};
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder).await;
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

#[tokio::test]
async fn another_password_ends_all_other_logins_and_the_old_one_opens_none() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder).await;
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

#[tokio::test]
async fn guesses_at_the_current_password_are_counted_like_those_at_the_login() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder).await;
    accounts.register(ann(), HOME).await.unwrap();
    for _ in 0..60 {
        match accounts.change_password(other_password("", "wrong horse"), ELSEWHERE).await.unwrap_err() {
            AccountError::TooMany(_) => return,
            error => assert!(matches!(error, AccountError::WrongCurrent), "{error}"),
        }
    }
    panic!("sixty guesses");
}

#[tokio::test]
async fn a_login_that_was_checked_before_a_change_of_password_or_a_ban_does_not_begin_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder).await;
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

#[tokio::test]
async fn who_is_banned_is_told_so_only_with_the_right_password() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder).await;
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
