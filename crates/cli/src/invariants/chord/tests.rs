use ring::{Id, Space};

use super::super::{Verdict, Violation, judge};
use crate::survey::{ChordTable, Member, Named, Overlay, Report, State, Table};

const NODES: [u64; 6] = [1, 8, 14, 21, 32, 42];

fn id(number: u64) -> Id {
    Space::new(6).unwrap().id(number).unwrap()
}

fn named(number: u64) -> Named {
    Named { id: id(number), addr: format!("127.0.0.1:{}", 7000 + number), incarnation: 1 }
}

/// A perfect ring of these members, lists of three.
fn overlay(numbers: &[u64]) -> Overlay {
    let members = numbers.iter().enumerate().map(|(place, number)| {
        let after = |steps: usize| numbers[(place + steps) % numbers.len()];
        let successors = (1..=3.min(numbers.len() - 1)).map(|steps| named(after(steps))).collect();
        let finger = |exponent| {
            let start = id(*number).plus_power(exponent);
            let node = numbers.iter().find(|other| id(**other) >= start).unwrap_or(&numbers[0]);
            (start, Some(named(*node)))
        };
        let predecessor = (numbers.len() > 1).then(|| named(after(numbers.len() - 1)));
        let table = ChordTable { predecessor, successors, fingers: (0..6).map(finger).collect() };
        Member { peer: named(*number), report: Ok(report(*number, table)) }
    });
    Overlay { protocol: "chord".into(), cluster: "default".into(), members: members.collect() }
}

fn report(number: u64, table: ChordTable) -> Report {
    Report {
        me: named(number),
        process: id(number),
        protocol: "chord".into(),
        cluster: "default".into(),
        state: State::Ready,
        ring: Some("a".into()),
        keys: 0,
        bytes: 0,
        owns: Vec::new(),
        set_members_min: None,
        neighbours: Vec::new(),
        table: Some(Table::Chord(table)),
    }
}

fn report_of(overlay: &mut Overlay, number: u64) -> &mut Report {
    let member = overlay.members.iter_mut().find(|member| member.peer.id == id(number)).unwrap();
    member.report.as_mut().unwrap()
}

fn table_of(overlay: &mut Overlay, number: u64) -> &mut ChordTable {
    let Some(Table::Chord(table)) = &mut report_of(overlay, number).table else { panic!("no table") };
    table
}

fn kill(overlay: &mut Overlay, number: u64) {
    let member = overlay.members.iter_mut().find(|member| member.peer.id == id(number)).unwrap();
    member.report = Err("connection refused".into());
}

fn found(overlay: &Overlay) -> Vec<(String, &'static str)> {
    let Verdict { violations, .. } = judge(overlay).unwrap();
    violations.into_iter().map(|Violation { member, invariant, .. }| (member, invariant)).collect()
}

#[test]
fn a_perfect_ring_of_any_size_has_no_violation() {
    for size in 1..=NODES.len() {
        assert_eq!(judge(&overlay(&NODES[..size])).unwrap(), Verdict::default(), "{size} members");
    }
}

#[test]
fn a_ring_of_one_may_have_itself_in_its_tables() {
    let mut alone = overlay(&[8]);
    *table_of(&mut alone, 8) =
        ChordTable { predecessor: Some(named(8)), successors: vec![named(8), named(8)], fingers: Vec::new() };
    assert_eq!(found(&alone), []);
}

#[test]
fn a_list_that_comes_round_to_its_owner_ends_there() {
    let mut small = overlay(&[8, 21]);
    table_of(&mut small, 8).successors = vec![named(21), named(8), named(21)];
    assert_eq!(found(&small), []);
}

#[test]
fn a_skipped_member_breaks_the_ring_and_the_order() {
    let mut ring = overlay(&NODES);
    table_of(&mut ring, 8).successors = vec![named(21), named(32), named(42)];
    assert_eq!(found(&ring), [("0e".into(), "one_ring"), ("08".into(), "ordered_successors")]);
}

#[test]
fn two_loops_are_not_one_ring() {
    let mut ring = overlay(&NODES);
    table_of(&mut ring, 14).successors = vec![named(1)];
    table_of(&mut ring, 42).successors = vec![named(21)];
    let broken = found(&ring);
    for apart in ["15", "20", "2a"] {
        assert!(broken.contains(&(apart.into(), "one_ring")), "{apart} in {broken:?}");
    }
}

#[test]
fn a_walk_that_ends_in_a_loop_elsewhere_is_told() {
    let mut ring = overlay(&NODES);
    table_of(&mut ring, 42).successors = vec![named(8)];
    assert!(found(&ring).contains(&("01".into(), "one_ring")));
}

#[test]
fn a_list_out_of_order_further_down_is_told() {
    let mut ring = overlay(&NODES);
    table_of(&mut ring, 8).successors = vec![named(14), named(32), named(21)];
    assert_eq!(found(&ring), [("08".into(), "ordered_successors")]);
}

#[test]
fn a_shorter_list_is_fine_and_an_empty_one_is_not() {
    let mut ring = overlay(&NODES);
    table_of(&mut ring, 8).successors.truncate(1);
    assert_eq!(found(&ring), []);
    table_of(&mut ring, 8).successors.clear();
    assert!(found(&ring).contains(&("08".into(), "one_ring")));
}

#[test]
fn a_predecessor_must_be_the_member_before() {
    let mut ring = overlay(&NODES);
    table_of(&mut ring, 1).predecessor = Some(named(32));
    table_of(&mut ring, 21).predecessor = None;
    assert_eq!(found(&ring), [("01".into(), "predecessor"), ("15".into(), "predecessor")]);
}

#[test]
fn a_member_that_does_not_answer_is_a_violation_and_so_is_every_table_that_names_it() {
    let mut ring = overlay(&NODES);
    kill(&mut ring, 14);
    let broken = found(&ring);
    assert!(broken.contains(&("0e".into(), "reachable")));
    assert!(broken.contains(&("08".into(), "dead_entry")), "its predecessor lists it");
    assert!(broken.contains(&("15".into(), "dead_entry")), "its successor has it as predecessor");
    assert!(broken.contains(&("15".into(), "predecessor")));
    assert!(!broken.contains(&("0e".into(), "one_ring")), "the dead are not expected in the ring");
}

#[test]
fn an_earlier_life_of_a_member_is_a_dead_entry() {
    let mut ring = overlay(&NODES);
    report_of(&mut ring, 14).me.incarnation = 2;
    assert!(found(&ring).contains(&("08".into(), "dead_entry")));
}

#[test]
fn a_dead_finger_is_a_violation_and_a_far_one_is_a_detour() {
    let mut ring = overlay(&NODES);
    kill(&mut ring, 21);
    for number in [1, 8, 14, 32, 42] {
        let table = table_of(&mut ring, number);
        table.successors.retain(|peer| peer.id != id(21));
        table
            .fingers
            .iter_mut()
            .filter(|(_, node)| *node == Some(named(21)))
            .for_each(|(_, node)| *node = Some(named(32)));
    }
    table_of(&mut ring, 32).predecessor = Some(named(14));
    assert_eq!(found(&ring), [("15".into(), "reachable")]);
    table_of(&mut ring, 42).fingers[3].1 = Some(named(21));
    assert_eq!(found(&ring), [("15".into(), "reachable"), ("2a".into(), "dead_entry")]);
    table_of(&mut ring, 42).fingers[3].1 = Some(named(32));
    assert_eq!(judge(&ring).unwrap().detours, 1);
}

#[test]
fn members_on_their_way_in_or_out_disturb_nobody() {
    for state in [State::Joining, State::Leaving] {
        let mut ring = overlay(&NODES);
        report_of(&mut ring, 14).state = state;
        *table_of(&mut ring, 14) = ChordTable::default();
        assert_eq!(found(&ring), [], "still in tables, {state:?}");
        table_of(&mut ring, 8).successors = vec![named(21), named(32), named(42)];
        table_of(&mut ring, 21).predecessor = Some(named(8));
        assert_eq!(found(&ring), [], "out of some tables, {state:?}");
    }
}

#[test]
fn a_member_of_another_ring_is_told_and_the_main_ring_is_judged_without_it() {
    let mut ring = overlay(&[1, 8, 14]);
    let mut other = overlay(&[21]);
    report_of(&mut other, 21).ring = Some("b".into());
    ring.members.append(&mut other.members);
    assert_eq!(found(&ring), [("15".into(), "one_ring_id")]);
}

#[test]
fn an_overlay_without_a_ready_member_is_not_healthy() {
    let mut ring = overlay(&[1]);
    report_of(&mut ring, 1).state = State::Joining;
    assert_eq!(found(&ring), [("01".into(), "ready")]);
}

#[test]
fn a_protocol_without_rules_is_refused() {
    let mut ring = overlay(&[1]);
    ring.protocol = "carp".into();
    assert!(judge(&ring).unwrap_err().message.unwrap().contains("carp"));
}
