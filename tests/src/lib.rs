//! What the tests across processes stand on: real `dhtd` processes, the real `dht`, and nothing of the code under test.
//!
//! A [`Cluster`] builds both binaries (once a test run), starts daemons in a directory of its own, kills, pauses,
//! stops and restarts them, and kills whatever is left when it goes out of scope. What a test expects is computed
//! here from first principles: [`ids`] hashes keys with a SHA-1 of its own and finds true successors in a sorted
//! list; [`Protocol`] says what is right in which overlay. [`stub`] is a client generated from the `.proto` files alone, for bulk work and for requests that no
//! well-behaved client would send.
//!
//! [`history`] judges what many clients were told while a cluster suffered, and `torture` makes it suffer.
//!
//! Nothing here sleeps and hopes. Everything that takes time goes through [`eventually`], which polls until a
//! condition holds and says what was still wrong when its time is over. Everything fails by panicking, so that a
//! test reads as what it claims; a cluster that is dropped during a panic keeps its logs and says where they are.

mod agreement;
mod binaries;
mod builder;
mod cluster;
mod compose;
mod daemon;
mod finished;
mod gate;
pub mod history;
mod http;
pub mod ids;
mod lookups;
mod ports;
mod records;
mod ring_view;
pub mod stub;
pub mod torture;
mod truth;
mod wait;

pub use binaries::Binaries;
pub use builder::Builder;
pub use cluster::Cluster;
pub use compose::Compose;
pub use daemon::{Daemon, Ready, Signal};
pub use finished::{Finished, run};
pub use gate::Gate;
pub use http::http_get;
pub use lookups::{Found, Missed, lookup_all};
pub use ports::free_port;
pub use records::{Record, Stored, get_all, put_all, records};
pub use ring_view::{Member, parse_members};
pub use truth::Protocol;
pub use wait::{eventually, holds_for};
