//! A whole history, key by key.

use std::collections::HashSet;
use std::time::Duration;

use super::key::OneKey;
use super::report::{Report, Violation};
use super::{Asked, History, Told};

/// What is allowed for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long after the end of its call a write of unknown outcome may still be carried out.
    pub unknown_for: Duration,
    /// Keys whose range had a set that was forced: what is wrong with them is told apart.
    pub forced: HashSet<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self { unknown_for: Duration::from_secs(10), forced: HashSet::new() }
    }
}

/// Finds every answer that a cluster which keeps its promises would not have given.
#[must_use]
pub fn check(history: &History, options: &Options) -> Report {
    let unknown_for = u64::try_from(options.unknown_for.as_micros()).unwrap_or(u64::MAX);
    let mut found: Vec<Violation> = Vec::new();
    let mut unread = Vec::new();
    let any_last = history.calls.iter().any(|call| call.last);
    for (key, calls) in by_key(history) {
        found.extend(OneKey::new(history, key, &calls, unknown_for).check());
        if any_last && !was_read(history, &calls) {
            unread.push(key);
        }
    }
    found.sort_by_key(|violation| (history.calls[violation.call].begun, violation.call));
    let (excused, violations) = found.into_iter().partition(|violation| options.forced.contains(&violation.key));
    Report { violations, excused, unread }
}

/// The places of each key's calls, in order of their beginnings.
fn by_key(history: &History) -> Vec<(u32, Vec<usize>)> {
    let mut order: Vec<usize> = (0..history.calls.len()).collect();
    order.sort_unstable_by_key(|index| (history.calls[*index].key, history.calls[*index].begun, *index));
    let key = |index: &usize| history.calls[*index].key;
    order.chunk_by(|one, other| key(one) == key(other)).map(|calls| (key(&calls[0]), calls.to_vec())).collect()
}

/// Whether a key of which anything is promised was read when all was over.
fn was_read(history: &History, calls: &[usize]) -> bool {
    let calls = || calls.iter().map(|index| &history.calls[*index]);
    let written = calls().any(|call| call.done().is_some());
    let answered = |told: &Told| matches!(told, Told::Value(..) | Told::Absent);
    !written || calls().any(|call| call.last && call.asked == Asked::Get && answered(&call.told))
}
