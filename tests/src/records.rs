//! Records by the thousand: put through many nodes, read back through many others.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::Code;

use crate::ids;
use crate::stub::{self, v1};

/// Requests under way at a time. Few: the daemons share the machine with this process.
const IN_FLIGHT: usize = 16;

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// UTF-8, so that `dht get` can be told it.
    pub key: String,
    /// Different for every key.
    pub value: Vec<u8>,
}

/// Where a put was kept, as its receipt says.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The key.
    pub key: String,
    /// Addresses of the nodes that acknowledged.
    pub holders: Vec<String>,
    /// Every one of them had it on disk.
    pub durable: bool,
}

/// `count` records whose keys begin with `prefix`.
#[must_use]
pub fn records(prefix: &str, count: usize) -> Vec<Record> {
    (0..count)
        .map(|index| {
            let key = format!("{prefix}-{index:05}");
            let value = format!("{key} = {}", ids::hash(key.as_bytes(), ids::BITS_MAX));
            Record { key, value: value.into_bytes() }
        })
        .collect()
}

/// Puts every record once, each through one of `addrs`, chosen as good as at random.
///
/// # Panics
/// When one is refused: this is for rings that are whole.
#[track_caller]
pub fn put_all(addrs: &[String], records: &[Record]) -> Vec<Stored> {
    let clients: Vec<_> = addrs.iter().map(|addr| stub::kv(addr)).collect();
    let gate = Arc::new(Semaphore::new(IN_FLIGHT));
    let outcomes = stub::wait(async {
        let mut tasks = JoinSet::new();
        for (index, record) in records.iter().enumerate() {
            let through = scattered(index, addrs.len());
            let mut client = clients[through].clone();
            let (record, gate, addr) = (record.clone(), gate.clone(), addrs[through].clone());
            tasks.spawn(async move {
                let _permit = gate.acquire_owned().await;
                let request = v1::PutRequest {
                    key: record.key.clone().into_bytes(),
                    value: record.value,
                    ..v1::PutRequest::default()
                };
                match client.put(request).await {
                    Ok(answer) => {
                        let acks = answer.into_inner().acks;
                        Ok(Stored {
                            key: record.key,
                            durable: acks.iter().all(|ack| ack.durable),
                            holders: acks.into_iter().map(|ack| ack.addr).collect(),
                        })
                    }
                    Err(status) => Err(format!("put {} through {addr}: {status}", record.key)),
                }
            });
        }
        tasks.join_all().await
    });
    outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|reason| panic!("{reason}"))).collect()
}

/// What came of reading many records.
#[derive(Debug, Default)]
pub struct Readings {
    /// Could not be read just now: no answer, or one that says so.
    pub unavailable: Vec<String>,
    /// Answered *not found*.
    pub missing: Vec<String>,
    /// Answered with another value.
    pub wrong: Vec<String>,
}

impl Readings {
    /// `Ok` when every record was there, with its value.
    ///
    /// # Errors
    /// Otherwise, with the numbers and the first few.
    pub fn whole(&self) -> Result<(), String> {
        let kinds = [("lost", &self.missing), ("wrong", &self.wrong), ("unavailable", &self.unavailable)];
        let complaints: Vec<String> = kinds
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(kind, list)| {
                let first: Vec<&str> = list.iter().take(3).map(String::as_str).collect();
                format!("{} {kind}: {}", list.len(), first.join("; "))
            })
            .collect();
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join(" | ")) }
    }
}

/// Reads every record once, each through one of `addrs`. `round` shifts which.
#[must_use]
pub fn get_all(addrs: &[String], records: &[Record], round: usize) -> Readings {
    let clients: Vec<_> = addrs.iter().map(|addr| stub::kv(addr)).collect();
    let gate = Arc::new(Semaphore::new(IN_FLIGHT));
    let outcomes = stub::wait(async {
        let mut tasks = JoinSet::new();
        for (index, record) in records.iter().enumerate() {
            let through = scattered(index + 1 + round, addrs.len());
            let mut client = clients[through].clone();
            let (record, gate, addr) = (record.clone(), gate.clone(), addrs[through].clone());
            tasks.spawn(async move {
                let _permit = gate.acquire_owned().await;
                let key = record.key.clone().into_bytes();
                let answer = client.get(v1::GetRequest { key, ..v1::GetRequest::default() }).await;
                let answer = answer.map(|answer| answer.into_inner().value == record.value);
                (format!("{} through {addr}", record.key), answer)
            });
        }
        tasks.join_all().await
    });
    let mut readings = Readings::default();
    for (name, answer) in outcomes {
        match answer {
            Ok(true) => {}
            Ok(false) => readings.wrong.push(name),
            Err(status) if status.code() == Code::NotFound => readings.missing.push(name),
            Err(status) => readings.unavailable.push(format!("{name}: {:?} {}", status.code(), status.message())),
        }
    }
    readings
}

/// Spreads indices over `count` places without a pattern that the ring could share.
pub(crate) fn scattered(index: usize, count: usize) -> usize {
    let mixed =
        (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 33) as usize % count
}
