//! A MariaDB of a test's own, for settings that a server has from its start.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
use tempfile::TempDir;

/// Is a server that nobody else uses; it ends, and all that it holds is removed, when this is dropped.
pub(crate) struct Mariadbd {
    folder: TempDir,
    process: Child,
}

impl Mariadbd {
    /// Makes a server with these options, and waits until it answers.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let log = File::create(at("log")).unwrap();
        // As who runs the test: a server that root starts wants to be told.
        let me = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = format!("--user={}", String::from_utf8(me).unwrap().trim());
        let run = |program: &str| {
            let mut command = Command::new(program);
            command.args(["--no-defaults", &user, &format!("--datadir={}", at("data"))]);
            command.stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap()).stdin(Stdio::null());
            command
        };
        let mut install = run("mariadb-install-db");
        install.args(["--skip-test-db", "--auth-root-authentication-method=normal"]);
        let made = install.status().expect("MariaDB is installed").success();
        assert!(made, "{}", fs::read_to_string(at("log")).unwrap_or_default());
        let mut server = run("mariadbd");
        server.args(["--skip-networking", &format!("--socket={}", at("socket")), "--character-set-server=utf8mb4"]);
        let process = server.args(options).spawn().expect("MariaDB is installed");
        let server = Self { folder, process };
        server.connect().await.close().await.unwrap();
        server
    }

    /// Returns the URL of a database that is there from the start.
    pub(crate) fn url(&self) -> String {
        format!("mysql://root@localhost/mysql?socket={}/socket", self.folder.path().display())
    }

    pub(crate) async fn run(&self, statement: &str) {
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut self.connect().await).await.unwrap();
    }

    async fn connect(&self) -> MySqlConnection {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            match MySqlConnection::connect(&self.url()).await {
                Ok(connection) => return connection,
                Err(error) if Instant::now() > deadline => {
                    let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                    panic!("MariaDB does not answer: {error}\n{log}");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

impl Drop for Mariadbd {
    fn drop(&mut self) {
        // Nothing of it is kept, so it need not write down what it knows.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
