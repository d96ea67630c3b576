use ring::Space;

use super::*;
use crate::{Addr, QueryId, Via};

const ME: u64 = 3;

fn id(number: u64) -> Id {
    Space::new(16).unwrap().id(number).unwrap()
}

fn peer(number: u64) -> Peer {
    Peer { id: id(number), addr: Addr::new(&format!("10.0.0.{number}:1")).unwrap(), incarnation: 1 }
}

fn hop(number: u64) -> Hop {
    Hop { peer: peer(number), via: Via::Finger }
}

fn step(number: u64) -> Step {
    Step { peer: peer(number), rtt: None, via: Some(Via::Finger) }
}

fn closer(numbers: &[u64]) -> Route {
    Route::Closer(numbers.iter().map(|&number| hop(number)).collect())
}

/// From 1 over 2 to this node, 3.
fn forward() -> Forward {
    Forward { origin: peer(1), query: QueryId(7), target: id(500), path: vec![step(2), step(ME)], avoid: Vec::new() }
}

/// To 500, going up.
fn distance(from: Id) -> Distance {
    Distance::plain(from.distance_to(id(500)))
}

fn goes(relay: &Relay, route: Route) -> Option<u64> {
    match relay.onward(id(ME), route, distance, |peer| peer.id == id(99)) {
        Onward::To(hop) => (0..1_000).find(|&number| id(number) == hop.peer.id),
        Onward::Nowhere => None,
        Onward::Here(answer) => panic!("{answer:?}"),
    }
}

#[test]
fn it_goes_to_the_best_hop_that_lives_and_that_it_has_not_been_to() {
    let relay = Relay::new(forward());
    assert_eq!(goes(&relay, closer(&[10, 11])), Some(10));
    assert_eq!(goes(&relay, closer(&[99, 1, 2, ME, 11])), Some(11));
    assert_eq!(goes(&relay, closer(&[99, 1, 2, ME])), None);
    let owners = Route::Owners { hops: vec![hop(12), hop(13)], arc: None };
    assert_eq!(goes(&relay, owners), Some(12), "a claimed owner");
}

#[test]
fn a_slow_hop_is_gone_round_and_others_are_told() {
    let mut relay = Relay::new(forward());
    let sent = relay.go_to(hop(10), Some(Duration::from_millis(4)), Time(50));
    let last = Step { peer: peer(10), rtt: Some(Duration::from_millis(4)), via: Some(Via::Finger) };
    assert_eq!(sent, Forward { path: vec![step(2), step(ME), last], ..forward() });
    assert!(!relay.gives_up_waiting(Time(49)));
    assert!(relay.gives_up_waiting(Time(50)));
    assert!(!relay.gives_up_waiting(Time(50)), "once");
    assert_eq!(goes(&relay, closer(&[10, 11])), Some(11));
    let sent = relay.go_to(hop(11), None, Time(100));
    assert_eq!((sent.avoid, sent.path.len()), (vec![id(10)], 3));
    assert!(!relay.has_failed(id(10), true), "that one was given up before");
    assert!(relay.has_failed(id(11), true));
    assert_eq!(relay.avoid().collect::<Vec<_>>(), [10, 11, 10, 11].map(id), "by others, and by this node");
}

#[test]
fn whoever_lives_and_won_t_is_not_asked_again_and_not_spoken_ill_of() {
    let mut relay = Relay::new(forward());
    relay.go_to(hop(10), None, Time(50));
    assert!(relay.has_failed(id(10), false));
    assert_eq!(goes(&relay, closer(&[10, 11])), Some(11));
    assert_eq!(relay.forward().avoid, []);
}

#[test]
fn no_more_than_a_few_next_hops_are_tried_and_no_more_than_a_few_hops_made() {
    let mut relay = Relay::new(forward());
    for number in 10..10 + TRIES_MAX as u64 {
        assert_eq!(goes(&relay, closer(&[10, 11, 12, 13, 14, 15])), Some(number));
        relay.go_to(hop(number), None, Time(50));
        assert!(relay.has_failed(id(number), true));
    }
    assert_eq!(goes(&relay, closer(&[14, 15])), None);

    let far = |hops: usize| Relay::new(Forward { path: (100..).take(hops).map(step).collect(), ..forward() });
    assert_eq!(goes(&far(HOPS_MAX - 1), closer(&[400])), Some(400));
    assert_eq!(goes(&far(HOPS_MAX), closer(&[400])), None);
}

#[test]
fn it_does_not_wander_round_the_ring() {
    let after = |path: &[u64]| {
        let path = path.iter().copied().map(step).collect();
        Relay::new(Forward { path, ..forward() })
    };
    // 500 and what follows is past the target, and farther from it than everybody else.
    assert_eq!(goes(&after(&[400, 501, 502, 300]), closer(&[301, 401])), Some(401), "that one is nearer than 400");
    assert_eq!(goes(&after(&[400, 501, 502, 300]), closer(&[301, 302])), None);
    assert_eq!(goes(&after(&[400, 501, 502]), closer(&[301, 401])), Some(301), "three times it may go back");
}

#[test]
fn the_unreachable_are_told_up_to_a_bound() {
    let avoid: Vec<Id> = (100..100 + AVOID_MAX as u64).map(id).collect();
    let mut relay = Relay::new(Forward { avoid: avoid.clone(), ..forward() });
    let sent = relay.go_to(hop(10), None, Time(50));
    assert!(relay.has_failed(id(10), true));
    assert_eq!((sent.avoid, relay.forward().avoid.clone()), (avoid.clone(), avoid));
}

#[test]
fn the_owner_answers_with_the_whole_path_and_one_who_knows_with_the_holders() {
    let me = Hop { peer: peer(ME), via: Via::Owner };
    let arc = Some(Range::new(id(2), id(ME)));
    let routes = [
        (Route::Owners { hops: vec![me, hop(4)], arc }, vec![peer(ME), peer(4)], vec![peer(ME), peer(4)]),
        (Route::Known { owner: peer(8), holders: vec![peer(9)], arc }, vec![peer(8)], vec![peer(9)]),
    ];
    for (route, owners, holders) in routes {
        let relay = Relay::new(forward());
        let Onward::Here(answer) = relay.onward(id(ME), route, distance, |_| true) else {
            panic!("it ends here");
        };
        let (origin, found) = relay.found(answer);
        let path = vec![Step { peer: peer(1), rtt: None, via: None }, step(2), step(ME)];
        let located = Located { target: id(500), owners, holders, path, arc };
        assert_eq!((origin, found), (peer(1), Found { query: QueryId(7), located }));
    }
}

#[test]
fn the_latest_queries_are_known_again_and_old_ones_forgotten() {
    let mut relays = Relays::default();
    let mark = |query| Mark::of(&Forward { query: QueryId(query), ..forward() });
    for query in 0..1_025 {
        assert!(!relays.has_passed(mark(query)));
        relays.remember(mark(query));
        relays.remember(mark(query));
    }
    assert!(!relays.has_passed(mark(0)));
    assert!((1..1_025).all(|query| relays.has_passed(mark(query))));
    let longer = Forward { path: vec![step(2), step(8), step(ME)], query: QueryId(1_024), ..forward() };
    assert!(!relays.has_passed(Mark::of(&longer)), "it came another way, and may go on another way");
    let again = Forward { origin: Peer { incarnation: 2, ..peer(1) }, query: QueryId(1_024), ..forward() };
    assert!(!relays.has_passed(Mark::of(&again)), "another life counts its queries anew");
}

#[test]
fn a_query_that_is_over_wakes_nobody() {
    let mut relays = Relays::default();
    let (early, late) = (RelayId(1), RelayId(2));
    for (id, slow_at) in [(early, Time(50)), (late, Time(60))] {
        let mut relay = Relay::new(forward());
        relay.go_to(hop(10), None, slow_at);
        relays.insert(id, relay);
        relays.wake_at(id, slow_at);
    }
    assert_eq!(relays.wake(), Some(Time(50)));
    assert!(relays.remove(early).is_some());
    assert_eq!((relays.wake(), relays.take_due(Time(59))), (Some(Time(60)), vec![]));
    assert_eq!((relays.take_due(Time(60)), relays.wake()), (vec![late], None));
}
