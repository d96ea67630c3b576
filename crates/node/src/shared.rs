//! What request handlers, jobs and the driver share: published snapshots, the store, and the ways to reach others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use overlay::{Peer, RingId, View};
use parking_lot::RwLock;
use replica::{Holdings, Member};
use ring::{Id, Places};
use store::{Clock, Store};
use tokio_util::task::TaskTracker;

use crate::calls::Calls;
use crate::clocks::Clocks;
use crate::config::Config;
use crate::doubts::Doubts;
use crate::hedge::Hedge;
use crate::held::Held;
use crate::hints::Hints;
use crate::inbox::Inbox;
use crate::locks::KeyLocks;
use crate::routes::Routes;
use crate::time::Monotonic;
use crate::transfers::Transfers;

/// Cheap to clone through its `Arc`; one a node.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) time: Monotonic,
    pub(crate) store: Store,
    pub(crate) places: Places,
    /// The overlay keeps pointers to records, and wants to be told of them.
    pub(crate) pointers: bool,
    pub(crate) versions: Clock,
    pub(crate) peers: Calls,
    pub(crate) inbox: Inbox,
    pub(crate) routes: Routes,
    pub(crate) locks: KeyLocks,
    /// Work that must end even when whoever asked for it goes away.
    pub(crate) tasks: TaskTracker,
    pub(crate) counters: Counters,
    pub(crate) transfers: Transfers,
    pub(crate) clocks: Clocks,
    /// Up to when this store had everything by right.
    pub(crate) held: Held,
    /// Copies kept for members that were away.
    pub(crate) hints: Hints,
    /// What newcomers may miss.
    pub(crate) doubts: Doubts,
    /// When a read asks one more holder.
    pub(crate) hedge: Hedge,
    /// The disk takes no more writes: this node promises nothing any more, and goes on answering reads.
    pub(crate) read_only: AtomicBool,
    view: RwLock<Arc<View>>,
    /// Held for reading while a handler checks its part in a range and touches the store by it. The driver
    /// swaps the holdings under the write lock, so once it has them swapped nobody acts by the old ones.
    pub(crate) holdings: tokio::sync::RwLock<Arc<Holdings>>,
}

/// Counts for status and metrics.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) lost_majorities: AtomicU64,
    /// Records that their owners refused.
    pub(crate) quarantined: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        (places, pointers): (Places, bool),
        time: Monotonic,
        store: Store,
        peers: Calls,
        inbox: Inbox,
        view: View,
    ) -> Arc<Self> {
        Arc::new(Self {
            versions: Clock::new(store.number(), millis(config.clock_drift_max)),
            transfers: Transfers::new(config.repair_bandwidth),
            clocks: Clocks::new(config.clock_drift_max),
            held: Held::of(&store),
            hints: Hints::default(),
            doubts: Doubts::default(),
            hedge: Hedge::default(),
            read_only: AtomicBool::new(false),
            config,
            places,
            pointers,
            time,
            store,
            peers,
            inbox,
            routes: Routes::default(),
            locks: KeyLocks::default(),
            tasks: TaskTracker::new(),
            counters: Counters::default(),
            view: RwLock::new(Arc::new(view)),
            holdings: tokio::sync::RwLock::new(Arc::default()),
        })
    }

    /// The overlay as last published.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().clone()
    }

    pub(crate) fn publish_view(&self, view: View) {
        *self.view.write() = Arc::new(view);
    }

    pub(crate) fn me(&self) -> Peer {
        self.view.read().me.clone()
    }

    pub(crate) fn ring(&self) -> Option<RingId> {
        self.view.read().ring
    }

    /// This node as a holder of copies.
    pub(crate) fn member(&self) -> Member {
        Member { peer: self.me(), store: self.store.number() }
    }

    /// Why this node takes no writes, if so.
    pub(crate) fn is_read_only(&self) -> Option<String> {
        if let Err(error) = self.store.health() {
            return Some(error.to_string());
        }
        self.read_only.load(Ordering::Acquire).then(|| "the disk failed".to_owned())
    }

    /// A key's identifier.
    pub(crate) fn id_of(&self, key: &[u8]) -> Id {
        self.places.space().hash(key)
    }

    /// Where a key lies on the circle that ranges speak of.
    pub(crate) fn place_of(&self, key: &[u8]) -> Id {
        self.places.of_key(key)
    }

    /// The same peer as last heard of: a member that is named on disk may have come back elsewhere.
    pub(crate) fn now_at(&self, peer: &Peer) -> Peer {
        self.view.read().peer(peer.id).map_or_else(|| peer.clone(), |known| known.peer.clone())
    }

    /// The same member, where it was last heard of.
    pub(crate) fn as_now(&self, member: &Member) -> Member {
        Member { peer: self.now_at(&member.peer), store: member.store }
    }

    /// Whether the overlay has declared the peer dead.
    pub(crate) fn is_down(&self, peer: &Peer) -> bool {
        self.view.read().peer(peer.id).is_some_and(|known| !known.alive)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
