use std::fmt;
use std::sync::Arc;

use ring::Id;

/// Where a process can be dialled, `HOST:PORT`. Never empty; cheap to clone.
///
/// One process has one address, so it also tells processes apart: copies of a record go to
/// peers of distinct addresses.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Addr(Arc<str>);

impl Addr {
    /// An address as advertised by its owner; `None` for the empty text.
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The text, `HOST:PORT`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node as others know it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Peer {
    /// Its place on the circle.
    pub id: Id,
    /// Where to dial it.
    pub addr: Addr,
    /// Which life of this identifier it is: a restart is greater than every life before it.
    pub incarnation: u64,
}

/// Which ring a node belongs to. A greater one is younger; when two rings meet, the younger dissolves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RingId {
    /// Wall-clock milliseconds at the ring's start.
    pub started_ms: u64,
    /// The node that started it.
    pub starter: Id,
}
