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
    let first = accounts.begin("ann".to_owned(), "Ann".to_owned()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await; // a later millisecond: the order is by time
    let mut ended = Vec::new();
    for _ in 0..50 {
        ended.extend(accounts.begin("ann".to_owned(), "Ann".to_owned()).await.unwrap().ended);
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
    accounts.db.set_password("ann", &old.unwrap().to_string()).await.unwrap();
    accounts.login("ann", PASSWORD, HOME).await.unwrap();
    let renewed = accounts.db.user("ann", "").await.unwrap().unwrap().password;
    assert!(renewed.contains("m=19456,t=2,p=1"), "{renewed}");
    assert!(accounts.login("ann", PASSWORD, HOME).await.is_ok());
}
