//! Who holds a record. Pure.
mod acceptor;
mod arcs;
mod control;
mod coordinator;
mod effect;
#[cfg(test)]
mod fixtures;
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
mod peers;
mod primary;
mod proposer;
mod quorum;
mod reconcile;
mod retry;

pub use control::Control;
pub use effect::*;
pub use holdings::*;
pub use message::*;
pub use quorum::*;
pub use reconcile::*;
