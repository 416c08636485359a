//! The ports in memory: the defaults, and the reference that adapters are compared with.

mod store;

pub use store::MemoryStore;
