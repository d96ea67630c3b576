use overlay::Peer;
use ring::Id;

/// Fingers that lie beyond the successor list: `finger[i] = successor(n + 2^(i−1))` (Chord, §IV.D).
///
/// Of the m fingers only about log2 N are different nodes, and equal ones are neighbours; so they are
/// kept as runs, a node each with the powers of two that lead to it. The near ones are not kept at all:
/// the successor list knows them better.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct FingerTable {
    runs: Vec<Run>,
}

/// The powers `first..=last` lead to `peer`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Run {
    first: u8,
    last: u8,
    peer: Peer,
}

impl FingerTable {
    /// The node that `me + 2^power` leads to, if it is known.
    pub(crate) fn get(&self, power: u32) -> Option<&Peer> {
        let run = self.runs.iter().find(|run| run.covers(power))?;
        Some(&run.peer)
    }

    /// Sets all powers of `first..=last`; says whether anything changed.
    pub(crate) fn set(&mut self, first: u32, last: u32, peer: &Peer) -> bool {
        if (first..=last).all(|power| self.get(power) == Some(peer)) {
            return false;
        }
        self.clear(first, last);
        let at = self.runs.partition_point(|run| u32::from(run.last) < first);
        self.runs.insert(at, Run { first: first as u8, last: last as u8, peer: peer.clone() });
        self.runs.dedup_by(|next, run| {
            let joined = next.peer == run.peer && next.first == run.last.saturating_add(1);
            if joined {
                run.last = next.last;
            }
            joined
        });
        true
    }

    /// Forgets what the powers of `first..=last` lead to.
    pub(crate) fn clear(&mut self, first: u32, last: u32) {
        let cut = std::mem::take(&mut self.runs);
        for run in cut {
            let (from, to) = (u32::from(run.first), u32::from(run.last));
            if from < first {
                self.push(from, to.min(first.saturating_sub(1)), &run.peer);
            }
            if to > last {
                self.push(from.max(last + 1), to, &run.peer);
            }
        }
    }

    /// Forgets a node that did not answer; says whether it was there.
    pub(crate) fn forget(&mut self, id: Id) -> bool {
        let before = self.runs.len();
        self.runs.retain(|run| run.peer.id != id);
        self.runs.len() < before
    }

    /// The different nodes, nearest first.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.runs.iter().map(|run| &run.peer)
    }

    fn push(&mut self, first: u32, last: u32, peer: &Peer) {
        if first <= last {
            self.runs.push(Run { first: first as u8, last: last as u8, peer: peer.clone() });
        }
    }
}

impl Run {
    fn covers(&self, power: u32) -> bool {
        (u32::from(self.first)..=u32::from(self.last)).contains(&power)
    }
}

#[cfg(test)]
mod tests {
    use overlay::Addr;
    use proptest::prelude::*;
    use ring::Space;

    use super::*;

    fn peer(id: u64) -> Peer {
        Peer { id: Space::SHA1.id(id).unwrap(), addr: Addr::new(&format!("node{id}:1")).unwrap(), incarnation: 1 }
    }

    proptest! {
        #[test]
        fn runs_hold_what_a_plain_table_holds(
            steps in prop::collection::vec((0u32..160, 0u32..160, 0u64..5), 1..40)
        ) {
            let mut plain: Vec<Option<Peer>> = vec![None; 160];
            let mut table = FingerTable::default();
            for (a, b, id) in steps {
                let (first, last) = (a.min(b), a.max(b));
                match id {
                    0 => {
                        table.clear(first, last);
                        plain[first as usize..=last as usize].fill(None);
                    }
                    1 => {
                        table.forget(peer(2).id);
                        for slot in plain.iter_mut().filter(|slot| **slot == Some(peer(2))) {
                            *slot = None;
                        }
                    }
                    _ => {
                        let same = plain[first as usize..=last as usize].iter().all(|slot| *slot == Some(peer(id)));
                        prop_assert_eq!(table.set(first, last, &peer(id)), !same);
                        plain[first as usize..=last as usize].fill(Some(peer(id)));
                    }
                }
                for power in 0..160 {
                    prop_assert_eq!(table.get(power), plain[power as usize].as_ref());
                }
            }
        }
    }

    #[test]
    fn neighbouring_powers_to_one_node_are_one_run() {
        let mut table = FingerTable::default();
        for power in (0..160).rev() {
            table.set(power, power, &peer(7));
        }
        assert_eq!(table.peers().count(), 1);
    }
}
