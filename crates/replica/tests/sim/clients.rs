//! Clients, and the primary's side of what they ask: order a key's writes, bring each to a majority, read from one.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use overlay::Failure;
use replica::{Conclusion, Holding, Member, Need, QuorumState, ReadQuorum, Readings, Role, Service, WriteQuorum};
use ring::Id;

use crate::holders::{Read, Stored};
use crate::records::{Put, Record, Version};
use crate::world::{Done, World};

/// A copy that takes longer counts as missed.
pub(crate) const COPY_TIMEOUT: Duration = Duration::from_millis(1_000);
/// A write that keeps meeting newer versions gives up.
const ROUNDS_MAX: usize = 8;

/// What became of bringing a record to a majority.
pub(crate) enum Replicated {
    Done,
    /// A holder has this newer version.
    Superseded(Member, Version),
    Failed,
}

/// What a client wants of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// A value, for so many milliseconds or for good.
    Put(Option<u64>),
    Delete,
}

struct Replicating {
    node: usize,
    place: Id,
    version: Version,
    quorum: WriteQuorum,
    done: Option<Done<Replicated>>,
}

/// What a primary itself has of a key.
#[derive(Clone, Copy)]
pub(crate) struct Own {
    record: Option<Record>,
    /// A newcomer may be without it.
    doubted: bool,
}

/// The newest record, and what the answers come to.
type Gathered = (Option<Record>, Conclusion<Version>);

struct Gathering {
    quorum: ReadQuorum,
    readings: Readings<Version>,
    newest: Option<Record>,
    doubted: bool,
    others: Vec<Member>,
    done: Option<Done<Option<Gathered>>>,
}

impl World {
    /// A node's part in a key's range, if it is the primary and serves.
    pub(crate) fn serving(&self, node: usize, key: u64) -> Option<Holding> {
        let holding = self.nodes[node].holdings.find(self.key_id(key))?;
        matches!(holding.service(), Service::Serves(_)).then(|| holding.clone())
    }

    /// The primary of a key as far as the nodes know, followed from the owner, or from anywhere.
    fn primary_of(&mut self, key: u64) -> Option<(usize, Holding)> {
        let id = self.key_id(key);
        let ring = self.ring();
        let asked = *ring.get(self.below(ring.len() as u64) as usize)?;
        // Some clients remember where they were served last, right or wrong.
        let mut node =
            if self.chance(self.weather.remembered) { asked } else { *self.owners_seen_by(asked, id).first()? };
        for _ in 0..4 {
            let holding = self.nodes[node].holdings.find(id)?;
            match holding.service() {
                Service::Serves(_) => return Some((node, holding.clone())),
                Service::Elsewhere => node = self.node_of(&holding.set.primary().peer),
                Service::Fenced | Service::TakingOver | Service::Missing => return None,
            }
            if !self.nodes[node].up || self.nodes[node].paused {
                return None;
            }
        }
        None
    }

    pub(crate) fn write(&mut self, key: u64) {
        self.change(key, Change::Put(None));
    }

    /// Writes a value that is there for so many milliseconds.
    pub(crate) fn write_for(&mut self, key: u64, ttl_ms: u64) {
        self.change(key, Change::Put(Some(ttl_ms)));
    }

    pub(crate) fn delete(&mut self, key: u64) {
        self.change(key, Change::Delete);
    }

    fn change(&mut self, key: u64, change: Change) {
        if let Some((node, _)) = self.primary_of(key) {
            self.order(node, key, change);
        }
    }

    /// The primary orders a write, if it takes itself for one.
    pub(crate) fn order(&mut self, node: usize, key: u64, change: Change) {
        let expires_at_ms = match change {
            Change::Put(ttl_ms) => ttl_ms.map(|ttl_ms| self.wall_ms(node) + ttl_ms),
            Change::Delete => None,
        };
        let live = change != Change::Delete;
        self.order_again(node, key, Record { version: Version::at(0, 0, 0), live, expires_at_ms }, None, 0);
    }

    /// Gives the record a version, above this one if that was met, and brings it to a majority.
    fn order_again(&mut self, node: usize, key: u64, record: Record, above: Option<Version>, round: usize) {
        let Some(part) = self.serving(node, key) else { return };
        let own = self.nodes[node].records.get(key);
        let above = above.max(own.map(|own| own.version));
        let version = self.nodes[node].clock.next(part.set.number, self.wall_ms(node), above);
        let record = Record { version, ..record };
        if self.put(node, key, record) != Put::Stored {
            return;
        }
        self.tried(key, record, own);
        let floor = self.floor.get(&key).copied();
        let (now, set) = (self.now, part.clone());
        self.replicate(node, part, key, record, move |world, replicated| match replicated {
            Replicated::Done => {
                world.log(|| format!("written {key} = {record:?}"));
                // A condition is judged by the primary's own copy.
                world.check_seen("the primary had", key, own, floor, now);
                world.check_newest(key, record, floor);
                world.writes_done += 1;
                world.deletes_done += u64::from(!record.live);
                world.acknowledged_writes.insert((key, record.version));
                world.check_replaced(key, record);
                world.acknowledged(key, record);
            }
            Replicated::Superseded(member, newer) if round + 1 < ROUNDS_MAX => {
                world.adopt(node, set, member, key, move |world| {
                    world.order_again(node, key, record, Some(newer), round + 1);
                });
            }
            _ => {}
        });
    }

    /// Takes over what a member has newer than this primary.
    fn adopt(&mut self, node: usize, part: Holding, member: Member, key: u64, done: impl FnOnce(&mut World) + 'static) {
        let finish = move |world: &mut World, result: Result<Read, Failure>| {
            if let Ok(Read::Holds(Some(record))) = result {
                world.observe(node, record.version);
                world.put(node, key, record);
            }
            done(world);
        };
        self.read_from(node, &member, part.set.number, key, finish);
    }

    /// Brings what the primary has stored to a majority and every newcomer.
    pub(crate) fn replicate(
        &mut self,
        node: usize,
        part: Holding,
        key: u64,
        record: Record,
        done: impl FnOnce(&mut World, Replicated) + 'static,
    ) {
        let Role::Primary { learners, .. } = part.role else { return };
        let (me, number, range) = (self.member(node), part.set.number, part.range);
        let learners: Vec<Member> = learners.into_iter().map(|learner| learner.member).collect();
        let mut quorum = WriteQuorum::new(&part.set, learners.iter().cloned(), Need::Majority);
        let state = quorum.on_ack(&me, true);
        let (place, version, done) = (self.key_id(key), record.version, Some(Box::new(done) as Done<Replicated>));
        let replicating = Rc::new(RefCell::new(Replicating { node, place, version, quorum, done }));
        self.replicated(&replicating, state);
        let members = part.set.members.into_iter().map(|member| (member, false));
        let targets = members.chain(learners.into_iter().map(|learner| (learner, true)));
        for (member, learner) in targets.filter(|(member, _)| !member.is(&me)) {
            let replicating = Rc::clone(&replicating);
            let to = member.clone();
            self.store_at(node, &to, number, vec![(key, record)], move |world, result| {
                let now = world.time();
                let state = match result {
                    Some(Stored::Kept) => replicating.borrow_mut().quorum.on_ack(&member, true),
                    Some(Stored::Superseded(newer)) => {
                        let done = replicating.borrow_mut().done.take();
                        return done
                            .into_iter()
                            .for_each(|done| done(world, Replicated::Superseded(member.clone(), newer)));
                    }
                    Some(Stored::Newer(range, set)) => {
                        world.newer(node, range, set);
                        QuorumState::Failed
                    }
                    None if learner => {
                        let dropped = world.nodes[node].control.drop_learner(now, range, number, &member);
                        world.effects(node);
                        // It may be in a later set already, as one that has everything.
                        if dropped { replicating.borrow_mut().quorum.on_failure(&member) } else { QuorumState::Failed }
                    }
                    None => {
                        world.nodes[node].control.on_lagging(now, range, number, &member);
                        world.effects(node);
                        replicating.borrow_mut().quorum.on_failure(&member)
                    }
                };
                world.replicated(&replicating, state);
            });
        }
    }

    fn replicated(&mut self, replicating: &Rc<RefCell<Replicating>>, state: QuorumState) {
        let outcome = match state {
            QuorumState::Pending => return,
            QuorumState::Done => Replicated::Done,
            QuorumState::Failed => Replicated::Failed,
        };
        let mut open = replicating.borrow_mut();
        let (node, place, version, done) = (open.node, open.place, open.version, open.done.take());
        drop(open);
        if let Some(done) = done {
            if matches!(outcome, Replicated::Done) {
                self.nodes[node].doubts.settle(&place, &version);
            }
            done(self, outcome);
        }
    }

    pub(crate) fn read(&mut self, key: u64) {
        let floor = self.floor.get(&key).copied();
        let Some((node, part)) = self.primary_of(key) else { return };
        let own = self.own(node, &part, key);
        let now = self.now;
        let (set, me) = (part.clone(), self.member(node));
        self.gather(node, part, key, own, move |world, gathered| {
            let Some((newest, conclusion)) = gathered else { return };
            let Some(record) = newest else { return world.was_read(key, None, floor, now) };
            if conclusion.write_back {
                return world.write_back(node, key, record, move |world, written| {
                    if let Some(record) = written {
                        world.was_read(key, Some(record), floor, now);
                    }
                });
            }
            // Those that answered with less are sent what is newer, behind the answer.
            for member in conclusion.behind {
                if member.is(&me) {
                    world.observe(node, record.version);
                    world.put(node, key, record);
                } else {
                    world.store_at(node, &member, set.set.number, vec![(key, record)], |_, _| {});
                }
            }
            world.was_read(key, Some(record), floor, now);
        });
    }

    /// What a primary itself has of a key, and whether a newcomer may be without it.
    fn own(&self, node: usize, part: &Holding, key: u64) -> Own {
        let doubted = !part.learners().is_empty() && self.nodes[node].doubts.any_about(&self.key_id(key));
        Own { record: self.nodes[node].records.get(key), doubted }
    }

    /// Asks as many members as are needed, one more whenever one fails.
    pub(crate) fn gather(
        &mut self,
        node: usize,
        part: Holding,
        key: u64,
        own: Own,
        done: impl FnOnce(&mut World, Option<Gathered>) + 'static,
    ) {
        let Own { record: own, doubted } = own;
        let me = self.member(node);
        let mut quorum = ReadQuorum::new(&part.set, Need::Majority);
        let mut readings = Readings::default();
        readings.on_answer(&me, own.map(|own| own.version));
        let state = quorum.on_answer(&me);
        let mut others: Vec<Member> = part.set.members.iter().filter(|member| !member.is(&me)).cloned().collect();
        let turn = self.below(others.len() as u64) as usize;
        others.rotate_left(turn);
        let first = others.split_off(others.len().saturating_sub(quorum.needed() - quorum.answered()));
        let gathering = Gathering { quorum, readings, newest: own, doubted, others, done: Some(Box::new(done)) };
        let gathering = Rc::new(RefCell::new(gathering));
        self.gathered(&gathering, &part, state);
        for member in first {
            self.ask_reading(node, &gathering, part.clone(), key, member);
        }
    }

    fn ask_reading(
        &mut self,
        node: usize,
        gathering: &Rc<RefCell<Gathering>>,
        part: Holding,
        key: u64,
        member: Member,
    ) {
        let gathering = Rc::clone(gathering);
        let to = member.clone();
        self.read_from(node, &to, part.set.number, key, move |world, result| {
            let mut next = None;
            let state = match result {
                Ok(Read::Newer(range, set)) => {
                    world.newer(node, range, set);
                    QuorumState::Failed
                }
                Ok(Read::Holds(record)) => {
                    let mut open = gathering.borrow_mut();
                    let version = record.map(|record| record.version);
                    if version > open.newest.map(|newest| newest.version) {
                        open.newest = record;
                    }
                    open.readings.on_answer(&member, version);
                    open.quorum.on_answer(&member)
                }
                Err(_) => {
                    let mut open = gathering.borrow_mut();
                    next = open.others.pop().filter(|_| open.done.is_some());
                    open.quorum.on_failure(&member)
                }
            };
            if let Some(next) = next {
                world.ask_reading(node, &gathering, part.clone(), key, next);
            }
            world.gathered(&gathering, &part, state);
        });
    }

    fn gathered(&mut self, gathering: &Rc<RefCell<Gathering>>, part: &Holding, state: QuorumState) {
        if state == QuorumState::Pending {
            return;
        }
        let mut open = gathering.borrow_mut();
        let readings = std::mem::take(&mut open.readings);
        let (newest, doubted, done) = (open.newest, open.doubted, open.done.take());
        drop(open);
        if let Some(done) = done {
            let conclude = || (newest, readings.conclude(&part.set, doubted, Need::Majority));
            done(self, (state == QuorumState::Done).then(conclude));
        }
    }

    /// Brings a record, version unchanged, to a majority of the set that this node is the primary of now; what is there then.
    pub(crate) fn write_back(
        &mut self,
        node: usize,
        key: u64,
        record: Record,
        done: impl FnOnce(&mut World, Option<Record>) + 'static,
    ) {
        self.observe(node, record.version);
        let Some(part) = self.serving(node, key) else { return done(self, None) };
        self.put(node, key, record);
        // A later write may have overtaken it.
        let Some(record) = self.nodes[node].records.get(key) else { return done(self, None) };
        let set = part.clone();
        self.replicate(node, part, key, record, move |world, replicated| match replicated {
            Replicated::Done => done(world, Some(record)),
            Replicated::Superseded(member, _) => world.adopt(node, set, member, key, |world| done(world, None)),
            Replicated::Failed => done(world, None),
        });
    }

    /// Sees to it that a record, or a newer one of its key, is on a majority of the set that this node is the primary of.
    pub(crate) fn secure(
        &mut self,
        node: usize,
        key: u64,
        record: Record,
        done: impl FnOnce(&mut World, bool) + 'static,
    ) {
        let Some(part) = self.serving(node, key) else { return done(self, false) };
        let own = self.own(node, &part, key);
        match own.record.filter(|held| held.version >= record.version) {
            Some(held) => self.gather(node, part, key, own, move |world, gathered| match gathered {
                None => done(world, false),
                Some((_, conclusion)) if conclusion.safe => done(world, true),
                Some((newest, _)) => {
                    let newest = newest.unwrap_or(held);
                    world.write_back(node, key, newest, |world, written| done(world, written.is_some()));
                }
            }),
            None => self.write_back(node, key, record, |world, written| done(world, written.is_some())),
        }
    }
}
