//! For this crate's own tests: nodes of a 24-bit space by their numbers, and nodes with given tables.

use overlay::{Addr, Overlay, Peer};
use ring::{Id, Space};

use crate::pastry::Stage;
use crate::{Config, Pastry};

pub(crate) fn id(number: u64) -> Id {
    Space::new(24).unwrap().id(number).unwrap()
}

pub(crate) fn peer(number: u64) -> Peer {
    peer_at(id(number))
}

pub(crate) fn peer_at(id: Id) -> Peer {
    Peer { id, addr: Addr::new(&format!("node{id}:1")).unwrap(), incarnation: 1 }
}

/// An active node that knows these leaves and these entries, and nobody else.
pub(crate) fn node(number: u64, config: Config, leaves: &[u64], entries: &[u64]) -> Pastry {
    let mut node = Pastry::new(peer(number), config);
    node.stage = Stage::Ready;
    leaves.iter().for_each(|&leaf| _ = node.leaf_set.insert(&peer(leaf)));
    entries.iter().for_each(|&entry| _ = node.table.offer(&peer(entry), |_| None));
    node
}

/// An active node that has met all of these: its leaf set is perfect, its table full.
pub(crate) fn knowing(number: u64, others: &[u64], config: Config) -> Pastry {
    node(number, config, others, others)
}

/// The same of any space.
pub(crate) fn knowing_all(me: &Peer, others: &[Peer], config: Config) -> Pastry {
    let mut node = Pastry::new(me.clone(), config);
    node.stage = Stage::Ready;
    for other in others {
        node.leaf_set.insert(other);
        node.table.offer(other, |_| None);
    }
    node
}
