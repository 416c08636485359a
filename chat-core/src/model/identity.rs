//! Who acts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Timestamp, UserId};

/// Says what stands behind an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person. Only people's text can be a command.
    #[default]
    Human,
    /// A program that posts under a name of its own. Its text is never a command, so bots cannot set off bots.
    Bot,
    /// The host itself: may do everything.
    System,
}

/// Is who connects, as the host authenticated them.
///
/// The host makes it from its own users; the engine keeps no accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The host's id of the user.
    pub user: UserId,
    /// The display name; the latest one seen is shown for all of the user's entries.
    pub name: Arc<str>,
    /// Person, bot or the host itself.
    pub kind: Kind,
    /// The login (session of the host) this came from, so that one login can be revoked. Empty: none.
    pub login: Arc<str>,
    /// When the authentication ends; the session is closed then unless it was refreshed.
    pub expires: Option<Timestamp>,
    /// When the authentication was given. What was revoked since then is not taken, however long it is good for; without
    /// a time only what is revoked since the client connected counts, and the host must not accept what it revoked.
    pub issued: Option<Timestamp>,
}

impl Identity {
    /// Makes the identity of a person.
    pub fn human(user: UserId, name: impl Into<Arc<str>>) -> Self {
        Self { user, name: name.into(), kind: Kind::Human, login: "".into(), expires: None, issued: None }
    }

    /// Makes the identity of a bot.
    pub fn bot(user: UserId, name: impl Into<Arc<str>>) -> Self {
        Self { kind: Kind::Bot, ..Self::human(user, name) }
    }

    /// Makes the identity of the host itself.
    pub fn system() -> Self {
        Self { kind: Kind::System, ..Self::human(UserId::system(), "System") }
    }

    /// Names the login this identity came from.
    #[must_use]
    pub fn with_login(mut self, login: impl Into<Arc<str>>) -> Self {
        self.login = login.into();
        self
    }

    /// Sets when the authentication ends.
    #[must_use]
    pub fn with_expiry(mut self, expires: Timestamp) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Sets when the authentication was given.
    #[must_use]
    pub fn with_issue(mut self, issued: Timestamp) -> Self {
        self.issued = Some(issued);
        self
    }
}
