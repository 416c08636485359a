//! The URL of a store, which may hold a password.

use std::{fmt, fs, path::Path, str::FromStr};

use crate::Failure;

/// Is a URL that is never printed whole.
#[derive(Clone)]
pub(crate) struct StoreUrl(String);

impl StoreUrl {
    /// Returns the whole URL, to connect with.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns the file of an SQLite database.
    pub(crate) fn file(&self) -> Option<&Path> {
        let path = self.0.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path).split('?').next().unwrap_or_default();
        (path != ":memory:").then(|| Path::new(path))
    }

    /// Refuses a file that is not there, which would be made: nobody means an empty store when there is something to be read.
    pub(crate) fn must_exist(&self) -> Result<(), Failure> {
        match self.file() {
            Some(file) if !file.exists() => Err(format!("{} is not there", file.display()).into()),
            _ => Ok(()),
        }
    }
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix('@') else { return Ok(Self(text.to_owned())) };
        let read = fs::read_to_string(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
        Ok(Self(read.trim().to_owned()))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chat_engine::redacted(&self.0))
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
