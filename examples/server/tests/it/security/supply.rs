//! What the workspace is built of: the part of `deny.toml` that can be checked without the network.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

const DENY: &str = include_str!("../../../../../deny.toml");

/// Crates whose hash functions are fast and predictable.
const HASHERS: [&str; 8] = ["ahash", "dashmap", "fnv", "foldhash", "fxhash", "hashbrown", "indexmap", "rustc-hash"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Returns what a program says on stdout.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns all packages that a build on this machine may take in.
fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let platform = said("rustc", &["--print", "host-tuple"]);
    let flags = ["metadata", "--format-version", "1", "--locked", "--offline", "--all-features", "--filter-platform"];
    let metadata: Value = serde_json::from_str(&said(&cargo, &[&flags[..], &[platform.trim()]].concat())).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// Of each part joined by `AND`, one alternative has to be allowed.
fn is_allowed(licence: &str, allowed: &[&str]) -> bool {
    let plain = licence.replace(['(', ')'], "").replace('/', " OR ");
    !plain.is_empty()
        && plain.split(" AND ").all(|part| part.split(" OR ").any(|licence| allowed.contains(&licence.trim())))
}

#[test]
fn nothing_is_built_in_that_deny_toml_forbids_s31() {
    let deny: toml::Table = DENY.parse().unwrap();
    let allowed: Vec<&str> =
        deny["licenses"]["allow"].as_array().unwrap().iter().map(|licence| licence.as_str().unwrap()).collect();
    let banned: Vec<&str> =
        deny["bans"]["deny"].as_array().unwrap().iter().map(|ban| ban["crate"].as_str().unwrap()).collect();
    let packages = packages();
    assert!(packages.len() > 100, "{} packages", packages.len());
    for package in &packages {
        let name = text(package, "name");
        assert!(!banned.contains(&name), "{name} is banned");
        assert!(is_allowed(text(package, "license"), &allowed), "{name}: {}", text(package, "license"));
    }
    // Ours have no source; all others come from one registry, cargo's own.
    let sources: BTreeSet<&str> = packages.iter().filter_map(|package| package["source"].as_str()).collect();
    assert!(sources.len() == 1 && sources.iter().all(|from| from.starts_with("registry+")), "{sources:?}");
    assert!(!is_allowed("GPL-2.0-only", &allowed) && !is_allowed("MIT AND GPL-3.0-or-later", &allowed));
}

#[test]
fn every_crate_of_ours_forbids_unsafe_code_s31() {
    let workspace: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let members = workspace["workspace"]["members"].as_array().unwrap();
    assert!(!members.is_empty());
    for member in members {
        let path = root().join(member.as_str().unwrap()).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(inherits, Some(true), "{member:?}");
    }
}

/// With `clippy.toml`, which forbids std's own ways to another hasher.
#[test]
fn no_crate_of_ours_uses_a_predictable_hasher_s26() {
    for package in packages().iter().filter(|package| package["source"].is_null()) {
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = text(dependency, "name");
            assert!(!HASHERS.contains(&name), "{} uses {name}", text(package, "name"));
        }
    }
}
