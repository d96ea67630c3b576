//! What one node says of itself, out of its messages.

use client::message::{self, NeighboursResponse, StatusResponse, TableResponse, table_response};
use ring::{Id, IdError, Range, Space};

/// A node as others name it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Named {
    pub(crate) id: Id,
    pub(crate) addr: String,
    pub(crate) incarnation: u64,
}

/// What a node says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    pub(crate) me: Named,
    /// First identifier of its process.
    pub(crate) process: Id,
    pub(crate) protocol: String,
    pub(crate) cluster: String,
    pub(crate) state: State,
    /// Which ring it is in, in words that differ for different rings.
    pub(crate) ring: Option<String>,
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
    pub(crate) owns: Vec<Range>,
    /// Members of the smallest set that it is primary of; one that is not settled counts as none.
    pub(crate) set_members_min: Option<usize>,
    /// Those next to it in the overlay's order.
    pub(crate) neighbours: Vec<Named>,
    /// Its routing state, when that was asked for and is of a known kind.
    pub(crate) table: Option<Table>,
}

/// Where a member stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum State {
    Joining,
    Ready,
    Leaving,
}

/// A node's routing state, by protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Table {
    Chord(ChordTable),
}

/// Chord's: padding left out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ChordTable {
    pub(crate) predecessor: Option<Named>,
    pub(crate) successors: Vec<Named>,
    /// Start, and the node that is taken for its successor.
    pub(crate) fingers: Vec<(Id, Option<Named>)>,
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
        let named = |peer: &message::Peer| Named::new(peer, space);
        let me = neighbours.me.as_ref().ok_or("it does not say who it is")?;
        let ring =
            |ring: &message::RingId| Ok::<_, String>(format!("{} of {} ms", id(&ring.starter)?, ring.started_ms));
        let range = |range: &message::Range| Ok::<_, String>(Range::new(id(&range.after)?, id(&range.upto)?));
        let process = if neighbours.process.is_empty() { &me.id } else { &neighbours.process };
        let around = neighbours.next.iter().chain(&neighbours.previous);
        Ok(Self {
            me: named(me)?,
            process: id(process)?,
            protocol: status.protocol.clone(),
            cluster: status.cluster.clone(),
            state: State::new(&neighbours.state),
            ring: status.ring.as_ref().map(ring).transpose()?,
            keys: neighbours.keys,
            bytes: neighbours.bytes,
            owns: neighbours.owns.iter().map(range).collect::<Result<_, _>>()?,
            set_members_min: set_members_min(status),
            neighbours: around.map(named).collect::<Result<_, _>>()?,
            table: table.map(|table| Table::new(table, space)).transpose()?.flatten(),
        })
    }

    /// Every node that it names.
    pub(super) fn names(&self) -> Vec<Named> {
        let mut names = self.neighbours.clone();
        match &self.table {
            Some(Table::Chord(table)) => {
                let fingers = table.fingers.iter().filter_map(|(_, node)| node.as_ref());
                names.extend(table.predecessor.iter().chain(&table.successors).chain(fingers).cloned());
            }
            None => {}
        }
        names
    }

    /// Its part of the circle, from 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        self.owns.iter().map(|range| range.fraction()).sum()
    }
}

fn set_members_min(status: &StatusResponse) -> Option<usize> {
    let own = status.sets.iter().filter(|set| matches!(set.role.as_str(), "primary" | "taking over"));
    own.map(|set| if set.settled { set.members.len() } else { 0 }).min()
}

impl Named {
    fn new(peer: &message::Peer, space: Space) -> Result<Self, String> {
        let id = space.from_bytes(&peer.id).map_err(|error| error.to_string())?;
        Ok(Self { id, addr: peer.addr.clone(), incarnation: peer.incarnation })
    }
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

impl Table {
    fn new(answer: &TableResponse, space: Space) -> Result<Option<Self>, String> {
        let named = |entry: &message::TablePeer| entry.peer.as_ref().map(|peer| Named::new(peer, space)).transpose();
        let Some(table_response::Table::Chord(table)) = &answer.table else {
            return Ok(None);
        };
        let successors = table.successors.iter().filter_map(|entry| named(entry).transpose());
        let finger = |finger: &message::ChordFinger| {
            let start = space.from_bytes(&finger.start).map_err(|error| error.to_string())?;
            Ok::<_, String>((start, finger.node.as_ref().map(named).transpose()?.flatten()))
        };
        Ok(Some(Self::Chord(ChordTable {
            predecessor: table.predecessor.as_ref().map(named).transpose()?.flatten(),
            successors: successors.collect::<Result<_, _>>()?,
            fingers: table.fingers.iter().map(finger).collect::<Result<_, _>>()?,
        })))
    }
}
