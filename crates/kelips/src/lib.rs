//! Kelips (Gupta, Birman, Linga, Demers, van Renesse, IPTPS 2003), as a pure state machine.
//!
//! Nodes are divided into k *affinity groups* by identifier mod k. A node knows all members of its own group, a few
//! *contacts* in each other group, and of every key of its group that it exists and which nodes are its *homes* (the
//! *filetuples*). So a lookup takes one hop, at the price of √n memory and of gossip, which keeps everything up to date in
//! one stream of bounded messages.
//!
//! **What the paper leaves to others.** It finds files whose owners announce them; here an overlay has to say who is
//! responsible for each key. A key of identifier i belongs to group i mod k, and lies in that group's arc of
//! [`ring::Places`]. The arc is cut into 32 equal slots. A slot belongs to its *arbiter*, the member of the group with the
//! highest rendezvous hash for it ([`arbiter`]), which chooses the homes; the layer of records agrees on them by consensus
//! and announces what came of it. A filetuple's homes are those of its slot. The keys of an empty group belong to
//! the next group that has members.
//!
//! **Soft state.** Entries are timed by heartbeats, in rounds. One that is quiet for long is pinged before it is
//! dropped; that a member is gone is gossiped as a rumour, which everybody looks into and nobody believes. A newer
//! incarnation replaces an older one everywhere.
//!
//! **While views differ** two members may take themselves for a slot's arbiter, or nobody may: for as long as gossip
//! takes, a few rounds. Records are safe meanwhile, since a slot's set of homes is decided by consensus.
//!
//! [`Kelips`] is a value without clock, socket or task; `overlay::Node` drives it.
//!
//! ```
//! use kelips::{Config, Kelips};
//! use overlay::{Addr, Overlay, Peer};
//! use ring::Space;
//!
//! let config = Config { groups: 10, ..Config::default() };
//! let me = Peer {
//!     id: Space::SHA1.id(127)?, // group 7
//!     addr: Addr::new("127.0.0.1:7160").ok_or("no address")?,
//!     incarnation: 1,
//! };
//! let node = Kelips::new(me, config);
//! assert_eq!(node.table().group, 7);
//! assert!(!node.is_ready()); // in no ring yet
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod announce;
mod compose;
mod config;
mod contacts;
mod cost;
mod filetuples;
mod gossip;
mod homes;
mod inspect;
mod join;
mod kelips;
mod message;
mod pull;
mod rendezvous;
mod routing;
mod rumours;
mod slots;
mod vacancy;
mod view;

pub use config::{Config, ConfigError};
pub use kelips::{Kelips, Timer};
pub use message::*;
pub use rendezvous::arbiter;
