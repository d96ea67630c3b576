//! Recursive lookups of whole nodes.

use std::time::Duration;

use super::world::{Process, World, addr, id, ms};
use crate::toy::{Ask, Toy, ToyConfig};
use crate::{
    Envelope, Event, Forward, Found, Located, NodeConfig, Peer, QueryId, Refusal, Request, Response, Routing, Step,
    Time, Via,
};

/// A ring of the nodes 1 to `count`, each of which sees the next two only.
fn ring_of(count: u64) -> World {
    let mut world = World::new();
    world.config = NodeConfig { routing: Routing::Recursive, ..NodeConfig::default() };
    world.toy = ToyConfig { reach: 2, ..ToyConfig::default() };
    let numbers: Vec<u64> = (1..=count).collect();
    world.start(1, &[], None);
    for &number in &numbers[1..] {
        world.start(number, &[1], None);
    }
    world.until_one_ring(&numbers, ms(5_000));
    world.run(ms(3_000));
    world
}

/// Who is on it, by number.
fn way(path: &[Step]) -> Vec<u64> {
    let number = |step: &Step| (0..20).find(|&number| step.peer.id == id(1_000 * number));
    path.iter().filter_map(number).collect()
}

fn peer(world: &World, number: u64) -> Peer {
    world.node(number).view().me
}

/// Who passed a query on to whom since then, by number of hops.
fn forwards(world: &World, since: Time) -> Vec<(usize, u64)> {
    let to = |at: &crate::Addr| (0..20).find(|&number| addr(number) == *at).unwrap();
    let sent = world.asked.iter().filter(|(at, ..)| *at >= since);
    sent.filter_map(|(_, _, at, request)| match request {
        Request::Forward(forward) => Some((forward.path.len(), to(at))),
        _ => None,
    })
    .collect()
}

fn founds(world: &World, since: Time) -> usize {
    let sent = world.asked.iter().filter(|(at, ..)| *at >= since);
    sent.filter(|(.., request)| matches!(request, Request::Found(_))).count()
}

/// Steps of an iterative lookup of 5500.
fn steps_asked(world: &World, since: Time) -> usize {
    let sent = world.asked.iter().filter(|(at, ..)| *at >= since);
    let asks =
        |request: &Request<Toy>| matches!(request, Request::Protocol(Ask::Find { target, .. }) if *target == id(5_500));
    sent.filter(|(.., request)| asks(request)).count()
}

/// Node 1's query 7 for 5500, which node 6 owns, as it comes to node 3 from node 2.
fn at_node_three(world: &World) -> Forward {
    let step = |number| Step { peer: peer(world, number), rtt: None, via: Some(Via::Finger) };
    let origin = peer(world, 1);
    Forward { origin, query: QueryId(7_777_777), target: id(5_500), path: vec![step(2), step(3)], avoid: Vec::new() }
}

fn serve(world: &mut World, from: u64, to: u64, request: Request<Toy>) -> Result<Response<Toy>, Refusal> {
    let envelope = Envelope { from: peer(world, from), to: Some(peer(world, to)), ring: world.ring(to) };
    world.with(to, |node, now| node.serve(now, &envelope, request))
}

#[test]
fn each_hop_passes_the_query_on_and_the_owner_answers_the_node_that_asked() {
    let mut world = ring_of(8);
    let began = world.now;
    let (took, found) = world.locate(1, 5_500);
    let found = found.unwrap();
    assert_eq!((found.owners[0].id, found.target), (id(6_000), id(5_500)));
    assert_eq!(way(&found.path), [1, 3, 5, 6]);
    assert_eq!(took, 4 * world.latency, "three hops and the answer, one way each");
    assert_eq!(
        found.path.iter().map(|step| step.via).collect::<Vec<_>>(),
        [None, Some(Via::Finger), Some(Via::Finger), Some(Via::Successor)]
    );
    assert_eq!(found.arc, Some(ring::Range::new(id(5_000), id(6_000))));
    assert_eq!(forwards(&world, began), [(1, 3), (2, 5), (3, 6)]);
    assert_eq!((founds(&world, began), steps_asked(&world, began)), (1, 0));
    assert_eq!(found.path[0].rtt, None);
}

#[test]
fn a_path_tells_the_round_trips_that_were_known_before() {
    let mut world = ring_of(8);
    world.locate(1, 5_500).1.unwrap();
    let found = world.locate(1, 5_500).1.unwrap();
    assert_eq!(
        found.path.iter().map(|step| step.rtt).collect::<Vec<_>>(),
        [None, Some(ms(1)), Some(ms(1)), Some(ms(1))]
    );
}

#[test]
fn the_owner_itself_answers_without_a_message() {
    let mut world = ring_of(8);
    let began = world.now;
    let (took, found) = world.locate(2, 1_500);
    assert_eq!((took, way(&found.unwrap().path)), (Duration::ZERO, vec![2]));
    assert_eq!((forwards(&world, began), founds(&world, began)), (vec![], 0));
}

#[test]
fn a_silent_hop_is_gone_round_at_once_and_only_then_looked_at() {
    let mut world = ring_of(8);
    world.set(3, Process::Unplugged);
    let began = world.now;
    let (took, found) = world.locate(1, 5_500);
    let found = found.unwrap();
    assert_eq!(way(&found.path), [1, 2, 4, 6]);
    assert_eq!(took, ms(50) + 4 * world.latency, "one patience lost");
    assert_eq!(steps_asked(&world, began), 0);
    let told = world.asked.iter().rev().find_map(|(_, _, to, request)| match request {
        Request::Forward(forward) if *to == addr(6) => Some(forward.avoid.clone()),
        _ => None,
    });
    assert_eq!(told, Some(vec![id(3_000)]));
    let down = |event: &Event| matches!(event, Event::Down(peer) if peer.id == id(3_000));
    assert!(world.time_of(1, down).is_none());
    world.run(ms(3_000));
    assert!(world.time_of(1, down).is_some());
}

#[test]
fn a_dead_hop_is_gone_round_as_soon_as_it_refuses_the_connection() {
    let mut world = ring_of(8);
    world.set(3, Process::Dead);
    let (took, found) = world.locate(1, 5_500);
    assert_eq!(way(&found.unwrap().path), [1, 2, 4, 6]);
    assert!(took < ms(10), "{took:?}");
}

#[test]
fn a_query_that_is_lost_on_its_way_is_looked_up_iteratively() {
    let mut world = ring_of(8);
    world.lost = |request| matches!(request, Request::Forward(forward) if forward.path.len() == 2);
    let began = world.now;
    let (took, found) = world.locate(1, 5_500);
    let found = found.unwrap();
    assert_eq!((found.owners[0].id, way(&found.path)), (id(6_000), vec![1, 3, 5, 6]));
    assert!((ms(250)..ms(260)).contains(&took), "{took:?}");
    assert_eq!(steps_asked(&world, began), 3);
    assert!(forwards(&world, began).iter().all(|(hops, _)| *hops == 1));
}

#[test]
fn an_answer_that_is_lost_is_told_once_more_or_found_iteratively() {
    let mut world = ring_of(8);
    world.lost = |request| matches!(request, Request::Found(_));
    let (took, found) = world.locate(1, 5_500);
    assert_eq!(found.unwrap().owners[0].id, id(6_000));
    assert!((ms(250)..ms(260)).contains(&took), "{took:?}");

    let mut world = ring_of(8);
    world.cut(&[1], &[6]);
    let query = world.with(1, |node, now| node.locate(now, id(5_500)));
    world.run(ms(10));
    world.heal();
    world.run(ms(2_000));
    let (_, result) = &world.located[&(addr(1), query)];
    assert_eq!(result.as_ref().unwrap().owners[0].id, id(6_000));
}

#[test]
fn what_comes_back_after_all_ends_the_iterative_lookup() {
    let mut world = ring_of(8);
    // Nothing is found iteratively, and the answer to the query takes longer than anybody waits.
    world.lost = |request| matches!(request, Request::Protocol(Ask::Find { .. }) | Request::Found(_));
    let began = world.now;
    let query = world.with(1, |node, now| node.locate(now, id(5_500)));
    world.run(ms(100));
    assert_eq!(forwards(&world, began).len(), 3);
    world.run(ms(400));
    assert!(!world.located.contains_key(&(addr(1), query)));
    world.lost = |_| false;
    let found = Found { query, located: located(&world, id(5_500)) };
    assert_eq!(serve(&mut world, 6, 1, Request::Found(found.clone())), Ok(Response::Noted));
    assert_eq!(world.located[&(addr(1), query)].1, Ok(found.located));
}

#[test]
fn a_hop_without_a_way_on_sends_the_query_back_to_the_one_before_it() {
    let mut world = ring_of(8);
    // All that node 3 sees has been passed already.
    let mut forward = at_node_three(&world);
    let step = |number| Step { peer: peer(&world, number), rtt: None, via: Some(Via::Finger) };
    forward.path = vec![step(5), step(4), step(3)];
    assert_eq!(serve(&mut world, 4, 3, Request::Forward(forward)), Err(Refusal::NotMine));
}

#[test]
fn a_copy_of_a_query_is_acknowledged_and_dropped() {
    let mut world = ring_of(8);
    let forward = at_node_three(&world);
    let began = world.now;
    for _ in 0..3 {
        assert_eq!(serve(&mut world, 2, 3, Request::Forward(forward.clone())), Ok(Response::Forwarded));
    }
    world.run(ms(100));
    assert_eq!(forwards(&world, began), [(3, 5), (4, 6)]);
    let other = Forward { query: QueryId(7_777_778), ..forward };
    assert_eq!(serve(&mut world, 2, 3, Request::Forward(other)), Ok(Response::Forwarded));
    world.run(ms(100));
    assert_eq!(forwards(&world, began).len(), 4, "another query is none");
}

#[test]
fn a_query_that_makes_no_sense_is_refused() {
    let mut world = ring_of(8);
    let good = at_node_three(&world);
    let step = good.path[1].clone();
    let mut ask = |change: &dyn Fn(&mut Forward)| {
        let mut forward = good.clone();
        change(&mut forward);
        serve(&mut world, 2, 3, Request::Forward(forward))
    };
    let malformed = |field: &str| Err(Refusal::Malformed(field.to_owned()));
    assert_eq!(ask(&|forward| forward.path.clear()), malformed("path"));
    assert_eq!(ask(&|forward| drop(forward.path.pop())), malformed("path"));
    assert_eq!(ask(&|forward| forward.path = vec![step.clone(); 65]), malformed("path"));
    assert_eq!(ask(&|forward| forward.avoid = vec![id(1); 33]), malformed("avoid"));
    assert_eq!(ask(&|forward| forward.path = vec![step.clone(); 64]), Err(Refusal::NotMine), "no further than this");
    assert_eq!(ask(&|_| {}), Ok(Response::Forwarded));
}

#[test]
fn a_node_that_is_not_ready_or_on_its_way_out_passes_nothing_on() {
    let mut world = ring_of(8);
    let forward = at_node_three(&world);
    let envelope = Envelope { from: peer(&world, 2), to: Some(peer(&world, 3)), ring: world.ring(3) };
    let node = world.nodes.get_mut(&addr(3)).unwrap();
    node.depart(world.now, crate::Departure::Stop);
    assert_eq!(node.serve(world.now, &envelope, Request::Forward(forward.clone())), Err(Refusal::Leaving));

    let mut world = ring_of(8);
    world.set(3, Process::Stopped);
    world.run(ms(60_000));
    let envelope = Envelope { from: peer(&world, 2), to: Some(peer(&world, 3)), ring: world.ring(3) };
    let node = world.nodes.get_mut(&addr(3)).unwrap();
    assert_eq!(
        node.serve(world.now, &envelope, Request::Forward(forward)),
        Err(Refusal::NotReady),
        "it has just woken"
    );
}

#[test]
fn a_node_takes_on_so_many_queries_and_no_more() {
    let mut world = ring_of(8);
    (1..=8).filter(|&number| number != 3).for_each(|number| world.set(number, Process::Unplugged));
    let forward = at_node_three(&world);
    let mut ask = |query| {
        let forward = Forward { query: QueryId(query), ..forward.clone() };
        serve(&mut world, 2, 3, Request::Forward(forward))
    };
    for query in 0..1_024 {
        assert_eq!(ask(query), Ok(Response::Forwarded));
    }
    assert_eq!(ask(1_024), Err(Refusal::Busy));
    assert_eq!(ask(0), Ok(Response::Forwarded), "that one it has");
    // Its own lookups still begin, iteratively.
    let (query, began) = (world.with(3, |node, now| node.locate(now, id(5_500))), world.now);
    world.run(ms(2));
    assert_eq!(steps_asked(&world, began), 1);
    world.with(3, |node, _| node.cancel(query));
    // Nobody took them, so they end here, and there is room again.
    world.run(ms(300));
    assert_eq!(serve(&mut world, 2, 3, Request::Forward(forward)), Ok(Response::Forwarded));
}

fn located(world: &World, target: ring::Id) -> Located {
    let path = vec![
        Step { peer: peer(world, 1), rtt: None, via: None },
        Step { peer: peer(world, 6), rtt: None, via: Some(Via::Finger) },
    ];
    let owner = peer(world, 6);
    Located { target, owners: vec![owner.clone()], holders: vec![owner], path, arc: None }
}

#[test]
fn an_answer_counts_once_for_an_open_query_of_that_target_and_for_no_other() {
    let mut world = ring_of(8);
    world.lost = |request| matches!(request, Request::Forward(_));
    let query = world.with(1, |node, now| node.locate(now, id(5_500)));
    let answer = |world: &mut World, query, located| serve(world, 6, 1, Request::Found(Found { query, located }));
    let good = located(&world, id(5_500));

    let other_target = located(&world, id(5_501));
    assert_eq!(answer(&mut world, query, other_target), Ok(Response::Noted));
    assert_eq!(answer(&mut world, QueryId(query.0 + 1_000), good.clone()), Ok(Response::Noted));
    let malformed = Err(Refusal::Malformed("located".to_owned()));
    let nobody = Located { owners: vec![], ..good.clone() };
    assert_eq!(answer(&mut world, query, nobody), malformed);
    let elsewhere = Located { path: good.path[1..].to_vec(), ..good.clone() };
    assert_eq!(answer(&mut world, query, elsewhere), malformed);
    assert!(world.located.is_empty());

    assert_eq!(answer(&mut world, query, good.clone()), Ok(Response::Noted));
    assert_eq!(world.located.remove(&(addr(1), query)), Some((world.now, Ok(good.clone()))));
    assert_eq!(answer(&mut world, query, good.clone()), Ok(Response::Noted));
    assert!(world.located.is_empty(), "once");

    let cancelled = world.with(1, |node, now| {
        let query = node.locate(now, id(5_500));
        node.cancel(query);
        query
    });
    assert_eq!(answer(&mut world, cancelled, good), Ok(Response::Noted));
    world.run(ms(5_000));
    assert!(world.located.is_empty());
}

#[test]
fn an_iterative_query_takes_no_answer_from_others() {
    let mut world = World::new();
    (1..=6).for_each(|number| world.start(number, if number == 1 { &[] } else { &[1] }, None));
    world.until_one_ring(&[1, 2, 3, 4, 5, 6], ms(5_000));
    let query = world.with(1, |node, now| node.locate(now, id(5_500)));
    let located = Located { owners: vec![peer(&world, 2)], ..located(&world, id(5_500)) };
    assert_eq!(serve(&mut world, 2, 1, Request::Found(Found { query, located })), Ok(Response::Noted));
    assert!(world.located.is_empty());
    world.run(ms(100));
    assert_eq!(world.located[&(addr(1), query)].1.as_ref().unwrap().owners[0].id, id(6_000));
}

#[test]
fn an_origin_that_others_made_up_is_told_twice_and_never_suspected() {
    let mut world = ring_of(8);
    let nobody = Peer { id: id(17), addr: addr(17), incarnation: 5 };
    let elsewhere = Peer { incarnation: 1 << 50, ..peer(&world, 4) };
    for (query, origin) in [nobody, elsewhere].into_iter().enumerate() {
        let path = vec![Step { peer: peer(&world, 6), rtt: None, via: Some(Via::Finger) }];
        let query = QueryId(query as u64);
        let forward = Forward { origin, query, target: id(5_500), path, avoid: Vec::new() };
        let began = world.now;
        assert_eq!(serve(&mut world, 2, 6, Request::Forward(forward)), Ok(Response::Forwarded));
        world.run(ms(5_000));
        let told = founds(&world, began);
        assert_eq!(told, if query.0 == 0 { 2 } else { 1 }, "one is not there, the other refuses");
    }
    assert!(world.node(6).view().peer(id(17)).is_none());
    let known = world.node(6).view().peer(id(4_000)).unwrap().clone();
    assert!(known.alive && known.peer == peer(&world, 4));
    let down = |event: &Event| matches!(event, Event::Down(_));
    assert!((1..=8).all(|number| world.time_of(number, down).is_none()));
}

#[test]
fn a_pause_forgets_the_queries_of_others_and_keeps_its_own() {
    let mut world = ring_of(8);
    world.lost = |request| matches!(request, Request::Forward(_));
    let query = world.with(1, |node, now| node.locate(now, id(5_500)));
    world.set(1, Process::Stopped);
    world.run(ms(2_000));
    world.lost = |_| false;
    world.set(1, Process::Runs);
    world.run(ms(1_000));
    let (_, result) = &world.located[&(addr(1), query)];
    assert_eq!(result.as_ref().unwrap().owners[0].id, id(6_000));
}

#[test]
fn the_same_inputs_give_the_same_run() {
    let run = || {
        let mut world = ring_of(8);
        world.set(3, Process::Dead);
        let found = world.locate(1, 5_500);
        world.run(ms(5_000));
        (found, world.asked, world.events)
    };
    let (first, second) = (run(), run());
    assert!(first.1.len() > 100);
    assert!(first == second);
}
