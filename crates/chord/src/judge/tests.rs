use std::collections::BTreeMap;

use overlay::inspect::{Inspect, Inspected, Inspection, Standing, Verdict};
use overlay::{Addr, Peer};
use ring::{Id, Space};

use crate::{Finger, Table};

const NODES: [u64; 6] = [1, 8, 14, 21, 32, 42];

fn id(number: u64) -> Id {
    Space::new(6).unwrap().id(number).unwrap()
}

fn peer(number: u64) -> Peer {
    Peer { id: id(number), addr: Addr::new(&format!("127.0.0.1:{}", 7000 + number)).unwrap(), incarnation: 1 }
}

/// What was found out about a ring.
#[derive(Clone)]
struct Ring {
    members: Vec<Inspected<Table>>,
    answered: BTreeMap<Id, (u64, Standing)>,
}

impl Ring {
    /// A perfect ring of these members, lists of three.
    fn of(numbers: &[u64]) -> Self {
        let members = numbers.iter().enumerate().map(|(place, number)| {
            let after = |steps: usize| numbers[(place + steps) % numbers.len()];
            let finger = |exponent| {
                let start = id(*number).plus_power(exponent);
                let node = numbers.iter().find(|other| id(**other) >= start).unwrap_or(&numbers[0]);
                Finger { start, node: Some(peer(*node)) }
            };
            let table = Table {
                predecessor: (numbers.len() > 1).then(|| peer(after(numbers.len() - 1))),
                successors: (1..=3.min(numbers.len() - 1)).map(|steps| peer(after(steps))).collect(),
                fingers: (0..6).map(finger).collect(),
            };
            Inspected { me: peer(*number), owns: Vec::new(), table }
        });
        let answered = numbers.iter().map(|number| (id(*number), (1, Standing::Ready))).collect();
        Self { members: members.collect(), answered }
    }

    fn table(&mut self, number: u64) -> &mut Table {
        &mut self.members.iter_mut().find(|member| member.me.id == id(number)).unwrap().table
    }

    fn kill(&mut self, number: u64) {
        self.members.retain(|member| member.me.id != id(number));
        self.answered.remove(&id(number));
    }

    /// It answers, and is not ready.
    fn moving(&mut self, number: u64) {
        self.members.retain(|member| member.me.id != id(number));
        self.answered.insert(id(number), (1, Standing::Moving));
    }

    fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        Table::judge(&Inspection { members: &self.members, answered: &self.answered }, &mut verdict);
        verdict
    }

    fn broken(&self) -> Vec<(u64, &'static str)> {
        let violations = self.verdict().violations;
        let number = |id: Id| NODES.into_iter().find(|number| self::id(*number) == id).unwrap();
        violations.iter().map(|violation| (number(violation.member), violation.invariant)).collect()
    }
}

#[test]
fn a_perfect_ring_of_any_size_has_no_violation() {
    for size in 1..=NODES.len() {
        assert_eq!(Ring::of(&NODES[..size]).verdict(), Verdict::default(), "{size} members");
    }
}

#[test]
fn a_ring_of_one_may_have_itself_in_its_tables() {
    let mut alone = Ring::of(&[8]);
    *alone.table(8) = Table { predecessor: Some(peer(8)), successors: vec![peer(8), peer(8)], fingers: Vec::new() };
    assert_eq!(alone.broken(), []);
}

#[test]
fn a_list_that_comes_round_to_its_owner_ends_there() {
    let mut small = Ring::of(&[8, 21]);
    small.table(8).successors = vec![peer(21), peer(8), peer(21)];
    assert_eq!(small.broken(), []);
}

#[test]
fn a_skipped_member_breaks_the_ring_and_the_order() {
    let mut ring = Ring::of(&NODES);
    ring.table(8).successors = vec![peer(21), peer(32), peer(42)];
    assert_eq!(ring.broken(), [(14, "one_ring"), (8, "ordered_successors")]);
    let details: Vec<String> = ring.verdict().violations.into_iter().map(|violation| violation.detail).collect();
    assert_eq!(details, ["is not reached by following successors from 01", "successor 1 is 15, should be 0e"]);
}

#[test]
fn two_loops_are_not_one_ring() {
    let mut ring = Ring::of(&NODES);
    ring.table(14).successors = vec![peer(1)];
    ring.table(42).successors = vec![peer(21)];
    let broken = ring.broken();
    for apart in [21, 32, 42] {
        assert!(broken.contains(&(apart, "one_ring")), "{apart} in {broken:?}");
    }
}

#[test]
fn a_walk_that_ends_in_a_loop_elsewhere_is_told() {
    let mut ring = Ring::of(&NODES);
    ring.table(42).successors = vec![peer(8)];
    assert!(ring.broken().contains(&(1, "one_ring")));
}

#[test]
fn a_list_out_of_order_further_down_is_told() {
    let mut ring = Ring::of(&NODES);
    ring.table(8).successors = vec![peer(14), peer(32), peer(21)];
    assert_eq!(ring.broken(), [(8, "ordered_successors")]);
}

#[test]
fn a_shorter_list_is_fine_and_an_empty_one_is_not() {
    let mut ring = Ring::of(&NODES);
    ring.table(8).successors.truncate(1);
    assert_eq!(ring.broken(), []);
    ring.table(8).successors.clear();
    assert!(ring.broken().contains(&(8, "one_ring")));
}

#[test]
fn a_predecessor_must_be_the_member_before() {
    let mut ring = Ring::of(&NODES);
    ring.table(1).predecessor = Some(peer(32));
    ring.table(21).predecessor = None;
    assert_eq!(ring.broken(), [(1, "predecessor"), (21, "predecessor")]);
}

#[test]
fn every_table_that_names_a_dead_member_is_told_and_the_dead_are_not_expected_in_the_ring() {
    let mut ring = Ring::of(&NODES);
    ring.kill(14);
    let broken = ring.broken();
    assert!(broken.contains(&(8, "dead_entry")), "its predecessor lists it");
    assert!(broken.contains(&(21, "dead_entry")), "its successor has it as predecessor");
    assert!(broken.contains(&(21, "predecessor")));
    assert!(!broken.iter().any(|(_, rule)| *rule == "one_ring"), "{broken:?}");
    let detail = ring.verdict().violations.into_iter().find(|violation| violation.member == id(8)).unwrap().detail;
    assert_eq!(detail, "names 0e, which is gone, as successor 1, finger 1, finger 2 and 1 more");
}

#[test]
fn an_earlier_life_of_a_member_is_a_dead_entry() {
    let mut ring = Ring::of(&NODES);
    ring.answered.insert(id(14), (2, Standing::Ready));
    assert!(ring.broken().contains(&(8, "dead_entry")));
}

#[test]
fn a_dead_finger_is_a_violation_and_a_far_one_is_a_detour() {
    let mut ring = Ring::of(&NODES);
    ring.kill(21);
    for number in [1, 8, 14, 32, 42] {
        let table = ring.table(number);
        table.successors.retain(|peer| peer.id != id(21));
        let astray = table.fingers.iter_mut().filter(|finger| finger.node == Some(peer(21)));
        astray.for_each(|finger| finger.node = Some(peer(32)));
    }
    ring.table(32).predecessor = Some(peer(14));
    assert_eq!(ring.verdict(), Verdict::default());
    ring.table(42).fingers[3].node = Some(peer(21));
    assert_eq!(ring.broken(), [(42, "dead_entry")]);
    ring.table(42).fingers[3].node = Some(peer(32));
    assert_eq!(ring.verdict(), Verdict { violations: Vec::new(), detours: 1 });
}

#[test]
fn members_on_their_way_in_or_out_disturb_nobody() {
    let mut ring = Ring::of(&NODES);
    ring.moving(14);
    assert_eq!(ring.broken(), [], "still in tables");
    ring.table(8).successors = vec![peer(21), peer(32), peer(42)];
    ring.table(21).predecessor = Some(peer(8));
    assert_eq!(ring.broken(), [], "out of some tables");
}
