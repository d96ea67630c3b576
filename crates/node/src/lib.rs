//! One node of one overlay: the pure machines of `overlay`, a protocol and `replica`, driven over gRPC, with the
//! store beside them.
//!
//! [`run`] is the whole daemon. Inside, one task ([`driver`]) owns the machines; everything about records
//! (`kv`, `primary`, `holder`, `transfer`, `strays`, `deletions`) runs beside it, by the snapshots that it publishes.

mod admin;
mod allowance;
mod calls;
mod clocks;
mod config;
mod deletions;
mod dev_faults;
mod dev_latency;
mod doubts;
mod driver;
mod exit;
mod explain;
mod health;
mod hedge;
mod held;
mod hints;
mod holder;
mod http;
mod identity;
mod inbox;
mod kv;
mod locks;
mod logging;
pub mod options;
mod part;
mod pointers;
mod primary;
mod protocols;
mod quarantine;
mod resolve;
mod routes;
mod run;
mod services;
mod set_news;
mod settings;
mod shared;
mod strays;
mod time;
mod transfer;
mod transfers;
mod trouble;
mod verify;
mod verify_store;

pub use config::{Advertise, Config};
pub use dev_latency::LatencyMatrix;
pub use exit::Fatal;
pub use health::healthcheck;
pub use protocols::PROTOCOLS;
pub use settings::Given;
pub use verify_store::verify_store;

/// Runs a node until it has left, stopped or failed. Logs to stderr, says on stdout when it is ready.
pub fn run(config: Config) -> Result<(), Fatal> {
    logging::init(config.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fatal::other(format!("the runtime could not be started: {error}")))?;
    let result = runtime.block_on(protocols::run_configured(config));
    // What still runs has nobody left to answer to; the last of it to go closes the store, which notes what it holds.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    result
}
