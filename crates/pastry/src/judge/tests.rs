use std::collections::BTreeMap;

use super::*;
use crate::testing::{id, knowing, peer};
use overlay::Overlay;

const NUMBERS: [u64; 8] = [0x10_0000, 0x12_0000, 0x13_1000, 0x45_0000, 0x80_0000, 0x81_0000, 0xc0_0000, 0xf0_0000];

/// A ring in which everything is as it should be.
fn ring() -> Vec<Member> {
    let config = Config { leaf_set: 4, ..Config::default() };
    let members = NUMBERS.map(|number| {
        let node = knowing(number, &NUMBERS, config.clone());
        let owns = node.shares().into_iter().map(|share| share.range).collect();
        Inspected { me: peer(number), owns, table: node.table() }
    });
    members.to_vec()
}

fn judged_with(members: &[Member], others: &[(u64, Standing)]) -> Vec<(&'static str, String)> {
    let mut answered: BTreeMap<Id, (u64, Standing)> =
        members.iter().map(|member| (member.me.id, (member.me.incarnation, Standing::Ready))).collect();
    answered.extend(others.iter().map(|&(number, standing)| (id(number), (1, standing))));
    let mut verdict = Verdict::default();
    judge(&Inspection { members, answered: &answered }, &mut verdict);
    verdict.violations.into_iter().map(|violation| (violation.invariant, violation.detail)).collect()
}

/// What is found after a change to one member.
fn spoiled(place: usize, spoil: impl FnOnce(&mut Member)) -> Vec<(&'static str, String)> {
    let mut members = ring();
    spoil(&mut members[place]);
    judged_with(&members, &[])
}

fn invariants(found: &[(&'static str, String)]) -> BTreeSet<&'static str> {
    found.iter().map(|(invariant, _)| *invariant).collect()
}

#[test]
fn a_ring_in_order_is_not_complained_of() {
    assert_eq!(judged_with(&ring(), &[]), []);
    let alone = knowing(1, &[], Config::default());
    let owns = alone.shares().into_iter().map(|share| share.range).collect();
    assert_eq!(judged_with(&[Inspected { me: peer(1), owns, table: alone.table() }], &[]), []);
}

#[test]
fn a_leaf_set_that_is_wrong_or_not_full_is_named() {
    let found = spoiled(1, |member| drop(member.table.larger.remove(0)));
    assert_eq!(found[0], ("leaf_set", "larger leaf 1 is 450000, should be 131000".to_owned()));
    assert!(invariants(&found).contains("symmetric_leaf_sets"));
    let found = spoiled(1, |member| drop(member.table.larger.pop()));
    assert_eq!(found[0], ("leaf_set", "has 1 larger leaves, should have 2".to_owned()));
}

#[test]
fn a_leaf_that_does_not_know_of_it_is_named() {
    let found = spoiled(2, |member| drop(member.table.smaller.pop()));
    let detail = "has 131000 as a larger leaf, which does not have it as a smaller one".to_owned();
    assert!(found.contains(&("symmetric_leaf_sets", detail)), "{found:?}");
}

#[test]
fn an_entry_in_the_wrong_place_and_an_empty_place_are_named() {
    let found = spoiled(0, |member| member.table.rows[0].entries[0].node = peer(0x80_0000));
    assert_eq!(found, [("prefix", "row 0, digit 4 is 800000, which does not belong there".to_owned())]);
    let found = spoiled(0, |member| drop(member.table.rows[1].entries.remove(0)));
    assert_eq!(found, [("filled_table", "row 1, digit 2 is empty, though 120000 belongs there".to_owned())]);
}

#[test]
fn dead_entries_are_named_once_each() {
    let mut members = ring();
    members[0].table.rows[0].entries[0].node = peer(0x44_0000);
    let found = judged_with(&members, &[]);
    assert_eq!(found, [("dead_entry", "names 440000, which is gone, as row 0, digit 4".to_owned())]);
}

#[test]
fn a_newcomer_may_be_in_tables_already_and_its_keys_nobodys() {
    let with: Vec<u64> = NUMBERS.into_iter().chain([0x60_0000]).collect();
    let config = Config { leaf_set: 4, ..Config::default() };
    let members = NUMBERS.map(|number| {
        let node = knowing(number, &with, config.clone());
        let owns = node.shares().into_iter().map(|share| share.range).collect();
        Inspected { me: peer(number), owns, table: node.table() }
    });
    assert_eq!(judged_with(&members, &[(0x60_0000, Standing::Moving)]), []);
    let found = judged_with(&members, &[]);
    assert_eq!(invariants(&found), BTreeSet::from(["dead_entry", "owned_once"]));
}

#[test]
fn keys_that_two_own_or_nobody_are_named() {
    let found = spoiled(3, |member| member.owns.iter_mut().for_each(|arc| arc.upto = arc.upto.plus(id(0x10))));
    assert!(invariants(&found).contains("owned_once") && found[0].1.contains("as well: ("), "{found:?}");
    let found = spoiled(3, |member| member.owns.clear());
    assert!(found.len() == 1 && found[0].1.contains("nobody owns ("), "{found:?}");
    let found = spoiled(3, |member| member.owns = vec![Range::full(member.me.id)]);
    assert_eq!(invariants(&found), BTreeSet::from(["owned_once"]));
}
