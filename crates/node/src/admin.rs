//! What `dht` looks inside with: snapshots put into messages. Nothing is decided by these.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use overlay::{LocateError, Located, Peer, State, Step};
use replica::Need;
use ring::Id;
use wire::records::Sight;
use wire::{WireForm, v1};

use crate::driver::Looked;
use crate::holder;
use crate::http::readiness;
use crate::shared::Shared;

/// One node's standing, for `dht status`.
pub(crate) async fn status(shared: &Shared, http: &str, looked: Looked) -> v1::StatusResponse {
    let (view, stats) = (shared.view(), shared.store.stats());
    let holdings = Arc::clone(&*shared.holdings.read().await);
    let health = match shared.is_read_only() {
        None => readiness(shared).1.to_owned(),
        Some(why) => format!("read-only: {why}"),
    };
    v1::StatusResponse {
        me: Some(view.me.to_message()),
        protocol: shared.config.protocol.clone(),
        cluster: shared.config.cluster.clone(),
        id_bits: shared.config.space.bits(),
        replicas: u32::try_from(shared.config.replicas).unwrap_or(u32::MAX),
        state: state(view.state).to_owned(),
        ring: view.ring.map(|ring| ring.to_message()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_ms: u64::try_from(shared.time.uptime().as_millis()).unwrap_or(u64::MAX),
        keys: stats.keys,
        bytes: stats.bytes,
        tombstones: stats.tombstones,
        durable: shared.store.is_durable(),
        peers_alive: count(view.known.iter().filter(|known| known.alive).count()),
        peers_known: count(view.known.len()),
        sets: holdings.ranges.iter().map(|holding| set_status(&holder::sight(holding))).collect(),
        lost_majorities: shared.counters.lost_majorities.load(Ordering::Relaxed),
        store: shared.store.number(),
        process: view.me.id.to_bytes().into(),
        http: http.to_owned(),
        health,
        overlay_messages: shared.peers.traffic().messages(),
        overlay_bytes: shared.peers.traffic().bytes(),
        routing_state_bytes: looked.state_bytes,
        settings: looked
            .settings
            .into_iter()
            .map(|(name, value)| v1::Setting { name: name.to_owned(), value })
            .collect(),
        place: looked.place.unwrap_or_default(),
        write_quorum: quorum(shared.config.write_quorum),
        read_quorum: quorum(shared.config.read_quorum),
        transfers: shared.transfers.shown(),
        quarantined: shared.counters.quarantined.load(Ordering::Relaxed),
        skewed: shared.clocks.shown(),
        read_only: shared.is_read_only().unwrap_or_default(),
    }
}

/// 0: a majority.
fn quorum(need: Need) -> u32 {
    match need {
        Need::Majority => 0,
        Need::Copies(copies) => count(copies),
        Need::All => u32::MAX,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A range and its set, as `dht status` and `dht explain` show them.
pub(crate) fn set_status(sight: &Sight) -> v1::SetStatus {
    v1::SetStatus {
        range: Some(sight.range.to_message()),
        number: sight.set.number,
        role: sight.part.as_str().to_owned(),
        members: sight.set.members.iter().map(|member| member.peer.to_message()).collect(),
        missing: sight.missing.iter().map(|member| member.peer.id.to_bytes().into()).collect(),
        settled: sight.settled,
        forced: sight.set.forced,
        learners: sight.learners.iter().map(|learner| learner.peer.to_message()).collect(),
    }
}

/// A node's standing in one word.
pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Searching => "searching",
        State::Joining => "joining",
        State::Ready => "ready",
        State::Leaving => "leaving",
        State::Left => "left",
    }
}

/// The members next to this one, for `dht ring`.
pub(crate) fn neighbours(shared: &Shared, next: &[Peer]) -> v1::NeighboursResponse {
    let (view, stats) = (shared.view(), shared.store.stats());
    v1::NeighboursResponse {
        me: Some(view.me.to_message()),
        next: next.iter().map(WireForm::to_message).collect(),
        previous: None,
        state: state(view.state).to_owned(),
        keys: stats.keys,
        bytes: stats.bytes,
        process: view.me.id.to_bytes().into(),
        owns: view.shares.iter().map(|share| share.range.to_message()).collect(),
    }
}

/// The route to the owner of a key of this identifier.
pub(crate) async fn lookup(shared: &Shared, id: Id) -> Result<v1::LookupResponse, LocateError> {
    let begun = Instant::now();
    let Located { owners, holders, path, .. } = shared.inbox.locate(shared.places.of(id)).await?;
    let elapsed = begun.elapsed();
    Ok(v1::LookupResponse {
        id: id.to_bytes().into(),
        protocol: shared.config.protocol.clone(),
        owner: owners.first().map(WireForm::to_message),
        replicas: holders.iter().take(shared.config.replicas).map(WireForm::to_message).collect(),
        path: path.iter().map(step).collect(),
        elapsed_us: micros(elapsed),
    })
}

fn step(step: &Step) -> v1::LookupStep {
    v1::LookupStep {
        peer: Some(step.peer.to_message()),
        rtt_us: step.rtt.map(micros),
        via: step.via.map_or(v1::Via::Unspecified.into(), |via| via.to_message()),
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
