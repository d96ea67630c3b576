//! What a node leaves for its driver to do, and the news for the layers above.

use std::time::Duration;

use crate::{Addr, Envelope, LocateError, Located, Overlay, Peer, Request, RingId, State};

/// Numbers a call; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CallId(pub u64);

/// Numbers a query; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct QueryId(pub u64);

/// What a driver must do. Taken with [`Node::poll_effect`] until there is none.
#[derive(Clone, Debug)]
pub enum Effect<P: Overlay> {
    /// Send a request; end it exactly once through [`Node::on_reply`], at the latest after `timeout`.
    Call {
        /// Its number.
        call: CallId,
        /// Where to.
        addr: Addr,
        /// In front of the request.
        envelope: Envelope,
        /// The request.
        request: Request<P>,
        /// When to give up.
        timeout: Duration,
    },
    /// A lookup begun by [`Node::locate`] ended.
    Located {
        /// Which.
        query: QueryId,
        /// With what.
        result: Result<Located, LocateError>,
    },
    /// Something a human or the layer above wants to know.
    Event(Event),
}

/// News. The view ([`Node::view`]) has changed whenever one of these is seen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// The node's standing changed.
    State(State),
    /// It is in this ring now: to be kept on disk. `founded`: it started the ring just now, as its first node.
    Ring {
        /// The ring.
        ring: RingId,
        /// This node started it just now with no disk of it, so that it holds everything there is: nothing.
        founded: bool,
    },
    /// The arcs it owns, or their holders, changed.
    Shares,
    /// A peer was declared dead (or gone).
    Down(Peer),
    /// A peer was heard of for the first time, or again.
    Up(Peer),
    /// It is about to leave its ring for an older one that it met: records go to their owners there.
    Rejoining {
        /// The ring it leaves.
        from: RingId,
        /// The ring it joins.
        to: RingId,
    },
    /// A peer announced that it stops, and will come back with its disk.
    Stopping(Peer),
    /// It can't join and never will: settings differ, or its identifier is taken. Says which and both values.
    Refused(String),
    /// What a look at the ring behind an address, asked for with [`crate::Node::meet`], came to: what happens now, or why
    /// nothing does.
    Met(Addr, Result<String, String>),
    /// Worth a line in the log.
    Note(String),
}
