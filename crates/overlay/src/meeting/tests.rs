use ring::Space;

use super::*;

fn id(number: u64) -> Id {
    Space::SHA1.id(number).unwrap()
}

fn peer(number: u64) -> Peer {
    Peer { id: id(number), addr: addr(number), incarnation: 1 }
}

fn addr(number: u64) -> Addr {
    Addr::new(&format!("10.0.0.{number}:1")).unwrap()
}

fn ms(ms: u64) -> Time {
    Time(1_000 * ms)
}

fn kinds(dead: &[u64], given: &[u64], others: &[u64]) -> [Vec<Addr>; 3] {
    [dead, given, others].map(|kind| kind.iter().map(|&number| addr(number)).collect())
}

/// One comparison of the owners of identifier 0 at `at`.
fn compared(meeting: &mut Meeting, theirs: u64, ours: u64, at: u64) -> Option<Peer> {
    meeting.compare_from(peer(7));
    assert_eq!(meeting.on_zero(Side::Theirs, id(theirs), ms(at)), None);
    meeting.on_zero(Side::Ours, id(ours), ms(at))
}

#[test]
fn the_greater_ring_is_the_younger_and_dissolves() {
    let ring = |started_ms, starter| RingId { started_ms, starter: id(starter) };
    assert_eq!(compare(ring(5, 1), ring(4, 9)), Outcome::Rejoin);
    assert_eq!(compare(ring(4, 9), ring(5, 1)), Outcome::TheyRejoin);
    assert_eq!(compare(ring(4, 9), ring(4, 1)), Outcome::Rejoin, "the starter decides between equals");
    assert_eq!(compare(ring(4, 9), ring(4, 9)), Outcome::Same);
}

#[test]
fn regular_checks_take_the_kinds_of_addresses_in_turn() {
    let mut meeting = Meeting::new(ms(0));
    let mut greeted = Vec::new();
    for check in 0..6 {
        greeted.extend(meeting.begin(ms(check), ms(check + 1), kinds(&[1, 2], &[], &[3]), 1));
        meeting.end();
    }
    assert_eq!(greeted, [2, 3, 2, 3, 2, 3].map(addr));
    assert_eq!(meeting.begin(ms(9), ms(10), kinds(&[], &[], &[]), 1), None);
}

#[test]
fn an_alarm_is_looked_into_at_once_but_not_every_one() {
    let mut meeting = Meeting::new(ms(4_000));
    meeting.alarm(&addr(1), ms(10));
    meeting.alarm(&addr(2), ms(11));
    assert_eq!(meeting.wake(), Some(ms(10)));
    assert_eq!(meeting.begin(ms(11), ms(9_000), kinds(&[], &[], &[]), 0), Some(addr(1)));
    assert_eq!(meeting.wake(), None, "one check at a time");
    meeting.end();
    meeting.alarm(&addr(2), ms(500));
    assert_eq!(meeting.wake(), Some(ms(4_000)));
    meeting.alarm(&addr(2), ms(1_010));
    assert_eq!(meeting.wake(), Some(ms(1_010)));
}

#[test]
fn a_partition_is_believed_when_it_was_found_twice() {
    let mut meeting = Meeting::new(ms(60_000));
    assert_eq!(compared(&mut meeting, 2, 3, 0), None);
    assert_eq!(meeting.wake(), Some(ms(300)), "a second look follows soon");
    assert_eq!(meeting.begin(ms(300), ms(1), kinds(&[], &[], &[]), 0), Some(addr(7)));
    assert_eq!(compared(&mut meeting, 2, 3, 301), Some(peer(7)));
}

#[test]
fn the_side_with_the_lower_owner_of_zero_stays() {
    let mut meeting = Meeting::new(ms(0));
    for at in [0, 300, 600] {
        assert_eq!(compared(&mut meeting, 3, 2, at), None);
        assert_eq!(compared(&mut meeting, 3, 3, at), None, "one owner: no partition");
    }
}

#[test]
fn an_old_finding_or_one_that_was_refuted_does_not_count() {
    let mut meeting = Meeting::new(ms(0));
    assert_eq!(compared(&mut meeting, 2, 3, 0), None);
    assert_eq!(compared(&mut meeting, 2, 3, 20_000), None, "too long ago");
    meeting.all_well();
    assert_eq!(compared(&mut meeting, 2, 3, 20_300), None, "refuted meanwhile");
    assert_eq!(compared(&mut meeting, 2, 3, 20_600), Some(peer(7)));
}

#[test]
fn who_asked_for_a_check_hears_of_it_once() {
    let mut meeting = Meeting::new(ms(0));
    meeting.ask_for(&addr(1), ms(0));
    assert!(!meeting.is_asked_for(&addr(2)) && meeting.is_asked_for(&addr(1)) && !meeting.is_asked_for(&addr(1)));
}
