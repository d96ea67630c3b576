use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{
    CallId, Envelope, Event as News, Failure, LocateError, Located, Node, Overlay, Peer, QueryId, Request, Response,
    RingId, Time,
};

/// One process of the virtual network.
#[derive(Clone, Debug)]
pub(crate) struct Host<P: Overlay> {
    pub(crate) node: Node<P>,
    pub(crate) status: Status,
    /// Counts its starts; what was meant for an earlier one is dropped.
    pub(crate) life: u32,
    /// Hosts in different groups don't hear each other.
    pub(crate) group: u32,
    /// What arrived while it was paused.
    pub(crate) held: Vec<Event<P>>,
    /// Calls that have not ended yet.
    pub(crate) open: BTreeSet<CallId>,
    /// When it is woken next.
    pub(crate) wake: Option<Time>,
    pub(crate) found: BTreeMap<QueryId, Result<Located, LocateError>>,
    /// The ring it was in last: what a disk would remember.
    pub(crate) ring: Option<RingId>,
    pub(crate) news: Vec<News>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    Up,
    /// SIGSTOP: it neither answers nor notices time.
    Paused,
    /// Not running: connections are refused.
    Down,
}

/// Something that happens at a host at a certain time.
#[derive(Clone, Debug)]
pub(crate) enum Event<P: Overlay> {
    Request { from: usize, from_life: u32, call: CallId, envelope: Envelope, request: Request<P> },
    Reply { from: Option<usize>, life: u32, call: CallId, result: Result<Response<P>, Failure>, rtt: Option<Duration> },
    Wake { life: u32 },
}

impl<P: Overlay> Host<P> {
    pub(crate) fn peer(&self) -> Peer {
        self.node.view().me
    }

    pub(crate) fn is_up(&self) -> bool {
        self.status == Status::Up
    }
}
