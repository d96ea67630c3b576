use std::time::Duration;

/// Chord's parameters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// r, the length of the successor list; at least one. The ring survives as long as no r adjacent nodes
    /// fail at once, and dead entries leave the tails of lists within r stabilize rounds.
    pub successors: usize,
    /// How often the head of the list is asked for its neighbours, jittered by a quarter either way.
    pub stabilize_period: Duration,
    /// Mean time between two finger lookups while fingers change.
    pub fix_fingers_period: Duration,
    /// What that time grows to, by doubling, while whole rounds change nothing.
    pub fix_fingers_period_max: Duration,
    /// How many distinct processes should hold a record, the owner included.
    pub replicas: usize,
    /// In a ring of fewer than r + 1 members: how long a member waits for the neighbours of a newcomer
    /// to list it before it takes in the next.
    pub admission_lease: Duration,
    /// A member that its neighbours have not confirmed for so long looks for another way in.
    pub confirm_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            successors: 8,
            stabilize_period: Duration::from_millis(500),
            fix_fingers_period: Duration::from_millis(300),
            fix_fingers_period_max: Duration::from_millis(4_800),
            replicas: 3,
            admission_lease: Duration::from_millis(2_000),
            confirm_timeout: Duration::from_secs(10),
        }
    }
}
