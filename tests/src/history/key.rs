//! One key: its states in order of their versions, and each answer against that order.
//!
//! A state came to be at a moment that nobody knows, but between two bounds. It is no earlier than the beginnings of
//! its own write and of all calls that met a state before it; and no later than the ends of all calls that met it or a
//! state after it, and than its write could still be carried out. An answer for which there is no such moment is wrong.

use std::collections::{HashMap, HashSet};

use super::report::{Kind, Violation};
use super::{Asked, Call, Condition, History, Told, Version, WriteId};

/// What a key's record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Value(WriteId),
    Deleted,
}

/// A call that met a state: by reading it, or as its acknowledged write.
#[derive(Clone, Copy, Debug)]
struct Meeting {
    version: Version,
    state: State,
    call: usize,
    begun: u64,
    ended: u64,
    is_write: bool,
}

/// A moment, and the call that it is known from.
#[derive(Clone, Copy, Debug)]
struct Bound {
    at: u64,
    call: usize,
}

/// A state, and when it can have come to be.
#[derive(Clone, Debug)]
struct Step {
    version: Version,
    state: State,
    /// The write that made it.
    writer: usize,
    /// When that could last be carried out.
    until: u64,
    /// No earlier than this: from states before it alone, and with those who met itself.
    after_earlier: Option<Bound>,
    after: Bound,
    /// No later than this: from those who met it or a state after it, and with the limits of their writes.
    met_by: Bound,
    before: u64,
    /// No later than this: from states after it alone.
    before_later: Option<Bound>,
}

/// A delete that may have been carried out unseen.
#[derive(Clone, Copy, Debug)]
struct Unseen {
    begun: u64,
    until: u64,
}

pub(super) struct OneKey<'a> {
    history: &'a History,
    key: u32,
    /// In order of their beginnings.
    calls: &'a [usize],
    unknown_for: u64,
    meetings: Vec<Meeting>,
    steps: Vec<Step>,
    /// Of unknown outcome, in order of their beginnings, each with the latest limit so far.
    unseen_deletes: Vec<Unseen>,
    /// Per step: the earliest beginning of an acknowledged delete from there on.
    delete_begun_from: Vec<u64>,
    wrong_absents: HashSet<usize>,
    found: Vec<Violation>,
}

/// What was known when a call began: the furthest that calls which had ended then had met.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    newest: Option<Meeting>,
    newest_write: Option<Meeting>,
    /// The acknowledged write, and the read that found nothing, that began last.
    last_write: Option<Meeting>,
    last_absent: Option<Bound>,
}

impl<'a> OneKey<'a> {
    pub(super) fn new(history: &'a History, key: u32, calls: &'a [usize], unknown_for: u64) -> Self {
        let mut this = Self {
            history,
            key,
            calls,
            unknown_for,
            meetings: Vec::new(),
            steps: Vec::new(),
            unseen_deletes: Vec::new(),
            delete_begun_from: Vec::new(),
            wrong_absents: HashSet::new(),
            found: Vec::new(),
        };
        let writers = this.writers();
        this.meet(&writers);
        this.put_in_order(&writers);
        this.find_deletes();
        this
    }

    pub(super) fn check(mut self) -> Vec<Violation> {
        self.judge_answers();
        self.judge_winners();
        self.found
    }

    fn call(&self, index: usize) -> &'a Call {
        &self.history.calls[index]
    }

    fn wrong(&mut self, kind: Kind, call: usize, because: Vec<usize>, why: impl Into<String>) {
        self.found.push(Violation { kind, key: self.key, call, because, why: why.into() });
    }

    /// When a write could last be carried out; `None`: never at all.
    fn until(&self, write: usize) -> Option<u64> {
        let call = self.call(write);
        match call.told {
            Told::Done(_) => Some(call.ended),
            Told::Unknown => Some(call.ended.saturating_add(self.unknown_for)),
            _ => None,
        }
    }

    fn writers(&self) -> HashMap<WriteId, usize> {
        let put = |index: &usize| match self.call(*index).asked {
            Asked::Put(id, _) => Some((id, *index)),
            _ => None,
        };
        self.calls.iter().filter_map(put).collect()
    }

    /// Collects who met which state, and finds values that nobody can have met.
    fn meet(&mut self, writers: &HashMap<WriteId, usize>) {
        for index in self.calls {
            let call = self.call(*index);
            let (version, state, is_write) = match (call.asked, &call.told) {
                (Asked::Put(id, _), Told::Done(version)) => (*version, State::Value(id), true),
                (Asked::Delete(_), Told::Done(version)) => (*version, State::Deleted, true),
                (Asked::Get, Told::Value(version, Ok(id))) => match self.impossible(call, writers.get(id).copied()) {
                    None => (*version, State::Value(*id), false),
                    Some((kind, because, why)) => {
                        self.wrong(kind, *index, because, why);
                        continue;
                    }
                },
                (Asked::Get, Told::Value(_, Err(why))) => {
                    self.wrong(Kind::Torn, *index, Vec::new(), format!("a value that nobody put: {why}"));
                    continue;
                }
                _ => continue,
            };
            let (begun, ended) = (call.begun, call.ended);
            self.meetings.push(Meeting { version, state, call: *index, begun, ended, is_write });
        }
    }

    fn impossible(&self, read: &Call, writer: Option<usize>) -> Option<(Kind, Vec<usize>, &'static str)> {
        let Some(writer) = writer else {
            return Some((Kind::Torn, Vec::new(), "a value that nobody put at this key"));
        };
        if self.call(writer).begun > read.ended {
            return Some((Kind::Torn, vec![writer], "a value that nobody had put yet"));
        }
        let phantom = self.until(writer).is_none();
        phantom.then(|| (Kind::Phantom, vec![writer], "a value whose write was said not to have been carried out"))
    }

    /// The states in order of their versions, each with its bounds.
    fn put_in_order(&mut self, writers: &HashMap<WriteId, usize>) {
        let mut meetings = std::mem::take(&mut self.meetings);
        // A write says best what its version stands for.
        meetings.sort_by_key(|met| (met.version, !met.is_write, met.begun));
        let mut after: Option<Bound> = None;
        for same in meetings.chunk_by(|one, other| one.version == other.version) {
            let first = same[0];
            let differs = |other: &&Meeting| other.state != first.state || (other.is_write && other.call != first.call);
            for other in same.iter().filter(differs) {
                self.wrong(Kind::Forked, other.call, vec![first.call], "its version stands for another state as well");
            }
            let writer = match first.state {
                State::Value(id) => writers.get(&id).copied().unwrap_or(first.call),
                State::Deleted => first.call,
            };
            let begun = same.iter().map(|met| (met.begun, met.call)).chain([(self.call(writer).begun, writer)]);
            let own = begun.max().map(|(at, call)| Bound { at, call }).unwrap_or(Bound { at: 0, call: writer });
            let met_by = same.iter().map(|met| (met.ended, met.call)).min().unwrap_or((u64::MAX, writer));
            let upto = after.filter(|earlier| earlier.at > own.at).unwrap_or(own);
            self.steps.push(Step {
                version: first.version,
                state: first.state,
                writer,
                until: self.until(writer).unwrap_or(u64::MAX),
                after_earlier: after,
                after: upto,
                met_by: Bound { at: met_by.0, call: met_by.1 },
                before: u64::MAX,
                before_later: None,
            });
            after = Some(upto);
        }
        self.bound_from_above();
        self.meetings = meetings;
    }

    fn bound_from_above(&mut self) {
        let (mut later, mut before): (Option<Bound>, u64) = (None, u64::MAX);
        for step in self.steps.iter_mut().rev() {
            step.before_later = later;
            if let Some(later) = later.filter(|later| later.at < step.met_by.at) {
                step.met_by = later;
            }
            before = before.min(step.until).min(step.met_by.at);
            step.before = before;
            later = Some(step.met_by);
        }
    }

    fn find_deletes(&mut self) {
        let mut until = 0;
        for index in self.calls {
            let call = self.call(*index);
            if matches!((call.asked, &call.told), (Asked::Delete(_), Told::Unknown)) {
                until = self.until(*index).unwrap_or_default().max(until);
                self.unseen_deletes.push(Unseen { begun: call.begun, until });
            }
        }
        let mut earliest = u64::MAX;
        let mut from: Vec<u64> = Vec::with_capacity(self.steps.len() + 1);
        from.push(earliest);
        for step in self.steps.iter().rev() {
            if step.state == State::Deleted {
                earliest = earliest.min(self.call(step.writer).begun);
            }
            from.push(earliest);
        }
        from.reverse();
        self.delete_begun_from = from;
    }

    /// Whether a delete of unknown outcome can have been carried out between these moments.
    fn unseen_delete_between(&self, after: u64, before: u64) -> bool {
        let begun = self.unseen_deletes.partition_point(|delete| delete.begun <= before);
        begun > 0 && self.unseen_deletes[begun - 1].until >= after
    }

    fn step_of(&self, version: Version) -> Option<usize> {
        self.steps.binary_search_by_key(&version, |step| step.version).ok()
    }

    /// Goes through the calls in order of their beginnings, with what was known by then.
    fn judge_answers(&mut self) {
        let mut by_end: Vec<Meeting> = self.meetings.clone();
        by_end.sort_by_key(|met| met.ended);
        let absent = |index: &&usize| self.call(**index).told == Told::Absent;
        let mut absents: Vec<usize> = self.calls.iter().filter(absent).copied().collect();
        absents.sort_by_key(|index| self.call(*index).ended);
        let (mut by_end, mut absents) = (by_end.into_iter().peekable(), absents.into_iter().peekable());
        let mut known = Known::default();
        for index in self.calls {
            let call = self.call(*index);
            while let Some(met) = by_end.next_if(|met| met.ended < call.begun) {
                known.take(met);
            }
            while let Some(absent) = absents.next_if(|absent| self.call(*absent).ended < call.begun) {
                let bound = Bound { at: self.call(absent).begun, call: absent };
                // One that is wrong itself says nothing about others.
                if !self.wrong_absents.contains(&absent) {
                    known.last_absent = known.last_absent.filter(|last| last.at >= bound.at).or(Some(bound));
                }
            }
            match (call.asked, &call.told) {
                (Asked::Get, Told::Value(version, Ok(_))) => self.judge_value(*index, *version, &known),
                (Asked::Get, Told::Absent) => self.judge_absent(*index, &known),
                (Asked::Put(..) | Asked::Delete(_), Told::Done(version)) => {
                    self.judge_write(*index, *version, &known);
                }
                (Asked::Put(_, Some(condition)) | Asked::Delete(Some(condition)), Told::ConditionFailed(current)) => {
                    self.judge_refusal(*index, condition, *current, &known);
                }
                _ => {}
            }
        }
    }

    fn judge_value(&mut self, read: usize, version: Version, known: &Known) {
        let call = self.call(read);
        let Some(step) = self.step_of(version).map(|at| self.steps[at].clone()) else {
            // It was found impossible before.
            return;
        };
        let unknown = self.call(step.writer).told == Told::Unknown;
        let lost_or = |kind| if call.last { Kind::Lost } else { kind };
        if let Some(write) = known.last_write.filter(|write| write.begun > step.until) {
            let because = vec![step.writer, write.call];
            if unknown && version > write.version {
                let why = "an unknown write was carried out too late, over a later one";
                return self.wrong(Kind::Late, read, because, why);
            }
            let why = "a later write was acknowledged before this read began, and is not seen";
            return self.wrong(lost_or(Kind::Resurrected), read, because, why);
        }
        if let Some(write) = known.newest_write.filter(|write| write.version > version) {
            let why = "a newer version was acknowledged before this read began";
            return self.wrong(lost_or(Kind::Stale), read, vec![step.writer, write.call], why);
        }
        if let Some(newest) = known.newest.filter(|newest| newest.version > version) {
            let why = "a newer version was read before this read began";
            return self.wrong(Kind::GoingBack, read, vec![step.writer, newest.call], why);
        }
        // Whoever met an older state when this one had been met is wrong, not this read.
        let met_before = |earlier: &Bound| step.met_by.at < earlier.at;
        if let Some(earlier) = step.after_earlier.filter(|earlier| earlier.at > step.until && !met_before(earlier)) {
            let because = vec![step.writer, earlier.call];
            return match unknown {
                true => self.wrong(Kind::Late, read, because, "an unknown write was carried out too late"),
                false => self.wrong(Kind::Resurrected, read, because, "a write was carried out again after its end"),
            };
        }
        if let Some(absent) = known.last_absent.filter(|absent| absent.at > step.before) {
            let because = vec![step.writer, absent.call];
            return match unknown && absent.at > step.until {
                true => self.wrong(Kind::Late, read, because, "an unknown write was carried out too late"),
                false => self.wrong(Kind::GoingBack, read, because, "it had been read as absent since"),
            };
        }
        if let Some(later) = step.before_later.filter(|later| later.at < self.call(step.writer).begun) {
            let why = "a newer version than that of its write was there before that write began";
            self.wrong(Kind::Stale, read, vec![step.writer, later.call], why);
        }
    }

    fn judge_write(&mut self, write: usize, version: Version, known: &Known) {
        if let Some(newest) = known.newest.filter(|newest| newest.version > version) {
            let why = "acknowledged with a version below one that was there before it began: nobody ever reads it";
            self.wrong(Kind::Lost, write, vec![newest.call], why);
        }
    }

    fn judge_absent(&mut self, read: usize, known: &Known) {
        if self.may_be_absent(read) {
            return;
        }
        self.wrong_absents.insert(read);
        let put = known.newest_write.filter(|write| write.state != State::Deleted);
        match put.filter(|write| !self.unseen_delete_between(write.begun, self.call(read).ended)) {
            Some(write) => {
                let kind = if self.call(read).last { Kind::Lost } else { Kind::Stale };
                let why = "a value was acknowledged before, and no delete came after it";
                self.wrong(kind, read, vec![write.call], why);
            }
            None => {
                let because = known.newest.map(|newest| newest.call).into_iter().collect();
                self.wrong(Kind::GoingBack, read, because, "a value was read before, and no delete came after it");
            }
        }
    }

    /// Whether there was a moment during a call at which there was no record.
    fn may_be_absent(&self, index: usize) -> bool {
        let call = self.call(index);
        let met = self.steps.partition_point(|step| step.met_by.at < call.begun);
        let Some(newest) = met.checked_sub(1) else {
            return true;
        };
        self.steps[newest].state == State::Deleted
            || self.delete_begun_from[met] <= call.ended
            || self.unseen_delete_between(self.steps[newest].after.at, call.ended)
    }

    /// A condition that failed is judged by what its refusal says; nothing else is judged by that, since the state
    /// that it met may never have got further than the node that said so.
    fn judge_refusal(&mut self, write: usize, condition: Condition, current: Option<Version>, known: &Known) {
        match (condition, current) {
            (Condition::IfAbsent, None) => self.wrong(Kind::Misjudged, write, Vec::new(), "there was no record"),
            (Condition::IfVersion(wanted), Some(current)) if wanted == current => {
                self.wrong(Kind::Misjudged, write, Vec::new(), "the record had that version");
            }
            (_, Some(current)) => {
                if let Some(newest) = known.newest_write.filter(|newest| newest.version > current) {
                    let why = "refused for a version that an acknowledged write had replaced before";
                    self.wrong(Kind::Misjudged, write, vec![newest.call], why);
                }
            }
            (_, None) if !self.may_be_absent(write) => {
                let because = known.newest.map(|newest| newest.call).into_iter().collect();
                self.wrong(Kind::Misjudged, write, because, "refused as absent, and it was not");
            }
            (_, None) => {}
        }
    }

    /// Conditional writes that were carried out: each on the state that it asked for, and no two on one.
    fn judge_winners(&mut self) {
        let mut first_of: HashMap<Version, usize> = HashMap::new();
        let mut seen: HashSet<usize> = HashSet::new();
        for at in 0..self.steps.len() {
            let (writer, version) = (self.steps[at].writer, self.steps[at].version);
            let acknowledged = self.call(writer).done();
            let Some(condition) = self.call(writer).asked.condition() else { continue };
            // What was acknowledged counts as that; what is unknown counts where it was first seen.
            if acknowledged.is_some_and(|done| done != version) || !seen.insert(writer) {
                continue;
            }
            match condition {
                Condition::IfVersion(wanted) => {
                    if let Some(other) = first_of.get(&wanted) {
                        let why = "two conditional writes were carried out on one version";
                        self.wrong(Kind::TwoWinners, writer, vec![*other], why);
                        continue;
                    }
                    first_of.insert(wanted, writer);
                    self.judge_if_version(at, wanted);
                }
                Condition::IfAbsent => self.judge_if_absent(at),
            }
        }
    }

    /// The state before one, its own write's other tries passed over.
    fn step_before(&self, at: usize) -> Option<&Step> {
        let writer = self.steps[at].writer;
        self.steps[..at].iter().rev().find(|step| step.writer != writer)
    }

    fn judge_if_version(&mut self, at: usize, wanted: Version) {
        let writer = self.steps[at].writer;
        if self.steps[at].version <= wanted {
            return self.wrong(Kind::Misjudged, writer, Vec::new(), "carried out below the version that it asked for");
        }
        let between = self.step_before(at).filter(|before| before.version > wanted);
        if let Some(other) = between.map(|before| before.writer) {
            let why = "carried out though the record had another version than it asked for";
            self.wrong(Kind::Misjudged, writer, vec![other], why);
        }
    }

    fn judge_if_absent(&mut self, at: usize) {
        let step = &self.steps[at];
        let Some(before) = self.step_before(at).filter(|before| before.state != State::Deleted) else {
            return;
        };
        // An acknowledged delete may have been carried out twice, and be known by its second version.
        let deleted = self.delete_begun_from[at] <= step.before;
        if deleted || self.unseen_delete_between(before.after.at, step.before) {
            return;
        }
        let (writer, other) = (step.writer, before.writer);
        match self.call(other).asked.condition() {
            Some(Condition::IfAbsent) => {
                let why = "two writes were carried out as the first one, with no delete between them";
                self.wrong(Kind::TwoWinners, writer, vec![other], why);
            }
            _ => self.wrong(Kind::Misjudged, writer, vec![other], "carried out though there was a record"),
        }
    }
}

impl Known {
    /// One more call has ended.
    fn take(&mut self, met: Meeting) {
        let newer = |than: &Option<Meeting>| than.is_none_or(|than| met.version > than.version);
        if newer(&self.newest) {
            self.newest = Some(met);
        }
        if met.is_write && newer(&self.newest_write) {
            self.newest_write = Some(met);
        }
        if met.is_write && self.last_write.is_none_or(|last| met.begun > last.begun) {
            self.last_write = Some(met);
        }
    }
}
