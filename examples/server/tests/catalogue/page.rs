//! The page of the catalogue, made from its rows.

use std::{collections::BTreeSet, fmt::Write, fs, path::PathBuf};

use crate::{
    PARTS,
    row::{Part, Row},
};

const PAGE: &str = "docs/attack-catalogue.md";
const RENEW: &str = "CATALOGUE=write cargo test -p chat-server --test catalogue the_page";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rows() -> impl Iterator<Item = &'static Row> {
    PARTS.iter().flat_map(|part| part.rows).copied().flatten()
}

#[test]
fn the_page_is_what_the_list_says() {
    let page = render();
    if std::env::var("CATALOGUE").is_ok_and(|wish| wish == "write") {
        return fs::write(root().join(PAGE), page).unwrap();
    }
    let found = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    assert!(found == page, "{PAGE} is not what the list says; renew it with\n  {RENEW}");
}

#[test]
fn every_row_has_an_id_of_its_own_and_a_test_that_exists() {
    let mut ids = BTreeSet::new();
    for row in rows() {
        assert!(ids.insert(row.id), "{} is there twice", row.id);
        let source = fs::read_to_string(root().join(row.file)).unwrap_or_default();
        // In a list of ours the name stands before a colon, in Rust in front of its arguments, in JavaScript in quotes.
        let ways = [format!(" {}:", row.test), format!("fn {}(", row.test), format!("test('{}'", row.test)];
        let is_there = ways.iter().any(|way| source.contains(way));
        assert!(is_there, "{}: there is no test {} in {}", row.id, row.test, row.file);
    }
}

fn render() -> String {
    let mut page = format!(
        "# The catalogue of bad input\n\n\
         What strangers can send, and the reply they get: {} cases, each a test. Those in [`examples/server/tests/catalogue`]\
         (../examples/server/tests/catalogue/main.rs)\nrun against the real server process. After each of them a witness \
         in another room still sends and receives over a connection that\nwas open before, nothing more is stored than the \
         row says, the process lives and has logged neither a panic nor a line above\n2 KiB, its memory has grown by at \
         most twice what it was sent and 1 MiB, and it took a bounded time of the processor.\n\n\
         This page is made by the tests; to renew it: `{RENEW}`\n",
        rows().count(),
    );
    for part in PARTS {
        render_part(&mut page, part);
    }
    page
}

fn render_part(page: &mut String, part: &Part) {
    write!(page, "\n## {}\n\n{}\n\n| id | sent | reply | test |\n|---|---|---|---|\n", part.title, part.intro).unwrap();
    let mut rows: Vec<_> = part.rows.iter().copied().flatten().collect();
    rows.sort_by_key(|row| place(row.id));
    for Row { id, sent, reply, file, test } in rows {
        let [id, sent, reply] = [id, sent, reply].map(|text| text.replace('|', "\\|"));
        writeln!(page, "| {id} | {sent} | {reply} | [`{test}`](../{file}) |").unwrap();
    }
}

/// W2 comes before W10.
fn place(id: &str) -> (String, u32, String) {
    let letters: String = id.chars().take_while(char::is_ascii_alphabetic).collect();
    let number: String = id[letters.len()..].chars().take_while(char::is_ascii_digit).collect();
    let rest = id[letters.len() + number.len()..].to_owned();
    (letters, number.parse().unwrap_or_default(), rest)
}
