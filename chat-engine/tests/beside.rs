//! Beside other users of SQLite's C library in one program: cargo links that library once, and refuses two versions of it.
//!
//! Asks the registry for crates that this repository does not use, and compiles nothing. Run by `scripts/test`, or by hand:
//! `cargo test -p chat-engine --test beside -- --ignored`

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;

/// The first rusqlite whose SQLite is newer than what our driver takes. Hosts cannot always choose an older one.
const RUSQLITE: &str = r#"rusqlite = { version = "0.40", features = ["bundled"] }"#;

/// The sqlx before ours, with what hosts usually turn on.
const OLDER_SQLX: &str =
    r#"sqlx = { version = "0.8", features = ["runtime-tokio", "sqlite", "migrate", "uuid", "time", "json"] }"#;

/// The one before that; its SQLite is older than what our driver takes.
const OLD_SQLX: &str = r#"sqlx = { version = "0.7", features = ["runtime-tokio", "sqlite", "migrate", "uuid"] }"#;

const SERVERS: &str = r#""axum", "jwt", "postgres", "mysql", "mongodb", "tls""#;

/// Makes a host's crate with these dependencies and chat-engine with these features, and returns its tree; or what cargo
/// has against it.
fn resolve(others: &str, features: &str) -> Result<String, String> {
    let host = TempDir::new().unwrap();
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).display();
    let manifest = format!(
        "[package]\nname = \"host\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n{others}\n\
         chat-engine = {{ path = \"{engine}\", default-features = false, features = [{features}] }}\n"
    );
    fs::create_dir(host.path().join("src")).unwrap();
    fs::write(host.path().join("src/lib.rs"), "").unwrap();
    fs::write(host.path().join("Cargo.toml"), manifest).unwrap();
    let tree = ["tree", "--prefix", "none", "--edges", "normal", "--format", "{p}"];
    let tree = Command::new(env!("CARGO")).args(tree).current_dir(host.path()).stdin(Stdio::null()).output().unwrap();
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if tree.status.success() { Ok(said(&tree.stdout)) } else { Err(said(&tree.stderr)) }
}

/// Counts the versions of a package in a tree.
fn versions(tree: &str, package: &str) -> usize {
    let mut found: Vec<_> = tree.lines().filter_map(|line| line.strip_prefix(package)?.strip_prefix(" v")).collect();
    for version in &mut found {
        *version = version.split(' ').next().unwrap_or_default();
    }
    found.sort_unstable();
    found.dedup();
    found.len()
}

#[test]
#[ignore = "asks the registry: scripts/test"]
fn stores_on_servers_leave_sqlite_to_the_host() {
    for host in [RUSQLITE, OLDER_SQLX, OLD_SQLX] {
        let tree = resolve(host, SERVERS).unwrap_or_else(|refused| panic!("{host}: {refused}"));
        assert_eq!(versions(&tree, "libsqlite3-sys"), 1, "the host's own: {tree}");
        assert_eq!(versions(&tree, "chat-store-sql"), 1);
    }
}

#[test]
#[ignore = "asks the registry: scripts/test"]
fn without_a_host_that_has_it_there_is_no_sqlite() {
    let tree = resolve("", SERVERS).unwrap();
    assert_eq!((versions(&tree, "libsqlite3-sys"), versions(&tree, "sqlx")), (0, 1), "{tree}");
}

/// Shows that the cases above would notice, and what the feature `sqlite` costs. `uuid`, as any of sqlx's features that
/// concern each of its drivers, brings its SQLite into the resolution even where it is not used.
#[test]
#[ignore = "asks the registry: scripts/test"]
fn two_versions_of_sqlite_are_refused() {
    let drivers_feature =
        format!("{RUSQLITE}\nsqlx = {{ version = \"0.9\", default-features = false, features = [\"uuid\"] }}");
    for (host, features) in [(RUSQLITE, "\"sqlite\""), (&*drivers_feature, SERVERS)] {
        let refused = resolve(host, features).expect_err("two versions of one library");
        assert!(refused.contains("links = \"sqlite3\""), "{host}: {refused}");
    }
}
