//! What a few seconds of upkeep make of the tables of 64 nodes: nothing to complain of, and lookups as short as the paper's.

use std::collections::BTreeMap;
use std::time::Duration;

use overlay::NodeConfig;
use overlay::inspect::{Inspect, Inspected, Inspection, Standing, Verdict};
use overlay::testing::{Net, Subject, conformance};
use pastry::{Config, Pastry, Table};
use ring::{Id, Space};

fn closest(target: Id, members: &[Id]) -> Id {
    members.iter().copied().min_by_key(|&member| (member.gap(target), member)).expect("a ring has members")
}

fn net(count: usize) -> Net<Pastry> {
    let subject = Subject::<Pastry> {
        space: Space::SHA1,
        protocol: Config::default(),
        node: NodeConfig::default(),
        owner: closest,
    };
    let mut net = Net::new(subject, 7);
    net.add(&[]);
    for _ in 1..count {
        net.add(&[0]);
    }
    conformance::converge(&mut net, count, Duration::from_secs(30));
    net
}

/// What `dht check` would say.
fn judged(net: &Net<Pastry>) -> Vec<String> {
    let inspected = |number: usize| {
        let view = net.view(number);
        let owns = view.shares.iter().map(|share| share.range).collect();
        Inspected { me: view.me, owns, table: net.table(number) }
    };
    let mut members: Vec<Inspected<Table>> = net.running().into_iter().map(inspected).collect();
    members.sort_by_key(|member| member.me.id);
    let answered: BTreeMap<Id, (u64, Standing)> =
        members.iter().map(|member| (member.me.id, (member.me.incarnation, Standing::Ready))).collect();
    let mut verdict = Verdict::default();
    Table::judge(&Inspection { members: &members, answered: &answered }, &mut verdict);
    verdict.violations.iter().map(|found| format!("{}: {} {}", found.member, found.invariant, found.detail)).collect()
}

fn expect_order_within(net: &mut Net<Pastry>, limit: Duration) {
    if !net.run_until(limit, |net| judged(net).is_empty()) {
        net.fail(format!("not in order after {limit:?}: {:#?}", judged(net)));
    }
}

#[test]
fn the_tables_of_64_nodes_are_in_order_within_seconds_of_their_start_and_lookups_are_short() {
    let mut net = net(64);
    expect_order_within(&mut net, Duration::from_secs(10));
    let mut hops = 0;
    for lookup in 0..1_000 {
        let target = conformance::random_id(&mut net);
        let located = net.lookup(lookup % 64, target).expect("the ring is whole");
        hops += located.path.len() - 1;
    }
    // log16 64 = 1.5; figure 4 of the paper has about as many.
    assert!((900..=2_000).contains(&hops), "{hops} hops in 1000 lookups");
}

#[test]
fn tables_are_in_order_again_soon_after_crashes_joins_and_pauses() {
    let mut net = net(40);
    expect_order_within(&mut net, Duration::from_secs(10));
    let order = conformance::in_ring_order(&net);
    [3, 4, 5, 21, 30].into_iter().for_each(|place| net.crash(order[place]));
    net.pause(order[10]);
    for _ in 0..4 {
        net.add(&[order[0]]);
    }
    net.run_for(Duration::from_secs(5));
    net.resume(order[10]);
    net.run_for(Duration::from_secs(1));
    conformance::converge(&mut net, 39, Duration::from_secs(10));
    expect_order_within(&mut net, Duration::from_secs(20));
}
