//! The ports in memory: the defaults, and the reference that adapters are compared with.
