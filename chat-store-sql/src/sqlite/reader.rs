//! A connection that is lent to read.

use std::ops::{Deref, DerefMut};

use sqlx::{Connection, SqliteConnection};
use tokio::runtime::Handle;

use crate::pool::Lent;

/// Is a connection that goes back to the pool by itself.
///
/// Whoever leaves in the middle of a read does not end it: the driver's thread steps on to the next row. Until it is done
/// nobody else gets the place, so that there are never more reads than readers.
pub(crate) struct Reader(Option<Lent<SqliteConnection>>);

impl Reader {
    pub(super) fn new(lent: Lent<SqliteConnection>) -> Self {
        Self(Some(lent))
    }

    /// Gives the connection back at once: nothing is under way on it.
    pub(super) fn give_back(mut self) {
        if let Some(lent) = self.0.take() {
            lent.give_back();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let (Some(mut lent), Ok(runtime)) = (self.0.take(), Handle::try_current()) else { return };
        runtime.spawn(async move {
            if lent.ping().await.is_ok() {
                lent.give_back();
            }
        });
    }
}

impl Deref for Reader {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        let Some(lent) = &self.0 else { unreachable!("it is taken out only at the end") };
        lent
    }
}

impl DerefMut for Reader {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        let Some(lent) = &mut self.0 else { unreachable!("it is taken out only at the end") };
        lent
    }
}
