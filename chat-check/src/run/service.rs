//! A server of this run's own: a database, a broker. It is made, started and removed by `scripts/services`, in the run's
//! folder; what breaks it is here. Everything it is told goes over loopback.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    Failure,
    network::Network,
    server::{PATIENCE, signal},
};

/// Is a server of this run's own. Dropping it ends and removes it.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    /// Where the ids of its processes are noted, in its folder.
    pid_files: &'static [&'static str],
    /// What a URL needs beyond what the script prints.
    database: &'static str,
    folder: PathBuf,
    /// Where it has a place of its own, and under which name.
    network: Option<(Arc<Network>, String)>,
}

impl Service {
    pub(super) fn named(name: &str, folder: PathBuf) -> Result<Self, Failure> {
        let (name, pid_files, database): (_, &[_], _) = match name {
            "postgres" => ("postgres", &["data/postmaster.pid"], ""),
            "mariadb" => ("mariadb", &["pid"], ""),
            "mongodb" => ("mongo", &["pid"], "/chat"),
            "rabbitmq" => ("rabbitmq", &["pid"], ""),
            "redis" => ("redis", &["pid"], ""),
            "redis_cluster" => ("redis_cluster", &["0/pid", "1/pid", "2/pid"], ""),
            _ => return Err(format!("{name}: neither a URL nor a service that can be started").into()),
        };
        Ok(Self { name, pid_files, database, folder, network: None })
    }

    /// Gives it a place of its own in a network.
    pub(super) fn placed(mut self, network: Option<&Arc<Network>>, part: &str) -> Self {
        self.network = network.map(|network| (network.clone(), part.to_owned()));
        self
    }

    /// Tells the others in its network where it is.
    pub(super) fn publish(&self) -> Result<(), Failure> {
        let Some((network, part)) = &self.network else { return Ok(()) };
        let url = self.url()?;
        let after = url.rsplit(':').next().unwrap_or_default();
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        network.publish(part, digits.parse()?)
    }

    fn script(&self, verb: &str) -> Result<String, Failure> {
        self.told(&[verb, self.name])
    }

    /// Has RabbitMQ's own tool tell it something.
    pub(super) fn rabbitmqctl(&self, what: &[&str]) -> Result<(), Failure> {
        if self.name != "rabbitmq" {
            return Err(format!("{} is no RabbitMQ", self.name).into());
        }
        self.told(&[&["rabbitmqctl"], what].concat()).map(drop)
    }

    fn told(&self, words: &[&str]) -> Result<String, Failure> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
        let inside = |(network, part): &(Arc<Network>, String)| network.inside(part, &script);
        let mut command = self.network.as_ref().map_or_else(|| Command::new(&script), inside);
        command.args(words).env("TMPDIR", &self.folder);
        // It may take half a minute, in which this thread's other tasks go on elsewhere.
        let done = tokio::task::block_in_place(|| command.output())?;
        if done.status.success() {
            Ok(String::from_utf8_lossy(&done.stdout).into_owned())
        } else {
            Err(format!("scripts/services {}: {}", words.join(" "), String::from_utf8_lossy(&done.stderr)).into())
        }
    }

    /// Runs statements by the server's own client, and returns what they answer.
    pub(super) fn sql(&self, url: &str, statements: &str) -> Result<String, Failure> {
        let port = port_of(url).ok_or("the URL has no port")?.to_string();
        let mut client = if self.name == "postgres" {
            let mut psql = Command::new("psql");
            psql.args([url, "-qAt", "-v", "ON_ERROR_STOP=1", "-c", statements]);
            psql
        } else {
            let mut mariadb = Command::new("mariadb");
            mariadb.args(["--no-defaults", "-h127.0.0.1", "-P", &port, "-uroot", "-N", "--delimiter=//"]);
            mariadb.args(["-e", statements, "chat"]);
            mariadb
        };
        let done = client.output()?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
        }
        Err(format!("{statements}: {}", String::from_utf8_lossy(&done.stderr)).into())
    }

    /// Makes it need more of the disk, as it would after some time: until then it writes where it had written before.
    pub(super) async fn need_room(&self, url: &str) {
        const SEGMENTS: u32 = 10; // more than a new database has in store
        for _ in 0..SEGMENTS {
            if self.name != "postgres" || self.sql(url, "SELECT pg_switch_wal()").is_err() {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Returns its URL, as nodes take it.
    pub(super) fn url(&self) -> Result<String, Failure> {
        let said = self.script("env")?;
        let url = said
            .lines()
            .next()
            .and_then(|line| line.split_once('='))
            .ok_or("scripts/services does not say where the server is")?
            .1;
        Ok(format!("{url}{}", self.database))
    }

    /// Starts it, again on the same data and port, and waits until it answers.
    pub(super) fn start(&self) -> Result<(), Failure> {
        self.script("start").map(drop)
    }

    /// Stops it as its operator would, and starts it again.
    pub(super) fn restart(&self) -> Result<(), Failure> {
        self.script("stop")?;
        self.start()
    }

    /// Returns the folder that the script keeps for it.
    pub(super) fn home(&self) -> Result<PathBuf, Failure> {
        let is_home =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("chat-services-"));
        let mut found = fs::read_dir(&self.folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(found.find(is_home).ok_or("the server has no folder")?.join(self.name))
    }

    /// Returns its processes, the first of which is the parent of the others, if there is only one parent.
    fn processes(&self) -> Result<Vec<u32>, Failure> {
        let home = self.home()?;
        let families = self.pid_files.iter().map(|file| family(&home.join(file), &self.folder));
        Ok(families.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Freezes or thaws all of it.
    pub(super) fn signal(&self, name: &str) -> Result<(), Failure> {
        signal(name, &self.processes()?)
    }

    /// Ends all of it at once: children outlive their parent, and would go on writing.
    pub(super) async fn kill(&self) -> Result<(), Failure> {
        kill(self.processes()?).await
    }

    /// Tells whether it runs.
    pub(super) fn is_running(&self) -> bool {
        self.processes().is_ok()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.signal("CONT").and_then(|()| self.script("reset").map(drop));
    }
}

/// Lets services, which run as users of their own, into a folder inside the run's. It stands for /tmp: the script and
/// some servers put what they need for a moment there.
pub(super) fn open_folder(run: &Path, inside: &Path) -> Result<(), Failure> {
    fs::set_permissions(run, PermissionsExt::from_mode(0o755))?;
    Ok(fs::set_permissions(inside, PermissionsExt::from_mode(0o1777))?)
}

/// Returns the port in a database's URL.
pub(super) fn port_of(url: &str) -> Option<u16> {
    url.rsplit_once('@')?.1.split_once('/')?.0.rsplit_once(':')?.1.parse().ok()
}

/// Returns the process whose number is noted in a file, and its children. A number may belong to another program by
/// now: ours names the run's folder on its command line.
pub(super) fn family(pid_file: &Path, folder: &Path) -> Result<Vec<u32>, Failure> {
    let noted = fs::read_to_string(pid_file)?;
    let parent: u32 = noted.lines().next().unwrap_or_default().trim().parse()?;
    let line = fs::read(format!("/proc/{parent}/cmdline"))?;
    if !String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy()) {
        return Err("the service is gone".into());
    }
    let children = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = children.filter(|child| parent_of(*child) == Some(parent));
    Ok([parent].into_iter().chain(children).collect())
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // After the name, which may hold anything: the state, then the parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Ends processes as a power cut would, and waits until they are gone.
pub(super) async fn kill(processes: Vec<u32>) -> Result<(), Failure> {
    // The parent is frozen first, or it would start new children while the old ones die. And it dies last, or those that
    // end by themselves without it would be gone before their turn.
    signal("STOP", &processes[..1])?;
    let children_first: Vec<_> = processes.iter().rev().copied().collect();
    signal("KILL", &children_first)?;
    let deadline = Instant::now() + PATIENCE;
    while processes.iter().any(|process| is_alive(*process)) {
        if Instant::now() > deadline {
            return Err("the service does not die".into());
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// A zombie is as dead as it gets: whoever adopted it has not looked yet.
pub(super) fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
