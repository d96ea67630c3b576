//! For the tests of protocol crates: a deterministic network in virtual time, and the conformance suite
//! that every overlay passes.
//!
//! [`Net`] runs many [`crate::Node`]s in one thread. Its clock jumps from one event to the next, so a minute
//! of a ring's life takes milliseconds; everything random in it comes from one seed, which every failure prints.
//! [`conformance`] holds the scenarios: each is one public function that a protocol crate's
//! `tests/conformance.rs` calls with its [`Subject`]. [`step`] drives a bare protocol, without a node around
//! it, for tests that replace failure detection by a perfect one.

pub mod conformance;
mod host;
mod net;
mod step;
mod subject;

pub use net::Net;
pub use step::{Effects, step};
pub use subject::Subject;
