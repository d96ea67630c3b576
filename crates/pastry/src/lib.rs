//! Pastry (Rowstron and Druschel, Middleware 2001) with safe joins, as a pure state machine.
//!
//! Nodes and keys share one circle of identifiers, read as digits of *b* bits; a key belongs to the node that is
//! numerically closest to it, of two equally close ones to the lower. A node knows a *leaf set*: the |L|/2 next nodes
//! on either side; a *routing table*: in row *l* nodes that share *l* digits with it, one for each digit that may come next,
//! near ones by round trip where there is a choice; and a *neighbourhood set*: nodes that are near, which newcomers
//! begin with. A lookup gains a digit with each hop until a leaf set knows the owner. The ring is correct as long as
//! leaf sets are; the table only makes lookups short.
//!
//! Joining as published can lose the ring when nodes join at the same time. Here a member helps one newcomer at
//! a time, under a lease, and a newcomer is active only when every live leaf has confirmed it; see `confirmation`. Leaf sets
//! are kept by heartbeats to the immediate neighbours and by periodic exchange (MSPastry, DSN 2004; Rhea et al., USENIX 2004).
//!
//! **Small rings.** With |L| nodes or fewer a node may be on both sides of a leaf set, at most once on each: so each side
//! is always the next |L|/2 nodes, or everybody. Where the sides meet the set names the whole ring.
//!
//! **Beyond the papers.** Failure detection is not perfect: a node that was wrongly given up is taken in again by its
//! own next heartbeat, and by others' after some seconds. Meanwhile two nodes may claim its keys; records
//! are safe all the same, since writes need a majority of an agreed set. A node that loses a whole side of its leaf set claims nothing until
//! others have confirmed it; one to whom several members fell silent at once looks for another way in instead of
//! declaring itself the whole ring.
//!
//! [`Pastry`] is a value without clock, socket or task; `overlay::Node` drives it.
//!
//! ```
//! use overlay::{Addr, Overlay, Peer};
//! use pastry::{Config, Pastry};
//! use ring::Space;
//!
//! let me = Peer {
//!     id: Space::new(24)?.parse("65a1fc")?,
//!     addr: Addr::new("127.0.0.1:7160").ok_or("no address")?,
//!     incarnation: 1,
//! };
//! let node = Pastry::new(me, Config::default());
//! assert!(!node.is_ready()); // in no ring yet
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod confirmation;
mod failures;
mod join;
mod judge;
mod leaf_set;
mod leaves;
mod message;
mod neighbourhood;
mod pastry;
mod routing;
mod routing_table;
mod rows;
mod shares;
mod table;
#[cfg(test)]
mod testing;

pub use config::Config;
pub use message::*;
pub use pastry::{Pastry, Timer};
