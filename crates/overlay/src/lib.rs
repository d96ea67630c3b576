//! The contract between an overlay protocol and whatever drives it.

mod contract;
mod ctx;
mod node;
mod peer;

pub use contract::*;
pub use ctx::Ctx;
pub use node::*;
pub use peer::{Addr, Peer, RingId};
