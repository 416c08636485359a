//! A worker in a process of its own: the example of that name.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
};

/// Is a worker with a lease of a second; dropping it kills it.
pub(crate) struct Worker(Child);

impl Worker {
    pub(crate) fn start(url: &str) -> Self {
        Self(command(url).spawn().expect("cargo test builds the example"))
    }

    /// Starts one where the system trusts the certificates of a file.
    pub(crate) fn start_trusting(url: &str, certificates: &Path) -> Self {
        Self(command(url).env("SSL_CERT_FILE", certificates).spawn().expect("cargo test builds the example"))
    }
}

fn command(url: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let worker: PathBuf = [tests.ancestors().nth(2).unwrap(), "examples/worker".as_ref()].iter().collect();
    let mut command = Command::new(worker);
    command.args([url, "1000"]);
    command
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
