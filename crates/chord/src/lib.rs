//! Chord (Stoica et al., SIGCOMM 2001) in Zave's corrected form (TSE 43(12), 2017), as a pure state machine.
//!
//! Nodes and keys share one circle of identifiers; a key belongs to the first node at or after it.
//! A node knows its *predecessor*, a *successor list* of exactly r entries, and *fingers*: the nodes
//! that lie 1, 2, 4, … 2^(m−1) further on. The ring is correct as long as the lists are; fingers only
//! make lookups short.
//!
//! The protocol as published in 2001 could lose the ring. Zave found an invariant that suffices, and a
//! version that keeps it, which is the one here: every operation is one step at one node that reads at
//! most one other node, lists are built whole and are always full, and a pointer is known to be live
//! before it is taken in.
//!
//! **Below r + 1 members** there is no proof. The same steps run there with one addition: a member takes in
//! one newcomer at a time, the next once both neighbours list the last. Lists come round to the node itself;
//! [`Table`] shows each member once.
//!
//! **Beyond the proof.** Failure detection is not perfect: a node that was wrongly given up is dropped by its
//! predecessor, and put back by its own next notification and the stabilize round after. Meanwhile two
//! nodes may claim an arc; records are safe all the same, since writes need a majority of an agreed set. Leaving is an ordinary
//! failure that is announced. A node that loses its whole list goes on by its predecessor; one to whom several
//! members fell silent at once looks for another way in instead of declaring itself the whole ring.
//!
//! [`Chord`] is a value without clock, socket or task; `overlay::Node` drives it.
//!
//! ```
//! use chord::{Chord, Config};
//! use overlay::{Addr, Overlay, Peer};
//! use ring::Space;
//!
//! let me = Peer {
//!     id: Space::new(7)?.id(80)?,
//!     addr: Addr::new("127.0.0.1:7160").ok_or("no address")?,
//!     incarnation: 1,
//! };
//! let node = Chord::new(me, Config::default());
//! assert!(!node.is_ready()); // in no ring yet
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chord;
mod config;
mod confirmation;
mod finger_table;
mod fix_fingers;
mod inspect;
mod join;
mod judge;
mod maintenance;
mod message;
mod routing;
mod silence;
mod successor_list;
mod table;
mod vigilance;

pub use chord::{Chord, Timer};
pub use config::Config;
pub use message::*;
