//! How to open a database.

use std::{fmt, time::Duration};

use chat_core::{StoreError, StoreErrorKind};
use mongodb::options::{Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};

use crate::error::ask;

/// How long to look for a primary: 3 s, less than the 5 s that a sender waits for the engine. The driver's own 30 s would
/// hold up everything behind one call while a replica set elects.
const PRIMARY_WITHIN: Duration = Duration::from_secs(3);

/// How long a write waits for a majority: 5 s, as long as a sender waits. It may be stored afterwards; it is tried again.
const MAJORITY_WITHIN: Duration = Duration::from_secs(5);

/// Says which database to open, and how.
///
/// ```
/// let config = chat_store_mongo::MongoConfig::new("mongodb://db/app").namespace("support_").indexes(false);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct MongoConfig {
    /// The URL of the servers, with the name of the database; may hold a password and is therefore never printed.
    pub url: String,
    /// Begins the name of every collection: `chat_`, so that the host's own stay apart. At most 32 of `a-z 0-9 _`, not
    /// beginning with a digit.
    pub namespace: String,
    /// Whether to make the indexes that are missing. If not, they must be there: without the unique ones nothing is promised.
    pub indexes: bool,
    /// Whether to open a server that keeps nothing on disk.
    pub accept_unsafe: bool,
}

impl MongoConfig {
    /// Opens the database at this URL, whose parameter `namespace`, if there is one, is ours and not the driver's.
    pub fn new(url: impl Into<String>) -> Self {
        let (url, namespace) = without_namespace(&url.into());
        Self { url, namespace: namespace.unwrap_or_else(|| "chat_".to_owned()), indexes: true, accept_unsafe: false }
    }

    /// Sets what every collection's name begins with.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets whether to make indexes.
    #[must_use]
    pub fn indexes(mut self, indexes: bool) -> Self {
        self.indexes = indexes;
        self
    }

    /// Sets whether to open a server that keeps nothing on disk.
    #[must_use]
    pub fn accept_unsafe(mut self, accept_unsafe: bool) -> Self {
        self.accept_unsafe = accept_unsafe;
        self
    }

    /// Returns what the driver is told. What the promises rest on is not left to the URL.
    pub(crate) async fn options(&self) -> Result<ClientOptions, StoreError> {
        if !is_plain(&self.namespace) {
            let rule = "a namespace is at most 32 of a-z, 0-9 and _, and begins with no digit";
            return Err(StoreError::new(StoreErrorKind::Other, rule));
        }
        let read = "read the URL of a MongoDB, whose parameters are namespace and those of the driver";
        let mut options = ask(read, ClientOptions::parse(&self.url)).await?; // which refuses those that it does not know
        options.app_name.get_or_insert_with(|| "chat-engine".to_owned());
        options.server_selection_timeout.get_or_insert(PRIMARY_WITHIN);
        options.connect_timeout.get_or_insert(PRIMARY_WITHIN);
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        options.read_concern = Some(ReadConcern::majority());
        let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(MAJORITY_WITHIN);
        options.write_concern = Some(concern.build());
        Ok(options)
    }
}

impl fmt::Debug for MongoConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoConfig")
            .field("url", &"mongodb:…")
            .field("namespace", &self.namespace)
            .field("indexes", &self.indexes)
            .field("accept_unsafe", &self.accept_unsafe)
            .finish()
    }
}

/// Takes the namespace out of a URL: the driver refuses parameters it does not know.
fn without_namespace(url: &str) -> (String, Option<String>) {
    let Some((start, query)) = url.split_once('?') else { return (url.to_owned(), None) };
    let (ours, left): (Vec<_>, Vec<_>) = query.split('&').partition(|pair| pair.starts_with("namespace="));
    let namespace = ours.last().and_then(|pair| pair.split_once('=')).map(|(_, value)| value.to_owned());
    let url = if left.is_empty() { start.to_owned() } else { format!("{start}?{}", left.join("&")) };
    (url, namespace)
}

fn is_plain(text: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    text.len() <= 32 && !text.starts_with(|first: char| first.is_ascii_digit()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_namespace_is_taken_out_of_the_url() {
        let table = [
            ("mongodb://h/d", "mongodb://h/d", "chat_"),
            ("mongodb://h/d?namespace=a_", "mongodb://h/d", "a_"),
            ("mongodb://h/d?tls=true&namespace=a_&appName=x", "mongodb://h/d?tls=true&appName=x", "a_"),
        ];
        for (url, left, namespace) in table {
            let config = MongoConfig::new(url);
            assert_eq!((&*config.url, &*config.namespace), (left, namespace));
        }
    }

    #[tokio::test]
    async fn what_the_promises_rest_on_is_not_left_to_the_url() {
        let url = "mongodb://h/d?w=1&journal=false&readConcernLevel=local&readPreference=secondary";
        let options = MongoConfig::new(url).options().await.unwrap();
        let concern = options.write_concern.unwrap();
        assert_eq!((concern.w, concern.journal), (Some(Acknowledgment::Majority), Some(true)));
        assert_eq!(options.read_concern, Some(ReadConcern::majority()));
        let primary = SelectionCriteria::ReadPreference(ReadPreference::Primary);
        assert_eq!(options.selection_criteria, Some(primary));
    }

    #[tokio::test]
    async fn a_parameter_that_nothing_reads_is_refused() {
        for (url, name) in [("mongodb://h/d?namspace=a_", "namspace"), ("mongodb://h/d?namespace=a_&tsl=true", "tsl")] {
            let error = MongoConfig::new(url).options().await.unwrap_err().to_string();
            assert!(error.contains(&format!("{name} is an invalid option")), "{error}");
            assert!(error.contains("parameters are namespace"), "{error}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_not_printed() {
        assert!(!format!("{:?}", MongoConfig::new("mongodb://chat:hunter2@db/chat")).contains("hunter2"));
    }

    #[test]
    fn a_namespace_is_a_plain_word() {
        for (namespace, plain) in [("chat_", true), ("", true), ("a.b", false), ("system$", false), ("1a", false)] {
            assert_eq!(is_plain(namespace), plain, "{namespace}");
        }
    }
}
