//! Reading routing tables as nodes show them.

use std::collections::BTreeMap;
use std::time::Duration;

use overlay::Peer;
use ring::{Id, Space};

use crate::convert::identifier;
use crate::form::{bounded, required};
use crate::{Malformed, WireForm, v1};

/// Reads what a table is made of, and keeps what is shown beside the peers: their round trips.
///
/// For [`crate::WireProtocol::read_table`]: what a node says of itself is checked like everything that arrives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableReader {
    space: Space,
    rtts: BTreeMap<Id, Duration>,
}

impl TableReader {
    /// For tables whose identifiers are of `space`.
    pub fn new(space: Space) -> Self {
        Self { space, rtts: BTreeMap::new() }
    }

    /// The space of the identifiers.
    pub fn space(&self) -> Space {
        self.space
    }

    /// The smoothed round trip that was shown beside this identifier.
    pub fn rtt(&self, id: Id) -> Option<Duration> {
        self.rtts.get(&id).copied()
    }

    /// An identifier by itself.
    pub fn id(&self, name: &str, bytes: &[u8]) -> Result<Id, Malformed> {
        identifier(name, bytes, self.space)
    }

    /// A peer that has to be there.
    pub fn peer(&mut self, name: &str, shown: v1::TablePeer) -> Result<Peer, Malformed> {
        self.entry(shown).map_err(|error| error.within(name))
    }

    /// A peer that need not be there.
    pub fn optional_peer(&mut self, name: &str, shown: Option<v1::TablePeer>) -> Result<Option<Peer>, Malformed> {
        shown.map(|shown| self.peer(name, shown)).transpose()
    }

    /// Peers, at most `limit`.
    pub fn peers(&mut self, name: &str, shown: Vec<v1::TablePeer>, limit: usize) -> Result<Vec<Peer>, Malformed> {
        self.list(name, shown, limit, Self::entry)
    }

    /// Whatever else comes in a list, at most `limit`; `read` names fields as seen from an entry.
    pub fn list<M, T>(
        &mut self,
        name: &str,
        shown: Vec<M>,
        limit: usize,
        mut read: impl FnMut(&mut Self, M) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        bounded(name, shown.len(), limit)?;
        let entry = |(index, entry)| read(self, entry).map_err(|error| error.within(&format!("{name}[{index}]")));
        shown.into_iter().enumerate().map(entry).collect()
    }

    fn entry(&mut self, shown: v1::TablePeer) -> Result<Peer, Malformed> {
        let peer: Peer = required("peer", shown.peer, self.space)?;
        if let Some(rtt_us) = shown.rtt_us {
            self.rtts.insert(peer.id, Duration::from_micros(rtt_us));
        }
        Ok(peer)
    }
}

/// A peer as tables show it.
pub(crate) fn table_peer(peer: &Peer, rtt: &dyn Fn(&Peer) -> Option<Duration>) -> v1::TablePeer {
    let rtt_us = rtt(peer).map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX));
    v1::TablePeer { peer: Some(peer.to_message()), rtt_us }
}

/// What a protocol says to the table of another one.
pub(crate) fn other_table(protocol: &str) -> Malformed {
    Malformed::new("table", format_args!("is not one of {protocol}"))
}
