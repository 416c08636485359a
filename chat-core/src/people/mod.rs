//! What is held of a person: [handed out](export), and [forgotten](erase()).
//!
//! Both work on a store, beside a running chat or without one, and both may be repeated.
//!
//! # What erasing means
//!
//! A person is gone when nothing that is stored says who they were or what they wrote. In every room where they wrote or
//! are named, in this order, which a crash may end anywhere and a repetition takes up again:
//!
//! 1. Their sessions end (a `revoked` in their inbox), and the inbox keeps the anonymous [stand-in](crate::UserId::stand_in) that
//!    was drawn for them, so that a repetition uses the same.
//! 2. Their membership ends by a `leave`, and their reactions are taken back, in their name.
//! 3. [`Erase`](crate::model::Erase) entries blank their messages with all edits and hashes. As entries they reach whoever
//!    is connected, whoever resumes, and every projection.
//! 4. After a moment in which every node has seen all this, the store [forgets](crate::store::PeopleStore::forget) the id
//!    and the display name: the stand-in is the author of the blanked positions, and named where they were named.
//!
//! What stays: that somebody wrote at these positions, and when; a room's title, topic and data, which belong to the room,
//! whoever set them; what others wrote about the person in texts of theirs; an edit of somebody else's message, which only
//! a host's own policy allows. Accounts are the host's: take the login away first, or the person is back at once.

mod erase;
mod export;
mod trace;

pub use erase::{Erasing, erase};
pub use export::{Line, export};
