//! What clients asked of a cluster and what they were told, and whether a cluster that keeps its promises could have
//! told them that. Nothing here does any input or output, and nothing of it knows how the cluster works inside.
//!
//! What is promised, key by key: there is one order of its writes, that of their versions. A write is carried out at
//! some moment between its call's beginning and its end, a read tells the state of such a moment. A plain write may be
//! carried out twice, since it is tried again while its call is open; one whose outcome is unknown at any moment after
//! its beginning, up to some time after its end, or never. [`check`] finds whatever goes beyond that.

mod check;
mod key;
mod report;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;

pub use check::{Options, check};
pub use report::{Kind, Report, Violation};
pub use value::{key_name, read_value, value_of};

/// Of two states of one key the later has the greater one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Version {
    /// The number of the set that it was ordered under.
    pub term: u64,
    /// A moment of a clock, and a count.
    pub clock: u64,
    /// Whose clock.
    pub store: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}-{:04x}", self.term, self.clock, self.store >> 48)
    }
}

/// Tells every value ever put from every other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct WriteId {
    /// Who put it.
    pub client: u32,
    /// Counts each client's puts.
    pub number: u32,
}

impl fmt::Display for WriteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "value {}.{}", self.client, self.number)
    }
}

/// What has to hold for a write to be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Condition {
    /// There is no record.
    IfAbsent,
    /// The record has this version.
    IfVersion(Version),
}

/// What was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// A value, like no other.
    Put(WriteId, Option<Condition>),
    /// That there be none.
    Delete(Option<Condition>),
    /// What there is.
    Get,
}

impl Asked {
    /// The condition of a conditional write.
    #[must_use]
    pub fn condition(self) -> Option<Condition> {
        match self {
            Self::Put(_, condition) | Self::Delete(condition) => condition,
            Self::Get => None,
        }
    }
}

/// What was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// A write was carried out, with this version.
    Done(Version),
    /// A value, its version, and whose it is; or what is wrong with it.
    Value(Version, Result<WriteId, String>),
    /// There is no record.
    Absent,
    /// A write was not carried out: the record has this version, or there is none.
    ConditionFailed(Option<Version>),
    /// A write was not carried out, for sure; or a read was not answered.
    NotDone,
    /// A write may have been carried out, or be yet; or a read was not answered.
    Unknown,
}

/// One call of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Which key.
    pub key: u32,
    /// Who asked.
    pub client: u32,
    /// Which node was asked.
    pub through: u32,
    /// When, in microseconds of one monotonic clock.
    pub begun: u64,
    /// When the answer was there, or was given up.
    pub ended: u64,
    /// What was asked.
    pub asked: Asked,
    /// What was told.
    pub told: Told,
    /// It is one of the reads when all was over.
    pub last: bool,
    /// Why it was not answered, or not done, in the words of whoever said so.
    pub said: String,
}

impl Call {
    /// Whether it is a write that was acknowledged, and with which version.
    #[must_use]
    pub fn done(&self) -> Option<Version> {
        match self.told {
            Told::Done(version) => Some(version),
            _ => None,
        }
    }

    /// One line for people; times in milliseconds.
    #[must_use]
    pub fn tell(&self) -> String {
        let asked = match self.asked {
            Asked::Put(id, condition) => format!("put {id}{}", tell_condition(condition)),
            Asked::Delete(condition) => format!("delete{}", tell_condition(condition)),
            Asked::Get if self.last => "last get".to_owned(),
            Asked::Get => "get".to_owned(),
        };
        let told = match &self.told {
            Told::Done(version) => format!("done, version {version}"),
            Told::Value(version, Ok(id)) => format!("{id}, version {version}"),
            Told::Value(version, Err(why)) => format!("TORN ({why}), version {version}"),
            Told::Absent => "absent".to_owned(),
            Told::ConditionFailed(Some(version)) => format!("condition failed, version {version}"),
            Told::ConditionFailed(None) => "condition failed, absent".to_owned(),
            Told::NotDone => "not done".to_owned(),
            Told::Unknown => "unknown".to_owned(),
        };
        let ms = |us: u64| format!("{}.{:03}", us / 1_000, us % 1_000);
        let (begun, ended) = (ms(self.begun), ms(self.ended));
        let said = if self.said.is_empty() { String::new() } else { format!(": {}", self.said) };
        let (client, through) = (self.client, self.through);
        format!("{begun:>12} – {ended:>12} ms  client {client:<3} node{through:<3} {asked} → {told}{said}")
    }
}

fn tell_condition(condition: Option<Condition>) -> String {
    match condition {
        None => String::new(),
        Some(Condition::IfAbsent) => " if absent".to_owned(),
        Some(Condition::IfVersion(version)) => format!(" if version {version}"),
    }
}

/// All calls of all clients, in any order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The calls.
    pub calls: Vec<Call>,
}

impl History {
    /// Calls of a violation's key around it, in order of their beginnings: `before` of them that began before it, and
    /// `after`. Those that it rests on are always among them, and are marked.
    #[must_use]
    pub fn around(&self, violation: &Violation, before: usize, after: usize) -> Vec<String> {
        let mut of_key: Vec<usize> =
            (0..self.calls.len()).filter(|index| self.calls[*index].key == violation.key).collect();
        of_key.sort_by_key(|index| (self.calls[*index].begun, *index));
        let at = of_key.iter().position(|index| *index == violation.call).unwrap_or_default();
        let near = at.saturating_sub(before)..=at.saturating_add(after);
        let told = of_key.iter().enumerate().filter_map(|(place, index)| {
            let involved = *index == violation.call || violation.because.contains(index);
            let mark = if involved { "=>" } else { "  " };
            (involved || near.contains(&place)).then(|| format!("{mark} {}", self.calls[*index].tell()))
        });
        told.collect()
    }
}
