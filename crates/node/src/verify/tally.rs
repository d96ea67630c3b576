//! Copies, counted record by record.

use std::collections::BTreeSet;

use bytes::Bytes;
use overlay::Known;
use replica::Member;
use ring::Id;
use store::Version;
use wire::v1;

use super::count;

/// Copies that there should be: as many as are configured, or as the cluster has nodes. Dead ones are among them until they
/// leave for good: whoever lacks their copies lacks copies.
pub(super) fn wanted(replicas: usize, me: Id, known: &[Known], members: &[Member]) -> u32 {
    let known = known.iter().filter(|known| !known.left).map(|known| known.peer.id);
    let nodes: BTreeSet<Id> = known.chain(members.iter().map(|member| member.peer.id)).chain([me]).collect();
    count(replicas.min(nodes.len()))
}

/// How a member's copy of a key differs from this node's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum How {
    /// It has an older version, or nothing.
    Behind,
    /// It has this version, which is newer; whether that is a deletion.
    Ahead(Version, bool),
}

/// A key of which not every member that answered has what this node has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Differing {
    behind: u32,
    ahead: Vec<(Version, bool)>,
}

impl Differing {
    pub(super) fn add(&mut self, how: How) {
        match how {
            How::Behind => self.behind += 1,
            How::Ahead(version, tombstone) => self.ahead.push((version, tombstone)),
        }
    }
}

/// The records of a range, counted.
pub(super) struct Tally {
    pub(super) wanted: u32,
    /// Members that were compared, this node included.
    pub(super) answered: u32,
    /// What was given later, by the wall clock, may have been on its way to its holders while they were compared.
    pub(super) settled_before_ms: u64,
    pub(super) named_max: usize,
    pub(super) records: u64,
    pub(super) below: u64,
    pub(super) named: Vec<v1::Below>,
}

impl Tally {
    /// Counts a key by what this node has, a version and whether that is a deletion, and how the others differ from it.
    pub(super) fn count(&mut self, key: &Bytes, here: Option<(Version, bool)>, differing: &Differing) {
        let ahead = differing.ahead.iter().copied().max();
        let Some((version, tombstone)) = here.max(ahead) else { return };
        if tombstone {
            return;
        }
        let there = count(differing.ahead.iter().filter(|(ahead, _)| *ahead == version).count());
        let copies = if version.wall_ms() >= self.settled_before_ms {
            self.answered
        } else if here.is_some_and(|(here, _)| here == version) {
            // Those that were ahead may have been caught up with, or overtaken.
            let others = count(differing.ahead.len()).saturating_sub(there);
            self.answered.saturating_sub(differing.behind).saturating_sub(others)
        } else {
            there
        };
        self.records += 1;
        if copies < self.wanted {
            self.below += 1;
            if self.named.len() < self.named_max {
                self.named.push(v1::Below { key: key.clone(), copies });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use overlay::{Addr, Peer};
    use ring::Space;

    use super::*;

    /// Of a set of three that all answered.
    fn tally() -> Tally {
        let (records, below, named) = (0, 0, Vec::new());
        Tally { wanted: 3, answered: 3, settled_before_ms: 1_000, named_max: 10, records, below, named }
    }

    fn version(wall_ms: u64) -> Version {
        Version::at(wall_ms, 0, 7)
    }

    fn record(wall_ms: u64) -> Option<(Version, bool)> {
        Some((version(wall_ms), false))
    }

    fn deletion(wall_ms: u64) -> Option<(Version, bool)> {
        Some((version(wall_ms), true))
    }

    fn differing(how: &[How]) -> Differing {
        let mut differing = Differing::default();
        how.iter().for_each(|how| differing.add(*how));
        differing
    }

    fn ahead(wall_ms: u64) -> How {
        How::Ahead(version(wall_ms), false)
    }

    /// Records, and the copies of those below.
    fn counted(mut tally: Tally, here: Option<(Version, bool)>, how: &[How]) -> (u64, Vec<u32>) {
        tally.count(&Bytes::from_static(b"k"), here, &differing(how));
        assert_eq!(tally.below, tally.named.len() as u64);
        (tally.records, tally.named.iter().map(|below| below.copies).collect())
    }

    #[test]
    fn a_record_that_all_have_is_whole_and_one_that_some_lack_is_below() {
        assert_eq!(counted(tally(), record(5), &[]), (1, vec![]));
        assert_eq!(counted(tally(), record(5), &[How::Behind]), (1, vec![2]));
        assert_eq!(counted(tally(), record(5), &[How::Behind, How::Behind]), (1, vec![1]));
    }

    #[test]
    fn copies_are_counted_of_the_newest_version_wherever_it_is() {
        assert_eq!(counted(tally(), record(5), &[ahead(6)]), (1, vec![1]));
        assert_eq!(counted(tally(), record(5), &[ahead(6), ahead(6)]), (1, vec![2]), "the primary lacks it");
        assert_eq!(counted(tally(), record(5), &[ahead(6), ahead(7)]), (1, vec![1]));
        assert_eq!(counted(tally(), None, &[ahead(6)]), (1, vec![1]), "it is nowhere else");
        assert_eq!(counted(tally(), deletion(5), &[ahead(6)]), (1, vec![1]), "written again since");
        assert_eq!(counted(tally(), record(6), &[ahead(6)]), (1, vec![]), "taken over meanwhile");
        assert_eq!(counted(tally(), record(7), &[ahead(6)]), (1, vec![2]));
    }

    #[test]
    fn a_deletion_is_no_record_however_few_have_it() {
        assert_eq!(counted(tally(), deletion(5), &[]), (0, vec![]));
        assert_eq!(counted(tally(), deletion(5), &[How::Behind, How::Behind]), (0, vec![]));
        assert_eq!(counted(tally(), record(5), &[How::Ahead(version(6), true)]), (0, vec![]));
        assert_eq!(counted(tally(), record(5), &[How::Ahead(version(5), true)]), (0, vec![]), "it has expired there");
        assert_eq!(counted(tally(), None, &[How::Behind]), (0, vec![]), "forgotten meanwhile");
    }

    #[test]
    fn what_may_still_be_on_its_way_is_not_missing() {
        assert_eq!(counted(tally(), record(1_000), &[How::Behind, How::Behind]), (1, vec![]));
        assert_eq!(counted(tally(), record(999), &[How::Behind]), (1, vec![2]));
        let too_few = Tally { answered: 2, ..tally() };
        assert_eq!(counted(too_few, record(1_000), &[]), (1, vec![2]));
    }

    #[test]
    fn whoever_does_not_answer_holds_nothing() {
        let alone = || Tally { answered: 1, ..tally() };
        assert_eq!(counted(alone(), record(5), &[]), (1, vec![1]));
        assert_eq!(counted(Tally { answered: 2, ..tally() }, record(5), &[How::Behind]), (1, vec![1]));
        assert_eq!(counted(Tally { wanted: 1, ..alone() }, record(5), &[]), (1, vec![]));
    }

    #[test]
    fn so_many_keys_are_named_and_all_are_counted() {
        let mut tally = Tally { answered: 2, named_max: 2, ..tally() };
        for key in ["a", "b", "c"] {
            tally.count(&Bytes::from_static(key.as_bytes()), record(5), &Differing::default());
        }
        assert_eq!((tally.records, tally.below), (3, 3));
        let named = |key: &'static str| v1::Below { key: key.into(), copies: 2 };
        assert_eq!(tally.named, [named("a"), named("b")]);
    }

    #[test]
    fn as_many_copies_are_wanted_as_are_configured_or_as_there_are_nodes_dead_or_alive() {
        let peer = |number: u16| {
            let (id, addr) = (Space::SHA1.hash(&number.to_be_bytes()), Addr::new(&format!("a:{number}")).unwrap());
            Peer { id, addr, incarnation: 1 }
        };
        let known = |number, alive, left| Known { peer: peer(number), alive, stopped: None, left, rtt: None };
        let (alive, dead, left) = (
            |number| known(number, true, false),
            |number| known(number, false, false),
            |number| known(number, false, true),
        );
        let members = |numbers: &[u16]| -> Vec<Member> {
            numbers.iter().map(|number| Member { peer: peer(*number), store: 1 }).collect()
        };
        let wanted = |known: &[Known], set: &[u16]| wanted(3, peer(1).id, known, &members(set));
        assert_eq!(wanted(&[], &[1]), 1);
        assert_eq!(wanted(&[alive(2)], &[1, 2]), 2, "a cluster of two");
        assert_eq!(wanted(&[alive(2), alive(3), alive(4)], &[1, 2]), 3, "a set that is too small");
        assert_eq!(wanted(&[alive(2), dead(3), dead(4), dead(5)], &[1, 2]), 3, "three of five are dead");
        assert_eq!(wanted(&[dead(2)], &[1, 2, 3]), 3, "the set counts on one that this node never met");
        assert_eq!(wanted(&[alive(2), left(3)], &[1, 2]), 2, "the third left for good");
        assert_eq!(wanted(&[alive(2), alive(3), alive(4), alive(5)], &[1, 2, 3]), 3);
    }
}
