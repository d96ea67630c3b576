use std::time::Duration;

use ring::Id;

/// Pastry's parameters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// b, bits of a digit: 1 to 8. A row of the routing table has 2^b − 1 entries, and there are ⌈m/b⌉ rows.
    pub digit_bits: u32,
    /// |L|, an even number: half of the leaf set on either side. A key is found unless |L|/2 adjacent nodes fail at once.
    pub leaf_set: usize,
    /// |M|: so many of the nearest nodes by round trip are remembered.
    pub neighbourhood: usize,
    /// How many distinct processes should hold a record, the owner included.
    pub replicas: usize,
    /// How often the immediate neighbours and one more leaf are exchanged leaf sets with, jittered by a quarter either way.
    pub heartbeat_period: Duration,
    /// How often an entry of the routing table is asked for its row.
    pub maintain_period: Duration,
    /// Mean time between two lookups for empty places of the routing table while they find something.
    pub fill_period: Duration,
    /// What that time grows to, by doubling, while whole rounds find nothing.
    pub fill_period_max: Duration,
    /// A member helps one newcomer at a time, and each until it has not asked for so long.
    pub help_lease: Duration,
    /// A node that its leaves have not confirmed for so long looks for another way in.
    pub confirm_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            digit_bits: 4,
            leaf_set: 16,
            neighbourhood: 32,
            replicas: 3,
            heartbeat_period: Duration::from_millis(300),
            maintain_period: Duration::from_millis(500),
            fill_period: Duration::from_millis(200),
            fill_period_max: Duration::from_millis(4_800),
            help_lease: Duration::from_millis(2_000),
            confirm_timeout: Duration::from_secs(10),
        }
    }
}

impl Config {
    /// The widest digit.
    pub const DIGIT_BITS_MAX: u32 = 8;
    /// The largest leaf set.
    pub const LEAF_SET_MAX: usize = 128;
    /// The largest neighbourhood set.
    pub const NEIGHBOURHOOD_MAX: usize = 256;

    /// Says what is wrong with these parameters, if anything is, by the parameter's name.
    pub fn check(&self) -> Result<(), String> {
        let Self { digit_bits, leaf_set, neighbourhood, replicas, .. } = *self;
        if !(1..=Self::DIGIT_BITS_MAX).contains(&digit_bits) {
            return Err(format!("digit_bits: {digit_bits} is out of range, it may be 1 to {}", Self::DIGIT_BITS_MAX));
        }
        if !(2..=Self::LEAF_SET_MAX).contains(&leaf_set) || !leaf_set.is_multiple_of(2) {
            return Err(format!(
                "leaf_set: {leaf_set} does not do, it may be an even number from 2 to {}: half of it goes to either side",
                Self::LEAF_SET_MAX
            ));
        }
        if neighbourhood > Self::NEIGHBOURHOOD_MAX {
            return Err(format!(
                "neighbourhood: {neighbourhood} is out of range, it may be 0 to {}",
                Self::NEIGHBOURHOOD_MAX
            ));
        }
        if leaf_set / 2 + 1 < replicas {
            return Err(format!(
                "leaf_set: {leaf_set} is too small for replicas = {replicas}: copies go to the nearest leaves, which may all \
                 be on one side, so it takes at least {}",
                2 * (replicas - 1)
            ));
        }
        Ok(())
    }

    /// Leaves on either side, at least one.
    pub(crate) fn half(&self) -> usize {
        (self.leaf_set.min(Self::LEAF_SET_MAX) / 2).max(1)
    }

    /// Bits of a digit, as they are used whatever was configured.
    pub(crate) fn bits(&self) -> u32 {
        self.digit_bits.clamp(1, Self::DIGIT_BITS_MAX)
    }

    /// Leading digits that two identifiers share.
    pub(crate) fn shared(&self, one: Id, other: Id) -> u32 {
        one.shared_digits(other, self.bits())
    }

    /// Nodes told of with a key, the owner included: those who should hold it, and as many and two more to go round them.
    pub(crate) fn holders_max(&self) -> usize {
        2 * self.replicas + 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_papers_and_fit() {
        let config = Config::default();
        assert_eq!((config.digit_bits, config.leaf_set, config.neighbourhood), (4, 16, 32));
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let config = Config::default;
        let wrong = [
            (Config { digit_bits: 0, ..config() }, "digit_bits: 0"),
            (Config { digit_bits: 9, ..config() }, "digit_bits: 9"),
            (Config { leaf_set: 0, ..config() }, "leaf_set: 0"),
            (Config { leaf_set: 7, ..config() }, "leaf_set: 7"),
            (Config { leaf_set: 130, ..config() }, "leaf_set: 130"),
            (Config { leaf_set: 4, replicas: 4, ..config() }, "at least 6"),
            (Config { neighbourhood: 257, ..config() }, "neighbourhood: 257"),
        ];
        for (config, part) in wrong {
            let why = config.check().expect_err("it does not fit");
            assert!(why.contains(part), "{why}");
        }
    }
}
