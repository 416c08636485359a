//! Runs the binary.

#![allow(dead_code)] // each test binary uses some of it

use std::process::{Command, Output};

/// Is what a command said, and whether it did what it was asked.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the binary until it ends by itself.
pub(crate) fn admin(args: &[&str]) -> Said {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_chat-admin")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { status: status.code(), out: text(stdout), err: text(stderr) }
}

/// Runs the binary, which must do what it is asked, and returns what it printed.
pub(crate) fn done(args: &[&str]) -> String {
    let said = admin(args);
    assert_eq!(said.status, Some(0), "{args:?}: {said:?}");
    said.out
}
