//! What the program itself refuses.

use std::{
    io::Read,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

#[test]
fn a_queue_that_no_server_shares_is_refused() {
    for url in ["memory", "memory:", "memory://"] {
        let mut bot = Command::new(env!("CARGO_BIN_EXE_stock-bot"));
        let mut bot = bot.args(["--queue", url]).stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        while bot.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        bot.kill().unwrap(); // no effect on one that has ended
        let mut said = String::new();
        bot.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!bot.wait().unwrap().success() && said.contains("no chat server knows"), "{url}: {said}");
    }
}
