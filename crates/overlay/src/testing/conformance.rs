//! What every overlay must do, as scenarios on the virtual network.
//!
//! Each scenario runs with several seeds and panics, naming the seed, when something does not come true in
//! time. The bounds are what users are promised, or tighter.

use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;
use ring::Id;

use super::{Net, Subject};
use crate::{Overlay, RingId, Routing};

/// Scenarios run once with each of these: four, or as many as `CONFORMANCE_SEEDS` says.
fn seeds() -> std::ops::RangeInclusive<u64> {
    let count = std::env::var("CONFORMANCE_SEEDS").ok().and_then(|count| count.parse().ok());
    1..=count.unwrap_or(4)
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One node alone is ready at once and owns everything.
pub fn a_node_without_seeds_is_a_ring_of_one<P: Overlay>(subject: &Subject<P>) {
    let mut net = Net::new(subject.clone(), 1);
    net.add(&[]);
    converge(&mut net, 1, seconds(1));
    lookups_agree(&mut net, 20);
}

/// Nodes that join one after the other, through random members.
pub fn nodes_join_one_by_one<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = Net::new(subject.clone(), seed);
        for number in 0..12 {
            let seed = if number == 0 { vec![] } else { vec![net.rng().random_range(0..number)] };
            net.add(&seed);
            if !net.run_until(seconds(5), |net| net.is_ready(number)) {
                net.fail(format!("host {number} is not ready 5 s after its start"));
            }
        }
        converge(&mut net, 12, seconds(10));
        lookups_agree(&mut net, 10);
    }
}

/// Nodes that all start at the same moment, each with one seed that may itself be joining.
pub fn nodes_join_all_at_once<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        for count in [2, 3, 5, 16, 32] {
            let mut net = together(subject, seed, count);
            converge(&mut net, count, seconds(20));
            lookups_agree(&mut net, 4);
        }
    }
}

/// The same while two messages of a hundred are lost.
pub fn nodes_join_while_messages_are_lost<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = together(subject, seed, 12).with_loss(20);
        net.run_for(seconds(20));
        net.set_loss(0);
        converge(&mut net, 12, seconds(20));
        lookups_agree(&mut net, 4);
    }
}

/// The same over long links: 50 to 120 ms each way.
pub fn nodes_join_over_long_links<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let (least, most) = (Duration::from_millis(50), Duration::from_millis(120));
        let mut net = together(subject, seed, 10).with_latency(least, most);
        converge(&mut net, 10, seconds(30));
        net.crash(4);
        converge(&mut net, 9, seconds(15));
        lookups_agree(&mut net, 4);
    }
}

/// Several nodes crash at the same moment, neighbours among them; lookups go on and are right again soon.
pub fn crashes_at_the_same_moment_are_repaired<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = converged(subject, seed, 24);
        let order = in_ring_order(&net);
        let first = net.rng().random_range(0..order.len());
        let mut dead: Vec<usize> = (0..3).map(|next| order[(first + next) % order.len()]).collect();
        dead.push(order[(first + 11) % order.len()]);
        dead.iter().for_each(|&number| net.crash(number));
        lookups_end_within(&mut net, seconds(3));
        converge(&mut net, 20, seconds(10));
        lookups_agree(&mut net, 4);
    }
}

/// Nodes that fall silent, without a refused connection to give them away.
pub fn silent_nodes_are_routed_around<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = converged(subject, seed, 16);
        let order = in_ring_order(&net);
        let silent = [order[2], order[9]];
        silent.iter().for_each(|&number| net.pause(number));
        lookups_end_within(&mut net, seconds(3));
        converge(&mut net, 14, seconds(10));
        net.run_for(seconds(60));
        silent.iter().for_each(|&number| net.resume(number));
        net.run_for(seconds(1));
        converge(&mut net, 16, seconds(15));
        lookups_agree(&mut net, 4);
    }
}

/// Every node is paused for a while, as when a laptop sleeps: nobody suspects anybody.
pub fn a_pause_of_all_leaves_the_ring_whole<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = converged(subject, seed, 8);
        (0..8).for_each(|number| net.pause(number));
        net.run_for(seconds(120));
        (0..8).for_each(|number| net.resume(number));
        net.run_for(seconds(1));
        converge(&mut net, 8, seconds(15));
        lookups_agree(&mut net, 4);
    }
}

/// A crashed node starts again under the same identifier, before and after it was missed.
pub fn a_crashed_node_rejoins_in_a_new_incarnation<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        for missed_for in [Duration::ZERO, Duration::from_millis(700), seconds(15)] {
            let mut net = converged(subject, seed, 6);
            let before = net.view(3).me;
            net.crash(3);
            net.run_for(missed_for);
            net.restart(3, &[0, 1]);
            converge(&mut net, 6, seconds(15));
            let after = net.view(3).me;
            if after.id != before.id || after.incarnation <= before.incarnation {
                net.fail(format!("{before:?} came back as {after:?}"));
            }
            lookups_agree(&mut net, 4);
        }
    }
}

/// Of two nodes one crashes; the other goes on alone, soon.
pub fn the_survivor_of_two_goes_on_alone<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        for gone in 0..2 {
            let mut net = converged(subject, seed, 2);
            net.crash(gone);
            converge(&mut net, 1, seconds(3));
            lookups_agree(&mut net, 10);
            net.restart(gone, &[1 - gone]);
            converge(&mut net, 2, seconds(10));
            lookups_agree(&mut net, 10);
        }
    }
}

/// Nodes leave for good, one after the other, until one is left.
pub fn nodes_leave_until_one_is_left<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = converged(subject, seed, 7);
        for number in 0..6 {
            net.leave(number);
            converge(&mut net, 6 - number, seconds(4));
            lookups_agree(&mut net, 4);
        }
    }
}

/// Neighbours announce that they stop, at the same moment, and come back with their disks.
pub fn nodes_stop_and_come_back<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = converged(subject, seed, 9);
        let order = in_ring_order(&net);
        net.stop(order[4]);
        net.stop(order[5]);
        converge(&mut net, 7, seconds(4));
        lookups_agree(&mut net, 4);
        net.restart_with_disk(order[5], &[order[0]]);
        net.restart_with_disk(order[4], &[order[5]]);
        converge(&mut net, 9, seconds(15));
        lookups_agree(&mut net, 4);
    }
}

/// All nodes stop and start again with their disks: it is the old ring.
pub fn a_stopped_cluster_comes_back_as_the_old_ring<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = converged(subject, seed, 5);
        let before = net.view(0).ring;
        let mut order: Vec<usize> = (0..5).collect();
        order.shuffle(net.rng());
        for &number in &order {
            net.stop(number);
            net.run_for(Duration::from_millis(100));
        }
        net.run_for(seconds(5));
        order.shuffle(net.rng());
        for (at, &number) in order.iter().enumerate() {
            let others: Vec<usize> = (0..5).filter(|&other| other != number).collect();
            net.restart_with_disk(number, &others);
            net.run_for(Duration::from_millis(if at == 0 { 300 } else { 50 }));
        }
        converge(&mut net, 5, seconds(20));
        if net.view(0).ring != before {
            net.fail(format!("the ring was {before:?} and is {:?}", net.view(0).ring));
        }
        lookups_agree(&mut net, 4);
    }
}

/// The network falls apart for a while and heals: one ring again.
pub fn a_healed_partition_is_one_ring_again<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = converged(subject, seed, 12);
        let mut order: Vec<usize> = (0..12).collect();
        order.shuffle(net.rng());
        net.partition(&[&order[..5], &order[5..]]);
        net.run_for(seconds(30));
        net.heal();
        converge(&mut net, 12, seconds(30));
        lookups_agree(&mut net, 4);
    }
}

/// One node is cut off for a while.
pub fn a_node_that_was_cut_off_comes_back<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        for count in [2, 3, 10] {
            let mut net = converged(subject, seed, count);
            net.partition(&[&[1]]);
            net.run_for(seconds(20));
            net.heal();
            converge(&mut net, count, seconds(30));
            lookups_agree(&mut net, 4);
        }
    }
}

/// Two rings that were started apart and then pointed at each other become one, under the older's identifier.
pub fn two_rings_that_meet_become_one<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = Net::new(subject.clone(), seed);
        net.add(&[]);
        for _ in 1..5 {
            net.add(&[0]);
        }
        net.run_for(seconds(3));
        let younger = net.add(&[]);
        for _ in 0..3 {
            net.add(&[younger]);
        }
        net.run_for(seconds(5));
        let (older, other): (Option<RingId>, _) = (net.view(0).ring, net.view(younger).ring);
        if older == other {
            net.fail("two rings that were started apart have one identifier");
        }
        let (from, to) = if seed % 2 == 0 { (0, younger) } else { (younger, 0) };
        net.meet(from, to);
        converge(&mut net, 9, seconds(30));
        if net.view(younger).ring != older {
            net.fail("the younger ring did not dissolve into the older");
        }
        lookups_agree(&mut net, 4);
    }
}

/// A ring under steady churn answers right whenever it has had a few seconds of rest.
pub fn a_ring_under_churn_heals<P: Overlay>(subject: &Subject<P>) {
    for seed in seeds() {
        let mut net = converged(subject, seed, 16);
        for _ in 0..12 {
            let number = net.rng().random_range(1..16);
            match (net.running().contains(&number), net.rng().random_range(0..3)) {
                (true, 0) => net.leave(number),
                (true, _) => net.crash(number),
                (false, _) => net.restart(number, &[0]),
            }
            let pause = net.rng().random_range(100..4_000);
            net.run_for(Duration::from_millis(pause));
        }
        net.run_for(seconds(2));
        let count = net.running().len();
        converge(&mut net, count, seconds(15));
        lookups_agree(&mut net, 4);
    }
}

/// Lookups that nodes pass on to each other are right: in a whole ring, while several nodes are dead, and while messages
/// are lost.
pub fn recursive_lookups_are_right<P: Overlay>(subject: &Subject<P>) {
    let mut subject = subject.clone();
    subject.node.routing = Routing::Recursive;
    for seed in seeds() {
        let mut net = converged(&subject, seed, 24);
        lookups_agree(&mut net, 4);
        let order = in_ring_order(&net);
        [order[3], order[4], order[17]].into_iter().for_each(|number| net.crash(number));
        lookups_end_within(&mut net, seconds(3));
        converge(&mut net, 21, seconds(10));
        lookups_agree(&mut net, 4);
        net.set_loss(20);
        lookups_agree(&mut net, 4);
    }
}

/// Hosts that all start at once: the first alone, each other with one of those before it as its seed.
pub fn together<P: Overlay>(subject: &Subject<P>, seed: u64, count: usize) -> Net<P> {
    let mut net = Net::new(subject.clone(), seed);
    for number in 0..count {
        let seeds = if number == 0 { vec![] } else { vec![net.rng().random_range(0..number)] };
        net.add(&seeds);
    }
    net
}

/// The same, once they are one ring.
pub fn converged<P: Overlay>(subject: &Subject<P>, seed: u64, count: usize) -> Net<P> {
    let mut net = together(subject, seed, count);
    converge(&mut net, count, seconds(30));
    net.run_for(seconds(5));
    net
}

/// Runs until `count` hosts are up and are one ring with the right owners; fails after `limit`.
pub fn converge<P: Overlay>(net: &mut Net<P>, count: usize, limit: Duration) {
    let mut wrong = String::new();
    let settled = net.run_until(limit, |net| match disagreement(net, count) {
        None => true,
        Some(why) => {
            wrong = why;
            false
        }
    });
    if !settled {
        net.fail(format!("{count} hosts were not one ring after {limit:?}: {wrong}"));
    }
}

/// What keeps the hosts that are up from being one ring, if anything.
fn disagreement<P: Overlay>(net: &Net<P>, count: usize) -> Option<String> {
    let views: Vec<_> = net.running().into_iter().map(|number| (number, net.view(number))).collect();
    if views.len() != count {
        return Some(format!("{} hosts are up, not {count}", views.len()));
    }
    for (number, view) in &views {
        if !net.is_ready(*number) {
            return Some(format!("host {number} ({}) is {:?}", view.me.id, view.state));
        }
        if view.ring != views[0].1.ring {
            return Some(format!("host {number} is in {:?}, host {} in {:?}", view.ring, views[0].0, views[0].1.ring));
        }
    }
    let members: Vec<Id> = views.iter().map(|(_, view)| view.me.id).collect();
    let probes = members.iter().flat_map(|id| [*id, id.plus_power(0), id.plus_power(id.space().bits() - 1)]);
    // And just behind each arc that is claimed: in an overlay where members own many arcs, nothing may be left out.
    let behind = views.iter().flat_map(|(_, view)| view.shares.iter().map(|share| share.range.upto.plus_power(0)));
    for probe in probes.chain(behind) {
        let owner = (net.subject().owner)(probe, &members);
        let claims = |view: &crate::View| view.shares.iter().any(|share| share.range.contains(probe));
        for (number, view) in &views {
            if claims(view) != (view.me.id == owner) {
                return Some(format!(
                    "{probe} belongs to {owner}; host {number} ({}) claims {:?}",
                    view.me.id, view.shares
                ));
            }
        }
    }
    None
}

/// Looks random identifiers up from every running host; each must be answered, and with the true owner.
pub fn lookups_agree<P: Overlay>(net: &mut Net<P>, each: usize) {
    let members: Vec<Id> = net.running().into_iter().map(|number| net.view(number).me.id).collect();
    for number in net.running() {
        for _ in 0..each {
            let target = random_id(net);
            let truth = (net.subject().owner)(target, &members);
            match net.lookup(number, target) {
                Ok(located) if located.owners.first().is_some_and(|owner| owner.id == truth) => {}
                other => net.fail(format!("{target} belongs to {truth}, but host {number} says {other:?}")),
            }
        }
    }
}

/// While the ring mends itself: lookups from every host end in an answer, none after more than `limit`.
pub fn lookups_end_within<P: Overlay>(net: &mut Net<P>, limit: Duration) {
    for number in net.running() {
        let target = random_id(net);
        let before = net.now();
        let result = net.lookup(number, target);
        let took = net.now().since(before);
        if took > limit || result.is_err() {
            net.fail(format!("looking {target} up at host {number} took {took:?} and gave {result:?}"));
        }
    }
}

/// A random identifier of the net's space.
pub fn random_id<P: Overlay>(net: &mut Net<P>) -> Id {
    let mut bytes = [0; 20];
    net.rng().fill(&mut bytes);
    net.subject().space.truncate(bytes)
}

/// The running hosts in the order of their identifiers.
pub fn in_ring_order<P: Overlay>(net: &Net<P>) -> Vec<usize> {
    let mut order = net.running();
    order.sort_by_key(|&number| net.view(number).me.id);
    order
}
