//! The answering side.

mod admin;
mod health;
mod kv;
mod peers;
mod server;
mod too_long;

pub use admin::{AdminService, Verified};
pub use health::Health;
pub use kv::{KvError, KvService, reason};
pub use peers::PeerService;
pub use server::{ServeError, Server};

/// The traits that are generated for what users call.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated; the documentation is in the .proto files")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/server/dht.v1.rs"));
}
