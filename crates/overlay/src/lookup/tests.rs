use ring::Space;

use super::*;
use crate::Addr;

const PATIENCE: Duration = Duration::from_millis(50);

fn id(number: u64) -> Id {
    Space::new(16).unwrap().id(number).unwrap()
}

fn peer(number: u64) -> Peer {
    Peer { id: id(number), addr: Addr::new(&format!("10.0.0.{number}:1")).unwrap(), incarnation: 1 }
}

fn ms(ms: u64) -> Time {
    Time(1_000 * ms)
}

fn hops(numbers: &[u64], via: Via) -> Vec<Hop> {
    numbers.iter().map(|&number| Hop { peer: peer(number), via }).collect()
}

fn owners(numbers: &[u64]) -> Route {
    Route::Owners { hops: hops(numbers, Via::Successor), arc: None }
}

fn closer(numbers: &[u64]) -> Route {
    Route::Closer(hops(numbers, Via::Finger))
}

/// `number` says that it is the owner; `more` come after it.
fn it_is_me(number: u64, more: &[u64]) -> Route {
    let mut list = hops(&[number], Via::Owner);
    list.extend(hops(more, Via::Successor));
    Route::Owners { hops: list, arc: Some(Range::new(id(number - 1), id(number))) }
}

/// A lookup of 500 by node 1, with nobody known to be dead.
struct Case {
    lookup: Lookup,
    dead: Vec<u64>,
}

impl Case {
    fn new() -> Self {
        Self::through(Origin::Tables)
    }

    fn through(origin: Origin) -> Self {
        Self { lookup: Lookup::new(peer(1), (Sought::Owner, id(500)), origin, 1, ms(2_800)), dead: Vec::new() }
    }

    fn next(&mut self, at: u64) -> Next {
        let dead = &self.dead;
        self.lookup.next(ms(at), |_| PATIENCE, |peer| dead.iter().any(|&number| id(number) == peer.id))
    }

    fn asks(&mut self, at: u64, number: u64) {
        assert_eq!(self.next(at), Next::Ask(peer(number)), "at {at} ms");
        assert_eq!(self.next(at), Next::Wait);
    }

    fn own(&mut self, at: u64, route: Route) {
        assert_eq!(self.next(at), Next::AskSelf);
        self.lookup.on_own_answer(route, to_500);
    }

    fn answers(&mut self, number: u64, route: Route) {
        self.lookup.on_answer(&peer(number), route, Duration::from_millis(number), to_500);
    }

    fn done(&mut self, at: u64) -> Located {
        match self.next(at) {
            Next::Done(located) => located,
            other => panic!("not done: {other:?}"),
        }
    }

    fn path(&mut self, at: u64) -> Vec<(u64, Option<u64>, Option<Via>)> {
        let number = |peer: &Peer| (0..1_000).find(|&number| id(number) == peer.id).unwrap();
        let rtt = |step: &Step| step.rtt.map(|rtt| rtt.as_millis() as u64);
        self.done(at).path.iter().map(|step| (number(&step.peer), rtt(step), step.via)).collect()
    }
}

#[test]
fn its_own_tables_come_first_and_may_be_all() {
    let mut case = Case::new();
    case.own(0, it_is_me(1, &[2, 3]));
    let located = case.done(0);
    assert_eq!(located.owners, [peer(1), peer(2), peer(3)]);
    assert_eq!(located.path, [Step { peer: peer(1), rtt: None, via: None }]);
    assert_eq!(located.arc, Some(Range::new(id(0), id(1))));
}

#[test]
fn it_goes_from_the_closest_to_the_closest_and_the_owner_confirms_itself() {
    let mut case = Case::new();
    case.own(0, closer(&[100, 300, 200]));
    case.asks(0, 300);
    case.answers(300, closer(&[450]));
    case.asks(1, 450);
    case.answers(450, owners(&[510, 520]));
    case.asks(2, 510);
    case.answers(510, it_is_me(510, &[520]));
    let (finger, successor) = (Some(Via::Finger), Some(Via::Successor));
    assert_eq!(
        case.path(3),
        [(1, None, None), (300, Some(300), finger), (450, Some(450), finger), (510, Some(510), successor)]
    );
    assert_eq!(case.done(3).owners, [peer(510), peer(520)]);
}

#[test]
fn a_claim_that_the_named_owner_redirects_is_followed_to_its_predecessor() {
    let mut case = Case::new();
    case.own(0, owners(&[520]));
    case.asks(0, 520);
    case.answers(520, owners(&[505, 520]));
    case.asks(1, 505);
    case.answers(505, it_is_me(505, &[520]));
    assert_eq!(case.path(2).iter().map(|step| step.0).collect::<Vec<_>>(), [1, 520, 505]);
}

#[test]
fn a_slow_peer_costs_its_patience_only_and_its_late_answer_counts() {
    let mut case = Case::new();
    case.own(0, closer(&[300, 400]));
    case.asks(0, 400);
    assert_eq!(case.lookup.wake(ms(0)), ms(50));
    assert_eq!(case.next(49), Next::Wait);
    case.asks(50, 300);
    assert_eq!(case.lookup.avoid(), [id(400)]);
    case.answers(400, owners(&[510]));
    assert_eq!(case.lookup.avoid(), [], "it lives");
    case.asks(60, 510);
    case.answers(510, it_is_me(510, &[]));
    assert_eq!(case.path(61).iter().map(|step| step.0).collect::<Vec<_>>(), [1, 400, 510]);
}

#[test]
fn peers_known_to_be_dead_are_asked_last() {
    let mut case = Case::new();
    case.dead = vec![400];
    case.own(0, closer(&[400, 300]));
    case.asks(0, 300);
    case.lookup.on_failure(&peer(300));
    case.asks(1, 400);
}

#[test]
fn behind_a_silent_owner_the_next_of_the_list_is_asked_and_nobody_behind_one_that_answers() {
    let mut case = Case::new();
    case.own(0, owners(&[510, 520, 530]));
    case.asks(0, 510);
    case.lookup.on_failure(&peer(510));
    case.asks(200, 520);
    assert_eq!(case.lookup.avoid(), [id(510)]);
    case.answers(520, owners(&[510, 520, 530]));
    assert_eq!(case.next(201), Next::Wait, "510 was asked in this round, 530 can't own it while 520 lives");
    assert_eq!(case.lookup.wake(ms(201)), ms(231));
    // The next round goes back to whoever named the silent one.
    case.asks(231, 520);
    case.answers(520, it_is_me(520, &[530]));
    assert_eq!(case.path(232).iter().map(|step| step.0).collect::<Vec<_>>(), [1, 520]);
}

#[test]
fn rounds_go_on_until_the_ring_has_mended_or_time_is_up() {
    let mut case = Case::new();
    let (mut at, mut rounds, mut own) = (0, 0, 0);
    let error = loop {
        match case.next(at) {
            Next::AskSelf => {
                own += 1;
                case.lookup.on_own_answer(owners(&[510]), to_500);
            }
            Next::Ask(asked) => {
                assert_eq!(asked, peer(510));
                rounds += 1;
                case.lookup.on_failure(&asked);
            }
            Next::Wait => {
                let wake = case.lookup.wake(ms(at));
                assert!(wake > ms(at), "time goes on");
                at = wake.0 / 1_000;
            }
            Next::Failed(error) => break error,
            Next::Done(_) => panic!("nobody confirmed"),
        }
    };
    assert_eq!(at, 2_800);
    assert_eq!(error, LocateError::TimedOut { asked: 1, silent: 1 });
    assert!((8..=20).contains(&rounds), "{rounds}");
    assert!(own >= 4, "its own tables mend as well: {own}");
}

#[test]
fn one_that_is_not_ready_yet_is_asked_again_and_not_reported_as_unreachable() {
    let mut case = Case::new();
    case.own(0, owners(&[510]));
    case.asks(0, 510);
    case.lookup.on_refusal(&peer(510));
    assert_eq!(case.next(1), Next::Wait);
    assert_eq!(case.lookup.avoid(), []);
    case.own(31, owners(&[510]));
    case.asks(31, 510);
    case.answers(510, it_is_me(510, &[]));
    case.done(32);
}

#[test]
fn peers_that_name_each_other_for_ever_do_not_keep_it_busy_for_ever() {
    let mut case = Case::new();
    case.own(0, closer(&[2]));
    let mut asked = 0;
    for at in 0..5_000 {
        loop {
            match case.next(at) {
                Next::Ask(to) => {
                    asked += 1;
                    // Always somebody new, always "closer".
                    let number = 2 + asked % 400;
                    case.lookup.on_answer(&to, closer(&[number, 2]), PATIENCE, to_500);
                }
                Next::AskSelf => case.lookup.on_own_answer(closer(&[2]), to_500),
                Next::Wait => break,
                Next::Failed(_) => return assert!(asked <= ASKS_MAX as u64),
                Next::Done(_) => panic!("nobody confirmed"),
            }
        }
    }
    panic!("it never ends");
}

#[test]
fn through_a_peer_it_starts_there_and_a_former_life_is_no_owner() {
    let mut case = Case::through(Origin::Via { peer: peer(9), member: false });
    case.asks(0, 9);
    let former = Peer { incarnation: 0, ..peer(1) };
    let mut list = vec![Hop { peer: former, via: Via::Successor }];
    list.extend(hops(&[510], Via::Successor));
    case.answers(9, Route::Owners { hops: list, arc: None });
    assert_eq!(case.lookup.avoid(), [id(1)], "others are told that it is gone");
    case.asks(1, 510);
    case.answers(510, it_is_me(510, &[]));
    assert_eq!(case.path(2).iter().map(|step| step.0).collect::<Vec<_>>(), [1, 9, 510]);
}

#[test]
fn a_member_that_is_named_from_elsewhere_asks_its_own_tables() {
    let mut case = Case::through(Origin::Via { peer: peer(9), member: true });
    case.asks(0, 9);
    case.answers(9, owners(&[1, 2]));
    case.own(1, it_is_me(1, &[2]));
    assert_eq!(case.done(1).owners[0], peer(1));
}

#[test]
fn a_newer_life_of_a_silent_peer_is_asked_afresh() {
    let mut case = Case::new();
    case.own(0, owners(&[510, 520]));
    case.asks(0, 510);
    case.lookup.on_failure(&peer(510));
    case.asks(1, 520);
    let newer = Peer { incarnation: 2, ..peer(510) };
    let hop = Hop { peer: newer.clone(), via: Via::Successor };
    case.answers(520, Route::Owners { hops: vec![hop], arc: None });
    assert_eq!(case.next(2), Next::Ask(newer.clone()));
    case.answers(510, it_is_me(510, &[]));
    assert_eq!(case.next(3), Next::Wait, "an answer of the older life does not count");
    let hop = Hop { peer: newer.clone(), via: Via::Owner };
    case.lookup.on_answer(&newer, Route::Owners { hops: vec![hop], arc: None }, PATIENCE, to_500);
    case.done(4);
}

#[test]
fn this_node_among_the_next_holders_is_not_asked_again_and_again() {
    let mut case = Case::new();
    case.own(0, owners(&[510, 520, 1]));
    case.asks(0, 510);
    case.lookup.on_failure(&peer(510));
    case.asks(1, 520);
    case.answers(520, owners(&[510, 520, 1]));
    assert_eq!(case.next(2), Next::Wait);
}

#[test]
fn a_node_just_past_the_target_does_not_send_it_once_round_the_ring() {
    let mut case = Case::new();
    case.own(0, closer(&[450]));
    case.asks(0, 450);
    case.answers(450, owners(&[510]));
    case.asks(1, 510);
    case.answers(510, closer(&[50, 100, 150, 200, 250, 300]));
    for detour in [300, 250, 200] {
        case.asks(2, detour);
        case.answers(detour, closer(&[50, 60]));
    }
    assert_eq!(case.next(3), Next::Wait, "450 is nearer than all of them, and has spoken");
}

#[test]
fn with_parallelism_two_are_asked_at_a_time() {
    let mut case = Case::new();
    case.lookup.parallelism = 2;
    case.own(0, closer(&[100, 300, 200]));
    assert_eq!(case.next(0), Next::Ask(peer(300)));
    assert_eq!(case.next(0), Next::Ask(peer(200)));
    assert_eq!(case.next(0), Next::Wait);
}

fn to_500(from: Id) -> Distance {
    Distance::plain(from.distance_to(id(500)))
}
