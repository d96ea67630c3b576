use ring::{Id, Space};

use super::*;

fn peer(number: u64) -> Peer {
    let id: Id = Space::SHA1.id(number).unwrap();
    Peer { id, addr: addr(number), incarnation: 1 }
}

fn addr(number: u64) -> Addr {
    Addr::new(&format!("10.0.0.{number}:1")).unwrap()
}

fn ms(ms: u64) -> Time {
    Time(1_000 * ms)
}

fn settings(replicas: &str) -> Settings {
    Settings(vec![("cluster".to_owned(), "default".to_owned()), ("replicas".to_owned(), replicas.to_owned())])
}

fn disk(started_ms: u64) -> Option<RingId> {
    Some(RingId { started_ms, starter: peer(9).id })
}

fn reply(number: u64, state: HelloState, disk_ring: Option<RingId>) -> HelloReply {
    let ring = (state != HelloState::Searching).then_some(RingId { started_ms: 5, starter: peer(9).id });
    HelloReply { me: peer(number), state, ring, disk_ring, settings: settings("3"), members: Vec::new() }
}

/// Node 5, searching since 0 with addresses 1 and 9.
struct Case {
    search: Search,
}

impl Case {
    fn new(disk_ring: Option<RingId>, was_member: bool) -> Self {
        Self { search: Search::new(ms(0), disk_ring, was_member) }
    }

    fn round(&mut self, at: u64) -> Vec<Addr> {
        self.search.round(ms(at + 300), &peer(5), vec![addr(1), addr(9)])
    }

    fn hear(&mut self, at: u64, reply: HelloReply) -> Decision {
        self.search.on_reply(ms(at), &reply.me.addr.clone(), reply, &peer(5), &settings("3"))
    }

    fn decide(&self, at: u64) -> Decision {
        self.search.decide(ms(at), &peer(5), vec![addr(1), addr(9)], &NodeConfig::default())
    }
}

#[test]
fn nobody_is_asked_twice_at_a_time_and_never_itself() {
    let mut case = Case::new(None, false);
    assert_eq!(case.round(0), [addr(1), addr(9)]);
    assert_eq!(case.round(300), []);
    case.search.on_silence(&addr(1));
    case.search.learn(addr(5));
    assert_eq!(case.round(600), [addr(1)]);
}

#[test]
fn many_addresses_take_turns() {
    let mut search = Search::new(ms(0), None, false);
    let known: Vec<Addr> = (10..70).map(addr).collect();
    let mut asked = BTreeSet::new();
    for round in 0..3 {
        let addrs = search.round(ms(round), &peer(5), known.clone());
        assert!(addrs.len() <= ROUND_MAX);
        addrs.iter().for_each(|addr| search.on_silence(addr));
        asked.extend(addrs);
    }
    assert_eq!(asked.len(), 60);
}

#[test]
fn a_ready_member_is_joined_and_others_lead_to_more_addresses() {
    let mut case = Case::new(None, false);
    let mut joining = reply(1, HelloState::Joining, None);
    joining.members = vec![peer(20), peer(5)];
    assert_eq!(case.hear(1, joining), Decision::Wait);
    assert!(case.round(300).contains(&addr(20)));
    let ready = reply(20, HelloState::Ready, None);
    assert_eq!(case.hear(301, ready.clone()), Decision::Join(peer(20), ready.ring.unwrap()));
}

#[test]
fn the_member_that_let_it_down_is_passed_over_once() {
    let mut case = Case::new(None, false);
    case.search = case.search.let_down_by(Some(addr(1)), ms(0));
    let ring = reply(1, HelloState::Ready, None).ring.unwrap();
    assert_eq!(case.hear(1, reply(1, HelloState::Ready, None)), Decision::Wait);
    assert_eq!(case.hear(2, reply(9, HelloState::Ready, None)), Decision::Join(peer(9), ring));
    assert_eq!(case.hear(3, reply(1, HelloState::Ready, None)), Decision::Join(peer(1), ring));
}

#[test]
fn the_lowest_of_those_together_for_three_seconds_starts() {
    let mut case = Case::new(None, false);
    case.hear(100, reply(9, HelloState::Searching, None));
    case.hear(2_000, reply(9, HelloState::Searching, None));
    assert_eq!(case.decide(3_099), Decision::Wait);
    assert_eq!(case.decide(3_100), Decision::Found);
    case.hear(3_050, reply(1, HelloState::Searching, None));
    assert_eq!(case.decide(9_000), Decision::Wait, "a lower one has come: it is for that one to start");
    case.search.on_silence(&addr(1));
    assert_eq!(case.decide(9_000), Decision::Found);
}

#[test]
fn who_falls_silent_begins_its_three_seconds_again() {
    let mut case = Case::new(None, false);
    case.hear(0, reply(9, HelloState::Searching, None));
    case.search.on_silence(&addr(9));
    case.hear(2_000, reply(9, HelloState::Searching, None));
    assert_eq!(case.decide(4_900), Decision::Wait);
    assert_eq!(case.decide(5_000), Decision::Found);
}

#[test]
fn a_disk_outranks_a_low_identifier() {
    let mut with_disk = Case::new(disk(1), false);
    with_disk.hear(0, reply(1, HelloState::Searching, None));
    assert_eq!(with_disk.decide(3_000), Decision::TakeUp(disk(1).unwrap()));
    let mut without = Case::new(None, false);
    without.hear(0, reply(9, HelloState::Searching, disk(1)));
    assert_eq!(without.decide(3_000), Decision::Wait);
}

#[test]
fn a_lone_disk_waits_five_seconds_from_the_last_answer() {
    let mut case = Case::new(disk(1), false);
    case.hear(1_000, reply(1, HelloState::Joining, None));
    assert_eq!(case.decide(5_999), Decision::Wait);
    assert_eq!(case.decide(6_000), Decision::TakeUp(disk(1).unwrap()));
    assert_eq!(Case::new(None, false).decide(60_000), Decision::Wait);
}

#[test]
fn other_settings_are_fatal_once_everybody_was_waited_for() {
    let stranger = HelloReply { settings: settings("2"), ..reply(9, HelloState::Ready, None) };
    let mut case = Case::new(None, false);
    case.round(0);
    assert_eq!(case.hear(1, stranger.clone()), Decision::Wait);
    assert_eq!(case.decide(300), Decision::Wait, "the other address may still answer");
    case.search.on_silence(&addr(1));
    let why = "10.0.0.9:1 has replicas = 2, this node 3: it has to be the same in the whole cluster; set it to 2 here, or join a cluster that has 3";
    assert_eq!(case.decide(1_000), Decision::Refuse(why.to_owned()));

    let mut friend = case.search.clone();
    friend.friends = true;
    let mut member = case.search.clone();
    member.was_member = true;
    for search in [friend, member] {
        assert_eq!(Case { search }.decide(1_000), Decision::Wait);
    }
}

#[test]
fn a_node_that_takes_this_one_for_a_stranger_is_as_fatal() {
    let mut case = Case::new(None, false);
    case.round(0);
    case.search.on_refusal(&addr(9), "cluster: it is `a` there, `b` here");
    assert_eq!(case.decide(300), Decision::Wait, "the other address may still answer");
    case.search.on_silence(&addr(1));
    let why = "10.0.0.9:1 refuses this node: cluster: it is `a` there, `b` here; mend what differs here, or name seeds of another cluster";
    assert_eq!(case.decide(1_000), Decision::Refuse(why.to_owned()));
}

#[test]
fn its_own_identifier_elsewhere_is_fatal_unless_both_search_and_the_other_yields() {
    let twin = |number: u64, state| {
        let me = Peer { id: peer(5).id, addr: addr(number), incarnation: 7 };
        HelloReply { me, ..reply(number, state, None) }
    };
    let taken = |number: u64| {
        format!(
            "the identifier {} is held by a live node at 10.0.0.{number}:1: stop that one, or give this node another",
            peer(5).id
        )
    };
    assert_eq!(Case::new(None, false).hear(1, twin(9, HelloState::Ready)), Decision::Refuse(taken(9)));
    assert_eq!(Case::new(None, false).hear(1, twin(9, HelloState::Searching)), Decision::Wait);
    assert_eq!(Case::new(None, false).hear(1, twin(1, HelloState::Searching)), Decision::Refuse(taken(1)));
    assert_eq!(Case::new(None, false).hear(1, twin(5, HelloState::Searching)), Decision::Wait, "that is itself");
}

#[test]
fn what_was_measured_across_a_pause_does_not_count() {
    let mut case = Case::new(disk(1), false);
    case.hear(0, reply(9, HelloState::Searching, None));
    case.search.resumed(ms(60_000));
    assert_eq!(case.decide(60_000), Decision::Wait);
    assert_eq!(case.search.next_round(), ms(60_000));
    assert_eq!(case.decide(65_000), Decision::TakeUp(disk(1).unwrap()));
}

#[test]
fn a_difference_in_settings_names_the_first_and_takes_missing_ones_for_none() {
    let difference = settings("3").difference(&Settings(vec![("replicas".to_owned(), "3".to_owned())]));
    assert_eq!(difference, Some(("cluster".to_owned(), "default".to_owned(), "none".to_owned())));
    assert_eq!(settings("3").difference(&settings("3")), None);
}

#[test]
fn the_search_is_bounded_whatever_others_name() {
    let mut case = Case::new(None, false);
    (100..300).for_each(|number| case.search.learn(addr(number)));
    assert_eq!(case.search.candidates(&peer(5), Vec::new()).len(), LEARNT_MAX);
}
