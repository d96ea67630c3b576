//! What all daemons of a cluster must agree on: who owns a key, the way there, and who holds how many copies.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::builder::Builder;
use crate::cluster::Cluster;
use crate::ids;
use crate::lookups::{Found, lookup_all};
use crate::records::Record;
use crate::ring_view::copies_each;
use crate::truth::Protocol;
use crate::wait::eventually;

impl Cluster {
    /// Waits until every member holds exactly the records that it should, each record its copies and none more, and
    /// each range has all of its holders: a newcomer has its copies before it counts in a majority.
    #[track_caller]
    pub fn await_copies(&mut self, records: &[Record], within: Duration) -> Duration {
        let up = self.up();
        let ids = self.up_ids();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let what = format!("{} copies each of {} records", self.settings.replicas, records.len());
        let ((), took) = eventually(&what, within, || {
            let members = self.members(up[0])?;
            let held: BTreeMap<String, u64> = members.into_iter().map(|member| (member.id, member.keys)).collect();
            let total = records.len() * self.settings.replicas.min(ids.len());
            if held.values().sum::<u64>() != total as u64 {
                return Err(format!("{total} copies in all are wanted, held are {held:?}"));
            }
            let expected = self.expected_copies(up[0], &ids, records)?;
            if held != expected {
                return Err(format!("held {held:?}, should be {expected:?}"));
            }
            self.has_whole_sets()
        });
        took
    }

    /// Waits until each range has all of its holders. Members know each other before that: until then a write is
    /// acknowledged by the majority of fewer.
    #[track_caller]
    pub fn await_whole_sets(&mut self, within: Duration) -> Duration {
        let wanted = self.settings.replicas.min(self.up().len());
        let ((), took) = eventually(&format!("{wanted} holders of each range"), within, || self.has_whole_sets());
        took
    }

    /// Whether each range has all of its holders now.
    ///
    /// # Errors
    /// With the first that has not.
    #[track_caller]
    pub fn has_whole_sets(&mut self) -> Result<(), String> {
        let up = self.up();
        let wanted = self.settings.replicas.min(up.len());
        for index in &up {
            let status = self.dht(*index, &["status"]);
            let status = status.parse().map_err(|error| format!("node{index}: {error}: {}", status.stderr))?;
            let sets = status["sets"].as_array().ok_or("no sets")?;
            let whole = |set: &&Value| {
                let members = set["members"].as_array().map_or(0, Vec::len);
                members >= wanted && set["settled"] == true
            };
            if let Some(set) = sets.iter().filter(|set| set["role"] == "primary").find(|set| !whole(set)) {
                return Err(format!("node{index}: {set}"));
            }
        }
        Ok(())
    }

    /// How many records each node should hold once every record has its copies: worked out from the keys alone or,
    /// where the overlay chooses the holders, by those that lookups name.
    fn expected_copies(
        &self,
        through: usize,
        nodes: &[&str],
        records: &[Record],
    ) -> Result<BTreeMap<String, u64>, String> {
        let Builder { protocol, replicas, bits, .. } = self.settings;
        if let Protocol::Kelips { .. } = protocol {
            let keys: Vec<String> = records.iter().map(|record| record.key.clone()).collect();
            let found = self.judge_lookups(&[through], nodes, &keys)?;
            return Ok(copies_each(nodes, found.iter().map(|found| found.replicas.iter().map(String::as_str))));
        }
        let holders = records.iter().filter_map(|record| {
            let id = ids::hash(record.key.as_bytes(), bits);
            protocol.holders(nodes, &id, replicas, bits)
        });
        Ok(copies_each(nodes, holders))
    }

    /// Looks every key up through each of some daemons and judges each answer, where `nodes` are all members. One key
    /// has one owner, whoever is asked. Returns what the last of them found.
    ///
    /// # Errors
    /// With the first answer that is missing or wrong.
    #[track_caller]
    pub fn judge_lookups(&self, through: &[usize], nodes: &[&str], keys: &[String]) -> Result<Vec<Found>, String> {
        let Builder { protocol, replicas, bits, .. } = self.settings;
        let mut known: Vec<Found> = Vec::new();
        for asked in through {
            let answers = lookup_all(&self.address(*asked), keys, bits);
            let found: Vec<Found> = answers.into_iter().collect::<Result<_, _>>().map_err(|missed| missed.reason)?;
            for (at, (key, found)) in keys.iter().zip(&found).enumerate() {
                let id = ids::hash(key.as_bytes(), bits);
                protocol.judge(nodes, &id, found, replicas, bits).map_err(|why| format!("{key}: {why}"))?;
                if let Some(other) = known.get(at).filter(|other| other.owner != found.owner) {
                    return Err(format!("{key}: two owners, {found:?} and {other:?}"));
                }
            }
            known = found;
        }
        Ok(known)
    }

    /// Waits until lookups through every daemon that is up are right for all of `keys`.
    #[track_caller]
    pub fn await_right_lookups(&mut self, keys: &[String], within: Duration) -> Duration {
        let (up, ids) = (self.up(), self.up_ids());
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let what = format!("right lookups of {} keys through {} nodes", keys.len(), up.len());
        eventually(&what, within, || self.judge_lookups(&up, &ids, keys)).1
    }
}
