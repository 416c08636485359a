//! The ports in memory: the defaults, and the reference that adapters are compared with.
//!
//! They are real and pass the same suites as any adapter. What they cannot do is outlive their process or reach
//! another one: the nodes they join are engines of this process.

mod backlog;
mod broker;
mod presence;
mod queue;
mod store;

pub use broker::MemoryBroker;
pub use presence::MemoryPresence;
pub use queue::MemoryQueue;
pub use store::MemoryStore;
