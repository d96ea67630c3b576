//! Lookups by the thousand, without touching data.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::ids;
use crate::stub::{self, v1};

/// Lookups under way at a time.
const IN_FLIGHT: usize = 8;

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Identifier of the owner.
    pub owner: String,
    /// Identifiers from the node asked to the one that answered for the key: the owner, or in Kelips a member of the
    /// key's group.
    pub path: Vec<String>,
    /// Identifiers of who holds the copies.
    pub replicas: Vec<String>,
    /// As the asker saw it.
    pub took: Duration,
}

/// A lookup without an answer.
#[derive(Clone, Debug)]
pub struct Missed {
    /// What was said instead.
    pub reason: String,
    /// As the asker saw it.
    pub took: Duration,
}

/// Looks every key up through one node. Answers are in the order of the keys; identifiers have `bits` bits.
#[must_use]
pub fn lookup_all(addr: &str, keys: &[String], bits: u32) -> Vec<Result<Found, Missed>> {
    let client = stub::admin(addr);
    let gate = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut outcomes = stub::wait(async {
        let mut tasks = JoinSet::new();
        for (index, key) in keys.iter().enumerate() {
            let (mut client, gate, key) = (client.clone(), gate.clone(), key.clone());
            let addr = addr.to_owned();
            tasks.spawn(async move {
                let _permit = gate.acquire_owned().await;
                let start = Instant::now();
                let target = v1::lookup_request::Target::Key(key.clone().into_bytes());
                let request = v1::LookupRequest { target: Some(target) };
                let answer = client.lookup(request).await;
                let took = start.elapsed();
                let found = answer
                    .map_err(|status| status.to_string())
                    .and_then(|answer| found(&answer.into_inner(), took, bits))
                    .map_err(|reason| Missed {
                        reason: format!("{key} through {addr} after {took:?}: {reason}"),
                        took,
                    });
                (index, found)
            });
        }
        tasks.join_all().await
    });
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, found)| found).collect()
}

fn found(answer: &v1::LookupResponse, took: Duration, bits: u32) -> Result<Found, String> {
    let id = |peer: Option<&v1::Peer>| {
        peer.map(|peer| ids::from_wire(&peer.id, bits)).ok_or_else(|| format!("a peer is missing in {answer:?}"))
    };
    Ok(Found {
        owner: id(answer.owner.as_ref())?,
        path: answer.path.iter().map(|step| id(step.peer.as_ref())).collect::<Result<_, _>>()?,
        replicas: answer.replicas.iter().map(|peer| id(Some(peer))).collect::<Result<_, _>>()?,
        took,
    })
}
