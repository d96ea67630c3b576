//! Clients generated from `proto/` alone, as a program in any language would have them.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

/// The generated messages and clients.
#[allow(missing_docs, clippy::all, clippy::unwrap_used)]
pub mod v1 {
    tonic::include_proto!("dht.v1");
}

pub use v1::admin_client::AdminClient;
pub use v1::chord_client::ChordClient;
pub use v1::kv_client::KvClient;

/// Messages may be this large, either way: above every limit that a daemon sets, so that the refusal is its own.
pub const MESSAGE_LIMIT: usize = 64 << 20;

/// A connection to a daemon, made at the first call.
///
/// # Panics
/// When the address is none.
#[must_use]
pub fn channel(addr: &str) -> Channel {
    // A channel spawns its connection on the runtime that it is made in.
    let _inside = runtime().enter();
    Endpoint::from_shared(format!("http://{addr}"))
        .unwrap_or_else(|error| panic!("{addr}: {error}"))
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(10))
        .connect_lazy()
}

/// A client of the users' API.
#[must_use]
pub fn kv(addr: &str) -> KvClient<Channel> {
    KvClient::new(channel(addr)).max_encoding_message_size(MESSAGE_LIMIT).max_decoding_message_size(MESSAGE_LIMIT)
}

/// A client of what `dht` looks inside with.
#[must_use]
pub fn admin(addr: &str) -> AdminClient<Channel> {
    AdminClient::new(channel(addr))
}

/// A client of the protocol between nodes.
#[must_use]
pub fn chord(addr: &str) -> ChordClient<Channel> {
    ChordClient::new(channel(addr))
}

/// Runs a future to its end from ordinary, blocking test code.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    runtime().block_on(future)
}

/// One runtime for all the tests of a process.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
    })
}
