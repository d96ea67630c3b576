//! Records that are where they should not be: offered to their owners, erased once they are safe there, set aside where
//! nobody takes them. And up to when a store has everything by right.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use overlay::{Failure, Peer};
use replica::Holdings;

use crate::holders::{Offer, OfferReply};
use crate::records::{Record, Version};
use crate::world::{Done, MS, SECOND, World};

const OFFER_TIMEOUT: Duration = Duration::from_millis(5_000);
/// A primary that names another is followed so many times.
const REDIRECTS_MAX: usize = 4;

/// One look for strays.
struct Sweep {
    node: usize,
    begun: u64,
    /// What it goes by.
    holdings: Rc<Holdings>,
    strays: VecDeque<(u64, Version)>,
    left: usize,
    done: Done<usize>,
}

impl World {
    pub(crate) fn sweep_later(&mut self, node: usize) {
        let delay = SECOND + self.below(SECOND);
        self.at(delay, Some(node), move |world| {
            world.sweep(node, move |world, _| world.sweep_later(node));
        });
    }

    /// Offers every stray once; `done` is told how many are left.
    pub(crate) fn sweep(&mut self, node: usize, done: impl FnOnce(&mut World, usize) + 'static) {
        if !self.nodes[node].in_ring {
            return done(self, 0);
        }
        let begun = self.clock(node);
        let holdings = Rc::clone(&self.nodes[node].holdings);
        let foreign = holdings.foreign(self.space);
        let is_foreign = |key: u64| foreign.iter().any(|range| range.contains(self.key_id(key)));
        let strays: VecDeque<(u64, Version)> = self.nodes[node]
            .records
            .all()
            .filter(|(key, _)| is_foreign(*key))
            .map(|(key, record)| (key, record.version))
            .collect();
        let left = strays.len();
        self.give(Sweep { node, begun, holdings, strays, left, done: Box::new(done) });
    }

    /// Offers the strays to one owner after another.
    fn give(&mut self, mut sweep: Sweep) {
        let node = sweep.node;
        let first = sweep.strays.front().map(|(key, _)| *key);
        let owner_of = |world: &World, key| world.owners_seen_by(node, world.key_id(key)).first().copied();
        let Some(owner) = first.and_then(|key| owner_of(self, key)) else {
            if sweep.left == 0 {
                self.all_in_place(node, &sweep.holdings, sweep.begun);
            }
            return (sweep.done)(self, sweep.left);
        };
        let (batch, rest): (Vec<_>, Vec<_>) =
            sweep.strays.drain(..).partition(|(key, _)| owner_of(self, *key) == Some(owner));
        sweep.strays = rest.into();
        let to = self.peer(owner);
        // The owner is looked up first.
        self.at(5 * MS, Some(node), move |world| world.give_to(sweep, to, batch, REDIRECTS_MAX));
    }

    fn give_to(&mut self, mut sweep: Sweep, owner: Peer, batch: Vec<(u64, Version)>, redirects: usize) {
        let node = sweep.node;
        let held_at = self.nodes[node].records.held_at;
        let offer = Offer { entries: batch.clone(), records: Vec::new(), held_at };
        let to = owner.clone();
        self.offer(node, &to, offer, move |world, result| {
            let Ok(reply) = result else { return world.give(sweep) };
            if let Some(primary) = reply.not_primary {
                return match primary {
                    Some(primary) if redirects > 1 => {
                        let to = world.at_now(&primary.peer);
                        world.give_to(sweep, to, batch, redirects - 1);
                    }
                    _ => world.give(sweep),
                };
            }
            let records = |world: &World, keys: &[u64]| -> Vec<(u64, Record)> {
                keys.iter().filter_map(|key| Some((*key, world.nodes[node].records.get(*key)?))).collect()
            };
            let mut refused = records(world, &reply.refused);
            // What was written here since was not refused.
            refused.retain(|(key, record)| batch.contains(&(*key, record.version)));
            world.set_aside(node, &refused);
            sweep.left -= refused.len();
            let safe = batch.into_iter().filter(|(key, _)| reply.confirmed.contains(key)).collect();
            let wanted = records(world, &reply.wanted);
            if wanted.is_empty() {
                world.erase(&mut sweep, safe);
                return world.give(sweep);
            }
            world.send_wanted(sweep, owner, wanted, safe);
        });
    }

    fn send_wanted(
        &mut self,
        mut sweep: Sweep,
        owner: Peer,
        records: Vec<(u64, Record)>,
        mut safe: Vec<(u64, Version)>,
    ) {
        let node = sweep.node;
        let held_at = self.nodes[node].records.held_at;
        let offer = Offer { entries: Vec::new(), records: records.clone(), held_at };
        self.offer(node, &owner, offer, move |world, result| {
            if let Ok(reply) = result {
                let named = |keys: &[u64]| -> Vec<(u64, Record)> {
                    records.iter().filter(|(key, _)| keys.contains(key)).copied().collect()
                };
                let refused = named(&reply.refused);
                world.set_aside(node, &refused);
                sweep.left -= refused.len();
                safe.extend(named(&reply.confirmed).into_iter().map(|(key, record)| (key, record.version)));
            }
            world.erase(&mut sweep, safe);
            world.give(sweep);
        });
    }

    /// Erases what is safe elsewhere and still none of this node's business.
    fn erase(&mut self, sweep: &mut Sweep, safe: Vec<(u64, Version)>) {
        let foreign = self.nodes[sweep.node].holdings.foreign(self.space);
        for (key, version) in safe {
            if foreign.iter().any(|range| range.contains(self.key_id(key))) {
                sweep.left -= usize::from(self.nodes[sweep.node].records.erase(key, version));
            }
        }
    }

    pub(crate) fn offer(
        &mut self,
        node: usize,
        owner: &Peer,
        offer: Offer,
        done: impl FnOnce(&mut World, Result<OfferReply, Failure>) + 'static,
    ) {
        let me = self.member(node);
        self.ask_later(node, owner, OFFER_TIMEOUT, done, move |world, there, reply| {
            world.serve_offer(there, &me, offer.clone(), reply);
        });
    }

    /// What its owner would not take back is read by nobody any more.
    pub(crate) fn set_aside(&mut self, node: usize, refused: &[(u64, Record)]) {
        for (key, record) in refused {
            self.log(|| format!("{node} sets aside {key} = {record:?}"));
            self.check_set_aside(node, *key, *record);
            self.nodes[node].records.quarantine.push((*key, *record));
            self.nodes[node].records.erase(*key, record.version);
        }
    }

    fn all_in_place(&mut self, node: usize, holdings: &Holdings, begun: u64) {
        let now = self.now;
        if !self.nodes[node].leaving
            && let Some(at) = holdings.by_right_until(begun)
        {
            self.check_by_right(node, at);
            self.nodes[node].records.is_by_right(at, now);
        }
    }
}
