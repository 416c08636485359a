//! What must hold for hints from a broker.

use super::hint::Sealer;

const SECRET: &[u8] = b"a secret of the cluster";

/// Opens a payload, and one whose hints are these bytes.
///
/// # Panics
/// If something does not hold.
pub fn hint(data: &[u8]) {
    open(data);
    let mut unsealed = vec![1; 1 + 32];
    unsealed.extend(data);
    open(&unsealed);
}

fn open(payload: &[u8]) {
    let sealer = Sealer::new(Some(SECRET));
    let Some(found) = sealer.open(payload) else { return };
    assert!(!found.sealed, "nobody without the secret makes a seal");

    let payloads = sealer.seal(found.node, found.list.clone());
    let again: Vec<_> = payloads.iter().filter_map(|payload| sealer.open(payload)).collect();
    assert_eq!(again.len(), payloads.len(), "nodes read what nodes write");
    assert!(again.iter().all(|opened| opened.sealed && opened.node == found.node));
    let list: Vec<_> = again.into_iter().flat_map(|opened| opened.list).collect();
    assert_eq!(list, found.list);
}
