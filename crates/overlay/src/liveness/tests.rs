use std::time::Duration;

use proptest::prelude::*;
use ring::Space;

use super::*;

const ME: u64 = 0;

fn peer(id: u64, incarnation: u64) -> Peer {
    let addr = Addr::new(&format!("10.0.0.{id}:1")).unwrap();
    Peer { id: Space::SHA1.id(id).unwrap(), addr, incarnation }
}

fn table(known_max: usize) -> Liveness {
    Liveness::new(peer(ME, 1).id, &NodeConfig { known_max, ..NodeConfig::default() })
}

fn ms(ms: u64) -> Time {
    Time(1_000 * ms)
}

fn is_alive(liveness: &Liveness, id: u64) -> Option<bool> {
    let known = liveness.known();
    known.iter().find(|known| known.peer.id == peer(id, 0).id).map(|known| known.alive)
}

#[test]
fn three_misses_in_a_row_each_with_twice_the_deadline_take_a_second_and_a_half() {
    let mut liveness = table(8);
    let other = peer(1, 1);
    liveness.heard(&other, ms(0));
    (0..20).for_each(|_| liveness.sample(&other, Duration::from_millis(1)));
    let (mut now, mut verdict) = (ms(0), Verdict::Suspect);
    let mut deadlines = Vec::new();
    while verdict == Verdict::Suspect {
        let deadline = liveness.deadline(&other, 0);
        deadlines.push(deadline.as_millis());
        let sent = now;
        now = now.plus(deadline);
        verdict = liveness.missed(&other, Miss::Silent, sent, now);
    }
    assert_eq!(verdict, Verdict::Dead { news: true });
    assert_eq!(deadlines, [200, 400, 800]);
}

#[test]
fn a_query_of_others_is_waited_for_as_long_as_round_trips_take_within_bounds() {
    let after = |rtt: u64| {
        let mut liveness = table(8);
        liveness.heard(&peer(1, 1), ms(0));
        (0..100).for_each(|_| liveness.sample(&peer(1, 1), Duration::from_millis(rtt)));
        liveness.journey().as_millis()
    };
    assert_eq!(table(8).journey(), Duration::from_millis(600), "nothing was measured yet");
    assert_eq!([1, 99, 400].map(after), [250, 400, 1_000]);
}

#[test]
fn calls_missed_together_count_once() {
    let mut liveness = table(8);
    let other = peer(1, 1);
    liveness.heard(&other, ms(0));
    for sent in [0, 10, 20, 30] {
        assert_eq!(liveness.missed(&other, Miss::Silent, ms(sent), ms(sent + 200)), Verdict::Suspect);
    }
    assert_eq!(liveness.deadline(&other, 0), Duration::from_millis(1_000), "one miss: the initial deadline, doubled");
    assert_eq!(is_alive(&liveness, 1), Some(true));
}

#[test]
fn a_word_from_a_suspect_begins_the_count_again() {
    let mut liveness = table(8);
    let other = peer(1, 1);
    liveness.missed(&other, Miss::Silent, ms(0), ms(200));
    liveness.missed(&other, Miss::Silent, ms(200), ms(600));
    liveness.heard(&other, ms(601));
    assert_eq!(liveness.missed(&other, Miss::Silent, ms(700), ms(900)), Verdict::Suspect);
    assert_eq!(liveness.missed(&other, Miss::Silent, ms(900), ms(1_300)), Verdict::Suspect);
    assert_eq!(liveness.missed(&other, Miss::Silent, ms(1_300), ms(2_100)), Verdict::Dead { news: true });
    assert_eq!(liveness.missed(&other, Miss::Silent, ms(2_100), ms(3_000)), Verdict::Dead { news: false });
}

#[test]
fn two_refused_connections_in_a_row_are_enough_but_not_with_silence_between() {
    let mut liveness = table(8);
    let other = peer(1, 1);
    assert_eq!(liveness.missed(&other, Miss::Unreachable, ms(0), ms(1)), Verdict::Suspect);
    assert_eq!(liveness.missed(&other, Miss::Unreachable, ms(0), ms(1)), Verdict::Suspect, "sent together");
    assert_eq!(liveness.missed(&other, Miss::Unreachable, ms(31), ms(32)), Verdict::Dead { news: true });
    let mut liveness = table(8);
    liveness.missed(&other, Miss::Unreachable, ms(0), ms(1));
    assert_eq!(liveness.missed(&other, Miss::Silent, ms(31), ms(231)), Verdict::Suspect);
    assert_eq!(
        liveness.missed(&other, Miss::Unreachable, ms(231), ms(232)),
        Verdict::Dead { news: true },
        "the third miss"
    );
}

#[test]
fn an_older_life_neither_revives_nor_kills_a_newer_one() {
    let mut liveness = table(8);
    assert!(liveness.heard(&peer(1, 5), ms(0)));
    assert!(!liveness.heard(&peer(1, 4), ms(1)));
    assert!(!liveness.bury(&peer(1, 4), ms(2)));
    assert_eq!(liveness.missed(&peer(1, 4), Miss::Silent, ms(2), ms(3)), Verdict::Dead { news: false });
    assert_eq!(is_alive(&liveness, 1), Some(true));
    assert!(liveness.is_dead(&peer(1, 4)) && !liveness.is_dead(&peer(1, 5)));
    assert!(liveness.bury(&peer(1, 5), ms(4)));
    assert!(!liveness.heard(&peer(1, 4), ms(5)));
    assert_eq!(is_alive(&liveness, 1), Some(false));
    assert!(liveness.heard(&peer(1, 6), ms(6)), "a newer life is news");
    assert_eq!(is_alive(&liveness, 1), Some(true));
}

#[test]
fn the_dead_are_revived_by_what_they_say_unless_they_said_goodbye() {
    let mut liveness = table(8);
    let (crashed, stopped, left) = (peer(1, 1), peer(2, 1), peer(3, 1));
    for other in [&crashed, &stopped, &left] {
        liveness.heard(other, ms(0));
    }
    assert!(liveness.bury(&crashed, ms(1)));
    assert!(liveness.departed(&stopped, Departure::Stop, ms(2)));
    assert!(liveness.departed(&left, Departure::Leave, ms(3)));
    assert!(liveness.heard(&crashed, ms(4)));
    assert!(!liveness.heard(&stopped, ms(4)) && !liveness.heard(&left, ms(4)));
    assert_eq!([1, 2, 3].map(|id| is_alive(&liveness, id)), [Some(true), Some(false), Some(false)]);
    let stops: Vec<Option<Time>> = liveness.known().iter().map(|known| known.stopped).collect();
    assert_eq!(stops, [None, Some(ms(2)), None]);
    let gone: Vec<bool> = liveness.known().iter().map(|known| known.left).collect();
    assert_eq!(gone, [false, false, true]);
    assert!(liveness.heard(&peer(2, 2), ms(5)), "it came back");
    assert_eq!(liveness.known()[1].stopped, None);
}

#[test]
fn who_was_only_heard_of_is_not_shown_until_it_speaks_or_dies() {
    let mut liveness = table(8);
    let hearsay = peer(1, 1);
    liveness.missed(&hearsay, Miss::Silent, ms(0), ms(200));
    assert_eq!(liveness.known(), []);
    assert_eq!(liveness.doubtful(), [hearsay.id]);
    liveness.missed(&hearsay, Miss::Silent, ms(200), ms(600));
    liveness.missed(&hearsay, Miss::Silent, ms(600), ms(1_400));
    assert_eq!(is_alive(&liveness, 1), Some(false));
}

#[test]
fn a_pause_forgives_suspects_but_not_the_dead() {
    let mut liveness = table(8);
    liveness.missed(&peer(1, 1), Miss::Silent, ms(0), ms(200));
    liveness.bury(&peer(2, 1), ms(0));
    liveness.forgive();
    assert_eq!(liveness.doubtful(), [peer(2, 1).id]);
    assert_eq!(liveness.missed(&peer(1, 1), Miss::Silent, ms(200), ms(400)), Verdict::Suspect);
}

#[test]
fn the_table_keeps_some_of_the_dead_and_whoever_spoke_last() {
    let mut liveness = table(4);
    for id in 1..=6 {
        liveness.heard(&peer(id, 1), ms(id));
        liveness.bury(&peer(id, 1), ms(id));
    }
    for id in 11..=16 {
        liveness.heard(&peer(id, 1), ms(id));
    }
    let ids: Vec<Id> = liveness.known().iter().map(|known| known.peer.id).collect();
    assert_eq!(ids, [5, 6, 15, 16].map(|id| peer(id, 1).id));
    assert_eq!(
        liveness.addresses(),
        (vec![peer(5, 1).addr, peer(6, 1).addr], vec![peer(15, 1).addr, peer(16, 1).addr])
    );
}

#[test]
fn a_peer_never_measured_gets_the_initial_deadline_and_the_patience_of_the_others() {
    let mut liveness = table(8);
    assert_eq!(liveness.deadline(&peer(1, 1), 0), Duration::from_millis(500));
    assert_eq!(liveness.deadline(&peer(1, 1), 3), Duration::from_millis(1_000));
    assert_eq!(liveness.patience(&peer(1, 1)), PATIENCE_INITIAL);
    liveness.heard(&peer(2, 1), ms(0));
    liveness.sample(&peer(2, 1), Duration::from_millis(40));
    assert_eq!(liveness.patience(&peer(2, 1)), Duration::from_millis(120));
    assert_eq!(liveness.patience(&peer(1, 1)), Duration::from_millis(120));
    (0..50).for_each(|_| liveness.sample(&peer(2, 1), Duration::from_micros(300)));
    assert_eq!(liveness.patience(&peer(1, 1)), Duration::from_millis(50), "never below the least");
}

#[test]
fn a_newer_life_that_nobody_heard_does_not_bury_the_one_that_speaks() {
    let mut liveness = table(8);
    liveness.heard(&peer(1, 5), ms(0));
    for step in 1..20 {
        assert_eq!(liveness.missed(&peer(1, 9), Miss::Unreachable, ms(step), ms(step)), Verdict::Suspect);
    }
    assert!(!liveness.bury(&peer(1, 9), ms(30)));
    assert!(!liveness.is_outdated(&peer(1, 5)) && !liveness.is_dead(&peer(1, 5)));
    assert_eq!(is_alive(&liveness, 1), Some(true));
    assert!(liveness.heard(&peer(1, 9), ms(40)) && liveness.is_outdated(&peer(1, 5)));
}

#[test]
fn a_node_knows_nothing_of_itself() {
    let mut liveness = table(8);
    assert!(!liveness.heard(&peer(ME, 9), ms(0)) && !liveness.bury(&peer(ME, 9), ms(0)));
    assert_eq!((liveness.known(), liveness.doubtful()), (vec![], vec![]));
}

proptest! {
    /// Against the rule itself: the highest incarnation heard decides, or missed while none was heard; and the table stays
    /// bounded.
    #[test]
    fn whatever_happens_the_table_is_bounded_and_incarnations_only_grow(
        inputs in proptest::collection::vec((0u64..12, 1u64..5, 0u8..5), 1..200)
    ) {
        let mut liveness = table(6);
        for (step, (id, incarnation, kind)) in inputs.into_iter().enumerate() {
            let (now, other) = (ms(100 * step as u64), peer(id, incarnation));
            let before = liveness.entries.get(&other.id).map_or(0, |entry| entry.peer.incarnation);
            let was_heard = liveness.entries.get(&other.id).is_some_and(|entry| entry.announced);
            match kind {
                0 | 1 => { liveness.heard(&other, now); }
                2 => { liveness.missed(&other, Miss::Silent, now, now); }
                3 => { liveness.missed(&other, Miss::Unreachable, now, now); }
                _ => { liveness.departed(&other, Departure::Stop, now); }
            }
            prop_assert!(liveness.entries.len() <= 6);
            if let Some(entry) = liveness.entries.get(&other.id) {
                let counts = !(was_heard && matches!(kind, 2 | 3));
                prop_assert_eq!(entry.peer.incarnation, if counts { before.max(incarnation) } else { before });
            }
            prop_assert!(liveness.known().len() <= 6);
        }
    }
}
