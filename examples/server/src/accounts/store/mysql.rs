//! Accounts in MariaDB and MySQL.

use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, MySqlPool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlRow},
};

use super::{
    AccountStore, Failure,
    tables::{self, sql},
};

const RECORD: &str = "
CREATE TABLE IF NOT EXISTS account_schema (
    one    tinyint PRIMARY KEY,
    digest varchar(64) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT IGNORE INTO account_schema (one, digest) SELECT 1, '{digest}' FROM DUAL WHERE NOT EXISTS
    (SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'account_users');
";

/// Ids are compared byte by byte: what looks alike is the business of the look.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS account_users (
    id       varchar(190) PRIMARY KEY,
    look     varchar(190) NOT NULL UNIQUE,
    name     varchar(1000) NOT NULL,
    password varchar(1000) NOT NULL,
    created  bigint NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS account_logins (
    token   varbinary(64) PRIMARY KEY,
    login   varchar(64) NOT NULL UNIQUE,
    account varchar(190) NOT NULL,
    created bigint NOT NULL,
    expires bigint NOT NULL,
    KEY account_logins_by_user (account, created),
    FOREIGN KEY (account) REFERENCES account_users (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS account_places (
    account varchar(190) NOT NULL,
    place   varchar(190) NOT NULL,
    seen    bigint NOT NULL,
    PRIMARY KEY (account, place),
    FOREIGN KEY (account) REFERENCES account_users (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
CREATE TABLE IF NOT EXISTS account_bans (
    account varchar(190) PRIMARY KEY,
    at      bigint NOT NULL,
    FOREIGN KEY (account) REFERENCES account_users (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
";

sql!(MySqlPool, MySqlRow, str::to_owned);

pub(super) async fn open(url: &str) -> Result<Box<dyn AccountStore>, Failure> {
    let options = MySqlConnectOptions::from_str(url)?.disable_statement_logging();
    let pool = MySqlPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5));
    let pool = pool.connect_with(options).await?;
    tables::open(pool, RECORD, SCHEMA).await
}
