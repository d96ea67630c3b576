//! Lookups take as many hops as they would in a ring whose nodes know everything.

use std::time::Duration;

use chord::{Chord, Config};
use overlay::NodeConfig;
use overlay::testing::{Net, Subject, conformance};
use ring::{Id, Space};

fn successor(target: Id, members: &[Id]) -> Id {
    members.iter().copied().min_by_key(|&member| target.distance_to(member)).expect("a ring has members")
}

/// A plain model: every finger and every list is perfect.
struct Model {
    members: Vec<Id>,
    r: usize,
}

impl Model {
    fn owner(&self, target: Id) -> Id {
        let at = self.members.partition_point(|&member| member < target);
        self.members[at % self.members.len()]
    }

    /// Hops from `start` to the owner, which answers from the list where it reaches far enough.
    fn hops(&self, start: Id, target: Id) -> usize {
        let owner = self.owner(target);
        let (mut at, mut hops) = (start, 0);
        while at != owner {
            let place = self.members.binary_search(&at).expect("the model stays in the ring");
            let list: Vec<Id> = (1..=self.r).map(|next| self.members[(place + next) % self.members.len()]).collect();
            let fingers = (0..at.space().bits()).map(|power| self.owner(at.plus_power(power)));
            let nearer = |&id: &Id| id != at && at.distance_to(id) < at.distance_to(target);
            at = match list.contains(&owner) {
                true => owner,
                false => list
                    .iter()
                    .copied()
                    .chain(fingers)
                    .filter(nearer)
                    .max_by_key(|&id| at.distance_to(id))
                    .expect("somebody is nearer"),
            };
            hops += 1;
        }
        hops
    }
}

/// Joins `count` nodes, `batch` at a time, waits, and compares mean hops of `lookups` lookups.
fn compare(count: usize, batch: usize, rest: Duration, lookups: usize) {
    let subject = Subject::<Chord> {
        space: Space::SHA1,
        protocol: Config::default(),
        node: NodeConfig::default(),
        owner: successor,
    };
    let mut net = Net::new(subject, 7);
    net.add(&[]);
    while net.len() < count {
        for _ in 0..batch.min(count - net.len()) {
            net.add(&[0]);
        }
        net.run_for(Duration::from_secs(1));
    }
    net.run_for(rest);
    conformance::converge(&mut net, count, Duration::from_secs(60));
    let mut members: Vec<Id> = (0..count).map(|number| net.view(number).me.id).collect();
    members.sort_unstable();
    let model = Model { members, r: Config::default().successors };
    let (mut ours, mut models) = (0, 0);
    for lookup in 0..lookups {
        let number = lookup % count;
        let target = conformance::random_id(&mut net);
        let located = net.lookup(number, target).expect("the ring is whole");
        assert_eq!(located.owners[0].id, model.owner(target));
        ours += located.path.len() - 1;
        models += model.hops(net.view(number).me.id, target);
    }
    assert!(models > lookups, "a model that needs {models} hops for {lookups} lookups is no model");
    let (most, least) = (models * 11 / 10, models * 9 / 10);
    assert!((least..=most).contains(&ours), "{count} nodes: {ours} hops in {lookups} lookups, the model has {models}");
}

#[test]
fn in_a_ring_of_64_a_few_seconds_after_its_start_they_are_the_models() {
    compare(64, 64, Duration::from_secs(5), 2_000);
}

#[test]
fn in_a_ring_of_1000_they_are_the_models() {
    compare(1_000, 100, Duration::from_secs(15), 2_000);
}
