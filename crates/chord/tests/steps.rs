//! Single steps of one node: what it answers, what it asks, and what an answer changes.

use std::time::Duration;

use chord::{Chord, Config, Entry, Neighbours, Request, Response};
use overlay::testing::{Effects, step};
use overlay::{Addr, Ctx, Departure, Failure, Located, Overlay, Peer, Refusal, Route, Step, Time, Via};
use rand::SeedableRng;
use rand_pcg::Pcg32;
use ring::{Id, Space};

fn id(number: u64) -> Id {
    Space::new(7).and_then(|space| space.id(number)).expect("an identifier of 7 bits")
}

fn peer(number: u64) -> Peer {
    Peer { id: id(number), addr: Addr::new(&format!("node{number}:1")).expect("not empty"), incarnation: 1 }
}

fn list(numbers: &[u64]) -> Vec<Entry> {
    numbers.iter().map(|&number| Entry::Peer(peer(number))).collect()
}

fn neighbours(predecessor: u64, successors: &[u64]) -> Response {
    Response::Neighbours(Neighbours { predecessor: Some(peer(predecessor)), successors: list(successors) })
}

/// One node, its clock, and what it has asked for last.
struct Node {
    chord: Chord,
    now: Time,
    rng: Pcg32,
    effects: Option<Effects<Chord>>,
}

impl Node {
    fn new(number: u64, successors: usize) -> Self {
        let config = Config { successors, ..Config::default() };
        let chord = Chord::new(peer(number), config);
        Self { chord, now: Time(1_000_000), rng: Pcg32::seed_from_u64(1), effects: None }
    }

    /// A ring of one.
    fn alone(number: u64, successors: usize) -> Self {
        let mut node = Self::new(number, successors);
        node.input(|chord, ctx| chord.create(ctx));
        node
    }

    /// A newcomer whom `predecessor` has given this list; it has asked the head for its neighbours.
    fn admitted(number: u64, predecessor: u64, successors: &[u64]) -> Self {
        let mut node = Self::new(number, successors.len());
        node.input(|chord, ctx| chord.join(peer(predecessor), ctx));
        let hop = |number| Step { peer: peer(number), rtt: None, via: None };
        let located = Located {
            target: id(number),
            owners: vec![peer(successors[0])],
            holders: Vec::new(),
            path: vec![hop(predecessor), hop(successors[0])],
            arc: None,
        };
        node.input(|chord, ctx| chord.on_located(id(number), Ok(located), ctx));
        assert_eq!(node.calls(), [(peer(predecessor), Request::Join)]);
        node.reply(predecessor, Request::Join, Ok(Response::Admitted(list(successors))));
        node
    }

    /// The same, once both neighbours have confirmed it.
    fn ready(number: u64, predecessor: u64, successors: &[u64]) -> Self {
        let mut node = Self::admitted(number, predecessor, successors);
        node.reply(successors[0], Request::GetNeighbours, Ok(neighbours(number, &successors[1..])));
        node.serve(predecessor, Request::Notify).expect("a member takes note");
        assert!(node.chord.is_ready());
        node
    }

    fn input<R>(&mut self, input: impl FnOnce(&mut Chord, &mut Ctx<'_, Chord>) -> R) -> R {
        let chord = &mut self.chord;
        let (answer, effects) = step(self.now, &mut self.rng, |ctx| input(chord, ctx));
        self.effects = Some(effects);
        answer
    }

    fn serve(&mut self, from: u64, request: Request) -> Result<Response, Refusal> {
        self.input(|chord, ctx| chord.serve(&peer(from), request, ctx))
    }

    fn reply(&mut self, from: u64, request: Request, result: Result<Response, Failure>) {
        self.input(|chord, ctx| chord.on_reply(&peer(from), request, result, ctx));
    }

    fn silent(&mut self, from: u64) {
        self.reply(from, Request::GetNeighbours, Err(Failure::TimedOut));
    }

    fn stabilize(&mut self) {
        self.serve(1, Request::Stabilize).expect("a member takes note");
    }

    fn calls(&self) -> &[(Peer, Request)] {
        self.effects.as_ref().map_or(&[], |effects| &effects.calls)
    }

    fn asks(&self, number: u64) -> bool {
        self.calls().contains(&(peer(number), Request::GetNeighbours))
    }

    fn lost(&self) -> bool {
        self.effects.as_ref().is_some_and(|effects| effects.lost.is_some())
    }

    fn predecessor(&self) -> Option<Peer> {
        self.chord.table().predecessor
    }

    fn successors(&self) -> Vec<Entry> {
        self.chord.successor_list().expect("a member has a list")
    }
}

#[test]
fn a_newcomer_takes_over_the_whole_list_and_has_the_member_as_its_predecessor() {
    let node = Node::admitted(40, 32, &[45, 80, 96]);
    assert_eq!(node.successors(), list(&[45, 80, 96]));
    assert_eq!(node.predecessor(), Some(peer(32)));
    assert!(!node.chord.is_ready());
    assert!(node.asks(45));
}

#[test]
fn a_newcomer_is_ready_once_both_neighbours_have_confirmed_it() {
    let mut node = Node::admitted(40, 32, &[45, 80, 96]);
    // The successor does not know it yet: it is told, and asked again.
    node.reply(45, Request::GetNeighbours, Ok(neighbours(32, &[80, 96, 16])));
    assert_eq!(node.calls(), [(peer(45), Request::Notify)]);
    node.reply(45, Request::Notify, Ok(Response::Noted));
    assert!(node.asks(45) && node.calls().contains(&(peer(32), Request::Stabilize)));
    node.reply(45, Request::GetNeighbours, Ok(neighbours(40, &[80, 96, 16])));
    assert!(!node.chord.is_ready());
    node.serve(32, Request::Notify).expect("a member takes note");
    assert!(node.chord.is_ready());
    assert_eq!(node.chord.shares()[0].range.to_string(), "(20, 28]");
}

#[test]
fn a_member_that_is_not_ready_claims_nothing_but_always_tells_its_neighbours() {
    let mut node = Node::admitted(40, 32, &[45, 80, 96]);
    let find = |number| Request::FindSuccessor { target: id(number), avoid: vec![] };
    assert_eq!(node.serve(16, find(38)), Err(Refusal::NotReady));
    assert_eq!(node.serve(42, Request::Join), Err(Refusal::NotReady));
    assert!(node.chord.shares().is_empty());
    assert!(matches!(node.serve(16, find(60)), Ok(Response::Route(Route::Owners { .. }))));
    assert_eq!(node.serve(16, Request::GetNeighbours), Ok(neighbours(32, &[45, 80, 96])));
    let mut outside = Node::new(40, 3);
    for request in [Request::GetNeighbours, Request::Notify, Request::Stabilize, Request::Join, find(1)] {
        assert_eq!(outside.serve(16, request), Err(Refusal::NotReady));
    }
}

#[test]
fn a_member_of_a_small_ring_takes_in_the_next_newcomer_once_both_neighbours_list_the_last() {
    let mut node = Node::alone(80, 3);
    assert_eq!(node.serve(96, Request::Join), Ok(Response::Admitted(list(&[80, 80, 80]))));
    assert_eq!(node.serve(112, Request::Join), Err(Refusal::Busy));
    assert_eq!(node.serve(96, Request::Join), Ok(Response::Admitted(list(&[80, 80, 80]))), "it may ask again");
    node.serve(96, Request::Notify).expect("a member takes note");
    assert_eq!(node.serve(112, Request::Join), Err(Refusal::Busy), "listed as predecessor only");
    node.stabilize();
    node.reply(96, Request::GetNeighbours, Ok(neighbours(80, &[80, 80, 80])));
    assert_eq!(node.successors(), list(&[96, 80, 80]));
    assert_eq!(node.serve(112, Request::Join), Ok(Response::Elsewhere(peer(96))));
    assert_eq!(node.serve(90, Request::Join), Ok(Response::Admitted(list(&[96, 80, 80]))));
}

#[test]
fn a_newcomer_that_never_shows_up_is_waited_for_no_longer_than_the_lease() {
    let mut node = Node::alone(80, 3);
    assert!(node.serve(96, Request::Join).is_ok());
    node.now = node.now.plus(Config::default().admission_lease - Duration::from_millis(1));
    assert_eq!(node.serve(112, Request::Join), Err(Refusal::Busy));
    node.now = node.now.plus(Duration::from_millis(1));
    assert!(node.serve(112, Request::Join).is_ok());
}

#[test]
fn a_member_of_a_large_ring_takes_in_several_newcomers_at_a_time() {
    let mut node = Node::ready(16, 112, &[45, 80, 96]);
    let all = Ok(Response::Admitted(list(&[45, 80, 96])));
    assert_eq!((node.serve(32, Request::Join), node.serve(40, Request::Join)), (all.clone(), all));
}

#[test]
fn a_newcomer_is_sent_on_to_the_member_before_its_place() {
    let mut node = Node::ready(16, 112, &[45, 80, 96]);
    assert_eq!(node.serve(90, Request::Join), Ok(Response::Elsewhere(peer(80))));
    assert_eq!(node.serve(5, Request::Join), Ok(Response::Elsewhere(peer(112))));
    assert_eq!(node.serve(16, Request::Join), Err(Refusal::NotMine), "nobody takes itself as a successor");
    assert_eq!(node.serve(45, Request::Join), Err(Refusal::Busy), "until its former life is missed");
    assert!(node.asks(45));
}

#[test]
fn a_dead_head_is_dropped_the_end_padded_and_the_new_head_notified() {
    let mut node = Node::ready(16, 112, &[32, 45, 80]);
    node.reply(32, Request::Notify, Ok(Response::Noted));
    node.stabilize();
    node.silent(32);
    let mut expected = list(&[45, 80]);
    expected.push(Entry::Padding(id(81)));
    assert_eq!(node.successors(), expected);
    assert_eq!(node.calls(), [(peer(45), Request::Notify), (peer(45), Request::GetNeighbours)]);
}

#[test]
fn the_heads_predecessor_is_asked_itself_before_it_is_taken_in() {
    for answers in [true, false] {
        let mut node = Node::ready(16, 112, &[45, 80, 96]);
        node.stabilize();
        node.reply(45, Request::GetNeighbours, Ok(neighbours(32, &[80, 96, 112])));
        assert_eq!(node.successors(), list(&[45, 80, 96]));
        assert!(node.asks(32));
        if answers {
            node.reply(32, Request::GetNeighbours, Ok(neighbours(16, &[45, 80, 96])));
            assert_eq!(node.successors(), list(&[32, 45, 80]));
            assert!(node.calls().contains(&(peer(32), Request::Notify)));
        } else {
            node.silent(32);
            assert_eq!(node.successors(), list(&[45, 80, 96]));
            assert_eq!(node.calls(), [(peer(45), Request::Notify)]);
        }
    }
}

#[test]
fn a_notifier_further_back_is_taken_only_when_the_predecessor_is_dead() {
    for alive in [true, false] {
        let mut node = Node::ready(80, 45, &[96, 112, 16]);
        node.serve(32, Request::Notify).expect("a member takes note");
        assert!(node.asks(45));
        assert_eq!(node.predecessor(), Some(peer(45)));
        match alive {
            true => node.reply(45, Request::GetNeighbours, Ok(neighbours(32, &[80, 96, 112]))),
            false => node.silent(45),
        }
        assert_eq!(node.predecessor(), Some(peer(if alive { 45 } else { 32 })));
    }
}

#[test]
fn an_answer_counts_only_while_the_node_asked_is_still_the_predecessor() {
    let mut node = Node::ready(80, 45, &[96, 112, 16]);
    node.serve(32, Request::Notify).expect("a member takes note");
    node.serve(60, Request::Notify).expect("a member takes note");
    assert_eq!(node.predecessor(), Some(peer(60)));
    node.silent(45);
    assert_eq!(node.predecessor(), Some(peer(60)));
}

#[test]
fn of_several_notifications_the_closest_waits_for_the_operation_to_end() {
    let mut node = Node::ready(80, 45, &[96, 112, 16]);
    node.stabilize();
    assert!(node.asks(96));
    for notifier in [16, 32, 112] {
        node.serve(notifier, Request::Notify).expect("a member takes note");
        assert_eq!(node.calls(), [], "one operation at a time");
    }
    node.reply(96, Request::GetNeighbours, Ok(neighbours(80, &[112, 16, 32])));
    assert!(node.asks(45));
    node.silent(45);
    assert_eq!(node.predecessor(), Some(peer(32)));
}

#[test]
fn the_named_owner_redirects_to_its_new_predecessor() {
    let mut node = Node::ready(45, 32, &[80, 96, 112]);
    let before = node.chord.route(id(38), &[]);
    assert!(matches!(before, Route::Owners { ref hops, arc: Some(_) } if hops[0].via == Via::Owner));
    node.serve(40, Request::Notify).expect("a member takes note");
    let Route::Owners { hops, arc: None } = node.chord.route(id(38), &[]) else { panic!("not redirected") };
    assert_eq!((hops[0].peer.clone(), hops[0].via), (peer(40), Via::Successor));
    assert!(matches!(node.chord.route(id(20), &[]), Route::Closer(_)), "it was never named for that");
}

#[test]
fn the_unreachable_are_named_only_when_there_is_nobody_else_and_padding_never() {
    let mut node = Node::ready(16, 112, &[32, 45, 80]);
    let named = |node: &Node, avoid: &[Id]| match node.chord.route(id(40), avoid) {
        Route::Owners { hops, .. } => hops.iter().map(|hop| hop.peer.clone()).collect::<Vec<_>>(),
        Route::Closer(hops) => hops.into_iter().map(|hop| hop.peer).collect(),
        Route::Known { .. } => panic!("the owner itself has the last word"),
    };
    assert_eq!(named(&node, &[]), [peer(45), peer(80)]);
    assert_eq!(named(&node, &[id(45)]), [peer(80)]);
    assert_eq!(named(&node, &[id(45), id(80)]), [peer(32)], "the nearest before it");
    node.stabilize();
    node.silent(32);
    assert_eq!(named(&node, &[]), [peer(45), peer(80)]);
    assert_eq!(named(&node, &[id(45), id(80)]), [peer(45), peer(80)], "nobody else is left");
}

#[test]
fn after_a_pause_nothing_is_claimed_until_both_neighbours_confirm_again() {
    let mut node = Node::ready(40, 32, &[45, 80, 96]);
    node.input(|chord, ctx| chord.resumed(ctx));
    assert!(!node.chord.is_ready() && node.chord.shares().is_empty());
    assert!(node.asks(45));
    node.serve(32, Request::Notify).expect("a member takes note");
    assert!(!node.chord.is_ready());
    node.reply(45, Request::GetNeighbours, Ok(neighbours(40, &[80, 96, 16])));
    assert!(node.chord.is_ready());
}

#[test]
fn a_ring_of_two_is_a_ring_of_one_as_soon_as_the_other_has_gone() {
    for announced in [true, false] {
        let mut node = Node::ready(40, 32, &[32, 40, 32]);
        node.stabilize();
        if announced {
            node.input(|chord, ctx| chord.on_departure(&peer(32), Departure::Leave, ctx));
        } else {
            node.silent(32);
        }
        assert!(!node.lost() && node.chord.is_ready());
        assert_eq!(node.predecessor(), None);
        assert_eq!(node.successors(), list(&[40, 40, 40]));
        assert!(node.chord.shares()[0].range.is_full());
    }
}

#[test]
fn a_node_to_whom_several_fall_silent_at_once_looks_for_another_way_in() {
    let mut node = Node::ready(40, 32, &[96, 32, 40]);
    node.stabilize();
    node.silent(96);
    assert!(node.asks(32));
    node.silent(32);
    assert!(node.lost() && !node.chord.is_ready());
    assert!(node.chord.shares().is_empty());
}

#[test]
fn a_node_whose_whole_list_is_dead_goes_on_by_its_living_predecessor() {
    let mut node = Node::ready(40, 32, &[45, 80]);
    node.stabilize();
    node.silent(45);
    node.silent(80);
    assert!(!node.lost() && node.asks(32));
    node.reply(32, Request::GetNeighbours, Ok(neighbours(112, &[40, 45])));
    assert_eq!(node.successors(), list(&[32, 40]));
}

#[test]
fn a_node_that_departs_is_dropped_without_being_asked_and_not_listened_to_any_more() {
    let mut node = Node::ready(80, 45, &[96, 112, 16]);
    node.input(|chord, ctx| chord.on_departure(&peer(96), Departure::Stop, ctx));
    assert_eq!(node.successors()[..2], list(&[112, 16]));
    assert!(node.asks(112) && !node.asks(96));
    node.input(|chord, ctx| chord.on_departure(&peer(45), Departure::Leave, ctx));
    assert_eq!(node.predecessor(), Some(peer(45)), "nobody has taken its place yet");
    node.serve(45, Request::Notify).expect("a member takes note");
    node.serve(32, Request::Notify).expect("a member takes note");
    assert_eq!(node.predecessor(), Some(peer(32)));
    assert!(!node.chord.neighbours().contains(&peer(96)));
}

#[test]
fn holders_are_this_node_and_the_next_distinct_processes() {
    let mut node = Node::admitted(40, 32, &[45, 80, 96, 112]);
    let mut successors = list(&[80, 96, 112]);
    if let Some(Entry::Peer(second)) = successors.first_mut() {
        second.addr = peer(45).addr;
    }
    let answer = Response::Neighbours(Neighbours { predecessor: Some(peer(40)), successors });
    node.reply(45, Request::GetNeighbours, Ok(answer));
    node.serve(32, Request::Notify).expect("a member takes note");
    assert_eq!(node.chord.shares()[0].holders, [peer(40), peer(45), peer(96)]);
}

#[test]
fn the_state_of_a_node_in_a_ring_of_a_million_fits_in_2_kilobytes() {
    // 20 different fingers of which the list knows 3, as log2 of a million has it.
    let run = std::mem::size_of::<Peer>() + 8;
    let whole = std::mem::size_of::<Chord>() + 8 * std::mem::size_of::<Entry>() + 17 * run;
    assert!(whole <= 2_048, "{whole} bytes, {} of them fixed", std::mem::size_of::<Chord>());
}
