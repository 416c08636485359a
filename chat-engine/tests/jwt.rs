//! Tokens as an attacker would make them: each is refused, and nothing is asked anywhere (S9, R15).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![allow(clippy::needless_pass_by_value)] // `json!(…)` reads best where it is used

use std::{
    net::TcpListener,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chat_engine::{
    Authenticator, Code, Engine, Event, Hub, Identity, Jwt,
    jwt::{Algorithm, Key, KeyError},
};
use futures::StreamExt;
use jsonwebtoken::{EncodingKey, crypto::sign};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};
use tokio::time::timeout;

const SECRET: &[u8] = b"a secret of exactly 32 bytes, so";

/// A public key whose private half was thrown away after it had signed `RSA_TOKEN`.
const RSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAl6fGgxw3QGYFHGDI0Eek
b88ACi0e32Oj1AjYdH2alob4yHQQkBxibPlb6BrsQkayjTJTYFa4It+cI+cZFN6d
bK0YcM145+anK8P041Ux1URJOni7mEjszzmTUH6XvdZejYFA2/YYM+NefGwD4am6
nWEkISZd/8okMUCErTunC/y4EJszETbHv2nMo0Z+fxNz3rUb+vK3ud5m92NGUCDm
niD+x/wUiqD+ayGDAfVCF4RE5IevMYQLRkL5if1hU/l2ty1MbvDjIpbd3bkqwEFN
I3nn52jflYi6ZYpD/NwbsjftZKyZmIXW4LTu3cQzcJ3fdc3H33fxDDys6Cmv6tPZ
0QIDAQAB
-----END PUBLIC KEY-----
";

/// `alg` RS256, `kid` rsa; the usual claims, from 2023 to 2100.
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYSJ9.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJhdWQiOiJjaGF0Iiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODAwLCJuYmYiOjE3MDAwMDAwMDB9.HeyO_sHBOz0GCK8k5F3Fxm9nEOJdxLJ4v2WlKArlR_-7lUjVAoStNXQzW5a7u3iZt9QYugOBjetLg1Xl5ayXWtpSaF1RdRbv-jDPKw0-JjfotIdtK8fZG_AgG5duB4CrJyT8tPsw561fAbgacu_3XGMPHQVLTyJHsfNNQxMFaIHEHPT1ktGbSWXGczMGWzFwhd8IWUo4HymnE8q6zSY3lZk458H8nPvycowR0FLO1FPRfmK2PELUoWg0buVPa2rEUW3vh855hvPZVKy9nsitBUcyP38_AIpoeaWLdjIVUCQp4biFKn8LL_DCnZLRXxJr_VkIVytp-Ub4XH3R3SE9mw";

fn issuer() -> Jwt {
    Jwt::new("https://login.example", "chat")
        .key(Key::new("hs", Algorithm::Hs256, SECRET).unwrap())
        .key(Key::new("rsa", Algorithm::Rs256, RSA_PUBLIC.as_bytes()).unwrap())
}

fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn header() -> Value {
    json!({ "alg": "HS256", "typ": "JWT", "kid": "hs" })
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example", "aud": "chat", "sub": "ann", "name": "Ann", "sid": "login-1",
        "nbf": now_s() - 10, "exp": now_s() + 600,
    })
}

/// Returns `object` with one field set, or without it where the value is null.
fn with(mut object: Value, field: &str, value: Value) -> Value {
    if value.is_null() {
        object.as_object_mut().unwrap().remove(field);
    } else {
        object[field] = value;
    }
    object
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |digit| char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize % 64]))
    };
    bytes.chunks(3).flat_map(digits).collect()
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()))
}

fn signed_with(key: &EncodingKey, algorithm: jsonwebtoken::Algorithm, header: Value, claims: Value) -> String {
    let message = unsigned(&header, &claims);
    let signature = sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn signed(header: Value, claims: Value) -> String {
    signed_with(&EncodingKey::from_secret(SECRET), jsonwebtoken::Algorithm::HS256, header, claims)
}

async fn accepts(token: &str) -> Result<Identity, Code> {
    issuer().authenticate(token).await
}

async fn refuses(what: &str, token: &str) {
    assert_eq!(accepts(token).await, Err(Code::Unauthenticated), "{what}");
}

#[tokio::test]
async fn a_good_token_says_who_it_is_about() {
    let claims = claims();
    let identity = accepts(&signed(header(), claims.clone())).await.unwrap();
    assert_eq!((identity.user.as_str(), &*identity.name, &*identity.login), ("ann", "Ann", "login-1"));
    assert_eq!(identity.expires.unwrap().0, (claims["exp"].as_i64().unwrap() + 60) * 1_000);
    let plain = with(with(claims, "name", Value::Null), "sid", Value::Null);
    let plain = accepts(&signed(header(), with(plain, "jti", json!("token-7")))).await.unwrap();
    assert_eq!((&*plain.name, &*plain.login), ("ann", "token-7"));
}

#[tokio::test]
async fn a_token_was_given_in_the_second_it_names() {
    let issued_s = |identity: Identity| identity.issued.unwrap().0 / 1_000;
    let claims = claims();
    let without = accepts(&signed(header(), claims.clone())).await.unwrap();
    assert_eq!(issued_s(without), claims["nbf"].as_i64().unwrap());
    let given = now_s() - 5;
    let identity = accepts(&signed(header(), with(claims, "iat", json!(given)))).await.unwrap();
    assert!(identity.issued.unwrap().0 > given * 1_000, "taken for the end of its second");
    assert_eq!(issued_s(identity), given);
}

#[tokio::test]
async fn each_kind_of_key_checks_its_own_signatures() {
    assert_eq!(accepts(RSA_TOKEN).await.unwrap().user.as_str(), "ann");
    for (kind, ours, theirs, name) in [
        (&PKCS_ECDSA_P256_SHA256, Algorithm::Es256, jsonwebtoken::Algorithm::ES256, "ES256"),
        (&PKCS_ED25519, Algorithm::EdDsa, jsonwebtoken::Algorithm::EdDSA, "EdDSA"),
    ] {
        let pair = KeyPair::generate_for(kind).unwrap();
        let private = pair.serialize_pem();
        let private = match ours {
            Algorithm::Es256 => EncodingKey::from_ec_pem(private.as_bytes()).unwrap(),
            _ => EncodingKey::from_ed_pem(private.as_bytes()).unwrap(),
        };
        let issuer = issuer().key(Key::new("k", ours, pair.public_key_pem().as_bytes()).unwrap());
        let header = with(with(header(), "alg", json!(name)), "kid", json!("k"));
        let token = signed_with(&private, theirs, header, claims());
        assert!(issuer.authenticate(&token).await.is_ok(), "{name}");
        let (message, signature) = token.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        let forged = format!("{message}.{other}{}", &signature[1..]);
        assert!(issuer.authenticate(&forged).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused_whatever_it_calls_its_algorithm() {
    for algorithm in ["none", "None", "NONE", "nOnE", "", "HS256"] {
        let message = unsigned(&with(header(), "alg", json!(algorithm)), &claims());
        refuses(algorithm, &format!("{message}.")).await;
        refuses(algorithm, &message).await;
    }
    refuses("no alg", &format!("{}.", unsigned(&with(header(), "alg", Value::Null), &claims()))).await;
}

#[tokio::test]
async fn a_public_key_is_no_secret_to_sign_with() {
    let rsa = EncodingKey::from_secret(RSA_PUBLIC.as_bytes());
    let forged = |header| signed_with(&rsa, jsonwebtoken::Algorithm::HS256, header, claims());
    refuses("HS256 with the RSA key's id", &forged(with(header(), "kid", json!("rsa")))).await;
    let rs256 = with(with(header(), "kid", json!("rsa")), "alg", json!("RS256"));
    refuses("RS256 signed by HMAC", &forged(rs256)).await;
    refuses("HS256", &forged(header())).await;
    let es256 = with(header(), "alg", json!("RS256"));
    refuses("an algorithm that is not the key's", &signed(es256, claims())).await;
    for longer in [jsonwebtoken::Algorithm::HS384, jsonwebtoken::Algorithm::HS512] {
        let name = format!("{longer:?}");
        let header = with(header(), "alg", json!(name));
        refuses(&name, &signed_with(&EncodingKey::from_secret(SECRET), longer, header, claims())).await;
    }
}

#[tokio::test]
async fn a_kid_names_one_of_the_keys_and_is_nothing_else() {
    for kid in [
        json!("../../../../dev/null"),
        json!("/proc/sys/kernel/randomize_va_space"),
        json!("hs' UNION SELECT 'a"),
        json!("http://127.0.0.1/key"),
        json!("HS"),
        json!("hs\0"),
        json!(""),
        json!(0),
        json!(["hs"]),
        Value::Null,
    ] {
        // `/dev/null` is famous for being an empty file: an empty secret.
        for secret in [SECRET, b"", b"0", b"2\n"] {
            let key = EncodingKey::from_secret(secret);
            let header = with(header(), "kid", kid.clone());
            refuses(&kid.to_string(), &signed_with(&key, jsonwebtoken::Algorithm::HS256, header, claims())).await;
        }
    }
}

#[tokio::test]
async fn a_header_that_says_where_its_key_is_leads_nowhere() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let jwk = json!({ "kty": "oct", "k": base64(SECRET) });
    for (field, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", jwk),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("typ", json!("at+jwt")),
        ("typ", json!("JWE")),
        ("typ", Value::Null),
    ] {
        refuses(field, &signed(with(header(), field, value), claims())).await;
    }
    assert!(listener.accept().is_err(), "nobody came to fetch anything");
}

#[tokio::test]
async fn what_a_token_says_has_to_be_there_and_right() {
    for (field, value) in [
        ("exp", Value::Null),
        ("nbf", Value::Null),
        ("iss", Value::Null),
        ("aud", Value::Null),
        ("sub", Value::Null),
        ("exp", json!(now_s() - 62)),
        ("nbf", json!(now_s() + 65)),
        ("exp", json!("tomorrow")),
        ("exp", json!(-1)),
        ("iss", json!("https://login.example.evil.example")),
        ("iss", json!("https://login.example/")),
        ("aud", json!("another service")),
        ("aud", json!([])),
        ("aud", json!(["another", "Chat"])),
        ("sub", json!("")),
        ("sub", json!("a\nb")),
        ("sub", json!("x".repeat(200))),
        ("sub", json!(7)),
    ] {
        refuses(&format!("{field}: {value}"), &signed(header(), with(claims(), field, value.clone()))).await;
    }
    assert!(accepts(&signed(header(), with(claims(), "aud", json!(["another", "chat"])))).await.is_ok());
}

#[tokio::test]
async fn clocks_may_differ_by_the_leeway_and_by_no_more() {
    let late = |seconds: i64| signed(header(), with(claims(), "exp", json!(now_s() - seconds)));
    let early = |seconds: i64| signed(header(), with(claims(), "nbf", json!(now_s() + seconds)));
    let strict = issuer().leeway_s(0);
    let generous = issuer().leeway_s(100_000);
    assert!(generous.authenticate(&late(50)).await.is_ok() && generous.authenticate(&early(50)).await.is_ok());
    assert!(generous.authenticate(&late(70)).await.is_err() && generous.authenticate(&early(70)).await.is_err());
    assert!(strict.authenticate(&late(5)).await.is_err() && strict.authenticate(&early(5)).await.is_err());
}

#[tokio::test]
async fn a_session_outlives_its_token_by_the_leeway_and_by_no_more() {
    let ends_s = now_s() - 55;
    let identity = accepts(&signed(header(), with(claims(), "exp", json!(ends_s)))).await.unwrap();
    let engine = Engine::builder().build().await.unwrap();
    let mut events = engine.hub(identity).events(Vec::new());
    let why = loop {
        let event = timeout(Duration::from_secs(30), events.next()).await.expect("the session does not end");
        if let Some(Event::Closed(why)) = event {
            break why;
        }
    };
    let late_s = now_s() - ends_s;
    assert!(
        (60..70).contains(&late_s),
        "it ended {late_s} s after its token: 60 s are the leeway, and this machine may be slow"
    );
    assert_eq!(why.code, Code::Unauthenticated);
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let good = signed(header(), claims());
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    for (what, token) in [
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        ("spaces", format!(" {good}")),
        ("padding", format!("{good}=")),
        ("a header that is no object", format!("{}.{body}.{signature}", base64(b"[]"))),
        ("other claims", format!("{head}.{}.{signature}", base64(b"{}"))),
        ("a page", signed(header(), with(claims(), "x", json!("x".repeat(8_192))))),
    ] {
        refuses(what, &token).await;
    }
}

#[tokio::test]
async fn an_expected_type_is_the_only_one_taken() {
    let access = issuer().typ("at+jwt");
    assert!(access.authenticate(&signed(with(header(), "typ", json!("at+JWT")), claims())).await.is_ok());
    assert!(access.authenticate(&signed(header(), claims())).await.is_err());
}

#[test]
fn a_key_that_is_none_is_told_without_repeating_it() {
    let short = Key::new("a", Algorithm::Hs256, b"hunter2").unwrap_err();
    assert_eq!(short, KeyError::Short { id: "a".to_owned() });
    for algorithm in [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa] {
        let error = Key::new("b", algorithm, b"hunter2").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    assert!(Key::new("c", Algorithm::Es256, RSA_PUBLIC.as_bytes()).is_err(), "a key of another kind");
    let shown = format!("{:?} {:?}", issuer(), Key::new("hs", Algorithm::Hs256, SECRET).unwrap());
    assert!(shown.contains("\"hs\"") && !shown.contains("32 bytes") && !shown.contains("115, 101"), "{shown}");
}
