//! What a settled overlay of Kelips nodes promises: short lookups, whole views, filetuples everywhere, bounded messages.

use std::collections::BTreeMap;
use std::time::Duration;

use kelips::{Config, Kelips, Table, arbiter};
use overlay::inspect::{Inspect, Inspected, Inspection, Standing, Verdict};
use overlay::testing::{Net, Subject, conformance};
use overlay::{Announcement, KeyHash, NodeConfig, Overlay};
use ring::{Id, Places, Range, Space};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn places(groups: u32) -> Places {
    Places::grouped(Space::SHA1, groups).expect("SHA-1 can be divided into a few groups")
}

fn of_two(target: Id, members: &[Id]) -> Id {
    arbiter(places(2), target, members).expect("a ring has members")
}

fn of_eight(target: Id, members: &[Id]) -> Id {
    arbiter(places(8), target, members).expect("a ring has members")
}

fn subject(groups: u32) -> Subject<Kelips> {
    let protocol = Config { groups, ..Config::default() };
    let owner = if groups == 2 { of_two } else { of_eight };
    Subject { space: Space::SHA1, protocol, node: NodeConfig::default(), owner }
}

/// So many nodes, in and settled.
fn settled(groups: u32, count: usize) -> Net<Kelips> {
    let mut net = Net::new(subject(groups), 7);
    net.add(&[]);
    for number in 1..count {
        net.add(&[number / 2]);
    }
    if !net.run_until(seconds(30), |net| (0..count).all(|number| net.is_ready(number))) {
        net.fail("not all are ready after 30 s");
    }
    net.run_for(seconds(15));
    net
}

/// What is wrong with the whole overlay, by its own rules.
fn judged(net: &Net<Kelips>) -> Verdict {
    let members: Vec<Inspected<Table>> = net
        .running()
        .into_iter()
        .map(|number| {
            let view = net.view(number);
            let owns = view.shares.iter().map(|share| share.range).collect();
            Inspected { me: view.me, owns, table: net.table(number) }
        })
        .collect();
    let answered: BTreeMap<Id, (u64, Standing)> =
        members.iter().map(|member| (member.me.id, (member.me.incarnation, Standing::Ready))).collect();
    let mut verdict = Verdict::default();
    Table::judge(&Inspection { members: &members, answered: &answered }, &mut verdict);
    verdict
}

fn assert_clean(net: &Net<Kelips>) {
    let verdict = judged(net);
    if let Some(first) = verdict.violations.first() {
        net.fail(format!("{} violations, the first: {first:?}", verdict.violations.len()));
    }
}

/// Keys that are there according to a node's table, and what they come to.
fn filetuples(net: &Net<Kelips>, number: usize) -> (u64, u64) {
    let table = net.table(number);
    (table.filetuples, table.filetuples_digest)
}

fn of_group(net: &Net<Kelips>, group: u32) -> Vec<usize> {
    net.running().into_iter().filter(|&number| net.table(number).group == group).collect()
}

fn key(number: u32) -> KeyHash {
    KeyHash(Space::SHA1.hash(&number.to_be_bytes()).to_array())
}

fn keys_of(group: u32, groups: u32, count: u32) -> Vec<KeyHash> {
    let places = places(groups);
    let mut keys: Vec<KeyHash> =
        (0..).map(key).filter(|key| places.group_at(places.of_hash(key.0)) == group).take(count as usize).collect();
    keys.sort();
    keys
}

#[test]
fn hash_mod_k_names_the_group() {
    // With ten groups the last decimal digit names the group.
    let places = Places::grouped(Space::new(10).unwrap(), 10).unwrap();
    for (number, group) in [(110, 0), (30, 0), (888, 8), (1000, 0), (17, 7)] {
        assert_eq!(places.group_of(Space::new(10).unwrap().id(number).unwrap()), group);
    }
}

#[test]
fn a_newcomer_is_known_to_its_whole_group_within_ten_rounds() {
    for groups in [2, 8] {
        let mut net = settled(groups, 63);
        let newcomer = net.add(&[5]);
        let id = net.view(newcomer).me.id;
        let group = places(groups).group_of(id);
        let everybody = |net: &Net<Kelips>| {
            let knows = |&number: &usize| net.table(number).members.iter().any(|peer| peer.id == id);
            net.is_ready(newcomer) && of_group(net, group).iter().filter(|&&number| number != newcomer).all(knows)
        };
        let rounds = 10 * Config::default().gossip_period;
        if !net.run_until(rounds, everybody) {
            net.fail(format!("{groups} groups: the newcomer is not known to all"));
        }
        net.run_for(seconds(5));
        assert_clean(&net);
    }
}

#[test]
fn lookups_take_one_hop_at_most_once_settled() {
    for groups in [2, 8] {
        let mut net = settled(groups, 64);
        let (mut short, mut all) = (0, 0);
        for number in 0..64 {
            for _ in 0..4 {
                let target = conformance::random_id(&mut net);
                let located = net.lookup(number, target).unwrap_or_else(|error| net.fail(error));
                let members: Vec<Id> = net.running().into_iter().map(|number| net.view(number).me.id).collect();
                assert_eq!(located.owners[0].id, (net.subject().owner)(target, &members));
                all += 1;
                short += usize::from(located.path.len() <= 2);
            }
        }
        assert!(short * 100 >= all * 99, "{groups} groups: {short} of {all}");
    }
}

#[test]
fn what_is_sent_in_a_round_does_not_grow_with_the_cluster() {
    for count in [64, 128] {
        let mut net = settled(2, count);
        let before = net.calls();
        net.run_for(seconds(20));
        // 40 rounds of at most 6 messages, and jitter; a lookup, a ping and a pull now and then.
        let per_round = (net.calls() - before) as f64 / count as f64 / 40.0;
        assert!(per_round < 8.5, "{count} nodes: {per_round} calls a round");
    }
}

#[test]
fn a_thousand_keys_put_within_a_second_are_known_to_their_whole_group() {
    let mut net = settled(2, 40);
    let keys = keys_of(0, 2, 1_000);
    // Each key is announced by a member of the group, and some of them are gone again.
    let members = of_group(&net, 0);
    for (at, key) in keys.iter().enumerate() {
        net.announce(members[at % 3], Announcement::Key { key: *key, there: true });
        if at % 100 == 0 {
            net.run_for(Duration::from_millis(100));
        }
    }
    for at in 990..1_000 {
        net.announce(members[at % 3], Announcement::Key { key: keys[at], there: false });
    }
    let known = |net: &Net<Kelips>| {
        let digests: Vec<_> = of_group(net, 0).into_iter().map(|number| filetuples(net, number)).collect();
        digests.iter().all(|digest| digest.0 == 990 && *digest == digests[0])
    };
    if !net.run_until(seconds(14), known) {
        let counts: Vec<u64> = members.iter().map(|&number| filetuples(&net, number).0).collect();
        net.fail(format!("14 s later they know {counts:?}"));
    }
    assert_clean(&net);
    // A newcomer learns them all.
    let newcomer = loop {
        let number = net.add(&[0]);
        if places(2).group_of(net.view(number).me.id) == 0 {
            break number;
        }
    };
    if !net.run_until(seconds(10), |net| filetuples(net, newcomer).0 == 990) {
        net.fail(format!("the newcomer knows {:?}", filetuples(&net, newcomer)));
    }
}

#[test]
fn a_home_outside_of_the_group_tells_it_what_there_is() {
    let mut net = settled(2, 12);
    let stranger = of_group(&net, 1)[0];
    let keys = keys_of(0, 2, 600);
    let arc = places(2).arc(0);
    net.announce(stranger, Announcement::Keys { range: arc, keys: keys.clone() });
    net.announce(stranger, Announcement::Key { key: keys[3], there: false });
    let home = net.view(stranger).me;
    net.announce(stranger, Announcement::Holders { range: arc, number: 4, holders: vec![home.clone()] });
    let known = |count: u64| {
        move |net: &Net<Kelips>| of_group(net, 0).into_iter().all(|number| filetuples(net, number).0 == count)
    };
    if !net.run_until(seconds(10), known(599)) {
        let counts: Vec<u64> = of_group(&net, 0).into_iter().map(|number| filetuples(&net, number).0).collect();
        net.fail(format!("the group knows {counts:?} keys"));
    }
    let target = arc.upto;
    let located = net.lookup(stranger, target).unwrap_or_else(|error| net.fail(error));
    assert_eq!(located.holders, [home]);
    // A later listing takes back what is not in it.
    net.announce(stranger, Announcement::Keys { range: arc, keys: keys[..300].to_vec() });
    if !net.run_until(seconds(10), known(300)) {
        net.fail("the group does not know 300 keys");
    }
    net.run_for(seconds(5));
    assert_clean(&net);
}

#[test]
fn the_living_homes_of_every_slot_stay_when_a_member_and_arbiter_dies() {
    let mut net = settled(2, 16);
    // What every arbiter wants is accepted.
    let shares = |net: &Net<Kelips>| -> BTreeMap<Range, Vec<Id>> {
        let shares = net.running().into_iter().flat_map(|number| net.view(number).shares);
        shares.map(|share| (share.range, share.holders.iter().take(3).map(|peer| peer.id).collect())).collect()
    };
    for number in net.running() {
        for share in net.view(number).shares {
            let holders = share.holders.into_iter().take(3).collect();
            net.announce(number, Announcement::Holders { range: share.range, number: 2, holders });
        }
    }
    net.run_for(seconds(10));
    let before = shares(&net);
    assert_eq!(before.len(), 64);
    let dead = net.view(3).me.id;
    net.crash(3);
    net.run_for(seconds(10));
    for (range, homes) in shares(&net) {
        let kept: Vec<Id> = before[&range].iter().copied().filter(|home| *home != dead).collect();
        assert_eq!(homes[..kept.len()], kept, "{range}");
    }
    assert_clean(&net);
}

#[test]
fn a_table_is_shown_in_names_and_in_lines() {
    let net = settled(2, 6);
    let table = net.table(0);
    let names: Vec<String> = table.fields().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["groups", "group", "members", "contacts", "filetuples", "filetuples_digest"]);
    assert_eq!(table.peers().len(), table.members.len() + table.contacts.values().map(Vec::len).sum::<usize>());
    assert!(table.lines().iter().any(|line| line.label == "contacts"));
    assert_eq!(Kelips::NAME, "kelips");
}
