use crate::common::{admin, done};

#[test]
fn a_schema_is_made_once_and_then_found() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    assert_eq!(done(&["migrate", &url]), format!("{url}: up to date\n"));
    assert_eq!(done(&["migrate", &url]), format!("{url}: up to date\n"));
}

#[test]
fn the_sql_of_each_dialect_is_printed_without_a_connection() {
    let table =
        [("sqlite:chat.db", "STRICT"), ("postgres://a@nowhere/d", "plpgsql"), ("mysql://a@nowhere/d", "InnoDB")];
    for (url, own) in table {
        let script = done(&["migrate", "--print", url]);
        assert!(script.contains("chat_entries") && script.contains(own), "{url}");
    }
    let script = done(&["migrate", "--print", "postgres://nowhere/d?schema=support"]);
    assert!(script.starts_with("CREATE SCHEMA IF NOT EXISTS \"support\";\nSET search_path TO \"support\";"));
    assert_eq!(admin(&["migrate", "--print", "mongodb://nowhere/d"]).status, Some(1));
}

#[test]
fn no_password_is_printed_whatever_goes_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    std::fs::write(&file, "postgres://chat:hunter2@127.0.0.1:1/chat?password=hunter2\n").unwrap();
    for store in [format!("@{}", file.display()), "postgres://chat:hunter2@127.0.0.1:1/chat".into()] {
        let said = admin(&["migrate", &store]);
        assert_eq!((said.status, &*said.out), (Some(1), ""));
        assert!(said.err.contains("127.0.0.1") && !said.err.contains("hunter2"), "{said:?}");
    }
    assert_eq!(admin(&["migrate", "@/nowhere"]).status, Some(2));
}
