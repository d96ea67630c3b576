use std::time::Duration;

use ring::{IdError, Places, Space};

/// No message is allowed to be smaller: the sender's presence and one entry have to fit.
const GOSSIP_BYTES_MIN: usize = 200;

/// Kelips' parameters.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// The space of identifiers.
    pub space: Space,
    /// k, the number of affinity groups: fixed when the ring starts, the same at every node (§2).
    pub groups: u32,
    /// c, how many contacts are kept in each foreign group.
    pub contacts: usize,
    /// How many distinct processes should hold a record.
    pub replicas: usize,
    /// Length of a gossip round, jittered by a quarter either way.
    pub gossip_period: Duration,
    /// Bytes of a gossip message at most, without its envelope.
    pub gossip_bytes: usize,
    /// Messages sent in a round: one half to members of the own group, the other to contacts.
    pub gossip_targets: usize,
    /// A newcomer that is not taken in for so long looks for another way in.
    pub confirm_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            space: Space::SHA1,
            groups: 2,
            contacts: 2,
            replicas: 3,
            gossip_period: Duration::from_millis(500),
            gossip_bytes: 1_400,
            gossip_targets: 6,
            confirm_timeout: Duration::from_secs(10),
        }
    }
}

/// Why these parameters can't work.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// The space can't be divided like that.
    #[error("groups: {0}")]
    Groups(#[from] IdError),
    /// A value is out of its bounds.
    #[error("{name}: {value} is out of range, it may be {least} to {most}")]
    Bounds {
        /// Which.
        name: &'static str,
        /// What was given.
        value: usize,
        /// The least that works.
        least: usize,
        /// The most that is allowed.
        most: usize,
    },
}

impl Config {
    /// Groups at most: every node keeps contacts in each of them.
    pub const GROUPS_MAX: u32 = 1_024;
    /// Contacts in a group at most.
    pub const CONTACTS_MAX: usize = 64;

    /// What the paper's experiments used (§4): a round of 2 s, messages of 272 bytes, 6 targets of which 3 are contacts.
    pub fn paper() -> Self {
        Self { gossip_period: Duration::from_secs(2), gossip_bytes: 272, ..Self::default() }
    }

    /// Checks every bound.
    pub fn validate(&self) -> Result<(), ConfigError> {
        Places::grouped(self.space, self.groups)?;
        let bounds = [
            ("groups", self.groups as usize, 1, Self::GROUPS_MAX as usize),
            ("contacts", self.contacts, 1, Self::CONTACTS_MAX),
            ("replicas", self.replicas, 1, 64),
            ("gossip_bytes", self.gossip_bytes, GOSSIP_BYTES_MIN, 1 << 20),
            ("gossip_targets", self.gossip_targets, 1, 64),
            ("gossip_period_ms", usize::try_from(self.gossip_period.as_millis()).unwrap_or(usize::MAX), 1, 3_600_000),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::Bounds { name, value, least, most });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_and_the_papers_parameters_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
        assert_eq!(Config::paper().validate(), Ok(()));
    }

    #[test]
    fn what_can_not_work_is_refused_by_name() {
        let refused = |config: Config| config.validate().unwrap_err().to_string();
        let small = Space::new(3).unwrap();
        let groups = refused(Config { space: small, groups: 9, ..Config::default() });
        assert_eq!(groups, "groups: identifiers of 3 bits can't be divided into 9 groups");
        let bytes = refused(Config { gossip_bytes: 10, ..Config::default() });
        assert_eq!(bytes, "gossip_bytes: 10 is out of range, it may be 200 to 1048576");
    }
}
