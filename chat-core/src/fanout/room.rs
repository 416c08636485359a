//! One live room (the sequencer's state).
#![allow(dead_code, missing_docs, unreachable_pub, missing_debug_implementations)]
pub struct LiveRoom;
pub struct Offer;
pub struct Parked;
pub struct Subscriber;
