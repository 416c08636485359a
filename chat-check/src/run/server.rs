//! A server process of our own, on a port of its own, that can be killed, frozen and asked to stop.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Failure, clocks::Clock, network::Network};

/// How long a server may take to stop by itself, as it is told.
pub(super) const GRACE: Duration = Duration::from_secs(15);
/// How long is waited for what ought to take a moment: then the server is broken, not slow.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Says how servers are started that are one chat.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) binary: PathBuf,
    /// What comes before all other arguments, if the program is not the server itself.
    pub(super) before: Vec<String>,
    /// Where their accounts and their logs are.
    pub(super) folder: PathBuf,
    /// Where their store is.
    pub(super) args: Vec<String>,
    /// What they share beside it.
    pub(super) ports: Vec<String>,
    /// What they sign with.
    pub(super) secret: String,
    /// Where each has a place of its own, if they are not all on loopback.
    pub(super) network: Option<Arc<Network>>,
    /// A library that gives each a clock of its own.
    pub(super) clocks: Option<PathBuf>,
}

impl Launch {
    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    fn spawn(&self, name: &str) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log(name))?;
        let inside = |network: &Arc<Network>| network.inside(name, &self.binary);
        let mut command = self.network.as_ref().map_or_else(|| Command::new(&self.binary), inside);
        if let Some(library) = &self.clocks {
            Clock::of(name, &self.folder)?.give(&mut command, library);
        }
        command
            .args(&self.before)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--load-profile"])
            .args(["--drain-grace", &format!("{}s", GRACE.as_secs())])
            .args(["--accounts", &format!("sqlite:{}", self.folder.join("accounts.db").display())])
            .args(&self.args)
            .args(&self.ports)
            .env("CHAT_SECRET", &self.secret)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
    }

    /// Returns where a node is reached that says where it listens.
    fn outside(&self, name: &str, listens: SocketAddr) -> Result<SocketAddr, Failure> {
        self.network.as_ref().map_or(Ok(listens), |network| network.outside(name, listens))
    }

    fn last_words(&self, name: &str) -> String {
        let log = std::fs::read_to_string(self.log(name)).unwrap_or_default();
        log.lines().rev().take(5).collect::<Vec<_>>().join(" | ")
    }
}

/// Is the process; dropping it kills it, also when it is frozen.
#[derive(Debug)]
pub(super) struct Server {
    launch: Arc<Launch>,
    pub(super) name: String,
    child: Child,
    /// Open as long as the process, so that it can print.
    _printed: BufReader<ChildStdout>,
    pub(super) address: SocketAddr,
    /// Where it answers its operators.
    pub(super) admin: SocketAddr,
}

impl Server {
    pub(super) async fn start(launch: Arc<Launch>, name: String) -> Result<Self, Failure> {
        let spawned = launch.spawn(&name);
        let mut child = spawned.map_err(|error| format!("{} does not start: {error}", launch.binary.display()))?;
        let stdout = child.stdout.take().ok_or("the server has no output")?;
        // The process is in safe hands before anything is waited for.
        let mut server = Unready { child: Some(child) };
        let reading = tokio::task::spawn_blocking(move || listening(stdout));
        let heard =
            tokio::time::timeout(PATIENCE, reading).await.map_err(|_| "the server does not begin to listen")??;
        let (printed, [admin, address]) =
            heard.map_err(|error| format!("{name} did not start: {error}; its log: {}", launch.last_words(&name)))?;
        let (admin, address) = (launch.outside(&name, admin)?, launch.outside(&name, address)?);
        let child = server.child.take().ok_or("the server is gone")?;
        Ok(Self { launch, name, child, _printed: printed, address, admin })
    }

    /// Starts it again, on the same files, after it has ended.
    pub(super) async fn restart(&mut self) -> Result<(), Failure> {
        *self = Self::start(self.launch.clone(), self.name.clone()).await?;
        Ok(())
    }

    /// Has it share something else beside the store from its next start on.
    pub(super) fn share(&mut self, ports: Vec<String>) {
        self.launch = Arc::new(Launch { ports, ..(*self.launch).clone() });
    }

    /// Ends it as a power cut would.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Returns another program that was built with it.
    pub(super) fn beside(&self, name: &str) -> Result<PathBuf, Failure> {
        let other = self.launch.binary.with_file_name(name);
        if other.exists() { Ok(other) } else { Err(format!("{} is not there: build it", other.display()).into()) }
    }

    /// Returns the process's id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns how much memory it has, in KiB.
    pub(super) fn memory_kib(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        number_after(&status, "VmRSS:").ok_or_else(|| "a process without memory".into())
    }

    /// Returns its time of day, if that is not the machine's.
    pub(super) fn clock(&self) -> io::Result<Clock> {
        Clock::of(&self.name, &self.launch.folder)
    }

    /// Sends a signal by its name.
    pub(super) fn signal(&self, name: &str) -> Result<(), Failure> {
        signal(name, &[self.child.id()])
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

/// Finds the line that begins with a name and returns the number after it.
pub(super) fn number_after(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// Sends a signal by its name to processes that are there.
pub(super) fn signal(name: &str, processes: &[u32]) -> Result<(), Failure> {
    let processes = processes.iter().map(u32::to_string);
    // Children that have ended meanwhile are no news.
    let sent = Command::new("kill").arg(format!("-{name}")).args(processes).stderr(Stdio::null()).status()?;
    if sent.success() { Ok(()) } else { Err("the server is gone".into()) }
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
