//! The store that the nodes share: a file, a database server of this run's own, or somebody else's.
//!
//! What a database can do that other services cannot is here.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    Failure, disk,
    network::Network,
    server::PATIENCE,
    service::{Service, open_folder},
};

/// What is a database, of the services.
const DATABASES: [&str; 3] = ["postgres", "mariadb", "mongodb"];

/// What its place in a network is called.
pub(super) const STORE: &str = "store";

/// Tells whether this is a server of the run's own.
pub(super) fn is_own(asked: &str) -> bool {
    DATABASES.contains(&asked)
}

/// Is where the nodes keep their logs. Dropping it ends and removes a server of the run's own.
#[derive(Debug)]
pub(super) struct Store {
    url: String,
    own: Option<Arc<Service>>,
}

impl Store {
    /// Finds or starts what was asked for: `sqlite`, the name of a service, or a URL; a service on a small disk, if that is
    /// wanted.
    pub(super) fn open(
        asked: &str,
        folder: &Path,
        small: bool,
        network: Option<&Arc<Network>>,
    ) -> Result<Self, Failure> {
        if asked == "sqlite" {
            return Ok(Self { url: format!("sqlite:{}", folder.join("chat.db").display()), own: None });
        }
        if asked.contains(':') {
            return Ok(Self { url: asked.to_owned(), own: None });
        }
        if !is_own(asked) {
            return Err(format!("--store {asked}: neither a URL nor sqlite, {}", DATABASES.join(", ")).into());
        }
        let disk = folder.join("disk");
        fs::create_dir(&disk)?;
        if small {
            disk::mount(&disk)?;
        }
        open_folder(folder, &disk)?;
        let own = Service::named(asked, disk)?.placed(network, STORE);
        own.start()?;
        own.publish()?;
        Ok(Self { url: own.url()?, own: Some(Arc::new(own)) })
    }

    /// Returns its URL, as nodes take it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Tells whether others use it, too.
    pub(super) fn is_shared(&self) -> bool {
        self.own.is_none() && !self.url.starts_with("sqlite:")
    }

    /// Returns the server, if it is this run's own and may be broken.
    pub(super) fn own(&self) -> Result<&Arc<Service>, Failure> {
        self.own
            .as_ref()
            .ok_or_else(|| "only a database server of the run's own is broken: --store postgres, say".into())
    }
}

/// Counts the statements that read on from a position. Neither lists of rooms are among them nor what an append looks up.
const READS: &str = "
    SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query LIKE '%e.seq >= greatest(%ORDER BY e.seq LIMIT%'";

/// Holds up what is about to be committed, and rolls one in twenty back.
const SLOW_POSTGRES: &str = "
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_sleep(random() * 0.05);
        IF random() < 0.05 THEN RAISE 'rolled back on purpose' USING ERRCODE = '40001'; END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON chat_entries DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow()";
const SLOW_MARIADB: &str = "
    CREATE TRIGGER slow AFTER INSERT ON chat_entries FOR EACH ROW BEGIN
        DO SLEEP(RAND() * 0.05);
        IF RAND() < 0.05 THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213; END IF;
    END";

impl Store {
    /// Makes each commit slow and some fail, if the store is a server of this run's own that can be told so.
    pub(super) fn slow_commits(&self) -> Result<bool, Failure> {
        let Some(own) = &self.own else { return Ok(false) };
        match own.name {
            "postgres" => own.sql(&self.url, SLOW_POSTGRES)?,
            "mariadb" => own.sql(&self.url, SLOW_MARIADB)?,
            _ => return Ok(false),
        };
        Ok(true)
    }

    /// Has each read of a log counted from now on, if the store is a PostgreSQL of this run's own, which begins again.
    pub(super) fn count_reads(&self) -> Result<(), Failure> {
        let Some(own) = self.postgres() else { return Ok(()) };
        own.sql(&self.url, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")?;
        own.restart()?;
        own.sql(&self.url, "CREATE EXTENSION pg_stat_statements").map(drop)
    }

    /// Returns how often a page of some log was read, if that is counted.
    pub(super) fn reads(&self) -> Result<Option<u64>, Failure> {
        self.postgres().map(|own| Ok(own.sql(&self.url, READS)?.parse()?)).transpose()
    }

    fn postgres(&self) -> Option<&Service> {
        self.own.as_deref().filter(|own| own.name == "postgres")
    }

    /// Waits until no connection is in a transaction, and sees that none ever spoke in one that had failed.
    pub(super) async fn until_nothing_is_open(&self) -> Result<(), Failure> {
        let Some(own) = &self.own else { return Ok(()) };
        let open = match own.name {
            "postgres" => "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'",
            "mariadb" => "SELECT count(*) FROM information_schema.innodb_trx",
            _ => return Ok(()),
        };
        let deadline = Instant::now() + PATIENCE;
        while own.sql(&self.url, open)? != "0" {
            if Instant::now() > deadline {
                return Err("a connection stays in a transaction".into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        let log = fs::read_to_string(own.home()?.join("log"))?;
        let aborted = log.matches("current transaction is aborted").count();
        if aborted > 0 {
            return Err(format!("{aborted} times a failed transaction was used further (25P02)").into());
        }
        Ok(())
    }
}
