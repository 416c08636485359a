//! Servers of a test's own, to be killed, stopped and put to sleep.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to start on a slow machine.
const START_WITHIN: Duration = Duration::from_secs(20);

/// Is a server; dropping it kills it and removes its data.
pub(crate) struct Redis {
    child: Child,
    port: u16,
    flags: Vec<String>,
    folder: TempDir,
}

impl Redis {
    /// Starts a server that keeps nothing, unless flags say so.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let port = free_port();
        let flags: Vec<_> = flags.iter().map(ToString::to_string).collect();
        let folder = tempfile::tempdir().unwrap();
        let child = spawn(port, &folder, &flags);
        let redis = Self { child, port, flags, folder };
        redis.wait_until_it_listens();
        redis
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// Kills the process as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, with what it kept.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.port, &self.folder, &self.flags);
        self.wait_until_it_listens();
    }

    /// Runs a command as an operator does, and returns what it prints.
    pub(crate) fn cli(&self, command: &[&str]) -> String {
        cli(self.port, command)
    }

    /// Begins a command and does not wait for its end.
    pub(crate) fn begin(&self, command: &[&str]) -> Child {
        let port = self.port.to_string();
        Command::new("redis-cli").args(["-p", &port]).args(command).stdout(Stdio::null()).spawn().unwrap()
    }

    fn wait_until_it_listens(&self) {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        until("a Redis listens", || TcpStream::connect(address).is_ok());
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts three servers and makes a cluster of them.
pub(crate) fn cluster() -> Vec<Redis> {
    cluster_of(3, 0)
}

/// Starts three servers and one more for each, which takes over when it is killed.
pub(crate) fn cluster_with_replicas() -> Vec<Redis> {
    let nodes = cluster_of(6, 1);
    let follows = |node: &Redis| !node.cli(&["info", "replication"]).contains("master_link_status:down");
    until("the replicas follow", || nodes.iter().all(follows));
    nodes
}

fn cluster_of(nodes: usize, replicas: u8) -> Vec<Redis> {
    let start = |_| {
        let bus = free_port().to_string();
        let cluster = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-require-full-coverage", "no"];
        Redis::start(&[&cluster[..], &["--cluster-node-timeout", "2000"]].concat())
    };
    let nodes: Vec<_> = (0..nodes).map(start).collect();
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create", "--cluster-yes", "--cluster-replicas", &replicas.to_string()]);
    create.args(nodes.iter().map(Redis::address));
    assert!(create.stdout(Stdio::null()).status().unwrap().success());
    let is_ok = |node: &Redis| node.cli(&["cluster", "info"]).contains("cluster_state:ok");
    until("the cluster is formed", || nodes.iter().all(is_ok));
    nodes
}

/// Returns the position of the server that has the slot of a key and takes writes to it.
pub(crate) fn owner(nodes: &[Redis], key: &str) -> usize {
    let slot: u16 = nodes[0].cli(&["cluster", "keyslot", key]).trim().parse().unwrap();
    let has = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse().is_ok_and(|first: u16| first <= slot) && last.parse().is_ok_and(|last: u16| slot <= last)
    };
    let owns = |node: &Redis| {
        let table = node.cli(&["cluster", "nodes"]);
        let own = table.lines().find(|line| line.contains("myself")).unwrap();
        own.contains("master") && own.split(' ').skip(8).any(has)
    };
    nodes.iter().position(owns).expect("somebody has it")
}

pub(crate) fn cluster_url(nodes: &[Redis]) -> String {
    format!("redis+cluster://{}", nodes.iter().map(Redis::address).collect::<Vec<_>>().join(","))
}

fn cli(port: u16, command: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(command).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn spawn(port: u16, folder: &TempDir, flags: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]).arg(folder.path());
    let child = command.args(flags).stdout(Stdio::null()).spawn();
    child.expect("redis-server is installed: scripts/services start redis")
}

/// Returns a port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + START_WITHIN;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} within {START_WITHIN:?}");
        sleep(Duration::from_millis(20));
    }
}
