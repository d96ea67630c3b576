//! What came of it, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::Torture;
use super::load::Reading;
use crate::history::{Asked, Call, History, Kind, Report, Told, Violation};

/// So many violations are told in detail, and so many calls around each.
const TOLD: usize = 5;
const TOLD_OF_A_KIND: usize = 2;
const AROUND: usize = 8;

/// Of many durations, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Times {
    /// Half took no longer.
    pub median: Duration,
    /// One in a hundred took longer.
    pub p99: Duration,
    /// One in a thousand took longer.
    pub p999: Duration,
    /// None took longer.
    pub slowest: Duration,
}

impl Times {
    fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |share: f64| {
            let last = all.len().saturating_sub(1);
            all.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
        };
        Self { median: at(0.5), p99: at(0.99), p999: at(0.999), slowest: at(1.0) }
    }

    fn json(self) -> Value {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        json!({
            "median_ms": ms(self.median), "p99_ms": ms(self.p99), "p999_ms": ms(self.p999),
            "slowest_ms": ms(self.slowest),
        })
    }
}

/// Everything that a run came to.
#[derive(Debug)]
pub struct Outcome {
    settings: Torture,
    /// What all clients were told.
    pub history: History,
    /// What is wrong with that.
    pub report: Report,
    /// Calls by what was asked and what was told, the last reads apart.
    pub calls: BTreeMap<(&'static str, &'static str), usize>,
    /// Reads, and how many of them were answered within 5 s.
    pub reads: (usize, usize),
    /// Of reads, however many nodes they took.
    pub read_times: Times,
    /// Of writes that were answered.
    pub write_times: Times,
    /// How many faults of each kind there were.
    pub faults: BTreeMap<&'static str, usize>,
    /// Daemons that ended by themselves, with their last words.
    pub ended: Vec<String>,
    /// What did not get whole again.
    pub unhealed: Vec<String>,
    /// Where logs and disks are, if they were kept.
    pub kept: Option<PathBuf>,
}

impl Outcome {
    pub(super) fn new(settings: &Torture, history: History, report: Report, reads: &[Reading]) -> Self {
        let mut calls = BTreeMap::new();
        for call in &history.calls {
            *calls.entry((asked(call), told(call))).or_default() += 1;
        }
        let writes = history.calls.iter().filter(|call| is_answered_write(call));
        let write_times = Times::of(writes.map(|call| Duration::from_micros(call.ended - call.begun)).collect());
        let answered = reads.iter().filter(|read| read.answered).count();
        Self {
            settings: settings.clone(),
            history,
            report,
            calls,
            reads: (reads.len(), answered),
            read_times: Times::of(reads.iter().map(|read| read.took).collect()),
            write_times,
            faults: BTreeMap::new(),
            ended: Vec::new(),
            unhealed: Vec::new(),
            kept: None,
        }
    }

    /// Nothing was violated, and nearly all reads were answered in time.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.kept_its_promises() && self.reads_answered() >= self.settings.reads_answered
    }

    /// Nothing was violated: no answer was wrong, no daemon ended by itself, and all were whole again in the end.
    #[must_use]
    pub fn kept_its_promises(&self) -> bool {
        self.report.is_clean() && self.ended.is_empty() && self.unhealed.is_empty()
    }

    /// The share of reads that were answered within 5 s.
    #[must_use]
    pub fn reads_answered(&self) -> f64 {
        share(self.reads.1, self.reads.0)
    }

    /// The share of writes whose outcome was known within 5 s. A write is asked of one node alone, up or down.
    #[must_use]
    pub fn writes_answered(&self) -> f64 {
        let writes = || self.history.calls.iter().filter(|call| call.asked != Asked::Get);
        share(writes().filter(|call| is_answered_write(call)).count(), writes().count())
    }

    /// Writes that were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.history.calls.iter().filter(|call| call.done().is_some()).count()
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("text takes text");
        text
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Torture { protocol, seed, nodes, duration, .. } = &self.settings;
        writeln!(out, "{}: {nodes} nodes, {duration:?} of faults, seed {seed}", protocol.name())?;
        for ((asked, told), count) in &self.calls {
            writeln!(out, "  {asked:<20} {told:<18} {count:>9}")?;
        }
        let (reads, answered) = self.reads;
        let percent = 100.0 * self.reads_answered();
        writeln!(out, "reads answered within 5 s: {percent:.3} % ({answered} of {reads}); {}", times(self.read_times))?;
        let percent = 100.0 * self.writes_answered();
        writeln!(out, "writes whose outcome is known: {percent:.2} %; {}", times(self.write_times))?;
        writeln!(out, "faults: {}", counted(self.faults.iter().map(|(kind, count)| (*kind, *count))))?;
        self.ended.iter().try_for_each(|ended| writeln!(out, "VIOLATED: {ended}"))?;
        self.unhealed.iter().try_for_each(|what| writeln!(out, "VIOLATED: not whole again {what}"))?;
        if !self.report.unread.is_empty() {
            let (count, first) = (self.report.unread.len(), self.report.unread.first());
            writeln!(out, "VIOLATED: {count} keys could not be read in the end, key {first:?} among them")?;
        }
        let kinds = |kinds: BTreeMap<Kind, usize>| counted(kinds.into_iter().map(|(kind, count)| (kind.name(), count)));
        writeln!(
            out,
            "violations: {}; excused: {}",
            kinds(self.report.by_kind()),
            kinds(self.report.excused_by_kind())
        )?;
        for violation in self.first_of_each_kind() {
            writeln!(out, "\n{}: key {}: {}", violation.kind, violation.key, violation.why)?;
            let around = self.history.around(violation, AROUND, AROUND);
            around.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
        if let Some(kept) = &self.kept {
            writeln!(out, "logs, disks and the faults are kept in {}", kept.display())?;
        }
        Ok(())
    }

    /// The violations that are told in detail.
    fn first_of_each_kind(&self) -> Vec<&Violation> {
        let mut of_kind: BTreeMap<Kind, BTreeSet<u32>> = BTreeMap::new();
        // One wrong answer often makes more for the same key.
        let is_early = |violation: &&Violation| {
            let keys = of_kind.entry(violation.kind).or_default();
            keys.len() < TOLD_OF_A_KIND && keys.insert(violation.key)
        };
        self.report.violations.iter().filter(is_early).take(TOLD).collect()
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let settings = &self.settings;
        let mut calls: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
        for ((asked, told), count) in &self.calls {
            calls.entry(asked).or_default().insert(told, *count);
        }
        let names = |kinds: BTreeMap<Kind, usize>| -> BTreeMap<&str, usize> {
            kinds.into_iter().map(|(kind, count)| (kind.name(), count)).collect()
        };
        let told = self.first_of_each_kind().into_iter().map(|violation| {
            json!({
                "kind": violation.kind.name(), "key": violation.key, "why": violation.why,
                "calls": self.history.around(violation, AROUND, AROUND),
            })
        });
        json!({
            "passed": self.passed(),
            "protocol": settings.protocol.name(),
            "seed": settings.seed,
            "nodes": settings.nodes,
            "clients": settings.clients,
            "keys": settings.keys,
            "durable": settings.durable,
            "seconds": settings.duration.as_secs_f64(),
            "lost_majority_after": settings.lost_majority_after,
            "calls": calls,
            "reads": self.reads.0,
            "reads_answered": self.reads_answered(),
            "writes_answered": self.writes_answered(),
            "acknowledged": self.acknowledged(),
            "read_times": self.read_times.json(),
            "write_times": self.write_times.json(),
            "faults": self.faults,
            "ended_by_themselves": self.ended,
            "not_whole_again": self.unhealed,
            "unread_keys": self.report.unread,
            "violations": names(self.report.by_kind()),
            "excused": names(self.report.excused_by_kind()),
            "told": told.collect::<Vec<_>>(),
            "kept": self.kept,
        })
    }
}

fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 1.0 } else { part as f64 / all as f64 }
}

fn times(times: Times) -> String {
    let Times { median, p99, p999, slowest } = times;
    format!("median {median:.1?}, 99 % {p99:.1?}, 99.9 % {p999:.1?}, slowest {slowest:.2?}")
}

fn counted<'a>(counts: impl Iterator<Item = (&'a str, usize)>) -> String {
    let all: Vec<String> = counts.map(|(kind, count)| format!("{count} {kind}")).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn is_answered_write(call: &Call) -> bool {
    matches!(call.told, Told::Done(_) | Told::ConditionFailed(_))
}

fn asked(call: &Call) -> &'static str {
    match call.asked {
        Asked::Get if call.last => "last get",
        Asked::Get => "get",
        Asked::Put(_, None) => "put",
        Asked::Put(_, Some(_)) => "conditional put",
        Asked::Delete(None) => "delete",
        Asked::Delete(Some(_)) => "conditional delete",
    }
}

fn told(call: &Call) -> &'static str {
    match &call.told {
        Told::Done(_) => "done",
        Told::Value(..) => "value",
        Told::Absent => "absent",
        Told::ConditionFailed(_) => "condition failed",
        Told::NotDone if call.asked == Asked::Get => "not answered",
        Told::Unknown if call.asked == Asked::Get => "not answered",
        Told::NotDone => "not done",
        Told::Unknown => "unknown",
    }
}
