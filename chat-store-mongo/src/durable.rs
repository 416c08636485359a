//! Whether the servers keep what they say they have stored.

use chat_core::{StoreError, StoreErrorKind};
use mongodb::{
    Client,
    bson::{Document, doc},
};

use crate::error::{ask, is_forbidden};

/// Refuses servers that keep nothing on disk, or says what is not promised then.
///
/// A server without journal is found by the first write: it refuses `j: true`.
pub(crate) async fn check(client: &Client, accept_unsafe: bool) -> Result<(), StoreError> {
    // Without the parts that cost the server something.
    let status = doc! { "serverStatus": 1, "metrics": 0, "wiredTiger": 0, "locks": 0, "tcmalloc": 0 };
    let database = client.database("admin");
    let asked = async {
        match database.run_command(status).await {
            Err(error) if is_forbidden(&error) => Ok(None),
            answered => answered.map(Some),
        }
    };
    let Some(status) = ask("read how the server is set", asked).await? else {
        tracing::warn!("this user may not read whether the server keeps data on disk: grant `clusterMonitor`");
        return Ok(());
    };
    match in_memory(&status) {
        Some(engine) if accept_unsafe => {
            tracing::warn!(engine, "when the servers restart, acknowledged messages are missing");
            Ok(())
        }
        Some(engine) => {
            let refused = format!("keep data with the storage engine {engine}, which has none on disk");
            Err(StoreError::new(StoreErrorKind::Unsupported, refused))
        }
        None => Ok(()),
    }
}

/// Returns the name of a storage engine that says it is not persistent.
fn in_memory(status: &Document) -> Option<&str> {
    let engine = status.get_document("storageEngine").ok()?;
    let kept = engine.get_bool("persistent").unwrap_or(true);
    if kept { None } else { Some(engine.get_str("name").unwrap_or("?")) }
}
