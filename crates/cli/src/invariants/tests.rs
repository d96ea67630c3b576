use chord::{Chord, Finger, Table};
use overlay::inspect::{Verdict, Violation};
use overlay::{Addr, Peer};
use ring::{Id, Space};
use wire::WireProtocol;

use super::judge;
use crate::survey::{Member, Overlay, Report, State};

fn id(number: u64) -> Id {
    Space::new(6).unwrap().id(number).unwrap()
}

fn peer(number: u64) -> Peer {
    Peer { id: id(number), addr: Addr::new(&format!("127.0.0.1:{}", 7000 + number)).unwrap(), incarnation: 1 }
}

/// A perfect Chord ring of these members.
fn overlay(numbers: &[u64]) -> Overlay {
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
        Member { peer: peer(*number), report: Ok(report(*number, &table)) }
    });
    Overlay { protocol: "chord".into(), cluster: "default".into(), members: members.collect() }
}

fn report(number: u64, table: &Table) -> Report {
    Report {
        me: peer(number),
        process: id(number),
        protocol: "chord".into(),
        cluster: "default".into(),
        state: State::Ready,
        read_only: None,
        ring: Some("a".into()),
        keys: 0,
        bytes: 0,
        owns: Vec::new(),
        set_members_min: None,
        names: Vec::new(),
        place: None,
        table: Some(Chord::table(table, &|_| None)),
    }
}

fn member(overlay: &mut Overlay, number: u64) -> &mut Member {
    overlay.members.iter_mut().find(|member| member.peer.id == id(number)).unwrap()
}

fn report_of(overlay: &mut Overlay, number: u64) -> &mut Report {
    member(overlay, number).report.as_mut().unwrap()
}

fn found(overlay: &Overlay) -> Vec<(String, &'static str)> {
    let Verdict { violations, .. } = judge(overlay).unwrap();
    violations.into_iter().map(|Violation { member, invariant, .. }| (member.to_string(), invariant)).collect()
}

#[test]
fn a_perfect_ring_has_no_violation() {
    assert_eq!(judge(&overlay(&[1, 8, 14, 21])).unwrap(), Verdict::default());
}

#[test]
fn a_member_that_does_not_answer_is_a_violation_and_so_is_every_table_that_names_it() {
    let mut ring = overlay(&[1, 8, 14, 21]);
    member(&mut ring, 14).report = Err("connection refused".into());
    let broken = found(&ring);
    assert!(broken.contains(&("0e".into(), "reachable")));
    assert!(broken.contains(&("08".into(), "dead_entry")), "its predecessor lists it");
}

#[test]
fn an_earlier_life_of_a_member_is_a_dead_entry() {
    let mut ring = overlay(&[1, 8, 14]);
    report_of(&mut ring, 14).me.incarnation = 2;
    assert!(found(&ring).contains(&("08".into(), "dead_entry")));
}

#[test]
fn members_on_their_way_in_or_out_disturb_nobody() {
    for state in [State::Joining, State::Leaving] {
        let mut ring = overlay(&[1, 8, 14, 21]);
        report_of(&mut ring, 14).state = state;
        report_of(&mut ring, 14).table = None;
        assert_eq!(found(&ring), [], "{state:?}");
    }
}

#[test]
fn a_ready_member_without_a_table_is_told() {
    let mut ring = overlay(&[1, 8, 14, 21]);
    report_of(&mut ring, 14).table = None;
    assert!(found(&ring).contains(&("0e".into(), "table")));
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
