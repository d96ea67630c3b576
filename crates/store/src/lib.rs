//! Records and where they are kept.
//!
//! A [`Record`] is a key, a [`Version`] and either a value or a *tombstone*, the note that the key
//! was deleted. A [`Store`] keeps the newest version of each key and nothing older, so copies that
//! receive the same records in any order end up equal. Versions come from a [`Clock`], a hybrid
//! logical clock: close to wall time, never behind anything it has seen.
//!
//! Records are ordered by the identifier of their key, then by the key itself, so that the part of the
//! circle that changes hands when a node joins or leaves is one ordered scan ([`Store::list`]).
//! There are two engines behind one handle: in memory, and durable in a directory, where every
//! write is answered after its fsync and concurrent writes share one.
//!
//! ```
//! use bytes::Bytes;
//! use store::{Clock, Put, Record, Store};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::memory(ring::Space::SHA1);
//! let clock = Clock::new(store.number(), 1_000);
//!
//! let (old, new) = (clock.next(1, 1_700_000_000_000, None), clock.next(1, 1_700_000_000_000, None));
//! store.put(Record::new("colour", new, "blue")).await?;
//!
//! let late = store.put(Record::new("colour", old, "red")).await?;
//! assert_eq!(late, Put::Superseded(new));
//! assert_eq!(store.get(b"colour")?.and_then(|record| record.value), Some(Bytes::from("blue")));
//! # Ok(())
//! # }
//! ```

mod clock;
mod counters;
mod digest;
mod durable;
mod engine;
mod error;
mod head;
mod listing;
mod memory;
mod place;
mod put;
mod record;
mod span;
mod store;
mod version;

pub use clock::Clock;
pub use counters::Stats;
pub use digest::Digest;
pub use durable::Examined;
pub use error::{OpenError, StoreError};
pub use listing::{Cursor, Listed, Page};
pub use put::Put;
pub use record::Record;
pub use store::Store;
pub use version::{ParseVersionError, Version};
