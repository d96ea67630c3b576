//! Clients and servers over real sockets on the loopback interface.

mod connections;
mod fake;
mod observed;
mod round_trips;
mod strangers;
mod users;
