//! Who this node is, across restarts: what its disk keeps beside the records.

use overlay::{Addr, Known, Peer, RingId};
use prost::Message;
use replica::Piece;
use ring::Space;
use serde::{Deserialize, Serialize};
use store::Store;
use wire::{WireForm, v1};

use crate::config::Config;
use crate::exit::Fatal;
use crate::time::wall_ms;

const PROTOCOL: &str = "protocol";
const IDENTITY: &str = "identity";
const RING: &str = "ring";
const PEERS: &str = "peers";
const PIECES: &str = "pieces";
const HELD_AT: &str = "held-at";

/// Incarnations stay below this, so that every language's numbers hold them.
const INCARNATION_MAX: u64 = (1 << 53) - 1;

#[derive(Serialize, Deserialize)]
struct KeptIdentity {
    id: String,
    id_bits: u32,
    incarnation: u64,
}

#[derive(Serialize, Deserialize)]
struct KeptRing {
    started_ms: u64,
    starter: String,
}

/// What the disk knew when the process started.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// This node, with its new incarnation.
    pub(crate) me: Peer,
    pub(crate) ring: Option<RingId>,
    /// Where other members were.
    pub(crate) addresses: Vec<Addr>,
    pub(crate) pieces: Vec<Piece>,
}

/// Reads what the disk remembers, and begins a new incarnation.
pub(crate) fn recall(store: &Store, config: &Config, addr: Addr) -> Result<Remembered, Fatal> {
    let space = config.space;
    check_protocol(store, &config.protocol)?;
    let kept: Option<KeptIdentity> = read(store, IDENTITY)?;
    if let Some(kept) = kept.as_ref().filter(|kept| kept.id_bits != space.bits()) {
        return Err(Fatal::config(format!(
            "id_bits: this node has {} bits, its data directory was made with {}; use that value or another directory",
            space.bits(),
            kept.id_bits
        )));
    }
    let kept_id = kept.as_ref().and_then(|kept| space.parse(&kept.id).ok());
    let id = match (config.id, kept_id) {
        (Some(id), Some(kept)) if id != kept => {
            return Err(Fatal::config(format!(
                "id: this node was given {id}, its data directory belongs to {kept}; leave --id out or use another directory"
            )));
        }
        (Some(id), _) | (None, Some(id)) => id,
        (None, None) => space.hash(addr.as_str().as_bytes()),
    };
    let before = kept.map_or(0, |kept| kept.incarnation);
    let incarnation = (before.max(wall_ms()) + 1).min(INCARNATION_MAX);
    let me = Peer { id, addr, incarnation };
    keep_identity(store, &me)?;
    let pieces = recall_pieces(store, space)?;
    let mut addresses = recall_peers(store)?;
    // The sets are on disk from the first moment on, the peers a little later.
    for member in pieces.iter().flat_map(|piece| &piece.set.members).filter(|member| member.peer.id != me.id) {
        if !addresses.contains(&member.peer.addr) {
            addresses.push(member.peer.addr.clone());
        }
    }
    Ok(Remembered { me, ring: recall_ring(store, space)?, addresses, pieces })
}

/// Sets and identity of one overlay mean nothing in another.
fn check_protocol(store: &Store, protocol: &str) -> Result<(), Fatal> {
    match read::<Option<String>>(store, PROTOCOL)?.flatten() {
        None => write(store, PROTOCOL, &Some(protocol)),
        Some(kept) if kept == protocol => Ok(()),
        Some(kept) => Err(Fatal::config(format!(
            "protocol: this node runs {protocol}, its data directory belongs to a {kept} cluster; use that protocol or another directory"
        ))),
    }
}

pub(crate) fn keep_identity(store: &Store, me: &Peer) -> Result<(), Fatal> {
    let kept = KeptIdentity { id: me.id.to_string(), id_bits: me.id.space().bits(), incarnation: me.incarnation };
    write(store, IDENTITY, &kept)
}

pub(crate) fn keep_ring(store: &Store, ring: RingId) -> Result<(), Fatal> {
    write(store, RING, &KeptRing { started_ms: ring.started_ms, starter: ring.starter.to_string() })
}

fn recall_ring(store: &Store, space: Space) -> Result<Option<RingId>, Fatal> {
    let kept: Option<KeptRing> = read(store, RING)?;
    Ok(kept.and_then(|kept| Some(RingId { started_ms: kept.started_ms, starter: space.parse(&kept.starter).ok()? })))
}

/// Keeps up to when this store has everything that it holds by right.
pub(crate) fn keep_held_at(store: &Store, at: u64) -> Result<(), Fatal> {
    write(store, HELD_AT, &at)
}

/// Reads [`keep_held_at`]; none is the same as never.
pub(crate) fn recall_held_at(store: &Store) -> Option<u64> {
    read(store, HELD_AT).ok().flatten()
}

/// Keeps where a restart should look for the ring.
pub(crate) fn keep_peers(store: &Store, peers: &[Known]) -> Result<(), Fatal> {
    let kept: Vec<&str> = peers.iter().map(|known| known.peer.addr.as_str()).collect();
    write(store, PEERS, &kept)
}

fn recall_peers(store: &Store) -> Result<Vec<Addr>, Fatal> {
    let kept: Vec<String> = read(store, PEERS)?.unwrap_or_default();
    Ok(kept.iter().filter_map(|addr| Addr::new(addr)).collect())
}

/// Keeps what this node knows and has promised about sets. On disk when it returns.
pub(crate) fn keep_pieces(store: &Store, pieces: &[Piece]) -> Result<(), Fatal> {
    let pieces = v1::Pieces { pieces: pieces.iter().map(WireForm::to_message).collect() };
    store.set_meta(PIECES, &pieces.encode_to_vec()).map_err(disk)
}

fn recall_pieces(store: &Store, space: Space) -> Result<Vec<Piece>, Fatal> {
    let damaged = |error: String| Fatal::config(damaged(PIECES, &error));
    let Some(bytes) = store.meta(PIECES).map_err(disk)? else {
        return Ok(Vec::new());
    };
    let kept = v1::Pieces::decode(bytes.as_slice()).map_err(|error| damaged(error.to_string()))?;
    let pieces: Result<Vec<Piece>, _> =
        kept.pieces.into_iter().map(|piece| Piece::from_message(piece, space)).collect();
    pieces.map_err(|error| damaged(error.to_string()))
}

/// After a confirmed hand-over nothing is left to come back to.
pub(crate) fn forget_ring(store: &Store) -> Result<(), Fatal> {
    // What this store promised went with its records: whoever comes back with this directory is another member.
    store.retire().map_err(disk)?;
    keep_pieces(store, &[])?;
    store.set_meta(RING, b"null").map_err(disk)?;
    store.set_meta(PROTOCOL, b"null").map_err(disk)?;
    store.set_meta(PEERS, b"[]").map_err(disk)
}

fn read<T: for<'de> Deserialize<'de>>(store: &Store, name: &str) -> Result<Option<T>, Fatal> {
    match store.meta(name).map_err(disk)? {
        None => Ok(None),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| Fatal::config(damaged(name, &error.to_string()))),
    }
}

fn write<T: Serialize>(store: &Store, name: &str, value: &T) -> Result<(), Fatal> {
    let bytes = serde_json::to_vec(value).map_err(|error| Fatal::other(error.to_string()))?;
    store.set_meta(name, &bytes).map_err(disk)
}

fn damaged(name: &str, why: &str) -> String {
    format!(
        "data_dir: what the node noted there as `{name}` is damaged ({why}); move the directory away and start empty, the copies on other nodes fill it again"
    )
}

fn disk(error: store::StoreError) -> Fatal {
    Fatal::other(error.to_string())
}
