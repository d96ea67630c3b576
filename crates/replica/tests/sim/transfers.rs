//! Moving records between stores, as the daemon does: two stores are compared by digests, the parts that differ are
//! listed page by page, and what differs is sent.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use overlay::Failure;
use replica::{Descent, Job, JobId, Look, Member, Set, reconcile};
use ring::{Id, Range};

use crate::holders::{Listing, Offer, OfferReply, Stored};
use crate::records::{Digest, Record, Version};
use crate::world::{Done, World};

const BATCH_TIMEOUT: Duration = Duration::from_millis(2_000);
/// A message of a comparison is sent so often before the other one counts as silent.
const ATTEMPTS: u32 = 2;
/// Entries on a page of a listing.
const PAGE: usize = 6;
/// Records in one message, and in one offer.
const BATCH: usize = 4;
const OFFER_BATCH: usize = 32;

type Entry = replica::Entry<Id, u64, Version>;

/// What becomes of a record that is newer here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Newer {
    Stays,
    /// The other side is the primary: it has to want it, and bring it to a majority.
    IsOffered,
    /// The other side is a member that this primary brings up.
    IsSent,
}

/// How a comparison ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// Both sides have the same; whether anything was newer there.
    Same(bool),
    /// The other one did not do its part.
    Silent,
    /// The other one knows a newer set.
    Outdated,
    /// It has forgotten what it listed.
    Forgotten,
    /// It refused what may have been deleted.
    Refused,
}

/// What is still to be done about a page.
enum Step {
    List(Range, Option<(Id, u64)>),
    Fetch(Vec<u64>),
    Offer(Vec<u64>),
    Send(Vec<u64>),
}

/// Walks a range here and at another member side by side.
struct Comparison {
    node: usize,
    job: JobId,
    range: Range,
    set: Set,
    with: Member,
    newer: Newer,
    descent: Descent,
    steps: VecDeque<Step>,
    horizon: u64,
    learnt: bool,
    set_aside: bool,
    /// Messages in a row that nobody answered.
    unanswered: u32,
    done: Done<End>,
}

impl Comparison {
    /// Whether to send a message again that came to nothing.
    fn asks_again(&mut self, failure: &Failure) -> bool {
        self.unanswered += 1;
        *failure == Failure::TimedOut && self.unanswered < ATTEMPTS
    }
}

enum Digested {
    Is(Vec<Digest>, u64),
    Newer(Range, Set),
}

enum Listed {
    Page(Vec<Entry>, Option<(Id, u64)>),
    Newer(Range, Set),
}

enum Fetched {
    Records(Vec<(u64, Record)>),
    Newer(Range, Set),
}

/// A newcomer's way through the members of the set that it fetches from.
struct Sync {
    node: usize,
    job: JobId,
    range: Range,
    set: Set,
    begun: u64,
    next: usize,
    answered: usize,
}

struct Takeover {
    answered: usize,
    open: usize,
}

impl World {
    pub(crate) fn start_job(&mut self, node: usize, job: JobId, what: Job) {
        // Whatever was given a version before this is in this node's store.
        let begun = self.clock(node) - 1;
        match what {
            Job::Sync { range, set } => {
                self.sync(Sync { node, job, range, set, begun, next: 0, answered: 0 });
            }
            Job::Takeover { range, set, before } => self.take_over(node, job, range, set, &before, begun),
            Job::Spread { range, set, to } => self.spread(node, job, range, set, to, begun),
        }
    }

    fn job_done(&mut self, node: usize, job: JobId, result: Result<u64, String>) {
        self.log(|| format!("  {node} ends {job:?}: {result:?}"));
        if self.nodes[node].jobs.remove(&job) {
            let now = self.time();
            self.nodes[node].control.on_job(now, job, result);
            self.effects(node);
        }
    }

    /// A newcomer fetches from a majority of the set, the primary first, and gives the primary what it has newer itself.
    fn sync(&mut self, mut sync: Sync) {
        let (node, job) = (sync.node, sync.job);
        if sync.answered >= sync.set.majority() {
            return self.job_done(node, job, Ok(sync.begun));
        }
        let Some(member) = sync.set.members.get(sync.next).cloned() else {
            return self.job_done(node, job, Err("too few".into()));
        };
        let newer = if sync.next == 0 { Newer::IsOffered } else { Newer::Stays };
        let (range, set) = (sync.range, sync.set.clone());
        self.compare(node, job, range, set, member, newer, move |world, end| {
            sync.next += 1;
            match end {
                End::Same(_) => sync.answered += 1,
                End::Silent if sync.next > 1 => {}
                End::Silent | End::Outdated | End::Forgotten | End::Refused => {
                    return world.job_done(node, job, Err(format!("{end:?}")));
                }
            }
            world.sync(sync);
        });
    }

    /// A new primary learns from the set before, itself counted if it is one of them.
    fn take_over(&mut self, node: usize, job: JobId, range: Range, set: Set, before: &Set, begun: u64) {
        let me = self.member(node);
        let others: Vec<Member> = before.members.iter().filter(|member| !member.is(&me)).cloned().collect();
        let needed = set.needs_of(before);
        let takeover = Takeover { answered: usize::from(before.includes(&me)), open: others.len() };
        if takeover.answered >= needed || others.is_empty() {
            let result = if takeover.answered >= needed { Ok(begun) } else { Err("too few".into()) };
            return self.at(1, Some(node), move |world| world.job_done(node, job, result));
        }
        let takeover = Rc::new(RefCell::new(takeover));
        for member in others {
            let takeover = Rc::clone(&takeover);
            self.compare(node, job, range, set.clone(), member, Newer::Stays, move |world, end| {
                let mut state = takeover.borrow_mut();
                state.open -= 1;
                state.answered += usize::from(matches!(end, End::Same(_)));
                let (answered, open) = (state.answered, state.open);
                drop(state);
                if answered >= needed {
                    world.job_done(node, job, Ok(begun));
                } else if matches!(end, End::Outdated | End::Forgotten | End::Refused) || open == 0 {
                    world.job_done(node, job, Err(format!("{end:?}")));
                }
            });
        }
    }

    /// A primary brings one member up to what it holds, and learns what the member has newer.
    fn spread(&mut self, node: usize, job: JobId, range: Range, set: Set, to: Member, begun: u64) {
        let (target, under, me) = (to.clone(), set.clone(), self.member(node));
        self.compare(node, job, range, under, to, Newer::IsSent, move |world, end| {
            let End::Same(learnt) = end else { return world.job_done(node, job, Err(format!("{end:?}"))) };
            if learnt {
                // The others may lack it as well.
                let now = world.time();
                for member in set.members.iter().filter(|member| !member.is(&me) && !member.is(&target)) {
                    world.nodes[node].control.on_lagging(now, range, set.number, member);
                }
                world.effects(node);
            }
            world.job_done(node, job, Ok(begun));
        });
    }

    /// Takes over what another member has newer, and does with what is newer here as it is told.
    #[expect(clippy::too_many_arguments, reason = "what a comparison is made of")]
    fn compare(
        &mut self,
        node: usize,
        job: JobId,
        range: Range,
        set: Set,
        with: Member,
        newer: Newer,
        done: impl FnOnce(&mut World, End) + 'static,
    ) {
        let (descent, steps, done) = (Descent::new(range), VecDeque::new(), Box::new(done));
        let (horizon, learnt, set_aside, unanswered) = (0, false, false, 0);
        let comparison = Comparison {
            node,
            job,
            range,
            set,
            with,
            newer,
            descent,
            steps,
            horizon,
            learnt,
            set_aside,
            unanswered,
            done,
        };
        self.go_on(Box::new(comparison));
    }

    /// The next message of a comparison, unless nobody wants it any more.
    fn go_on(&mut self, mut comparison: Box<Comparison>) {
        if !self.nodes[comparison.node].jobs.contains(&comparison.job) {
            return;
        }
        comparison.unanswered = 0;
        match comparison.steps.pop_front() {
            Some(Step::List(part, after)) => self.list(comparison, part, after),
            Some(Step::Fetch(keys)) => self.fetch(comparison, keys),
            Some(Step::Offer(keys)) => self.offer_newer(comparison, keys),
            Some(Step::Send(keys)) => self.send(comparison, keys),
            None => match comparison.descent.next_look() {
                Some(Look::Compare { cuts, parts }) => self.compare_digests(comparison, cuts, parts),
                Some(Look::List(part)) => self.list(comparison, part, None),
                None => {
                    // What the other has forgotten nobody must bring back here either.
                    let records = &mut self.nodes[comparison.node].records;
                    records.horizon = records.horizon.max(comparison.horizon);
                    // What was set aside may have come from somebody else meanwhile: all is compared anew.
                    let end = if comparison.set_aside { End::Refused } else { End::Same(comparison.learnt) };
                    (comparison.done)(self, end);
                }
            },
        }
    }

    fn outdated(&mut self, comparison: Box<Comparison>, range: Range, set: Set) {
        self.newer(comparison.node, range, set);
        (comparison.done)(self, End::Outdated);
    }

    fn compare_digests(&mut self, mut comparison: Box<Comparison>, cuts: Vec<Range>, parts: u32) {
        let pieces: Vec<Range> = cuts.iter().flat_map(|cut| cut.cut(parts)).collect();
        let asked = pieces.clone();
        let (node, with) = (comparison.node, comparison.with.clone());
        let (me, range, set) = (self.member(node), comparison.range, comparison.set.clone());
        let finish = move |world: &mut World, result: Result<Digested, Failure>| {
            let (theirs, horizon) = match result {
                Ok(Digested::Is(theirs, horizon)) => (theirs, horizon),
                Ok(Digested::Newer(range, set)) => return world.outdated(comparison, range, set),
                Err(failure) if comparison.asks_again(&failure) => {
                    return world.compare_digests(comparison, cuts, parts);
                }
                Err(_) => return (comparison.done)(world, End::Silent),
            };
            comparison.horizon = comparison.horizon.max(horizon);
            for (piece, theirs) in pieces.into_iter().zip(theirs) {
                let ours = world.digest(node, piece);
                comparison.descent.compared(piece, ours == theirs, ours.count, theirs.count);
            }
            world.go_on(comparison);
        };
        self.ask_store(node, &with, BATCH_TIMEOUT, finish, move |world, there| {
            match world.take_over_set(there, &me, range, &set) {
                Listing::Newer(range, set) => Some(Digested::Newer(range, set)),
                Listing::Refused => None,
                Listing::Counts => {
                    let digests = asked.iter().map(|piece| world.digest(there, *piece)).collect();
                    Some(Digested::Is(digests, world.nodes[there].records.horizon))
                }
            }
        });
    }

    fn list(&mut self, mut comparison: Box<Comparison>, part: Range, after: Option<(Id, u64)>) {
        let (node, with) = (comparison.node, comparison.with.clone());
        let (me, set) = (self.member(node), comparison.set.clone());
        let finish = move |world: &mut World, result: Result<Listed, Failure>| {
            let (theirs, next) = match result {
                Ok(Listed::Page(theirs, next)) => (theirs, next),
                Ok(Listed::Newer(range, set)) => return world.outdated(comparison, range, set),
                Err(failure) if comparison.asks_again(&failure) => return world.list(comparison, part, after),
                Err(_) => return (comparison.done)(world, End::Silent),
            };
            let ours = world.listing(node, part).into_iter().filter(|entry| {
                let here = Some((entry.place, entry.key));
                here > after && (next.is_none() || here <= next)
            });
            let found = reconcile(ours, theirs);
            let keys = |entries: Vec<Entry>| -> Vec<u64> { entries.into_iter().map(|entry| entry.key).collect() };
            comparison.learnt |= !found.fetch.is_empty();
            comparison.steps.push_back(Step::Fetch(keys(found.fetch)));
            match comparison.newer {
                Newer::Stays => {}
                Newer::IsOffered => comparison.steps.push_back(Step::Offer(keys(found.offer))),
                Newer::IsSent => comparison.steps.push_back(Step::Send(keys(found.offer))),
            }
            comparison.steps.extend(next.map(|next| Step::List(part, Some(next))));
            world.go_on(comparison);
        };
        self.ask_store(node, &with, BATCH_TIMEOUT, finish, move |world, there| {
            match world.take_over_set(there, &me, part, &set) {
                Listing::Counts => {}
                Listing::Newer(range, set) => return Some(Listed::Newer(range, set)),
                Listing::Refused => return None,
            }
            let mut page: Vec<Entry> =
                world.listing(there, part).into_iter().filter(|entry| Some((entry.place, entry.key)) > after).collect();
            let more = page.len() > PAGE;
            page.truncate(PAGE);
            let next = page.last().filter(|_| more).map(|last| (last.place, last.key));
            Some(Listed::Page(page, next))
        });
    }

    /// Fetches these records from the other and keeps those that are newer.
    fn fetch(&mut self, mut comparison: Box<Comparison>, mut keys: Vec<u64>) {
        if keys.is_empty() {
            return self.go_on(comparison);
        }
        let rest = keys.split_off(keys.len().min(BATCH));
        let asked = keys.clone();
        let (node, with) = (comparison.node, comparison.with.clone());
        let (range, number) = (comparison.range, comparison.set.number);
        let finish = move |world: &mut World, result: Result<Fetched, Failure>| {
            let records = match result {
                Ok(Fetched::Records(records)) => records,
                Ok(Fetched::Newer(range, set)) => return world.outdated(comparison, range, set),
                Err(failure) if comparison.asks_again(&failure) => {
                    return world.fetch(comparison, [asked, rest].concat());
                }
                Err(_) => return (comparison.done)(world, End::Silent),
            };
            let all_there = records.len() == asked.len();
            for (key, record) in records {
                world.observe(node, record.version);
                world.put(node, key, record);
            }
            if !all_there {
                return (comparison.done)(world, End::Forgotten);
            }
            comparison.steps.push_front(Step::Fetch(rest));
            world.go_on(comparison);
        };
        self.ask_store(node, &with, BATCH_TIMEOUT, finish, move |world, there| {
            let records = &world.nodes[there].records;
            let given = || keys.iter().filter_map(|key| Some((*key, records.get(*key)?))).collect();
            match world.lists(there, range, number) {
                Listing::Counts => Some(Fetched::Records(given())),
                Listing::Newer(range, set) => Some(Fetched::Newer(range, set)),
                Listing::Refused => None,
            }
        });
    }

    /// Gives the primary records that are newer here; each is on a majority when this ends well, or was set aside.
    fn offer_newer(&mut self, mut comparison: Box<Comparison>, mut keys: Vec<u64>) {
        if keys.is_empty() {
            return self.go_on(comparison);
        }
        let rest = keys.split_off(keys.len().min(OFFER_BATCH));
        let node = comparison.node;
        let records: Vec<(u64, Record)> =
            keys.iter().filter_map(|key| Some((*key, self.nodes[node].records.get(*key)?))).collect();
        let offer = Offer { entries: Vec::new(), records: records.clone(), held_at: self.nodes[node].records.held_at };
        let to = self.at_now(&comparison.with.peer);
        self.offer(node, &to, offer, move |world, result: Result<OfferReply, Failure>| {
            let reply = match result {
                Ok(reply) => reply,
                Err(failure) if comparison.asks_again(&failure) => {
                    return world.offer_newer(comparison, [keys, rest].concat());
                }
                Err(_) => return (comparison.done)(world, End::Silent),
            };
            let refused: Vec<(u64, Record)> =
                records.iter().filter(|(key, _)| reply.refused.contains(key)).copied().collect();
            world.set_aside(node, &refused);
            comparison.set_aside |= !refused.is_empty();
            if reply.confirmed.len() + reply.refused.len() < records.len() {
                return (comparison.done)(world, End::Silent);
            }
            comparison.steps.push_front(Step::Offer(rest));
            world.go_on(comparison);
        });
    }

    /// Sends the other what it lacks.
    fn send(&mut self, mut comparison: Box<Comparison>, mut keys: Vec<u64>) {
        if keys.is_empty() {
            return self.go_on(comparison);
        }
        let rest = keys.split_off(keys.len().min(BATCH));
        let (node, with) = (comparison.node, comparison.with.clone());
        let records: Vec<(u64, Record)> =
            keys.into_iter().filter_map(|key| Some((key, self.nodes[node].records.get(key)?))).collect();
        let number = comparison.set.number;
        self.store_at(node, &with, number, records, move |world, result| match result {
            Some(Stored::Kept | Stored::Superseded(_)) => {
                comparison.steps.push_front(Step::Send(rest));
                world.go_on(comparison);
            }
            Some(Stored::Newer(range, set)) => world.outdated(comparison, range, set),
            None => (comparison.done)(world, End::Silent),
        });
    }
}
