//! Whose wall clock is off. Every member says what its own is with whatever it asks; whoever is off for a while is reported.

use std::collections::BTreeMap;
use std::time::Duration;

use overlay::Peer;
use parking_lot::Mutex;
use ring::Id;
use tokio::time::Instant;
use wire::{WireForm, v1};

/// One message may have been under way for long, or waited here while this process was paused: it takes so many, over so long.
const SAMPLES: u32 = 3;
const SAMPLED_FOR: Duration = Duration::from_secs(2);
/// Peers remembered at most.
const PEERS_MAX: usize = 1_024;

/// What other members' clocks say.
#[derive(Debug)]
pub(crate) struct Clocks {
    off_max: Duration,
    off: Mutex<BTreeMap<Id, Off>>,
}

#[derive(Debug)]
struct Off {
    peer: Peer,
    /// The least that it was off lately, in milliseconds; positive: ahead.
    ahead_ms: i64,
    since: Instant,
    samples: u32,
    reported: bool,
}

impl Clocks {
    pub(crate) fn new(off_max: Duration) -> Self {
        Self { off_max, off: Mutex::default() }
    }

    /// `peer` says that it is `theirs_ms` when this node's clock says `ours_ms`.
    pub(crate) fn heard(&self, peer: &Peer, theirs_ms: u64, ours_ms: u64) {
        let ahead_ms = i64::try_from(i128::from(theirs_ms) - i128::from(ours_ms)).unwrap_or(i64::MAX);
        let mut off = self.off.lock();
        if u128::from(ahead_ms.unsigned_abs()) <= self.off_max.as_millis() {
            if off.remove(&peer.id).is_some_and(|one| one.reported) {
                tracing::info!(id = %peer.id, addr = %peer.addr, "a peer's clock is right again");
            }
            return;
        }
        if off.len() >= PEERS_MAX && !off.contains_key(&peer.id) {
            return;
        }
        let begun = || Off { peer: peer.clone(), ahead_ms, since: Instant::now(), samples: 0, reported: false };
        let one = off.entry(peer.id).or_insert_with(begun);
        if one.ahead_ms.signum() != ahead_ms.signum() {
            *one = begun();
        }
        one.samples = one.samples.saturating_add(1);
        if ahead_ms.abs() < one.ahead_ms.abs() {
            one.ahead_ms = ahead_ms;
        }
        if !one.reported && one.is_sure() {
            one.reported = true;
            metrics::counter!("dhtd_skewed_peers_total").increment(1);
            tracing::warn!(id = %peer.id, addr = %peer.addr, ahead_ms = one.ahead_ms, "a peer's clock is off by more than is allowed (or this node's is): see to the time synchronisation of both");
        }
    }

    /// Those whose clock is off, as `dht status` shows them.
    pub(crate) fn shown(&self) -> Vec<v1::SkewedPeer> {
        let off = self.off.lock();
        let sure = off.values().filter(|one| one.reported);
        sure.map(|one| v1::SkewedPeer { peer: Some(one.peer.to_message()), ahead_ms: one.ahead_ms }).collect()
    }
}

impl Off {
    fn is_sure(&self) -> bool {
        self.samples >= SAMPLES && self.since.elapsed() >= SAMPLED_FOR
    }
}

#[cfg(test)]
mod tests {
    use overlay::Addr;
    use ring::Space;

    use super::*;

    fn peer() -> Peer {
        Peer { id: Space::SHA1.hash(b"peer"), addr: Addr::new("a:1").unwrap(), incarnation: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_stays_off_is_reported_and_one_late_message_is_not() {
        let clocks = Clocks::new(Duration::from_secs(1));
        clocks.heard(&peer(), 0, 9_000);
        clocks.heard(&peer(), 9_000, 9_000);
        for _ in 0..2 {
            clocks.heard(&peer(), 20_000, 10_000);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(clocks.shown().is_empty());
        clocks.heard(&peer(), 24_500, 15_000);
        assert_eq!(clocks.shown()[0].ahead_ms, 9_500);
        clocks.heard(&peer(), 15_500, 15_000);
        assert!(clocks.shown().is_empty());
    }
}
