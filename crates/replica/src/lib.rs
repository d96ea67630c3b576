//! Who holds a record: numbered sets of members, chosen one after another by those they are to follow.
//!
//! Think of every identifier on the circle as having its own history of [`Set`]s. A set's *primary* orders the
//! writes of what falls there and answers its reads; a majority of its members makes a write or a read count
//! ([`WriteQuorum`], [`ReadQuorum`]). Each next set is chosen by the members of the one before, by consensus, so
//! two histories never part. (Scatter, SOSP 2011, keeps a ring of such groups; here the groups follow the ring.)
//!
//! [`Control`] is one node's part in all that: a machine without clock, socket or task, which is told what happens
//! and says what to do ([`Effect`]). The records themselves it never sees: moving them is a [`Job`] for the driver, and
//! request handlers act by the [`Holdings`] that it publishes.
//!
//! Why no acknowledged write is lost, in short: it is on a majority of its set, and on every newcomer that may be in
//! the next one. A newcomer counts once it has fetched everything from a majority while every new write reached it
//! too; the primary of the old set lets it in, and acknowledges nothing more (`acceptor`, `proposer`, `newcomer`). A set
//! shrinks by one at a time, with everything on a majority in between (`next_set`). And a new primary serves only after
//! it has heard a majority of the set before (`primary`).

mod acceptor;
mod arcs;
#[cfg(test)]
mod cluster;
mod control;
mod coordinator;
mod deletion;
mod descent;
mod doubts;
mod effect;
#[cfg(test)]
mod fixtures;
mod history;
mod holdings;
mod jobs;
mod leaver;
mod local;
mod lost_majority;
mod member;
mod message;
mod newcomer;
mod next_set;
mod notice;
mod offer;
mod peers;
mod primary;
mod proposer;
mod quorum;
mod read_only;
mod reconcile;
mod retry;

pub use control::Control;
pub use deletion::*;
pub use descent::*;
pub use doubts::*;
pub use effect::*;
pub use holdings::*;
pub use message::*;
pub use offer::*;
pub use quorum::*;
pub use reconcile::*;
