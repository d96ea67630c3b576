//! The routing state as people and programs see it.

use overlay::Peer;
use overlay::inspect::{Inspect, Inspection, Line, Shown, Verdict};

use crate::{Finger, Table, judge};

impl Inspect for Table {
    const ENTRY: &'static str = "finger";

    fn fields(&self) -> Vec<(String, Shown)> {
        let peer = |peer: &Peer| Shown::Peer(Some(peer.clone()));
        let finger = |finger: &Finger| {
            let (start, node) = (Shown::Id(finger.start), Shown::Peer(finger.node.clone()));
            Shown::Fields(vec![("start".to_owned(), start), ("node".to_owned(), node)])
        };
        vec![
            ("predecessor".to_owned(), Shown::Peer(self.predecessor.clone())),
            ("successors".to_owned(), Shown::List(self.successors.iter().map(peer).collect())),
            ("fingers".to_owned(), Shown::List(self.fingers.iter().map(finger).collect())),
        ]
    }

    fn lines(&self) -> Vec<Line> {
        let predecessor = Line { label: "predecessor".to_owned(), peer: self.predecessor.clone(), ..Line::default() };
        let mut lines = vec![predecessor];
        let successors = self.successors.iter().zip(1..).map(|(peer, place)| (place.to_string(), Some(peer)));
        lines.extend(section("successors", successors));
        let fingers = finger_runs(&self.fingers).into_iter().map(|(first, last, node)| {
            let place = if first == last { first.to_string() } else { format!("{first}-{last}") };
            (place, node)
        });
        lines.extend(section("fingers", fingers));
        lines
    }

    fn peers(&self) -> Vec<&Peer> {
        let fingers = self.fingers.iter().filter_map(|finger| finger.node.as_ref());
        self.predecessor.iter().chain(&self.successors).chain(fingers).collect()
    }

    fn judge(ring: &Inspection<'_, Self>, verdict: &mut Verdict) {
        judge::judge(ring, verdict);
    }
}

/// Lines of which only the first says what they are.
fn section<'a>(
    label: &'static str,
    entries: impl Iterator<Item = (String, Option<&'a Peer>)>,
) -> impl Iterator<Item = Line> {
    entries.enumerate().map(move |(line, (place, peer))| Line {
        label: if line == 0 { label.to_owned() } else { String::new() },
        place,
        peer: peer.cloned(),
        note: String::new(),
    })
}

/// Neighbouring fingers mostly point to the same node: one line for each run of them, numbered from 1 as in the paper.
fn finger_runs(fingers: &[Finger]) -> Vec<(usize, usize, Option<&Peer>)> {
    let mut runs: Vec<(usize, usize, Option<&Peer>)> = Vec::new();
    for (place, finger) in (1..).zip(fingers) {
        let node = finger.node.as_ref();
        match runs.last_mut() {
            Some((_, last, same)) if *same == node => *last = place,
            _ => runs.push((place, place, node)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use overlay::Addr;
    use ring::Space;

    use super::*;

    fn peer(number: u64) -> Peer {
        let id = Space::new(6).unwrap().id(number).unwrap();
        Peer { id, addr: Addr::new(&format!("127.0.0.1:{}", 7000 + number)).unwrap(), incarnation: 1 }
    }

    fn table() -> Table {
        let fingers = [(9, 14), (10, 14), (12, 14), (16, 21), (24, 32), (40, 42)];
        let finger = |(start, node)| Finger { start: peer(start).id, node: Some(peer(node)) };
        Table { predecessor: None, successors: vec![peer(14), peer(21)], fingers: fingers.map(finger).to_vec() }
    }

    #[test]
    fn fingers_that_point_to_the_same_node_share_a_line() {
        let shown = table().lines().into_iter().map(|line| {
            let node = line.peer.map_or("-".to_owned(), |peer| peer.id.to_string());
            [line.label, line.place, node].join(" ")
        });
        let expected = ["predecessor  -", "successors 1 0e", " 2 15", "fingers 1-3 0e", " 4 15", " 5 20", " 6 2a"]
            .map(str::to_owned);
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn programs_see_all_fingers_in_order_with_their_starts() {
        let fields = table().fields();
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["predecessor", "successors", "fingers"]);
        let Some((_, Shown::List(fingers))) = fields.get(2) else { panic!("no fingers in {fields:?}") };
        assert_eq!(fingers.len(), 6);
        let first = vec![("start".to_owned(), Shown::Id(peer(9).id)), ("node".to_owned(), Shown::Peer(Some(peer(14))))];
        assert_eq!(fingers[0], Shown::Fields(first));
    }

    #[test]
    fn every_peer_is_named_wherever_it_stands() {
        let table = Table { predecessor: Some(peer(1)), ..table() };
        let ids: std::collections::BTreeSet<u64> = [1, 14, 21, 32, 42].into();
        let expected: std::collections::BTreeSet<_> = ids.into_iter().map(|number| peer(number).id).collect();
        assert_eq!(table.peers().into_iter().map(|peer| peer.id).collect::<std::collections::BTreeSet<_>>(), expected);
    }
}
