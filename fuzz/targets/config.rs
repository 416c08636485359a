//! The configuration file of chat-server: refused with words for the operator, or complete and consistent.
#![no_main]

// The module is part of a program and cannot be depended on.
#[allow(dead_code, unused_imports, reason = "the program uses more of it")]
#[path = "../../examples/server/src/config/mod.rs"]
mod config;

fuzz::text_target!(judge);

fn judge(text: &str) {
    let Ok(options) = config::parse(text) else { return };
    let Ok(config) = config::Config::resolve(options, None, None) else { return };
    let protected = config.tls.is_some() || config.behind_proxy;
    assert!(protected || config.listen.ip().is_loopback(), "no password crosses a network in the clear");
    assert!(config.drain_grace.as_secs() <= 60 * 60);
    assert!((1..=365 * 24 * 60 * 60).contains(&config.session.as_secs()));
    assert!(config.accounts.keeps_accounts());
}
