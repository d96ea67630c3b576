//! Whatever a peer says, a node neither panics nor grows beyond its bounds.

use std::collections::BTreeMap;

use kelips::*;
use overlay::testing::step;
use overlay::{Addr, KeyHash, Overlay, Peer, Refusal, Time};
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng;
use rand_pcg::Pcg32;
use ring::{Id, Range, Space};

fn space() -> Space {
    Space::new(7).expect("a width")
}

fn id() -> impl Strategy<Value = Id> {
    (0u64..128).prop_map(|number| space().id(number).expect("below 2^7"))
}

fn peer() -> impl Strategy<Value = Peer> {
    (id(), 0u64..3, prop_oneof![0u64..3, Just(u64::MAX)]).prop_map(|(id, host, incarnation)| {
        let addr = Addr::new(&format!("host{host}-{id}:1")).expect("not empty");
        Peer { id, addr, incarnation }
    })
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..5, Just(u64::MAX), Just(u64::MAX - 1)]
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![0u32..5, Just(31), Just(32), Just(u32::MAX), Just(u32::MAX - 1)]
}

fn presence() -> impl Strategy<Value = Presence> {
    (number(), small()).prop_map(|(heartbeat, load)| Presence { heartbeat, load })
}

fn slot() -> impl Strategy<Value = Slot> {
    (small(), small()).prop_map(|(group, index)| Slot { group, index })
}

fn key() -> impl Strategy<Value = KeyHash> {
    (0u8..8).prop_map(|number| KeyHash([number.wrapping_mul(37); 20]))
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    vec((peer(), presence()).prop_map(|(peer, presence)| Entry { peer, presence }), 0..6)
}

fn holders() -> impl Strategy<Value = Vec<Holders>> {
    let one = (slot(), number(), number(), vec(peer(), 0..3));
    vec(one.prop_map(|(slot, number, heartbeat, homes)| Holders { slot, number, heartbeat, homes }), 0..4)
}

fn filetuples() -> impl Strategy<Value = Vec<Filetuple>> {
    vec((key(), number(), any::<bool>()).prop_map(|(key, version, there)| Filetuple { key, version, there }), 0..6)
}

fn gossip() -> impl Strategy<Value = Gossip> {
    let gone = vec((id(), number()).prop_map(|(id, incarnation)| Gone { id, incarnation }), 0..4);
    let digest = (slot(), small(), number()).prop_map(|(slot, count, sum)| Digest { slot, count, sum });
    (presence(), entries(), gone, vec(small(), 0..20), holders(), filetuples(), vec(digest, 0..4)).prop_map(
        |(presence, entries, gone, wanted, holders, filetuples, digests)| Gossip {
            presence,
            entries,
            gone,
            wanted,
            holders,
            filetuples,
            digests,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let listing = (id(), id(), proptest::option::of(key()), proptest::option::of(key()), vec(key(), 0..4))
        .prop_map(|(from, to, after, upto, keys)| Listing { range: Range::new(from, to), after, upto, keys });
    let insertion = (holders(), vec((key(), any::<bool>()), 0..4), vec(listing, 0..3))
        .prop_map(|(holders, keys, listings)| Insertion { holders, keys, listings });
    prop_oneof![
        (id(), vec(id(), 0..5)).prop_map(|(place, avoid)| Request::Lookup { place, avoid }),
        (id(), vec(id(), 0..5), proptest::option::of(presence()))
            .prop_map(|(id, avoid, presence)| Request::FindMember { id, avoid, presence }),
        gossip().prop_map(Request::Gossip),
        presence().prop_map(Request::Ping),
        Just(Request::Join),
        presence().prop_map(Request::Admit),
        insertion.prop_map(Request::Insert),
        (slot(), proptest::option::of(key())).prop_map(|(slot, after)| Request::Pull { slot, after }),
    ]
}

/// An answer that may have nothing to do with the question.
fn response() -> impl Strategy<Value = Response> {
    let welcome = (small(), entries(), entries(), vec(small(), 0..5), holders()).prop_map(
        |(group, members, contacts, vacant, holders)| {
            Response::Welcome(Welcome { group, members, contacts, vacant, holders })
        },
    );
    prop_oneof![
        gossip().prop_map(Response::Gossip),
        presence().prop_map(Response::Alive),
        welcome,
        (presence(), entries()).prop_map(|(presence, newcomers)| Response::Admitted { presence, newcomers }),
        Just(Response::Inserted),
        (filetuples(), any::<bool>()).prop_map(|(filetuples, more)| Response::Filetuples { filetuples, more }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nothing_that_a_peer_says_makes_a_node_panic_or_grow(
        said in vec((peer(), request(), response(), 0u32..8), 1..60), groups in 1u32..6, joins: bool, seed: u64,
    ) {
        let config = Config { space: space(), groups, ..Config::default() };
        let me = Peer { id: space().id(77).expect("below 2^7"), addr: Addr::new("me:1").expect("not empty"), incarnation: 1 };
        let (mut node, mut rng) = (Kelips::new(me.clone(), config), Pcg32::seed_from_u64(seed));
        let via = said[0].0.clone();
        let (_, first) = step(Time(0), &mut rng, |ctx| if joins { node.join(via, ctx) } else { node.create(ctx) });
        let mut asked = first.calls;
        for (now, (from, request, response, what)) in (1u64..).zip(said) {
            let time = Time(now * 400_000);
            let (_, effects) = step(time, &mut rng, |ctx| match what {
                0..4 => drop(node.serve(&from, request, ctx)),
                4 => node.on_timer(Timer::Gossip, ctx),
                5 => node.on_departure(&from, overlay::Departure::Stop, ctx),
                _ => match asked.pop() {
                    Some((to, request)) if what == 6 => node.on_reply(&to, request, Ok(response), ctx),
                    Some((to, request)) => {
                        node.on_reply(&to, request, Err(overlay::Failure::Refused(Refusal::Gone)), ctx);
                    }
                    None => node.resumed(ctx),
                },
            });
            prop_assert!(effects.calls.len() < 200);
            asked.extend(effects.calls);
            asked.truncate(500);
            let table = node.table();
            prop_assert!(table.members.iter().chain(table.contacts.values().flatten()).all(|peer| peer.id != me.id));
            prop_assert!(table.members.iter().all(|peer| node.distance_to_member(peer.id, me.id).class == 0));
            let most: BTreeMap<u32, usize> = table.contacts.iter().map(|(group, peers)| (*group, peers.len())).collect();
            prop_assert!(most.iter().all(|(group, count)| *group < groups && (1..=2).contains(count)));
            prop_assert!(node.is_ready() || node.shares().is_empty());
        }
    }
}

/// A node of one group that has heard of so many others, 1 to `count`, from themselves.
fn among(count: u64) -> (Kelips, Pcg32) {
    let config = Config { groups: 1, ..Config::default() };
    let (mut node, mut rng) = (Kelips::new(life(0, 1), config), Pcg32::seed_from_u64(1));
    step(Time(0), &mut rng, |ctx| node.create(ctx));
    for number in 1..=count {
        let ping = Request::Ping(Presence { heartbeat: 1, load: 0 });
        step(Time(number), &mut rng, |ctx| node.serve(&life(number, 1), ping, ctx)).0.expect("an answer");
    }
    assert_eq!(node.table().members.len() as u64, count);
    (node, rng)
}

fn life(number: u64, incarnation: u64) -> Peer {
    let addr = Addr::new(&format!("host{number}:1")).expect("not empty");
    Peer { id: Space::SHA1.hash(&number.to_be_bytes()), addr, incarnation }
}

fn gossiping(gone: Vec<Gone>, entries: Vec<Entry>) -> Request {
    Request::Gossip(Gossip { presence: Presence { heartbeat: 2, load: 0 }, gone, entries, ..Gossip::default() })
}

#[test]
fn rumours_of_everybodys_end_are_looked_into_a_few_at_a_time() {
    let (mut node, mut rng) = among(400);
    let all: Vec<Gone> = (1..=400).map(|number| Gone { id: life(number, 1).id, incarnation: 1 }).collect();
    let mut calls = 0;
    for now in 0..20 {
        let request = gossiping(all.clone(), Vec::new());
        calls += step(Time(1_000 + now), &mut rng, |ctx| node.serve(&life(9, 1), request, ctx)).1.calls.len();
    }
    // Eight pings, and eight members told of eight ends in one message each; the rest repeats what was said.
    assert_eq!(calls, 16);
    assert_eq!(node.table().members.len(), 400);
}

#[test]
fn a_newer_life_that_others_tell_of_replaces_nobody_until_it_speaks() {
    let (mut node, mut rng) = among(3);
    let told = Entry { peer: life(2, 9), presence: Presence { heartbeat: 7, load: 0 } };
    let request = gossiping(Vec::new(), vec![told]);
    let (_, effects) = step(Time(100), &mut rng, |ctx| node.serve(&life(1, 1), request, ctx));
    assert!(node.table().members.contains(&life(2, 1)));
    // It is asked, and what answers is the life that there is.
    let (to, ping) = effects.calls.into_iter().find(|(to, _)| *to == life(2, 9)).expect("it is asked");
    let gone = Err(overlay::Failure::Refused(Refusal::Gone));
    step(Time(101), &mut rng, |ctx| node.on_reply(&to, ping.clone(), gone, ctx));
    assert!(node.table().members.contains(&life(2, 1)), "{:?}", node.table().members);
    let alive = Response::Alive(Presence { heartbeat: 8, load: 0 });
    step(Time(102), &mut rng, |ctx| node.on_reply(&to, ping, Ok(alive), ctx));
    assert!(node.table().members.contains(&life(2, 9)));
}

#[test]
fn a_pull_ends_where_the_peer_does_not_go_on() {
    let (mut node, mut rng) = among(1);
    let digest = Digest { slot: Slot { group: 0, index: 3 }, count: 9, sum: 9 };
    let differing = Gossip { presence: Presence { heartbeat: 3, load: 0 }, digests: vec![digest], ..Gossip::default() };
    let mut asked = Vec::new();
    for now in 0..4 {
        let request = Request::Gossip(differing.clone());
        let (_, effects) = step(Time(1_000 + now), &mut rng, |ctx| node.serve(&life(1, 1), request, ctx));
        asked.extend(effects.calls);
        asked.extend(step(Time(1_500 + now), &mut rng, |ctx| node.on_timer(Timer::Gossip, ctx)).1.calls);
    }
    let is_pull = |(_, request): &(Peer, Request)| matches!(request, Request::Pull { .. });
    let (to, pull) = asked.into_iter().find(is_pull).expect("the difference is looked into");
    // A full page of the same key, and always more of it.
    let tuple = Filetuple { key: KeyHash([0; 20]), version: 1, there: true };
    let page = |filetuples| Ok(Response::Filetuples { filetuples, more: true });
    let short = step(Time(9_000), &mut rng, |ctx| node.on_reply(&to, pull.clone(), page(vec![tuple; 3]), ctx)).1;
    assert!(!short.calls.iter().any(is_pull));
}
