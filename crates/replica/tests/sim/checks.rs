//! What must never happen, and what must hold once the world has been left alone for a while.

use std::collections::BTreeSet;
use std::time::Duration;

use replica::{Member, Piece, Role};
use ring::Id;

use crate::overlay_view::Layout;
use crate::records::{COUNTER_BITS, KEYS, Record, Version};
use crate::scenarios::TTL_MAX_MS;
use crate::world::{SECOND, World};

/// What a primary had of a key as it ordered a write.
#[derive(Debug)]
pub(crate) struct Replaced {
    version: Option<Version>,
    /// By some clock that was no value.
    absent: bool,
    /// The latest that any clock said then.
    latest_ms: u64,
}

impl World {
    /// No identifier ever has two different sets of the same number, unless survivors made them.
    pub(crate) fn check_history(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            assert!(!piece.set.members.is_empty());
            let members: Vec<(Id, u64)> =
                piece.set.members.iter().map(|member| (member.peer.id, member.store)).collect();
            if piece.set.forced {
                self.excused |= self.config.replicas > 0;
                continue;
            }
            for id in self.ids.iter().filter(|id| piece.range.contains(**id)) {
                let before = self.history.entry((*id, piece.set.number)).or_insert_with(|| members.clone());
                assert_eq!(*before, members, "seed {}: two sets of number {} for {id}", self.seed, piece.set.number);
            }
        }
    }

    /// Why the world is not as it should be, if so: every set is the wanted holders, settled.
    pub(crate) fn unhealed(&self) -> Option<String> {
        for id in self.ids.iter().copied() {
            let owners: Vec<usize> = self.owners(id).into_iter().filter(|node| !self.nodes[*node].leaving).collect();
            let holders = self.holders(id);
            let wanted: BTreeSet<Id> = holders.iter().map(|node| self.nodes[*node].id).collect();
            let staying = |node: &&usize| owners.contains(node);
            if holders.iter().filter(staying).count() != self.config.replicas.min(owners.len()) {
                return Some(format!("{id}: held by {holders:?} of {owners:?}"));
            }
            let owner = *owners.first()?;
            let Some(holding) = self.nodes[owner].holdings.find(id) else {
                return Some(format!("{id}: its owner {owner} knows no set"));
            };
            let members: BTreeSet<Id> = holding.set.members.iter().map(|member| member.peer.id).collect();
            if members != wanted {
                return Some(format!("{id}: members {members:?}, wanted {wanted:?} (owner {owner}, {:?})", holding));
            }
            // The owner itself, unless data lies apart from owners.
            let primary = self.node_of(&holding.set.primary().peer);
            if self.layout != Layout::Apart && primary != owner {
                return Some(format!("{id}: {primary} is the primary, not its owner {owner}"));
            }
            let part = self.nodes[primary].holdings.find(id);
            if !part.is_some_and(|part| matches!(part.role, Role::Primary { settled: true, .. }) && !part.fenced) {
                return Some(format!("{id}: its primary {primary} says {part:?}"));
            }
            for node in &holders {
                let me = self.member(*node);
                let found = self.nodes[*node].holdings.find(id);
                let same = found.is_some_and(|found| found.set == holding.set && found.set.includes(&me));
                if !same {
                    return Some(format!("{id}: {node} says {found:?}, not {:?}", holding.set));
                }
            }
        }
        None
    }

    /// A client asked for this write; whether it takes effect nobody knows yet. `own` is what the primary had.
    pub(crate) fn tried(&mut self, key: u64, record: Record, own: Option<Record>) {
        let now = self.now;
        if record.ends() {
            self.deletions.entry(key).or_default().push((record, now));
        }
        let version = own.map(|own| own.version);
        let absent = own.is_none_or(|own| self.may_be_over(&own));
        self.replaced.insert((key, record.version), Replaced { version, absent, latest_ms: self.latest_ms() });
    }

    /// A client is told of this record. Whoever made its write depend on what was there was right: nothing that anybody
    /// was told of lies between what the primary had and what it made of it.
    pub(crate) fn check_replaced(&mut self, key: u64, record: Record) {
        let latest = self.latest_set(key);
        let told = self.told.entry(key).or_default();
        let before = told.range(..record.version).next_back().map(|(_, before)| *before);
        told.insert(record.version, record);
        self.told_under.entry((key, record.version)).or_insert(latest);
        let Some(replaced) = self.replaced.get(&(key, record.version)) else { return };
        // A deletion in between may have been forgotten already.
        let deleted = |before: Record| {
            let between = |version| before.version < version && version < record.version;
            let mut ended = self.ended(key).filter(|(_, at)| self.is_past_grace(*at));
            before.is_over(replaced.latest_ms) || ended.any(|(one, _)| between(one.version))
        };
        // One that nobody acknowledged may have been out of reach of a later set, and come late over what that one served.
        let is_known = self.acknowledged_writes.contains(&(key, record.version));
        let came_late = |before: Record| {
            !is_known && self.told_under.get(&(key, before.version)).is_some_and(|under| *under > record.version.term)
        };
        let same = |before: Record| {
            Some(before.version) <= replaced.version || replaced.absent && deleted(before) || came_late(before)
        };
        assert!(
            before.is_none_or(same) || self.excused,
            "seed {}: {record:?} of key {key} takes effect, ordered where there was {replaced:?}, after {before:?} had been \
             acknowledged or read",
            self.seed
        );
    }

    /// The number of the latest set of a key that anybody knows.
    fn latest_set(&self, key: u64) -> u64 {
        let id = self.key_id(key);
        let numbers = self.nodes.iter().filter_map(|node| node.holdings.find(id)).map(|holding| holding.set.number);
        numbers.max().unwrap_or(0)
    }

    /// The latest that any clock says.
    fn latest_ms(&self) -> u64 {
        self.true_ms() + self.drift_ms()
    }

    /// By some clock it is no value any more.
    fn may_be_over(&self, record: &Record) -> bool {
        record.is_over(self.latest_ms())
    }

    /// Deletions of a key that were tried, values past their time among them, and when.
    pub(crate) fn ended(&self, key: u64) -> impl Iterator<Item = (Record, u64)> {
        let tried = self.deletions.get(&key).into_iter().flatten().copied();
        tried.filter(|(record, _)| self.may_be_over(record))
    }

    /// A client was told that this write took effect.
    pub(crate) fn acknowledged(&mut self, key: u64, record: Record) {
        let floor = self.floor.entry(key).or_insert(record);
        if floor.version < record.version {
            *floor = record;
        }
    }

    /// A client was told what a key has. `floor` is what was acknowledged or read before it asked, at `asked`.
    pub(crate) fn was_read(&mut self, key: u64, found: Option<Record>, floor: Option<Record>, asked: u64) {
        self.reads_done += 1;
        self.log(|| format!("read {key} = {found:?}, floor {floor:?}"));
        self.check_seen("somebody read", key, found, floor, asked);
        // What a read that found nothing saw is some deletion that was forgotten since: the oldest there may have been.
        let seen = found.or_else(|| self.forgotten_after(key, floor));
        if let Some(found) = found {
            self.check_replaced(key, found);
        }
        if let Some(seen) = seen.filter(|_| !self.excused) {
            self.acknowledged(key, seen);
        }
    }

    /// What is seen of a key is not older than what was acknowledged or read before.
    pub(crate) fn check_seen(&self, who: &str, key: u64, seen: Option<Record>, floor: Option<Record>, asked: u64) {
        assert!(
            self.is_new_enough(key, seen, floor) || self.excused,
            "seed {}: {who} {seen:?} of key {key} at {} s, asked at {} s after {floor:?} had been acknowledged or read",
            self.seed,
            self.now as f64 / SECOND as f64,
            asked as f64 / SECOND as f64
        );
    }

    /// A write that was begun after another was acknowledged wins over that.
    pub(crate) fn check_newest(&self, key: u64, written: Record, floor: Option<Record>) {
        assert!(
            floor.is_none_or(|floor| written.version > floor.version) || self.excused,
            "seed {}: {written:?} of key {key} was acknowledged, and begun after {floor:?} was",
            self.seed
        );
    }

    fn is_new_enough(&self, key: u64, seen: Option<Record>, floor: Option<Record>) -> bool {
        match (seen, floor) {
            (Some(seen), Some(floor)) => seen.version >= floor.version,
            (None, Some(floor)) if floor.live => self.forgotten_after(key, Some(floor)).is_some(),
            (_, None) | (None, Some(_)) => true,
        }
    }

    /// The oldest deletion after `floor` that was tried so long ago that it may have been forgotten.
    fn forgotten_after(&self, key: u64, floor: Option<Record>) -> Option<Record> {
        // The floor itself may have been a value for a while.
        let after = |record: &Record| floor.is_none_or(|floor| floor.live && record.version >= floor.version);
        let old = self.ended(key).filter(|(record, at)| after(record) && self.is_past_grace(*at));
        old.map(|(record, _)| record).min_by_key(|record| record.version)
    }

    /// Whether by any clock that may be the grace period is over.
    fn is_past_grace(&self, since: u64) -> bool {
        let grace_ms = u64::try_from(self.grace.as_millis()).unwrap();
        (self.now - since) / 1_000 + 2 * self.drift_ms() + 1 >= grace_ms
    }

    /// A deletion is remembered for the grace period.
    pub(crate) fn check_forgotten(&mut self, node: usize, key: u64, version: Version) {
        self.forgotten += 1;
        let ended = self.ended(key).find(|(record, _)| record.version == version);
        let (_, at) =
            ended.unwrap_or_else(|| panic!("seed {}: {node} forgets key {key}, which has a value", self.seed));
        assert!(
            self.is_past_grace(at),
            "seed {}: {node} forgets that key {key} was deleted after {} s",
            self.seed,
            (self.now - at) / SECOND
        );
    }

    /// Nothing is set aside that somebody relies on: an acknowledged value that nobody has deleted since.
    pub(crate) fn check_set_aside(&mut self, node: usize, key: u64, record: Record) {
        self.set_aside += 1;
        let relied_on = self.floor.get(&key) == Some(&record);
        let deleted = self.ended(key).any(|(one, _)| one.version > record.version);
        assert!(
            self.may_be_over(&record) || !relied_on || deleted || self.excused,
            "seed {}: {node} sets aside {record:?} of key {key} at {} s, which is live",
            self.seed,
            self.now / SECOND
        );
    }

    /// A stray that its owner confirms, and that so may be erased where it was, is on a majority of the owner's set, or
    /// something newer is; unless it was deleted, and that forgotten, meanwhile.
    pub(crate) fn check_secured(&self, owner: usize, key: u64, version: Version) {
        let Some(part) = self.serving(owner, key) else { return };
        let has = |member: &&Member| {
            let node = &self.nodes[self.node_of(&member.peer)];
            node.store == member.store && node.records.get(key).is_some_and(|record| record.version >= version)
        };
        let copies = part.set.members.iter().filter(has).count();
        let deleted = self.ended(key).any(|(one, _)| one.version >= version);
        assert!(
            copies >= part.set.majority() || deleted,
            "seed {}: {owner} confirms {version:?} of key {key}, of which there are {copies} copies in {:?}",
            self.seed,
            part.set
        );
    }

    /// Whoever says that it has everything up to `at` has no record that had been deleted by then, whatever its clock and
    /// others' may differ.
    pub(crate) fn check_by_right(&self, node: usize, at: u64) {
        let before = at.saturating_sub((2 * self.drift_ms()) << COUNTER_BITS);
        for (key, record) in self.nodes[node].records.all() {
            let deleted = self.floor.get(&key).filter(|floor| !floor.live && floor.version > record.version);
            assert!(
                deleted.is_none_or(|deletion| deletion.version.clock >= before) || self.excused,
                "seed {}: {node} claims to have everything at {} s, and has {record:?} of key {key}, deleted by {deleted:?}",
                self.seed,
                self.now / SECOND
            );
        }
    }

    /// Why the records are not where they should be, if so: the newest that anybody was told, the same at each wanted
    /// holder and nowhere else.
    pub(crate) fn misplaced(&self) -> Option<String> {
        for key in 0..KEYS {
            let id = self.key_id(key);
            let (owners, wanted) = (self.owners(id), self.holders(id));
            let newest = wanted.first().and_then(|node| self.nodes[*node].records.get(key));
            let floor = self.floor.get(&key).copied();
            if !self.is_new_enough(key, newest, floor) {
                return Some(format!("key {key}: {newest:?} at a holder, {floor:?} was acknowledged or read"));
            }
            for node in owners {
                let held = self.nodes[node].records.get(key);
                let expected = if wanted.contains(&node) { newest } else { None };
                if held != expected {
                    return Some(format!("key {key}: {held:?} at {node}, expected {expected:?}"));
                }
            }
        }
        None
    }

    /// A deletion that somebody still remembers.
    pub(crate) fn remembered_deletion(&self) -> Option<(usize, u64, Record)> {
        let of = |node: usize| self.nodes[node].records.all().map(move |(key, record)| (node, key, record));
        self.ring().into_iter().flat_map(of).find(|(.., record)| !record.live)
    }

    /// Once nothing happens any more, deletions are forgotten everywhere: after the grace period, when each member has
    /// been compared with its primary once more and the primary has looked. A newcomer that gave up is waited for first.
    pub(crate) fn wait_until_forgotten(&mut self) {
        let periods = self.grace + Duration::from_millis(TTL_MAX_MS) + 3 * self.config.repair_period;
        let limit = u64::try_from(periods.as_micros()).unwrap() + 20 * SECOND;
        let forgotten = self.run_until(limit, |world| world.remembered_deletion().is_none());
        if let Some((node, key, record)) = self.remembered_deletion().filter(|_| !forgotten) {
            let part = self.nodes[node].holdings.find(self.key_id(key));
            let primary = part.map(|part| self.node_of(&part.set.primary().peer));
            let says = primary.and_then(|primary| self.nodes[primary].holdings.find(self.key_id(key)));
            panic!(
                "seed {}: {node} still remembers {record:?} of key {key}, its primary {primary:?} says {says:?}",
                self.seed
            );
        }
        // Strays of a last change of holders may be on their way yet.
        let placed = self.run_until(10 * SECOND, |world| world.misplaced().is_none());
        assert!(placed, "seed {}: after deletions were forgotten: {:?}", self.seed, self.misplaced());
    }

    /// Calms the weather and waits until all is well.
    pub(crate) fn heal(&mut self) {
        self.weather.lost = 0;
        self.weather.repeated = 0;
        self.weather.crash_within = 0;
        self.weather.upset = 0;
        self.weather.remembered = 0;
        let seed = self.seed;
        self.heal_sets();
        let placed = self.run_until(60 * SECOND, |world| world.misplaced().is_none());
        assert!(placed, "seed {seed}: records after 60 s: {:?}", self.misplaced());
        // Everything can be read.
        let keys: Vec<u64> = self.floor.keys().copied().collect();
        let before = self.reads_done;
        for key in &keys {
            self.read(*key);
        }
        self.run(3 * SECOND);
        assert!(self.reads_done - before >= keys.len() as u64, "seed {seed}: some key can't be read");
        // And stays as it is.
        assert_eq!(self.unhealed(), None, "seed {seed}: it does not stay well");
    }
}

impl World {
    /// As [`World::heal`], where records may have been lost.
    pub(crate) fn heal_sets(&mut self) {
        let seed = self.seed;
        // News of what happened last may still be on its way.
        self.run(3 * SECOND);
        let healed = self.run_until(60 * SECOND, |world| world.unhealed().is_none());
        assert!(healed, "seed {seed}: not healed after 60 s: {:?}", self.unhealed());
    }

    pub(crate) fn wait_for_leavers(&mut self) {
        let seed = self.seed;
        let waiting = |world: &World| world.nodes.iter().position(|node| node.up && node.leaving);
        let gone = self.run_until(90 * SECOND, |world| waiting(world).is_none());
        let why: Vec<_> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].up && self.nodes[*node].leaving)
            .map(|node| (node, self.nodes[node].control.leave_progress(), &self.nodes[node].holdings))
            .collect();
        assert!(gone, "seed {seed}: still leaving: {why:?}");
    }
}
