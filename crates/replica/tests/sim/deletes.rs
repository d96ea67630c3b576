//! Stories about deletes: that they are not undone by whoever was away, that they are forgotten in the end, and that
//! what was never deleted is not lost over it.

use std::rc::Rc;

use replica::{Holding, Role};

use crate::records::{KEYS, Record};
use crate::scenarios::{NODES_MAX, PLACES, grown, seeds};
use crate::world::{CALM, MS, ROUGH, SECOND, World};

impl World {
    /// What a node has that is not deleted.
    fn live_records(&self, node: usize) -> Vec<(u64, Record)> {
        self.nodes[node].records.all().filter(|(_, record)| record.live).collect()
    }

    /// None of what a node once had is gone without a trace: it, or something newer, is where it should be, or it was
    /// deleted, or set aside.
    fn check_accounted_for(&self, node: usize, had: &[(u64, Record)]) {
        for (key, record) in had {
            let holder = self.holders(self.key_id(*key)).first().copied();
            let held = holder.and_then(|holder| self.nodes[holder].records.get(*key));
            let newer = |version| version >= record.version;
            let traced = held.is_some_and(|held| newer(held.version))
                || self.ended(*key).any(|(deletion, _)| newer(deletion.version))
                || self.nodes.iter().any(|node| node.records.quarantine.contains(&(*key, *record)));
            assert!(traced, "seed {}: {node} had {record:?} of key {key}, now it is {held:?}", self.seed);
        }
    }

    /// Some node that is up, and not about to go.
    fn somebody(&mut self) -> usize {
        let ring: Vec<usize> = self.ring().into_iter().filter(|node| !self.nodes[*node].leaving).collect();
        ring[self.below(ring.len() as u64) as usize]
    }

    /// Somebody who is the primary of all that it holds, if there is one.
    pub(crate) fn some_primary(&mut self) -> usize {
        let only_primary = |node: &usize| {
            let ranges = &self.nodes[*node].holdings.ranges;
            let leads = |role: &Role| matches!(role, Role::Primary { .. });
            ranges.iter().any(|holding| leads(&holding.role))
                && ranges.iter().all(|holding| leads(&holding.role) || holding.role == Role::Outside)
        };
        self.ring().into_iter().find(only_primary).unwrap_or_else(|| self.somebody())
    }

    /// Another member of some set that it is the primary of.
    fn some_member_of(&mut self, primary: usize) -> Option<usize> {
        let leads = |holding: &&Holding| matches!(holding.role, Role::Primary { .. });
        let holdings = Rc::clone(&self.nodes[primary].holdings);
        let others = holdings.ranges.iter().filter(leads).flat_map(|holding| holding.set.members.iter().skip(1));
        let others: Vec<usize> = others.map(|member| self.node_of(&member.peer)).collect();
        let turn = self.below(others.len() as u64) as usize;
        others.get(turn).copied()
    }

    /// Long enough for deletions to be forgotten, while clients go on.
    fn outlast_grace(&mut self) {
        let grace = u64::try_from(self.grace.as_micros()).unwrap();
        let beyond = grace + 6 * SECOND + self.below(10 * SECOND);
        self.work_at(beyond, 250 * MS);
    }
}

#[test]
fn who_comes_back_after_the_grace_period_undoes_no_delete_and_loses_nothing() {
    let mut set_aside = 0;
    for seed in seeds(20) {
        let count = 3 + (seed / 3 % 4) as usize;
        let weather = if seed % 2 == 0 { CALM } else { ROUGH };
        let mut world = grown(seed, count, 2 + (seed / 2 % 2) as usize, None, weather);
        world.work(2 * SECOND);
        let away = world.somebody();
        world.crash(away);
        let had = world.live_records(away);
        world.work(2 * SECOND);
        world.outlast_grace();
        world.restart(away, true);
        world.work(2 * SECOND);
        world.heal();
        world.check_accounted_for(away, &had);
        world.wait_until_forgotten();
        set_aside += world.set_aside;
    }
    assert!(set_aside > 0 || seeds(20).len() == 1, "nobody came back with anything that was deleted");
}

#[test]
fn who_was_cut_off_or_stood_still_for_longer_than_the_grace_period_undoes_no_delete() {
    for seed in seeds(20) {
        let count = 4 + (seed % 5) as usize;
        let weather = if seed % 2 == 0 { CALM } else { ROUGH };
        let mut world = grown(seed, count, 2 + (seed % 4) as usize, None, weather);
        world.work(2 * SECOND);
        let first = world.some_primary();
        let mut away = vec![first];
        if world.chance(600) {
            away.extend(world.some_member_of(first));
        }
        let had: Vec<_> = away.iter().map(|node| (*node, world.live_records(*node))).collect();
        if seed / 2 % 2 == 0 {
            world.part(&away);
            world.work(SECOND);
            world.outlast_grace();
            world.part(&[]);
        } else {
            let duration = 16 * SECOND + world.below(8 * SECOND);
            world.pause(away[0], duration);
            world.work(SECOND);
            world.work_at(duration, 200 * MS);
        }
        world.work(2 * SECOND);
        world.heal();
        for (node, had) in had {
            world.check_accounted_for(node, &had);
        }
        world.wait_until_forgotten();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
    }
}

#[test]
fn who_comes_back_within_the_grace_period_has_nothing_set_aside_that_counts() {
    for seed in seeds(12) {
        let weather = if seed % 2 == 0 { CALM } else { ROUGH };
        let mut world = grown(seed, 3 + (seed % 4) as usize, 1 + (seed % 3) as usize, None, weather);
        for _ in 0..3 {
            let away = world.somebody();
            world.crash(away);
            let had = world.live_records(away);
            let pause = world.below(5 * SECOND);
            world.work(pause);
            world.restart(away, true);
            world.work(SECOND);
            world.heal();
            world.check_accounted_for(away, &had);
            world.weather = if seed % 2 == 0 { CALM } else { ROUGH };
        }
        world.heal();
        world.wait_until_forgotten();
    }
}

#[test]
fn deletes_during_joins_and_hand_overs_stay_and_are_forgotten() {
    for seed in seeds(16) {
        let weather = if seed % 2 == 0 { CALM } else { ROUGH };
        let mut world = grown(seed, 3, 1 + (seed % 3) as usize, None, weather);
        for turn in 0..5 {
            match turn % 2 {
                0 if world.nodes.len() < NODES_MAX => {
                    let place = PLACES[world.nodes.len()];
                    world.start(place);
                }
                _ => {
                    let leaver = world.somebody();
                    world.leave(leaver);
                }
            }
            let pause = world.below(5 * SECOND);
            world.work(pause);
        }
        world.work_at(10 * SECOND, 150 * MS);
        world.wait_for_leavers();
        world.heal();
        world.wait_until_forgotten();
        assert!(world.deletes_done > 20 && world.forgotten > 0, "seed {seed}");
    }
}

#[test]
fn a_copy_that_went_missing_is_found_by_the_next_comparison_and_brought_back() {
    for seed in seeds(20) {
        let mut world = grown(seed, 3 + (seed % 3) as usize, 2 + (seed % 2) as usize, None, CALM);
        world.work(2 * SECOND);
        world.heal();
        for _ in 0..3 {
            world.lose_some_copy();
            world.repair_in_time();
        }
    }
}

impl World {
    /// Something happens to a disk: one copy is gone, and its holder does not know.
    pub(crate) fn lose_some_copy(&mut self) {
        let first = self.below(KEYS);
        for key in (0..KEYS).map(|turn| (first + turn) % KEYS) {
            let holders = self.holders(self.key_id(key));
            let victim = holders[self.below(holders.len() as u64) as usize];
            if self.nodes[victim].records.get(key).is_some_and(|record| record.live) {
                self.log(|| format!("{victim} loses key {key}"));
                return self.nodes[victim].records.lose(key);
            }
        }
    }

    /// Nothing happens, but what is done now and then.
    pub(crate) fn repair_in_time(&mut self) {
        let limit = u64::try_from((2 * self.config.repair_period).as_micros()).unwrap() + SECOND;
        assert_eq!(self.unhealed(), None);
        let repaired = self.run_until(limit, |world| world.misplaced().is_none());
        assert!(repaired, "seed {}: after two periods: {:?}", self.seed, self.misplaced());
    }
}

#[test]
fn deletes_crashes_joins_leaves_pauses_and_partitions_together_lose_and_undo_nothing() {
    for seed in seeds(15) {
        let mut world = grown(seed, 3 + (seed % 5) as usize, 1 + (seed % 4) as usize, None, ROUGH);
        for turn in 0..10 {
            let pause = world.below(2 * SECOND);
            world.work(pause);
            if turn % 5 == 4 {
                world.work_at(12 * SECOND, 300 * MS);
            }
            world.disturb();
        }
        world.part(&[]);
        world.run(SECOND);
        for node in 0..world.nodes.len() {
            if !world.nodes[node].up && !world.nodes[node].left {
                world.restart(node, true);
            }
        }
        world.run(10 * SECOND);
        world.wait_for_leavers();
        world.heal();
        world.wait_until_forgotten();
        assert_eq!(world.forced + world.begun_empty, 0, "seed {seed}");
    }
}
