//! Clients and servers over real sockets on the loopback interface.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing fails as it should")]

mod connections;
mod fake;
mod observed;
mod round_trips;
mod strangers;
mod users;
