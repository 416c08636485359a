//! What options become. That flags win over the environment and it over the file is tested on the binary.
#![allow(clippy::unwrap_used)]

use clap::Parser;

use super::*;

fn resolve(flags: &[&str]) -> Result<Config, ConfigError> {
    let command = Command::try_parse_from(["chat-server"].iter().chain(flags)).unwrap();
    Config::resolve(command.options, None, None)
}

#[test]
fn without_options_everything_stays_on_this_machine() {
    let config = resolve(&[]).unwrap();
    assert!(config.listen.ip().is_loopback() && config.admin.unwrap().ip().is_loopback());
    assert_eq!(config.store.reveal(), config.accounts.reveal());
    assert_eq!(config.drain_grace, Duration::from_secs(15));
    assert!(!config.is_demo());
}

#[test]
fn what_others_can_reach_needs_tls_or_a_proxy() {
    for flags in [["--listen", "0.0.0.0:1"], ["--listen", "[::]:1"], ["--admin", "192.168.1.1:1"]] {
        assert!(matches!(resolve(&flags), Err(ConfigError::Exposed(_))), "{flags:?}");
        assert!(resolve(&[&flags[..], &["--behind-proxy"]].concat()).is_ok());
        assert!(resolve(&[&flags[..], &["--tls-cert", "c", "--tls-key", "k"]].concat()).is_ok());
    }
    assert!(matches!(resolve(&["--tls-cert", "c"]), Err(ConfigError::HalfTls)));
}

#[test]
fn accounts_are_beside_the_messages_wherever_these_are_kept() {
    for store in ["sqlite:a.db", "postgres://h/d", "mysql://h/d", "mariadb://h/d", "mongodb://h/d"] {
        assert_eq!(resolve(&["--store", store]).unwrap().accounts.reveal(), store);
    }
    assert_eq!(resolve(&["--store", "memory:"]).unwrap().accounts.reveal(), "sqlite:accounts.db");
    assert!(matches!(resolve(&["--accounts", "redis://h/1"]), Err(ConfigError::AccountsUrl)));
}

#[test]
fn what_is_shared_over_the_network_needs_a_secret() {
    for option in ["--broker", "--queue"] {
        let flags = [option, "amqp://chat:pw@mq/chat"];
        assert!(matches!(resolve(&flags), Err(ConfigError::NoSecret(name)) if name == option));
        let options = Command::try_parse_from(["chat-server"].iter().chain(&flags)).unwrap().options;
        assert!(Config::resolve(options, Some(Secret::new("sixteen bytes ok")), None).is_ok());
    }
    let config = resolve(&["--broker", "memory", "--queue", "memory:"]).unwrap();
    assert!(config.broker.is_none() && config.queue.is_none());
}

#[test]
fn what_is_no_broker_is_refused_before_a_secret_is_asked_for() {
    for option in ["--broker", "--bridge", "--queue"] {
        assert!(matches!(resolve(&[option, "http://mq"]), Err(ConfigError::BrokerUrl(name)) if name == option));
    }
}

#[test]
fn servers_that_share_nothing_are_not_joined() {
    let broker = ["--broker", "amqp://chat:pw@mq/chat"];
    let with = |more: &[&str]| resolve(&[&broker[..], more].concat());
    assert!(matches!(with(&["--store", "memory:"]), Err(ConfigError::NothingShared("--store"))));
    assert!(matches!(with(&["--messages", "memory"]), Err(ConfigError::NothingShared("--messages"))));
    assert!(matches!(with(&["--store", "postgres://h/d"]), Err(ConfigError::NoSecret("--broker"))));
}

#[test]
fn a_bridge_has_two_ends() {
    let secret = || Some(Secret::new("sixteen bytes ok"));
    let resolve = |text: &str| Config::resolve(parse(text).unwrap(), secret(), None);
    assert!(matches!(resolve("bridge = 'redis://r'"), Err(ConfigError::HalfBridge)));
    assert!(matches!(resolve("bridge = 'redis://r'\nbroker = 'memory'"), Err(ConfigError::HalfBridge)));
    let config = resolve("bridge = 'redis://r'\nbroker = 'amqp://mq1,mq2/chat'").unwrap();
    assert_eq!(config.broker.unwrap().reveal(), "amqp://mq1,mq2/chat");
    assert_eq!(config.bridge.unwrap().reveal(), "redis://r");
}

#[test]
fn an_origin_that_no_browser_sends_is_refused() {
    assert!(resolve(&["--allowed-origin", "https://a.example,http://b.example:8080"]).is_ok());
    for origin in ["*", "null", "a.example", "https://A.example", "https://a.example/", "https://*.example", "https://"]
    {
        assert!(matches!(resolve(&["--allowed-origin", origin]), Err(ConfigError::Origin(_))), "{origin}");
    }
}

#[test]
fn sample_prices_and_a_real_service_exclude_each_other() {
    assert!(resolve(&["--demo"]).unwrap().is_demo());
    assert!(!resolve(&["--demo=false", "--quote-url", "https://q.example/{code}"]).unwrap().is_demo());
    assert!(matches!(resolve(&["--demo", "--quote-url", "https://q/{code}"]), Err(ConfigError::TwoQuoteSources)));
}

#[test]
fn a_file_says_the_same_as_flags_and_unknown_keys_are_named() {
    let text = "listen = '127.0.0.1:1'\nadmin = 'off'\ndrain-grace = '2s'\nallowed-origin = ['https://a.example']\ndemo = true";
    let config = Config::resolve(toml::from_str(text).unwrap(), None, None).unwrap();
    assert_eq!((config.listen.port(), config.admin, config.is_demo()), (1, None, true));
    assert_eq!(config.drain_grace, Duration::from_secs(2));
    let error = toml::from_str::<Options>("lisen = '127.0.0.1:1'").unwrap_err();
    assert!(error.to_string().contains("`lisen`"), "{error}");
}

#[test]
fn spans_without_sense_are_refused() {
    assert_eq!(resolve(&["--session", "12h"]).unwrap().session, Duration::from_hours(12));
    for span in ["0s", "999ms", "366d"] {
        assert!(matches!(resolve(&["--session", span]), Err(ConfigError::Session)), "{span}");
    }
    assert!(matches!(resolve(&["--drain-grace", "61m"]), Err(ConfigError::DrainGrace)));
}

#[test]
fn no_debug_of_a_configuration_shows_a_secret() {
    let flags = ["--store", "postgres://chat:hunter2@db/chat", "--accounts", "sqlite:a.db"];
    let command = Command::try_parse_from(["chat-server"].iter().chain(&flags)).unwrap();
    assert!(!format!("{command:?}").contains("hunter2"));
    let (secret, key) = (Secret::new("hunter2hunter2hunter2"), Secret::new("hunter2 is the key"));
    let config = Config::resolve(command.options, Some(secret), Some(key)).unwrap();
    assert!(!format!("{config:?} {config:#?}").contains("hunter2"));
}

#[test]
fn a_short_secret_is_refused() {
    let short = Config::resolve(Options::default(), Some(Secret::new("hunter2")), None);
    assert!(matches!(short, Err(ConfigError::ShortSecret)));
}
