//! A client of the daemons.
//!
//! Any node serves any key, so a [`Client`] is given a few of them and asks the first that answers. Connections are
//! opened when they are needed. A node that does not answer, or answers that it is joining or leaving, is passed over
//! for the next, except after a *conditional* write was sent: that ends in [`Error::OutcomeUnknown`].
//!
//! ```no_run
//! use client::{Client, Condition, Error, PutOptions};
//!
//! # async fn example() -> Result<(), Error> {
//! let client = Client::new(["127.0.0.1:7160", "127.0.0.1:7162"])?;
//! let receipt = client.put("fruit", "apple", PutOptions::default()).await?;
//! println!("{} copies of version {}", receipt.acks.len(), receipt.version);
//!
//! let record = client.get("fruit").await?;
//! assert_eq!(record.value, "apple");
//!
//! // Only if nobody was faster:
//! let condition = Some(Condition::IfVersion(record.version));
//! match client.put("fruit", "pear", PutOptions { condition, ..Default::default() }).await {
//!     Err(Error::ConditionFailed { .. }) => println!("somebody was faster"),
//!     result => println!("written: {}", result?.version),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Cloning a client is cheap, and its clones share their connections. What `dht` looks inside with
//! ([`Client::status`], [`Client::lookup`] …) answers in the messages of `proto/dht/v1/admin.proto`, found in [`message`].

mod admin;
mod client;
mod config;
mod endpoint;
mod error;
mod kv;
mod outcome;
mod version;

pub use admin::Verification;
pub use client::Client;
pub use config::Config;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Attempt, Attempts, Error};
pub use kv::{Ack, Condition, Consistency, DeleteOptions, GetOptions, Peer, PutOptions, Receipt, Record};
pub use version::{Version, VersionError};
/// The messages as they travel.
pub use wire::v1 as message;
