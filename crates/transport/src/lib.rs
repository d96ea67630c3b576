//! gRPC between nodes, and between users and nodes.
//!
//! - The asking side: a [`Pool`] of connections, and a [`PeerClient`] on it that speaks in domain
//!   types. Every call has a deadline and ends in a reply or a [`CallError`].
//! - The answering side: a node implements [`PeerService`], [`KvService`] and [`AdminService`];
//!   [`Server`] puts them on a socket, with health and reflection, and lets nothing malformed through.
//! - Users' stubs: [`v1::kv_client`] and [`v1::admin_client`].
//!
//! What nodes say to each other is not generated code: a [`wire::Call`] knows its path and its bytes,
//! so a new protocol needs nothing here.

mod call_error;
mod codec;
mod connection;
mod dial;
mod exchange;
mod limits;
mod peer_client;
mod pool;
mod serve;
mod traffic;

pub use call_error::CallError;
pub use connection::Connection;
pub use limits::Limits;
pub use peer_client::PeerClient;
pub use pool::{Pool, PoolConfig};
pub use serve::{AdminService, Health, KvError, KvService, PeerService, ServeError, Server, Verified, reason};
pub use tonic::{Code, Status};
pub use traffic::Traffic;
pub use wire::Here;

/// Messages and the users' stubs, package `dht.v1`.
#[allow(missing_docs, clippy::all, reason = "generated; the documentation is in the .proto files")]
pub mod v1 {
    pub use wire::v1::*;
    include!(concat!(env!("OUT_DIR"), "/client/dht.v1.rs"));
}
