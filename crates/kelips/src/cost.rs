//! What the parts of a gossip message take in bytes, at most, in the encoding of `kelips.proto`.
//!
//! A message has to keep within its bound before anybody encodes it. Each field is counted with its tag even where it
//! would be left out.

use overlay::Peer;

use crate::{Entry, Gone, Holders, Presence};

/// A filetuple: key, version, flag, and its own tag and length.
pub(crate) const FILETUPLE: usize = 2 + (2 + 20) + (1 + 10) + 2;
/// A digest: group, index, count, sum.
pub(crate) const DIGEST: usize = 2 + 3 * (1 + 5) + (1 + 8);
/// A group's number in a packed list.
pub(crate) const WANTED: usize = 5;
/// The tag and length of a packed list.
pub(crate) const PACKED: usize = 1 + 5;

/// A whole message.
#[cfg(test)]
pub(crate) fn gossip(message: &crate::Gossip) -> usize {
    presence(message.presence)
        + message.entries.iter().map(entry).sum::<usize>()
        + message.gone.iter().map(gone).sum::<usize>()
        + PACKED
        + message.wanted.len() * WANTED
        + message.holders.iter().map(holders).sum::<usize>()
        + message.filetuples.len() * FILETUPLE
        + message.digests.len() * DIGEST
}

pub(crate) fn presence(presence: Presence) -> usize {
    1 + varint(presence.heartbeat) + 1 + varint(u64::from(presence.load))
}

pub(crate) fn entry(entry: &Entry) -> usize {
    field(field(peer(&entry.peer)) + presence(entry.presence))
}

pub(crate) fn gone(gone: &Gone) -> usize {
    field(field(gone.id.space().byte_len()) + 1 + varint(gone.incarnation))
}

pub(crate) fn holders(holders: &Holders) -> usize {
    let slot = 1 + varint(u64::from(holders.slot.group)) + 1 + varint(u64::from(holders.slot.index));
    let counters = 1 + varint(holders.number) + 1 + varint(holders.heartbeat);
    field(slot + counters + holders.homes.iter().map(|home| field(peer(home))).sum::<usize>())
}

fn peer(peer: &Peer) -> usize {
    field(peer.id.space().byte_len()) + field(peer.addr.as_str().len()) + 1 + varint(peer.incarnation)
}

/// A tag, a length, and so many bytes.
fn field(length: usize) -> usize {
    1 + varint(length as u64) + length
}

fn varint(value: u64) -> usize {
    (value.checked_ilog2().map_or(1, |bits| bits + 1).div_ceil(7)) as usize
}
