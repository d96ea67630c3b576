//! What is true in each overlay, worked out from identifiers alone: who owns a key, who holds it, and which answers of a
//! lookup are right. Nothing here knows a routing table.

use std::collections::BTreeSet;

use crate::ids;
use crate::lookups::Found;

/// An overlay, and what of its settings decides who owns what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The owner is the first node at or after a key.
    Chord,
    /// The owner is the node numerically closest to a key.
    Pastry,
    /// The owner is some member of the key's group, the same whoever is asked.
    Kelips {
        /// How many affinity groups there are.
        groups: u32,
    },
}

impl Protocol {
    /// What `--protocol` calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chord => "chord",
            Self::Pastry => "pastry",
            Self::Kelips { .. } => "kelips",
        }
    }

    /// Its arguments for a daemon. Chord's are none: it is the default.
    #[must_use]
    pub fn args(self) -> Vec<String> {
        let groups = match self {
            Self::Chord => return Vec::new(),
            Self::Pastry => Vec::new(),
            Self::Kelips { groups } => vec!["--groups".to_owned(), groups.to_string()],
        };
        ["--protocol".to_owned(), self.name().to_owned()].into_iter().chain(groups).collect()
    }

    /// Who holds a key, the owner first; None where that is for the overlay to choose.
    ///
    /// # Panics
    /// When there is no node.
    #[must_use]
    pub fn holders<'a>(self, nodes: &[&'a str], id: &str, replicas: usize, bits: u32) -> Option<Vec<&'a str>> {
        match self {
            Self::Chord => Some(ids::holders(nodes, id, replicas)),
            Self::Pastry => Some(ids::closest(nodes, id, replicas, bits)),
            Self::Kelips { .. } => None,
        }
    }

    /// Whether this node may own the key, or answer for it.
    #[must_use]
    pub fn may_own(self, nodes: &[&str], id: &str, node: &str, bits: u32) -> bool {
        match (self, self.holders(nodes, id, 1, bits)) {
            (Self::Kelips { groups }, _) => {
                nodes.contains(&node) && Some(ids::group(node, groups)) == ids::serving_group(nodes, id, groups)
            }
            (_, holders) => holders.is_some_and(|holders| holders == [node]),
        }
    }

    /// Judges what a lookup of identifier `id` among `nodes` found: owner, way and copies.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn judge(self, nodes: &[&str], id: &str, found: &Found, replicas: usize, bits: u32) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{what} for {id} among {nodes:?}: {found:?}"));
        let Some(last) = found.path.last() else {
            return wrong("no path");
        };
        if !self.may_own(nodes, id, &found.owner, bits) {
            return wrong("another owner");
        }
        match self {
            Self::Chord | Self::Pastry if *last != found.owner => return wrong("the path does not end at the owner"),
            Self::Kelips { .. } if !self.may_own(nodes, id, last, bits) => {
                return wrong("the path ends outside of the key's group");
            }
            _ => {}
        }
        let on_the_way: BTreeSet<&str> = found.path.iter().map(String::as_str).collect();
        if on_the_way.len() != found.path.len() || !on_the_way.iter().all(|node| nodes.contains(node)) {
            return wrong("a path with strangers or detours");
        }
        let copies: BTreeSet<&str> = found.replicas.iter().map(String::as_str).collect();
        if copies.len() != found.replicas.len() || copies.len() != replicas.min(nodes.len()) {
            return wrong("another number of copies");
        }
        match self.holders(nodes, id, replicas, bits) {
            Some(holders) if holders.iter().copied().collect::<BTreeSet<_>>() != copies => wrong("other holders"),
            None if !copies.iter().all(|node| nodes.contains(node)) => wrong("a stranger among the holders"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn found(owner: &str, path: &[&str], replicas: &[&str]) -> Found {
        let owned = |all: &[&str]| all.iter().map(|id| (*id).to_owned()).collect();
        Found { owner: owner.to_owned(), path: owned(path), replicas: owned(replicas), took: Duration::ZERO }
    }

    #[test]
    fn each_overlay_has_its_own_owner_of_the_same_key() {
        let nodes = ["10", "20", "2d", "50"];
        let owner = |protocol: Protocol, id: &str| {
            let may = |node: &&str| protocol.may_own(&nodes, id, node, 7);
            nodes.into_iter().filter(may).collect::<Vec<_>>()
        };
        assert_eq!(owner(Protocol::Chord, "21"), ["2d"]);
        assert_eq!(owner(Protocol::Pastry, "21"), ["20"]);
        // 0x21 = 33 = 0 mod 3, as is 45; 0x22 = 34 = 1 mod 3, as is 16; 2 mod 3 are 32 and 80.
        assert_eq!(owner(Protocol::Kelips { groups: 3 }, "21"), ["2d"]);
        assert_eq!(owner(Protocol::Kelips { groups: 3 }, "22"), ["10"]);
        assert_eq!(owner(Protocol::Kelips { groups: 3 }, "23"), ["20", "50"]);
    }

    #[test]
    fn a_lookup_is_judged_by_owner_way_and_copies() {
        let nodes = ["10", "20", "2d", "50"];
        let judge = |protocol: Protocol, found: &Found| protocol.judge(&nodes, "21", found, 2, 7);
        judge(Protocol::Pastry, &found("20", &["50", "20"], &["20", "2d"])).expect("it is right");
        judge(Protocol::Chord, &found("2d", &["50", "2d"], &["2d", "50"])).expect("it is right");
        judge(Protocol::Kelips { groups: 3 }, &found("2d", &["2d"], &["20", "10"])).expect("it is right");
        for wrong in [
            found("2d", &["50", "2d"], &["20", "2d"]),
            found("20", &["50"], &["20", "2d"]),
            found("20", &[], &["20", "2d"]),
            found("20", &["20", "50", "20"], &["20", "2d"]),
            found("20", &["11", "20"], &["20", "2d"]),
            found("20", &["20"], &["20", "20"]),
            found("20", &["20"], &["20"]),
            found("20", &["20"], &["20", "10"]),
        ] {
            judge(Protocol::Pastry, &wrong).expect_err("it is wrong");
        }
        let grouped = Protocol::Kelips { groups: 3 };
        judge(grouped, &found("20", &["2d"], &["20", "10"])).expect_err("the owner is of another group");
        judge(grouped, &found("2d", &["20"], &["20", "10"])).expect_err("the answer came from another group");
        judge(grouped, &found("2d", &["2d"], &["20", "11"])).expect_err("a holder that there is not");
    }
}
