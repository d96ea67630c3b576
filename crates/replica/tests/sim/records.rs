//! The model data path: one number per key, kept, copied and read by the daemon's rules.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use overlay::{Failure, Peer};
use replica::{Holding, Holdings, Job, JobId, Member, QuorumState, ReadQuorum, Request, Role, Set, WriteQuorum};
use ring::{Id, Range};

use crate::world::{MS, SECOND, World};

const TIMEOUT: Duration = Duration::from_millis(800);
/// What was fetched lately is no stray.
const KEEP_FETCHED: u64 = 20 * SECOND;

/// A node's store: keys are identifiers here.
#[derive(Default, Clone, Debug)]
pub(crate) struct Records {
    pub(crate) versions: BTreeMap<u64, u64>,
    fetched: Vec<(Range, u64)>,
}

impl Records {
    pub(crate) fn restarted(&mut self) {
        self.fetched.clear();
    }

    fn put(&mut self, key: u64, version: u64) -> bool {
        let held = self.versions.entry(key).or_insert(version);
        let stored = *held <= version;
        *held = version.max(*held);
        stored
    }
}

enum Stored {
    Yes,
    Superseded,
    Newer(Range, Set),
}

enum Listed {
    Entries(Vec<(u64, u64)>),
    Newer(Range, Set),
}

impl World {
    fn rng_below(&mut self, limit: usize) -> usize {
        self.below(limit as u64) as usize
    }

    pub(crate) fn key_id(&self, key: u64) -> Id {
        self.space.id(key).unwrap()
    }

    fn listing(&self, node: usize, range: Range) -> Vec<(u64, u64)> {
        let versions = &self.nodes[node].records.versions;
        versions
            .iter()
            .filter(|(key, _)| range.contains(self.key_id(**key)))
            .map(|(key, version)| (*key, *version))
            .collect()
    }

    fn newer(&mut self, node: usize, range: Range, set: Set) {
        let now = self.time();
        self.nodes[node].control.on_newer(now, range, set);
        self.effects(node);
    }

    // Jobs.

    pub(crate) fn start_job(&mut self, node: usize, id: JobId, job: Job) {
        match job {
            Job::Sync { range, set } => {
                let now = self.now;
                self.nodes[node].records.fetched.push((range, now));
                let needed = set.majority();
                self.fetch_in_turn(node, id, range, set, 0, 0, needed);
            }
            Job::Takeover { range, set, before } => self.take_over(node, id, range, set, &before),
            Job::Spread { range, set, to } => self.spread(node, id, range, set, to),
        }
    }

    fn job_done(&mut self, node: usize, id: JobId, result: Result<(), String>) {
        if self.nodes[node].jobs.remove(&id) {
            let now = self.time();
            self.nodes[node].control.on_job(now, id, result);
            self.effects(node);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one loop spelt as a chain of calls")]
    fn fetch_in_turn(&mut self, node: usize, id: JobId, range: Range, set: Set, at: usize, got: usize, needed: usize) {
        if got >= needed {
            let now = self.now;
            self.nodes[node].records.fetched.push((range, now));
            return self.job_done(node, id, Ok(()));
        }
        let Some(member) = set.members.get(at).cloned() else { return self.job_done(node, id, Err("too few".into())) };
        let listed_under = set.clone();
        self.list(node, &member, range, listed_under, move |world, result| {
            if !world.nodes[node].jobs.contains(&id) {
                return;
            }
            match result {
                Some(true) => world.fetch_in_turn(node, id, range, set, at + 1, got + 1, needed),
                Some(false) => world.job_done(node, id, Err("newer set".into())),
                None if at == 0 => world.job_done(node, id, Err("no primary".into())),
                None => world.fetch_in_turn(node, id, range, set, at + 1, got, needed),
            }
        });
    }

    fn take_over(&mut self, node: usize, id: JobId, range: Range, set: Set, before: &Set) {
        let me = self.member(node);
        let others: Vec<Member> = before.members.iter().filter(|member| !member.is(&me)).cloned().collect();
        let needed = before.majority();
        let got = Rc::new(RefCell::new((usize::from(before.includes(&me)), others.len())));
        if got.borrow().0 >= needed {
            return self.at(MS, Some(node), move |world| world.job_done(node, id, Ok(())));
        }
        for member in others {
            let got = Rc::clone(&got);
            self.list(node, &member, range, set.clone(), move |world, result| {
                got.borrow_mut().1 -= 1;
                if result == Some(true) {
                    got.borrow_mut().0 += 1;
                }
                let (yes, open) = *got.borrow();
                if yes >= needed {
                    world.job_done(node, id, Ok(()));
                } else if result == Some(false) || open == 0 {
                    world.job_done(node, id, Err("not enough".into()));
                }
            });
        }
    }

    /// Fetches everything newer from a member: some(true) it is here, some(false) there is a newer set, none no answer.
    fn list(
        &mut self,
        node: usize,
        from: &Member,
        range: Range,
        set: Set,
        done: impl FnOnce(&mut World, Option<bool>) + 'static,
    ) {
        let me = self.member(node);
        let store = from.store;
        let to = self.at_now(&from.peer);
        let finish = move |world: &mut World, result: Result<Listed, Failure>| match result {
            Ok(Listed::Entries(entries)) => {
                for (key, version) in entries {
                    world.nodes[node].records.put(key, version);
                }
                done(world, Some(true));
            }
            Ok(Listed::Newer(range, set)) => {
                world.newer(node, range, set);
                done(world, Some(false));
            }
            Err(_) => done(world, None),
        };
        self.ask(node, &to, TIMEOUT, finish, move |world, there| {
            if world.nodes[there].store != store {
                return None;
            }
            let older = |holding: &Holding| holding.set.number < set.number;
            if over(&world.nodes[there].holdings, range).any(older) {
                world.serve(there, &me, vec![Request::Install { range, set: set.clone(), before: None }]);
            }
            let newer = over(&world.nodes[there].holdings, range).find(|holding| holding.set.number > set.number);
            match newer.map(|holding| (holding.range, holding.set.clone())) {
                Some((range, set)) => Some(Listed::Newer(range, set)),
                None => Some(Listed::Entries(world.listing(there, range))),
            }
        });
    }

    fn spread(&mut self, node: usize, id: JobId, range: Range, set: Set, to: Member) {
        // Both ways, as the daemon does: what the member has newer comes here first.
        let target = to.clone();
        let under = set.clone();
        let before = self.listing(node, range);
        self.list(node, &to, range, under, move |world, result| {
            if result != Some(true) {
                return world.job_done(node, id, Err("not listed".into()));
            }
            if world.listing(node, range) != before {
                // What the member had newer, the other members lack, perhaps.
                let now = world.time();
                for member in set.members.iter().skip(1).filter(|member| !member.is(&target)) {
                    world.nodes[node].control.on_lagging(now, range, set.number, member);
                }
                world.effects(node);
            }
            let entries = world.listing(node, range);
            world.store_at(node, &target, set.number, entries, move |world, result| {
                let taken = matches!(result, Some(Stored::Yes | Stored::Superseded));
                world.job_done(node, id, if taken { Ok(()) } else { Err("not stored".into()) });
            });
        });
    }

    fn at_now(&self, peer: &Peer) -> Peer {
        self.peer(self.node_of(peer))
    }

    fn store_at(
        &mut self,
        node: usize,
        to: &Member,
        number: u64,
        entries: Vec<(u64, u64)>,
        done: impl FnOnce(&mut World, Option<Stored>) + 'static,
    ) {
        let store = to.store;
        let to = self.at_now(&to.peer);
        let finish = move |world: &mut World, result: Result<Stored, Failure>| done(world, result.ok());
        self.ask(node, &to, TIMEOUT, finish, move |world, there| {
            if world.nodes[there].store != store {
                return None;
            }
            let mut all = Stored::Yes;
            for (key, version) in &entries {
                match world.nodes[there].holdings.find(world.key_id(*key)) {
                    Some(holding) if holding.set.number > number => {
                        return Some(Stored::Newer(holding.range, holding.set.clone()));
                    }
                    Some(holding) if holding.set.number == number && holding.fenced => return None,
                    _ => {}
                }
                if !world.nodes[there].records.put(*key, *version) {
                    all = Stored::Superseded;
                }
            }
            Some(all)
        });
    }

    // Clients.

    /// The primary of a key as far as the nodes know, followed from the owner, or from anywhere.
    fn primary_of(&mut self, key: u64) -> Option<(usize, Holding)> {
        let id = self.key_id(key);
        let ring = self.ring();
        let asked = *ring.get(self.rng_below(ring.len()))?;
        // Some clients remember where they were served last, right or wrong.
        let mut node =
            if self.chance(self.weather.remembered) { asked } else { *self.owners_seen_by(asked, id).first()? };
        for _ in 0..4 {
            let holding = self.nodes[node].holdings.find(id)?.clone();
            match holding.role {
                Role::Primary { .. } if !holding.fenced => return Some((node, holding)),
                Role::Primary { .. } | Role::TakingOver => return None,
                _ => node = self.node_of(&holding.set.primary().peer),
            }
            if !self.nodes[node].up || self.nodes[node].paused {
                return None;
            }
        }
        None
    }

    pub(crate) fn write(&mut self, key: u64) {
        let Some((node, holding)) = self.primary_of(key) else { return };
        self.versions += 1;
        let version = self.versions;
        let floor = self.floor.get(&key).copied().unwrap_or(0);
        let own = self.nodes[node].records.versions.get(&key).copied().unwrap_or(0);
        if !self.nodes[node].records.put(key, version) {
            return;
        }
        self.replicate(node, holding, key, version, move |world, key, version| {
            world.log(|| format!("written {key} = {version}"));
            // A condition is judged by the primary's own copy.
            assert!(
                own >= floor || world.excused,
                "seed {}: primary {node} had {own} of key {key} when {floor} had been acknowledged or read",
                world.seed
            );
            world.writes_done += 1;
            let floor = world.floor.entry(key).or_insert(0);
            *floor = version.max(*floor);
        });
    }

    /// Brings what the primary has stored to a majority and every newcomer; then calls `done`.
    fn replicate(
        &mut self,
        node: usize,
        holding: Holding,
        key: u64,
        version: u64,
        done: impl FnOnce(&mut World, u64, u64) + 'static,
    ) {
        let Role::Primary { learners, .. } = &holding.role else { return };
        let me = self.member(node);
        let learners: Vec<Member> = learners.iter().map(|learner| learner.member.clone()).collect();
        let mut quorum = WriteQuorum::new(&holding.set, learners.clone());
        if quorum.on_ack(&me, true) == QuorumState::Done {
            return done(self, key, version);
        }
        let state = Rc::new(RefCell::new((quorum, Some(done))));
        let number = holding.set.number;
        let targets = holding.set.members.iter().map(|member| (member.clone(), false));
        let targets: Vec<(Member, bool)> = targets.chain(learners.into_iter().map(|learner| (learner, true))).collect();
        for (member, learner) in targets.into_iter().filter(|(member, _)| !member.is(&me)) {
            let state = Rc::clone(&state);
            let range = holding.range;
            let to = member.clone();
            self.store_at(node, &to, number, vec![(key, version)], move |world, result| {
                let now = world.time();
                let outcome = match result {
                    Some(Stored::Yes) => state.borrow_mut().0.on_ack(&member, true),
                    Some(Stored::Superseded) => {
                        state.borrow_mut().1 = None;
                        return;
                    }
                    Some(Stored::Newer(range, set)) => {
                        state.borrow_mut().1 = None;
                        return world.newer(node, range, set);
                    }
                    None if learner => {
                        let dropped = world.nodes[node].control.drop_learner(now, range, number, &member);
                        world.effects(node);
                        if !dropped {
                            state.borrow_mut().1 = None;
                            return;
                        }
                        state.borrow_mut().0.on_failure(&member)
                    }
                    None => {
                        world.nodes[node].control.on_lagging(now, range, number, &member);
                        world.effects(node);
                        state.borrow_mut().0.on_failure(&member)
                    }
                };
                let finished = if outcome == QuorumState::Done { state.borrow_mut().1.take() } else { None };
                if let Some(done) = finished {
                    done(world, key, version);
                }
            });
        }
    }

    pub(crate) fn read(&mut self, key: u64) {
        let floor = self.floor.get(&key).copied().unwrap_or(0);
        let Some((node, holding)) = self.primary_of(key) else { return };
        let me = self.member(node);
        let own = self.nodes[node].records.versions.get(&key).copied().unwrap_or(0);
        let mut quorum = ReadQuorum::new(&holding.set);
        let state = quorum.on_answer(&me);
        let gathered = Rc::new(RefCell::new((quorum, vec![own], false)));
        if state == QuorumState::Done {
            return self.gathered(node, holding, key, vec![own], floor);
        }
        for member in holding.set.members.clone().into_iter().filter(|member| !member.is(&me)) {
            let (gathered, holding) = (Rc::clone(&gathered), holding.clone());
            let (store, number) = (member.store, holding.set.number);
            let to = self.at_now(&member.peer);
            let finish = move |world: &mut World, result: Result<Option<u64>, Failure>| {
                let mut state = gathered.borrow_mut();
                let outcome = match result {
                    Ok(Some(version)) => {
                        state.1.push(version);
                        state.0.on_answer(&member)
                    }
                    // It knows a newer set: over.
                    Ok(None) => {
                        state.2 = true;
                        return;
                    }
                    Err(_) => state.0.on_failure(&member),
                };
                if outcome == QuorumState::Done && !state.2 {
                    state.2 = true;
                    let versions = state.1.clone();
                    drop(state);
                    world.gathered(node, holding, key, versions, floor);
                }
            };
            self.ask(node, &to, TIMEOUT, finish, move |world, there| {
                if world.nodes[there].store != store {
                    return None;
                }
                let holding = world.nodes[there].holdings.find(world.key_id(key))?;
                if holding.set.number > number {
                    return Some(None);
                }
                if holding.fenced || matches!(holding.role, Role::Newcomer | Role::Outside) {
                    return None;
                }
                Some(Some(world.nodes[there].records.versions.get(&key).copied().unwrap_or(0)))
            });
        }
    }

    fn gathered(&mut self, node: usize, holding: Holding, key: u64, versions: Vec<u64>, floor: u64) {
        let newest = versions.iter().copied().max().unwrap_or(0);
        let holders = versions.iter().filter(|version| **version == newest).count();
        if newest == 0 || holders >= holding.set.majority() {
            return self.was_read(key, newest, floor);
        }
        // Write back under the primary's present part, as the daemon does.
        let Some(now) = self.nodes[node].holdings.find(self.key_id(key)).cloned() else { return };
        if !matches!(now.role, Role::Primary { .. }) || now.fenced || !self.nodes[node].records.put(key, newest) {
            return;
        }
        self.replicate(node, now, key, newest, move |world, key, version| world.was_read(key, version, floor));
    }

    fn was_read(&mut self, key: u64, version: u64, floor: u64) {
        self.reads_done += 1;
        self.log(|| format!("read {key} = {version}, floor {floor}"));
        assert!(
            version >= floor || self.excused,
            "seed {}: read {version} of key {key} after {floor} was acknowledged or read, at {} s",
            self.seed,
            self.now / SECOND
        );
        if !self.excused {
            let known = self.floor.entry(key).or_insert(0);
            *known = version.max(*known);
        }
    }

    // Strays.

    pub(crate) fn sweep_later(&mut self, node: usize) {
        let delay = SECOND + self.below(SECOND);
        self.at(delay, Some(node), move |world| {
            if world.nodes[node].in_ring {
                let strays: Vec<(u64, u64)> =
                    world.nodes[node].records.versions.iter().map(|(key, version)| (*key, *version)).collect();
                for (key, version) in strays {
                    if world.is_foreign(node, key) {
                        world.offer(node, key, version);
                    }
                }
            }
            world.sweep_later(node);
        });
    }

    fn is_foreign(&self, node: usize, key: u64) -> bool {
        let id = self.key_id(key);
        let process = &self.nodes[node];
        let held = process.holdings.find(id).is_some_and(|holding| holding.role != Role::Outside);
        let fetched =
            process.records.fetched.iter().any(|(range, at)| self.now - at < KEEP_FETCHED && range.contains(id));
        !held && !fetched
    }

    fn offer(&mut self, node: usize, key: u64, version: u64) {
        let Some((primary, _)) = self.primary_of(key) else { return };
        if primary == node {
            return;
        }
        let confirmed: Rc<RefCell<bool>> = Rc::default();
        let seen = Rc::clone(&confirmed);
        let to = self.peer(primary);
        // The primary's answer comes once it is sure; modelled as a flag that the next offer of the same record finds set.
        self.ask(
            node,
            &to,
            TIMEOUT,
            move |world: &mut World, result: Result<bool, Failure>| {
                if (result == Ok(true) || *seen.borrow()) && world.is_foreign(node, key) {
                    let held = &mut world.nodes[node].records.versions;
                    if held.get(&key) == Some(&version) {
                        held.remove(&key);
                    }
                }
            },
            move |world, there| {
                let holding = world.nodes[there].holdings.find(world.key_id(key))?.clone();
                let Role::Primary { settled, .. } = holding.role else { return None };
                if holding.fenced {
                    return None;
                }
                let held = world.nodes[there].records.versions.get(&key).copied().unwrap_or(0);
                if held >= version {
                    return Some(settled);
                }
                world.nodes[there].records.put(key, version);
                world.replicate(there, holding, key, version, |_, _, _| {});
                Some(false)
            },
        );
    }
}

fn over(holdings: &Holdings, range: Range) -> impl Iterator<Item = &Holding> {
    holdings.ranges.iter().filter(move |holding| !holding.range.intersect(range).is_empty())
}
