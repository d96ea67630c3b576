//! A holder's side: keep this copy, what do you hold, forget these deletions, take these strays.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use overlay::Failure;
use replica::{Member, Offered, Request, Service, Set, Terms, Verdict, has_deletion};
use ring::Range;

use crate::clients::COPY_TIMEOUT;
use crate::network::Reply;
use crate::records::{Put, Record, Version};
use crate::world::World;

/// What a holder says to a copy.
pub(crate) enum Stored {
    Kept,
    Superseded(Version),
    Newer(Range, Set),
}

/// What it says to a read.
pub(crate) enum Read {
    Holds(Option<Record>),
    Newer(Range, Set),
}

/// What it says of what it holds.
pub(crate) enum Listing {
    Counts,
    Newer(Range, Set),
    Refused,
}

/// Strays, as they are offered: only told of, or whole.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) entries: Vec<(u64, Version)>,
    pub(crate) records: Vec<(u64, Record)>,
    pub(crate) held_at: u64,
}

/// What their owner says.
#[derive(Default)]
pub(crate) struct OfferReply {
    pub(crate) wanted: Vec<u64>,
    pub(crate) confirmed: Vec<u64>,
    pub(crate) refused: Vec<u64>,
    /// Somebody else is the primary, this one as far as is known.
    pub(crate) not_primary: Option<Option<Member>>,
}

struct Offering {
    reply: OfferReply,
    /// What was offered.
    versions: BTreeMap<u64, Version>,
    open: usize,
    done: Option<Reply<OfferReply>>,
}

impl World {
    /// Sends copies; none is no answer.
    pub(crate) fn store_at(
        &mut self,
        node: usize,
        to: &Member,
        number: u64,
        copies: Vec<(u64, Record)>,
        done: impl FnOnce(&mut World, Option<Stored>) + 'static,
    ) {
        let finish = move |world: &mut World, result: Result<Stored, Failure>| done(world, result.ok());
        self.ask_store(node, to, COPY_TIMEOUT, finish, move |world, there| {
            let mut all = Stored::Kept;
            for (key, record) in &copies {
                world.observe(there, record.version);
                match world.nodes[there].holdings.takes_copy(world.key_id(*key), number) {
                    Verdict::Does => {}
                    Verdict::Newer(holding) => return Some(Stored::Newer(holding.range, holding.set.clone())),
                    Verdict::Fenced | Verdict::NoPart => return None,
                }
                if let Put::Superseded(newer) = world.nodes[there].records.put(*key, *record) {
                    all = Stored::Superseded(newer);
                }
            }
            Some(all)
        });
    }

    pub(crate) fn read_from(
        &mut self,
        node: usize,
        from: &Member,
        number: u64,
        key: u64,
        done: impl FnOnce(&mut World, Result<Read, Failure>) + 'static,
    ) {
        self.ask_store(node, from, COPY_TIMEOUT, done, move |world, there| {
            match world.nodes[there].holdings.answers_read(world.key_id(key), number) {
                Verdict::Does => Some(Read::Holds(world.nodes[there].records.get(key))),
                Verdict::Newer(holding) => Some(Read::Newer(holding.range, holding.set.clone())),
                Verdict::Fenced | Verdict::NoPart => None,
            }
        });
    }

    /// Whoever knows only older sets than `set` takes it over first, and takes part in nothing older any more; then as
    /// [`World::lists`].
    pub(crate) fn take_over_set(&mut self, there: usize, from: &Member, range: Range, set: &Set) -> Listing {
        if self.nodes[there].holdings.over(range).any(|holding| holding.set.number < set.number) {
            self.serve(there, from, vec![Request::Install { range, set: set.clone(), before: None, whole: 0 }]);
        }
        self.lists(there, range, set.number)
    }

    /// Whether what a node holds is to be gone by.
    pub(crate) fn lists(&self, there: usize, range: Range, number: u64) -> Listing {
        match self.nodes[there].holdings.lists(range, number) {
            Verdict::Does => Listing::Counts,
            Verdict::Newer(holding) => Listing::Newer(holding.range, holding.set.clone()),
            Verdict::Fenced | Verdict::NoPart => Listing::Refused,
        }
    }

    /// Which of these deletions a member has; it forgets them if it is told up to when any are. None: it has no say.
    pub(crate) fn serve_forget(
        &mut self,
        there: usize,
        number: u64,
        deletions: &[(u64, Version)],
        horizon: Option<u64>,
    ) -> Option<Vec<(u64, Version)>> {
        let mut held = Vec::new();
        for (key, version) in deletions {
            match self.nodes[there].holdings.votes_to_forget(self.key_id(*key), number) {
                Verdict::Does => {}
                Verdict::Newer(_) => return Some(Vec::new()),
                Verdict::Fenced | Verdict::NoPart => return None,
            }
            let record = self.nodes[there].records.get(*key);
            if has_deletion(record.map(|record| (record.version, !record.live)), version) {
                held.push((*key, *version));
            }
        }
        if let Some(horizon) = horizon {
            let records = &mut self.nodes[there].records;
            records.horizon = records.horizon.max(horizon);
            self.forget_at(there, &held);
        }
        Some(held)
    }

    /// Takes strays, as the primary of their ranges.
    pub(crate) fn serve_offer(&mut self, there: usize, from: &Member, offer: Offer, answer: Reply<OfferReply>) {
        let holdings = Rc::clone(&self.nodes[there].holdings);
        let first = offer.entries.first().map(|(key, _)| *key).or(offer.records.first().map(|(key, _)| *key));
        let Some(first) = first else { return answer(self, Some(OfferReply::default())) };
        let found = holdings.find(self.key_id(first));
        match found.map(|holding| (holding.service(), holding)) {
            Some((Service::Serves(_), _)) => {}
            Some((Service::Elsewhere, holding)) => {
                let not_primary = Some(Some(holding.set.primary().clone()));
                return answer(self, Some(OfferReply { not_primary, ..OfferReply::default() }));
            }
            None => return answer(self, Some(OfferReply { not_primary: Some(None), ..OfferReply::default() })),
            Some(_) => return answer(self, None),
        }
        let mut reply = OfferReply::default();
        let mut known = Vec::new();
        let whole = offer.records.iter().map(|(key, record)| (*key, record.version));
        let versions = offer.entries.iter().copied().chain(whole).collect();
        let terms = Terms { held_at: offer.held_at, horizon: self.nodes[there].records.horizon, drift: self.drift };
        for (key, version) in offer.entries {
            let serves = |holding: &replica::Holding| {
                matches!(holding.service(), Service::Serves(_)) && !holding.counts_on(from)
            };
            if !holdings.find(self.key_id(key)).is_some_and(serves) {
                continue;
            }
            let held = self.nodes[there].records.get(key);
            match (terms.on_listed(&version, version.clock, held.as_ref().map(|held| &held.version)), held) {
                (Offered::Secured, Some(held)) => known.push((key, held)),
                (Offered::SetAside, _) => reply.refused.push(key),
                (Offered::Wanted | Offered::Secured, _) => reply.wanted.push(key),
            }
        }
        for (key, record) in offer.records {
            let held = self.nodes[there].records.get(key).is_some();
            match terms.on_sent(record.version.clock, held) {
                Offered::SetAside => reply.refused.push(key),
                Offered::Wanted | Offered::Secured => known.push((key, record)),
            }
        }
        let (open, done) = (known.len(), Some(answer));
        let offering = Rc::new(RefCell::new(Offering { reply, versions, open, done }));
        if known.is_empty() {
            return self.offered(there, &offering);
        }
        for (key, record) in known {
            let offering = Rc::clone(&offering);
            self.secure(there, key, record, move |world, safe| {
                let mut open = offering.borrow_mut();
                open.open -= 1;
                if safe {
                    open.reply.confirmed.push(key);
                }
                drop(open);
                world.offered(there, &offering);
            });
        }
    }

    fn offered(&mut self, there: usize, offering: &Rc<RefCell<Offering>>) {
        let mut open = offering.borrow_mut();
        if open.open > 0 {
            return;
        }
        let (reply, answer) = (std::mem::take(&mut open.reply), open.done.take());
        for key in &reply.confirmed {
            self.check_secured(there, *key, open.versions[key]);
        }
        drop(open);
        if let Some(answer) = answer {
            answer(self, Some(reply));
        }
    }

    pub(crate) fn newer(&mut self, node: usize, range: Range, set: Set) {
        let now = self.time();
        self.nodes[node].control.on_newer(now, range, set);
        self.effects(node);
    }
}
