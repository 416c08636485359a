//! What statements are made of (S19).

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The places where a statement is more than a text in the source. sqlx takes nothing else unless it is marked so; in each,
/// only a [checked prefix](../../src/prefix.rs) is filled into a text of ours.
const MARKED: [(&str, &str); 3] = [
    ("chat-store-sql/src/prefix.rs", "AssertSqlSafe(self.fill(statement))"),
    ("chat-store-sql/src/sqlite/open.rs", "let script = AssertSqlSafe(prefix.fill(file));"),
    (
        "chat-store-sql/src/sqlite/plans.rs",
        "let explain = sqlx::AssertSqlSafe(format!(\"EXPLAIN QUERY PLAN {}\", prefix.fill(statement)));",
    ),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !["target", "node_modules", "tests"].contains(&&*name) && !name.starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn nothing_but_a_checked_prefix_is_ever_put_into_a_statement_s19() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut marked = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        for line in fs::read_to_string(file).unwrap().lines().map(str::trim) {
            // A leaked text would be `'static`, as those in the source are.
            assert!(!line.contains(".leak()") && !line.contains("::leak("), "{name}: {line}");
            if line.contains("AssertSqlSafe(") {
                marked.push((name.clone(), line.to_owned()));
            }
        }
    }
    marked.sort();
    assert_eq!(
        marked,
        MARKED.map(|(file, line)| (file.to_owned(), line.to_owned())),
        "a statement needs a second look"
    );
}
