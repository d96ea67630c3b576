//! How a node begins, and its timing.

use std::time::Duration;

use crate::{Addr, RingId};

/// How this node begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// `--join`: addresses to try, after each resolution of their names. The driver may replace them later.
    /// A name that can't be resolved yet belongs in here as it is: with no address at all to try, the node
    /// starts a ring of its own at once.
    pub seeds: Vec<Addr>,
    /// Peers remembered on disk.
    pub remembered: Vec<Addr>,
    /// The ring that the disk belongs to.
    pub disk_ring: Option<RingId>,
    /// Wall clock, for the identifier of a ring that is started here.
    pub wall_ms: u64,
}

/// How lookups of this node's own find their way. Nodes of both kinds live in one ring: everybody passes on what it is
/// given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Routing {
    /// This node asks one node after the other.
    #[default]
    Iterative,
    /// Each node passes the query on to the next, and the last one answers: about half the time over long links.
    /// A query that gets lost is looked up iteratively.
    Recursive,
}

/// Timing of what every overlay shares.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeConfig {
    /// How lookups find their way.
    pub routing: Routing,
    /// Overall deadline of a lookup.
    pub lookup_timeout: Duration,
    /// How many peers a lookup asks at a time.
    pub lookup_parallelism: usize,
    /// A call's deadline before anything is known of the peer's round trip.
    pub call_timeout_initial: Duration,
    /// No call's deadline is below this. The first deadline of a call is four times this at least: an idle
    /// round trip says little about a busy machine. A lookup goes on without a slow peer this early.
    pub call_timeout_min: Duration,
    /// Nor above this.
    pub call_timeout_max: Duration,
    /// So many misses in a row, each with a longer deadline, and a peer counts as dead.
    pub misses_until_dead: u32,
    /// A timer that fires later than this was not late: the process was paused.
    pub pause_after: Duration,
    /// Searching nodes that reach one another for so long start a ring.
    pub search_together: Duration,
    /// A searching node with a ring's disk that reaches nobody for so long takes the ring up alone.
    pub search_alone: Duration,
    /// How often a searching node tries its addresses.
    pub search_period: Duration,
    /// How often a member looks for itself through somebody else, to notice a second ring.
    pub self_check_period: Duration,
    /// Peers remembered at most.
    pub known_max: usize,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            routing: Routing::default(),
            lookup_timeout: Duration::from_millis(2_800),
            lookup_parallelism: 1,
            call_timeout_initial: Duration::from_millis(500),
            call_timeout_min: Duration::from_millis(50),
            call_timeout_max: Duration::from_millis(1_000),
            misses_until_dead: 3,
            pause_after: Duration::from_millis(1_500),
            search_together: Duration::from_secs(3),
            search_alone: Duration::from_secs(5),
            search_period: Duration::from_millis(300),
            self_check_period: Duration::from_secs(4),
            known_max: 512,
        }
    }
}
