//! What is past its time becomes a deletion. Forgetting deletions: first all members say that they have them, then all
//! forget them, their primary last.

use std::collections::VecDeque;

use overlay::Failure;
use replica::{Holding, Member, forgotten_up_to, may_be_forgotten};

use crate::clients::COPY_TIMEOUT;
use crate::records::Version;
use crate::world::{MS, SECOND, World};

/// Some deletions on their way out.
struct Forgetting {
    node: usize,
    holding: Holding,
    /// Who is still to be asked whether it has them, and who to forget them.
    asked: VecDeque<Member>,
    told: VecDeque<Member>,
    /// All have been asked.
    now: bool,
    deletions: Vec<(u64, Version)>,
    /// Deletions up to here are old enough.
    horizon: u64,
    /// The ranges that come after this one.
    rest: VecDeque<Holding>,
}

impl World {
    pub(crate) fn forget_later(&mut self, node: usize) {
        let delay = SECOND + self.below(200 * MS);
        self.at(delay, Some(node), move |world| {
            let wall_ms = world.wall_ms(node);
            world.nodes[node].records.expire(wall_ms);
            let any = world.nodes[node].records.all().any(|(_, record)| !record.live);
            let ranges = &world.nodes[node].holdings.ranges;
            let quiet = ranges.iter().filter(|holding| any && holding.is_quiet()).cloned().collect();
            world.forget_in_turn(node, quiet);
        });
    }

    fn forget_in_turn(&mut self, node: usize, mut ranges: VecDeque<Holding>) {
        let (now, grace) = (self.clock(node), self.grace);
        let horizon = forgotten_up_to(now, grace);
        while let Some(holding) = ranges.pop_front() {
            let may_go = |version: Version| may_be_forgotten(version.clock, now, grace, holding.whole);
            let here = self.nodes[node].records.all();
            let deletions: Vec<(u64, Version)> = here
                .filter(|(key, record)| {
                    !record.live && may_go(record.version) && holding.range.contains(self.key_id(*key))
                })
                .map(|(key, record)| (key, record.version))
                .collect();
            if !deletions.is_empty() {
                let me = self.member(node);
                let asked: VecDeque<Member> =
                    holding.set.members.iter().filter(|member| !member.is(&me)).cloned().collect();
                let (told, now, rest) = (asked.clone(), false, ranges);
                return self.forget_step(Forgetting { node, holding, asked, told, now, deletions, horizon, rest });
            }
        }
        self.forget_later(node);
    }

    fn forget_step(&mut self, mut forgetting: Forgetting) {
        let (node, number) = (forgetting.node, forgetting.holding.set.number);
        if forgetting.deletions.is_empty() {
            return self.forget_in_turn(node, forgetting.rest);
        }
        if forgetting.asked.is_empty() && !forgetting.now {
            forgetting.now = true;
            // Whoever comes in from now on learns by this that they are gone. Whoever has begun to may need them yet.
            let records = &mut self.nodes[node].records;
            records.horizon = records.horizon.max(forgetting.horizon);
            if !self.nodes[node].holdings.are_quiet(forgetting.holding.range, number) {
                return self.forget_in_turn(node, forgetting.rest);
            }
        }
        let (now, horizon) = (forgetting.now, forgetting.horizon);
        let member = if now { forgetting.told.pop_front() } else { forgetting.asked.pop_front() };
        let Some(member) = member else {
            let mut gone = std::mem::take(&mut forgetting.deletions);
            gone.retain(|(key, _)| self.serving(node, *key).is_some_and(|part| part.set.number == number));
            self.forget_at(node, &gone);
            return self.forget_in_turn(node, forgetting.rest);
        };
        let deletions = forgetting.deletions.clone();
        let finish = move |world: &mut World, result: Result<Vec<(u64, Version)>, Failure>| {
            forgetting.deletions = result.unwrap_or_default();
            world.forget_step(forgetting);
        };
        self.ask_store(node, &member, COPY_TIMEOUT * 2, finish, move |world, there| {
            world.serve_forget(there, number, &deletions, now.then_some(horizon))
        });
    }

    pub(crate) fn forget_at(&mut self, node: usize, deletions: &[(u64, Version)]) {
        for (key, version) in deletions {
            self.log(|| format!("{node} forgets that {key} was deleted at {version:?}"));
            self.check_forgotten(node, *key, *version);
        }
        self.nodes[node].records.forget(deletions);
    }
}
