//! A server process of our own, on a port of its own, that can be killed, frozen and asked to stop.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::Failure;

/// How long a server may take to stop by itself, as it is told.
pub(super) const GRACE: Duration = Duration::from_secs(15);
/// How long is waited for what ought to take a moment: then the server is broken, not slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// Is the process; dropping it kills it, also when it is frozen.
#[derive(Debug)]
pub(super) struct Server {
    binary: PathBuf,
    /// Where its database and its log are.
    folder: PathBuf,
    child: Child,
    /// Open as long as the process, so that it can print.
    _printed: BufReader<ChildStdout>,
    pub(super) address: SocketAddr,
    /// Where it answers its operators.
    pub(super) admin: SocketAddr,
}

impl Server {
    pub(super) async fn start(binary: PathBuf, folder: PathBuf) -> Result<Self, Failure> {
        let mut child =
            spawn(&binary, &folder).map_err(|error| format!("{} does not start: {error}", binary.display()))?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        // The process is in safe hands before anything is waited for.
        let mut server = Unready { child: Some(child) };
        let reading = tokio::task::spawn_blocking(move || listening(stdout));
        let heard =
            tokio::time::timeout(PATIENCE, reading).await.map_err(|_| "the server does not begin to listen")??;
        let (printed, [admin, address]) =
            heard.map_err(|error| format!("the server did not start: {error}; its log: {}", log(&folder)))?;
        let child = server.child.take().ok_or("the server is gone")?;
        Ok(Self { binary, folder, child, _printed: printed, address, admin })
    }

    /// Starts it again, on the same files, after it has ended.
    pub(super) async fn restart(&mut self) -> Result<(), Failure> {
        *self = Self::start(self.binary.clone(), self.folder.clone()).await?;
        Ok(())
    }

    /// Ends it as a power cut would.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Returns the process's id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(super) fn signal(&self, name: &str) -> Result<(), Failure> {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status()?;
        if sent.success() { Ok(()) } else { Err("the server is gone".into()) }
    }

    /// Waits until it has ended by itself.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus, Failure> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            sleep(Duration::from_millis(5)).await;
        }
        Err("the server does not stop".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Is a process that does not listen yet.
struct Unready {
    child: Option<Child>,
}

impl Drop for Unready {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(binary: &PathBuf, folder: &std::path::Path) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(folder.join("server.log"))?;
    Command::new(binary)
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--load-profile"])
        .args(["--drain-grace", &format!("{}s", GRACE.as_secs())])
        .args(["--store", &format!("sqlite:{}", folder.join("chat.db").display())])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
}

fn log(folder: &std::path::Path) -> String {
    let log = std::fs::read_to_string(folder.join("server.log")).unwrap_or_default();
    log.lines().rev().take(5).collect::<Vec<_>>().join(" | ")
}

/// Reads up to the line that says where it listens. Returns where operators are answered, and where people.
fn listening(stdout: ChildStdout) -> io::Result<(BufReader<ChildStdout>, [SocketAddr; 2])> {
    let mut printed = BufReader::new(stdout);
    let parse = |url: &str| url.parse().map_err(|_| io::Error::other("an address was expected"));
    let (mut line, mut admin) = (String::new(), None);
    while printed.read_line(&mut line)? > 0 {
        if let Some(url) = line.trim().strip_prefix("listening on http://") {
            let admin = admin.ok_or_else(|| io::Error::other("no line says where the admin listener is"))?;
            return Ok((printed, [admin, parse(url)?]));
        }
        if let Some(url) = line.trim().strip_prefix("admin on  http://") {
            admin = Some(parse(url.split_whitespace().next().unwrap_or(url))?);
        }
        line.clear();
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
