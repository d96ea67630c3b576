//! What `dht` knows of each protocol. It comes from the protocol's own types, so that another one takes a line here.

use std::collections::BTreeMap;

use client::message::table_response;
use overlay::Peer;
use overlay::inspect::{Inspect, Inspected, Inspection, Line, Shown, Standing, Verdict};
use ring::{Id, Space};
use wire::{Malformed, TableReader, WireProtocol};

use crate::survey::Report;

/// All of this build.
const PROTOCOLS: &[Protocol] =
    &[Protocol::of::<chord::Chord>(), Protocol::of::<pastry::Pastry>(), Protocol::of::<kelips::Kelips>()];

/// What sets a protocol apart, as far as `dht` is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Protocol {
    pub(crate) name: &'static str,
    /// It keeps pointers to records apart from the records, so a key's owner need not hold its record.
    pub(crate) pointers: bool,
    /// What a routing entry is called that may be a detour.
    pub(crate) entry: &'static str,
    read: fn(table_response::Table, Space) -> Result<RoutingTable, Malformed>,
    judge: fn(&[&Report], &Answered, &mut Verdict),
}

/// Every node that answered: its incarnation, and how it is.
pub(crate) type Answered = BTreeMap<Id, (u64, Standing)>;

/// A node's routing state, ready to be shown.
#[derive(Clone, Debug)]
pub(crate) struct RoutingTable {
    pub(crate) fields: Vec<(String, Shown)>,
    pub(crate) lines: Vec<Line>,
    /// Everybody that it names.
    pub(crate) peers: Vec<Peer>,
    rtts: TableReader,
}

/// The names of all protocols of this build.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().map(|protocol| protocol.name)
}

/// The protocol of this name, if this `dht` knows it.
pub(crate) fn find(name: &str) -> Option<&'static Protocol> {
    PROTOCOLS.iter().find(|protocol| protocol.name == name)
}

impl Protocol {
    const fn of<P: WireProtocol<Table: Inspect>>() -> Self {
        Self {
            name: P::NAME,
            pointers: P::POINTERS,
            entry: <P::Table as Inspect>::ENTRY,
            read: read::<P>,
            judge: judge::<P>,
        }
    }

    /// Reads a table of this protocol.
    pub(crate) fn read(&self, shown: table_response::Table, space: Space) -> Result<RoutingTable, Malformed> {
        (self.read)(shown, space)
    }

    /// Judges the ready members of one ring, in ring order.
    pub(crate) fn judge(&self, ring: &[&Report], answered: &Answered, verdict: &mut Verdict) {
        (self.judge)(ring, answered, verdict);
    }
}

impl RoutingTable {
    /// The smoothed round trip to a peer in microseconds, where the node has measured it.
    pub(crate) fn rtt_us(&self, peer: &Peer) -> Option<u64> {
        self.rtts.rtt(peer.id).map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX))
    }
}

fn read<P: WireProtocol<Table: Inspect>>(
    shown: table_response::Table,
    space: Space,
) -> Result<RoutingTable, Malformed> {
    let mut rtts = TableReader::new(space);
    let table = P::read_table(shown, &mut rtts)?;
    let peers = table.peers().into_iter().cloned().collect();
    Ok(RoutingTable { fields: table.fields(), lines: table.lines(), peers, rtts })
}

fn judge<P: WireProtocol<Table: Inspect>>(ring: &[&Report], answered: &Answered, verdict: &mut Verdict) {
    let mut members = Vec::new();
    for report in ring {
        let mut reader = TableReader::new(report.me.id.space());
        match report.table.clone().map(|shown| P::read_table(shown, &mut reader)) {
            Some(Ok(table)) => {
                members.push(Inspected { me: report.me.clone(), owns: report.owns.clone(), table });
            }
            Some(Err(why)) => verdict.add(report.me.id, "table", format!("shows a malformed table: {why}")),
            None => verdict.add(report.me.id, "table", format!("shows no table of {}", P::NAME)),
        }
    }
    P::Table::judge(&Inspection { members: &members, answered }, verdict);
}
