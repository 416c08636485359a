//! What guessing passwords costs the server, and what it tells.

use futures::future::join_all;
use serde_json::json;

use crate::{
    server::{PASSWORD, Server},
    vitals::Vitals,
};

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn sixteen_logins_at_once_take_the_memory_of_two_s10() {
    let server = Server::start(&[]);
    for number in 0..16 {
        assert_eq!(server.register(&format!("user{number}")).await.status, 201);
    }
    let vitals = Vitals::of(server.pid());
    vitals.forget_peak().unwrap();
    let before = vitals.memory();
    let names: Vec<String> = (0..16).map(|number| format!("user{number}")).collect();
    let answers = join_all(names.iter().map(|name| server.login(name))).await;
    let grown = vitals.memory_peak().saturating_sub(before);
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    let told_to_wait = answers.iter().filter(|answer| [429, 503].contains(&answer.status.as_u16())).count();
    assert_eq!(admitted + told_to_wait, 16, "{answers:?}");
    assert!(admitted >= 2);
    // The memory of one hash is there already; another 19 MiB, and what else sixteen requests take. All at once would be 304 MiB.
    assert!(grown < 60 * MIB, "{} MiB for {admitted} logins", grown / MIB);
}

/// Not timed: what takes as long must do as much.
#[tokio::test]
async fn an_unknown_user_costs_one_hash_as_a_wrong_password_does_s11() {
    let server = Server::start(&[]);
    server.register("ann").await;
    let hashes = async || {
        let metrics = server.operator("/metrics").await.text;
        let line = metrics.lines().find_map(|line| line.strip_prefix("chat_password_hashes_total ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let mut texts = Vec::new();
    for (user, password) in [
        ("ann", "wrong horse"),
        ("bob", "wrong horse"),
        ("bob", PASSWORD),
        ("system", PASSWORD),
        ("no name at all", PASSWORD),
        ("", PASSWORD),
        ("ann", ""),
    ] {
        let before = hashes().await;
        let answer = server.post("/api/login", json!({ "user": user, "password": password })).await;
        assert_eq!((answer.status.as_u16(), hashes().await - before), (401, 1), "{user:?} {password:?}");
        texts.push(answer.text);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
}
