//! Tests of the quote library against replies and servers that mean no good.
//!
//! The suffixes of the names (`_v6`, `_c4`, `_s18`) are the rows of the list of promises that a test covers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod binary;
mod egress;
mod fixture;
mod lines;
mod replies;
mod sample;
mod secrets;
mod source;
