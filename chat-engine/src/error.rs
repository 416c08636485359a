//! Why a chat could not be opened: for the person who starts it.

use std::{error::Error, fmt};

use chat_core::{BuildError, StoreError};

use crate::open::Part;
#[cfg(any(feature = "amqp", feature = "redis"))]
use crate::url::Url;

/// Says why a chat could not be opened. Neither its text nor its `Debug` shows a password.
///
/// `Debug` is its text with all causes, since that is what a `main` prints that returns it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A URL does not begin with a scheme.
    #[error("the URL of the {part} does not begin with a scheme; this version opens {}", known(*part))]
    NoScheme {
        /// What was to be opened.
        part: Part,
    },
    /// Nothing in this version opens such a URL.
    #[error("no {part} is opened by `{scheme}:`; this version opens {}", known(*part))]
    UnknownScheme {
        /// What was to be opened.
        part: Part,
        /// The scheme given.
        scheme: String,
    },
    /// What opens such a URL is not compiled in.
    #[error("`{scheme}:` as {part} needs the feature `{feature}` of chat-engine")]
    FeatureMissing {
        /// What was to be opened.
        part: Part,
        /// The scheme given.
        scheme: String,
        /// The cargo feature to switch on.
        feature: &'static str,
    },
    /// The store could not be opened.
    #[error("{url} cannot be opened")]
    Store {
        /// The URL, without user, password and parameters.
        url: String,
        /// Why not.
        source: StoreError,
    },
    /// Of two stores, the one of the rooms could not follow the logs in the other.
    #[error("the rooms cannot follow their logs")]
    Hybrid(#[source] StoreError),
    /// A store of this kind has no schema that could be printed: it is made as it is opened.
    #[error("a store at `{scheme}:` has no schema in SQL")]
    NoSql {
        /// The scheme given.
        scheme: String,
    },
    /// Something else could not be opened.
    #[error("{url} cannot be opened as {part}")]
    Refused {
        /// What was to be opened.
        part: Part,
        /// The URL, without user, password and parameters.
        url: String,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A command is carried out over a queue, and there is none.
    #[error("the command `{command}` needs a queue: ChatBuilder::queue")]
    QueueMissing {
        /// The command's name.
        command: String,
    },
    /// A bridge leads to a second broker, and there is no first one.
    #[error("a bridge joins two brokers, and one is missing: ChatBuilder::broker")]
    BrokerMissing,
    /// The parts do not make an engine.
    #[error("the engine cannot be started")]
    Build(#[from] BuildError),
}

impl OpenError {
    /// Says why an adapter did not take its URL.
    #[cfg(any(feature = "amqp", feature = "redis"))]
    pub(crate) fn refused(part: Part, url: &Url, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Refused { part, url: url.redacted(), source: source.into() }
    }

    /// Says why no adapter took a URL.
    pub(crate) fn unknown(part: Part, scheme: &str) -> Self {
        let scheme = scheme.to_owned();
        let feature = part.schemes().iter().find(|(known, _)| *known == scheme).and_then(|(_, feature)| *feature);
        match feature {
            Some(feature) => Self::FeatureMissing { part, scheme, feature },
            None => Self::UnknownScheme { part, scheme },
        }
    }
}

impl fmt::Debug for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self))
    }
}

/// Returns an error's text with its causes, of which some are in the text already.
fn chain(error: &dyn Error) -> String {
    let text = error.to_string();
    match error.source().map(chain) {
        Some(cause) if !text.contains(&cause) => format!("{text}: {cause}"),
        _ => text,
    }
}

fn known(part: Part) -> String {
    part.opened().map(|scheme| format!("`{scheme}:`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use chat_core::StoreErrorKind;

    use super::*;

    #[test]
    fn an_unknown_scheme_names_what_is_compiled_in() {
        let text = OpenError::unknown(Part::Store, "carrier-pigeon").to_string();
        assert!(text.starts_with("no store is opened by `carrier-pigeon:`; this version opens `memory:`"), "{text}");
        for (scheme, is_on) in [
            ("sqlite", cfg!(feature = "sqlite")),
            ("postgres", cfg!(feature = "postgres")),
            ("mariadb", cfg!(feature = "mysql")),
            ("mongodb", cfg!(feature = "mongodb")),
        ] {
            assert_eq!(text.contains(&format!(", `{scheme}:`")), is_on, "{text}");
        }
    }

    #[test]
    fn what_a_main_prints_is_the_text_and_its_causes() {
        let source = StoreError::new(StoreErrorKind::Unavailable, "open the file").with_source("no such folder");
        let error = OpenError::Store { url: "sqlite:chat.db".to_owned(), source };
        let printed = format!("{error:?}");
        assert!(printed.starts_with("sqlite:chat.db cannot be opened: open the file: "), "{printed}");
        assert_eq!(printed.matches("no such folder").count(), 1, "{printed}");
        assert_eq!(format!("{:?}", OpenError::BrokerMissing), OpenError::BrokerMissing.to_string());
    }

    #[test]
    fn a_known_scheme_names_the_feature_that_adds_it() {
        let error = OpenError::unknown(Part::Store, "sqlite");
        assert_eq!(error.to_string(), "`sqlite:` as store needs the feature `sqlite` of chat-engine");
    }
}
