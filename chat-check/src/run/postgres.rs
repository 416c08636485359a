//! PostgreSQL with somebody in reserve: a standby that takes over, or a base backup that is put back.
//!
//! ```text
//!   nodes ── line ── primary ── replication ── standby        both lines are proxies, which know who is who now
//! ```

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    Failure,
    plan::Scenario,
    server::{PATIENCE, signal},
    service::{self, Service, port_of},
};
use crate::proxy::{Proxy, Way};

/// Is a server: a folder with data, and the port it listens on.
#[derive(Debug)]
struct Postgres {
    data: PathBuf,
    port: u16,
}

/// Is who serves, and who is in reserve. Dropping it ends both.
#[derive(Debug)]
pub(super) struct Standbys {
    programs: PathBuf,
    /// The service's folder, in which all data is.
    home: PathBuf,
    primary: Postgres,
    reserve: Option<Postgres>,
    /// Where the nodes connect.
    line: Proxy,
    /// Where the standby connects.
    replication: Proxy,
    made: u32,
}

impl Standbys {
    pub(super) async fn of(service: &Service, url: &str) -> Result<Self, Failure> {
        let home = service.home()?;
        let port = port_of(url).ok_or("--store postgres is needed for this")?;
        let primary = Postgres { data: home.join("data"), port };
        let (line, replication) = (Proxy::to(primary.address()).await?, Proxy::to(primary.address()).await?);
        Ok(Self { programs: programs()?, home, primary, reserve: None, line, replication, made: 0 })
    }

    /// Returns a URL by which nodes reach whoever serves.
    pub(super) fn url(&self, url: &str) -> String {
        let port = |port| format!(":{port}/");
        url.replace(&port(port_of(url).unwrap_or_default()), &port(self.line.address().port()))
    }

    /// Puts somebody in reserve.
    pub(super) async fn prepare(&mut self, scenario: Scenario) -> Result<(), Failure> {
        self.made += 1;
        let data = self.home.join(format!("data-{}", self.made));
        let port = self.replication.address().port().to_string();
        let mut copy = self.program("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "--checkpoint=fast", "-D"]).arg(&data);
        if scenario == Scenario::Restore {
            run(&mut copy)?;
            self.reserve = Some(Postgres { data, port: self.primary.port });
            return Ok(());
        }
        run(copy.arg("--write-recovery-conf"))?;
        let standby = Postgres { data, port: free_port()? };
        self.start(&standby).await?;
        self.reserve = Some(standby);
        self.until("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").await?;
        if scenario == Scenario::Failover {
            self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")?;
            self.sql("SELECT pg_reload_conf()")?;
            self.until("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").await?;
        }
        Ok(())
    }

    /// Keeps from the standby what is written from now on.
    pub(super) fn hold_back(&self) {
        self.replication.answers(Way::Hold);
    }

    /// Ends the primary as a power cut would, and lets the standby serve with what it has.
    pub(super) async fn take_over(&mut self) -> Result<(), Failure> {
        self.end_primary().await?;
        self.replication.reset();
        self.replication.answers(Way::Pass);
        let standby = self.reserve.take().ok_or("there is no standby")?;
        let mut promote = self.program("pg_ctl");
        run(promote.args(["promote", "-w", "-t", "60", "-D"]).arg(&standby.data))?;
        self.serve(standby)
    }

    /// Ends the primary, and lets the base backup serve in its place.
    pub(super) async fn put_back(&mut self) -> Result<(), Failure> {
        self.end_primary().await?;
        let backup = self.reserve.take().ok_or("there is no backup")?;
        self.start(&backup).await?;
        self.serve(backup)
    }

    async fn end_primary(&self) -> Result<(), Failure> {
        service::kill(self.primary.processes(&self.home)?).await
    }

    fn serve(&mut self, next: Postgres) -> Result<(), Failure> {
        let before = std::mem::replace(&mut self.primary, next);
        self.line.lead_to(self.primary.address());
        self.replication.lead_to(self.primary.address());
        Ok(fs::remove_dir_all(before.data)?)
    }

    /// Starts a server; again, as long as one that was killed is not quite gone for the system.
    async fn start(&self, server: &Postgres) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut start = self.program("pg_ctl");
            start.arg("-D").arg(&server.data).arg("-l").arg(self.home.join("log-of-reserve"));
            match run(start.args(["-o", &format!("-p {}", server.port), "-w", "-t", "60", "start"])) {
                Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(200)).await,
                done => return done,
            }
        }
    }

    fn sql(&self, statement: &str) -> Result<String, Failure> {
        let mut psql = self.program("psql");
        let port = self.primary.port.to_string();
        let done = psql.args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-qAt", "-c", statement]).output()?;
        if done.status.success() {
            return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
        }
        Err(format!("{statement}: {}", String::from_utf8_lossy(&done.stderr)).into())
    }

    /// Waits until a count is 1.
    async fn until(&self, count: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while self.sql(count)? != "1" {
            if Instant::now() > deadline {
                return Err(format!("not 1: {count}").into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// PostgreSQL refuses to run as root.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let mut command = if is_root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.current_dir("/");
        command
    }
}

impl Drop for Standbys {
    fn drop(&mut self) {
        for server in [Some(&self.primary), self.reserve.as_ref()].into_iter().flatten() {
            let _ = server.processes(&self.home).and_then(|processes| signal("KILL", &processes));
        }
    }
}

impl Postgres {
    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn processes(&self, home: &Path) -> Result<Vec<u32>, Failure> {
        service::family(&self.data.join("postmaster.pid"), home)
    }
}

fn run(command: &mut Command) -> Result<(), Failure> {
    // Whoever is started here and goes on must not hold our output open.
    let log = tempfile::tempfile()?;
    let done = command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?).status()?;
    if done.success() {
        return Ok(());
    }
    let mut log = log;
    let mut said = String::new();
    std::io::Seek::rewind(&mut log)?;
    std::io::Read::read_to_string(&mut log, &mut said)?;
    Err(format!("{}: {said}", command.get_program().display()).into())
}

/// Returns where the newest version's programs are.
fn programs() -> Result<PathBuf, Failure> {
    let version = |folder: &PathBuf| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let versions = fs::read_dir("/usr/lib/postgresql")?.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(versions.max_by_key(version).ok_or("PostgreSQL is not installed")?.join("bin"))
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
