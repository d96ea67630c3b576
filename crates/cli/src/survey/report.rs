//! What one node says of itself, out of its messages.

use client::message::{self, NeighboursResponse, StatusResponse, TableResponse, table_response};
use overlay::Peer;
use ring::{Id, IdError, Range, Space};
use wire::WireForm;

use crate::protocols;

/// What a node says of itself.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Report {
    pub(crate) me: Peer,
    /// First identifier of its process.
    pub(crate) process: Id,
    pub(crate) protocol: String,
    pub(crate) cluster: String,
    pub(crate) state: State,
    /// Why it takes no writes, if so.
    pub(crate) read_only: Option<String>,
    /// Which ring it is in, in words that differ for different rings.
    pub(crate) ring: Option<String>,
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
    pub(crate) owns: Vec<Range>,
    /// Members of the smallest set that it is primary of; one that is not settled counts as none.
    pub(crate) set_members_min: Option<usize>,
    /// Every node that it names: those next to it in the overlay's order, and whom its table names.
    pub(crate) names: Vec<Peer>,
    /// Where among the members the overlay puts it, where its identifier does not tell.
    pub(crate) place: Option<String>,
    /// Its routing state as it came, when that was asked for; readable if its protocol is known.
    pub(crate) table: Option<table_response::Table>,
}

/// Where a member stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum State {
    Joining,
    Ready,
    Leaving,
}

impl Report {
    pub(super) fn new(
        status: &StatusResponse,
        neighbours: &NeighboursResponse,
        table: Option<&TableResponse>,
    ) -> Result<Self, String> {
        let malformed = |error: IdError| error.to_string();
        let space = Space::new(status.id_bits).map_err(malformed)?;
        let id = |bytes: &[u8]| space.from_bytes(bytes).map_err(malformed);
        let named = |peer: &message::Peer| Peer::from_message(peer.clone(), space).map_err(|why| why.to_string());
        let me = neighbours.me.as_ref().ok_or("it does not say who it is")?;
        let ring =
            |ring: &message::RingId| Ok::<_, String>(format!("{} of {} ms", id(&ring.starter)?, ring.started_ms));
        let range = |range: &message::Range| Ok::<_, String>(Range::new(id(&range.after)?, id(&range.upto)?));
        let process = if neighbours.process.is_empty() { &me.id } else { &neighbours.process };
        let around = neighbours.next.iter().chain(&neighbours.previous);
        let mut names = around.map(named).collect::<Result<Vec<_>, _>>()?;
        let table = table.and_then(|answer| answer.table.clone());
        if let (Some(protocol), Some(table)) = (protocols::find(&status.protocol), table.clone()) {
            names.extend(protocol.read(table, space).map_err(|why| why.to_string())?.peers);
        }
        Ok(Self {
            me: named(me)?,
            process: id(process)?,
            protocol: status.protocol.clone(),
            cluster: status.cluster.clone(),
            state: State::new(&neighbours.state),
            read_only: Some(status.read_only.clone()).filter(|why| !why.is_empty()),
            ring: status.ring.as_ref().map(ring).transpose()?,
            keys: neighbours.keys,
            bytes: neighbours.bytes,
            owns: neighbours.owns.iter().map(range).collect::<Result<_, _>>()?,
            set_members_min: set_members_min(status),
            names,
            place: Some(status.place.clone()).filter(|place| !place.is_empty()),
            table,
        })
    }

    /// Its part of the circle, from 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        // A sum of nothing would be -0.0.
        self.owns.iter().fold(0.0, |sum, range| sum + range.fraction())
    }
}

fn set_members_min(status: &StatusResponse) -> Option<usize> {
    let own = status.sets.iter().filter(|set| matches!(set.role.as_str(), "primary" | "taking over"));
    own.map(|set| if set.settled { set.members.len() } else { 0 }).min()
}

impl State {
    fn new(word: &str) -> Self {
        match word {
            "ready" => Self::Ready,
            "leaving" | "left" => Self::Leaving,
            _ => Self::Joining,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Leaving => "leaving",
        }
    }
}
