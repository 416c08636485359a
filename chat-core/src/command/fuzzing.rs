//! What must hold for jobs and results from a work queue.

use super::{CommandResult, Invocation, wire};

/// Reads a job and a result.
///
/// # Panics
/// If something does not hold.
pub fn job(data: &[u8]) {
    if let Ok(call) = Invocation::decode(data) {
        assert_eq!(Invocation::decode(&call.encode()).as_ref(), Ok(&call));
    }
    if let Ok(result) = wire::decode::<CommandResult>(data) {
        assert_eq!(wire::decode::<CommandResult>(&result.encode()).as_ref(), Ok(&result));
    }
    let taken = CommandResult::decode(data, b"a secret of the cluster");
    assert!(taken.is_err(), "nobody without the secret issues a ticket");
}
