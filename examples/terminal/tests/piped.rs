//! The program where there is no terminal.

use std::process::{Command, Stdio};

#[test]
fn without_a_terminal_it_says_so_and_asks_for_no_password() {
    let program = env!("CARGO_BIN_EXE_chat-terminal");
    let ran = Command::new(program).args(["--user", "ann"]).stdin(Stdio::null()).output();
    let Ok(ran) = ran else { panic!("the program does not start") };
    assert!(!ran.status.success() && ran.stdout.is_empty());
    assert!(String::from_utf8_lossy(&ran.stderr).contains("this needs a terminal"));
}
