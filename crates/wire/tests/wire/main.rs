//! What goes over the wire comes back as it was, and nothing else gets through.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails as it should")]

mod arbitrary;
mod kelips;
mod malformed;
mod never_panics;
mod pastry;
mod round_trip;
mod spoken;
mod table;
