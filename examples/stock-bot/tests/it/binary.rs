//! What the program itself refuses.

use std::process::Command;

#[test]
fn a_queue_that_no_server_shares_is_refused() {
    for url in ["memory", "memory:"] {
        let done = Command::new(env!("CARGO_BIN_EXE_stock-bot")).args(["--queue", url]).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(!done.status.success() && said.contains("no chat server knows"), "{url}: {said}");
    }
}
