//! What operators' tools need beside opening.

use crate::{error::OpenError, open::Part, url::Url};

/// Returns the SQL that makes the schema of a store at this URL in an empty database. Connects to nothing.
///
/// ```
/// let script = chat_engine::migrations("sqlite:chat.db").unwrap();
/// assert!(script.contains("CREATE TABLE chat_rooms"));
/// ```
pub fn migrations(url: &str) -> Result<String, OpenError> {
    let url = Url::new(url);
    match url.scheme(Part::Store)? {
        #[cfg(feature = "sqlite")]
        "sqlite" => script(&url),
        #[cfg(feature = "postgres")]
        "postgres" => script(&url),
        #[cfg(feature = "mysql")]
        "mysql" | "mariadb" => script(&url),
        scheme @ ("memory" | "mongodb") => Err(OpenError::NoSql { scheme: scheme.to_owned() }),
        scheme => Err(OpenError::unknown(Part::Store, scheme)),
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn script(url: &Url) -> Result<String, OpenError> {
    let config = chat_store_sql::SqlConfig::new(url.as_str());
    config.script().map_err(|source| OpenError::Store { url: url.redacted(), source })
}

/// Returns a URL as operators may see it: without user, password and parameters.
pub fn redacted(url: &str) -> String {
    Url::new(url).redacted()
}
