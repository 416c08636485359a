//! Whether a server keeps what it says it has committed.

use chat_core::{StoreError, StoreErrorKind};

/// Is a setting under which a commit may be lost, with what the setting should be.
pub(crate) struct Unsafe {
    pub(crate) setting: String,
    pub(crate) value: String,
    pub(crate) wanted: &'static str,
}

/// Refuses settings under which commits may be lost, or says what is not promised then.
pub(crate) fn check(found: &[Unsafe], accept: bool) -> Result<(), StoreError> {
    let all = found.iter().map(|it| format!("{} = {} (wanted: {})", it.setting, it.value, it.wanted));
    let all = all.collect::<Vec<_>>().join(", ");
    if found.is_empty() {
        Ok(())
    } else if accept {
        tracing::warn!(settings = all, "after a crash of the database, acknowledged messages may be missing");
        Ok(())
    } else {
        let refused = format!("keep commits safe with {all}");
        Err(StoreError::new(StoreErrorKind::Unsupported, refused))
    }
}
