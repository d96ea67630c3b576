//! A local cluster of one overlay, and what is measured on it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use client::Client;
use client::message::StatusResponse;
use futures::future::{join_all, try_join_all};
use ring::Space;

use super::{Compare, Looked};
use crate::args::key_bytes;
use crate::cluster::{Daemon, Launch, Logs, start_all};
use crate::commands::lookup::Route;
use crate::context::Context;
use crate::digits::Digits;
use crate::exit::{Failure, Result};
use crate::invariants;
use crate::output::{counted, note};
use crate::progress;
use crate::survey::{Depth, survey_quietly};
use crate::until::until;

/// How long an overlay may take until every invariant holds.
const SOUND_WITHIN: Duration = Duration::from_secs(120);
/// And besides that until no entry makes lookups longer than they have to be, and nothing changes hands any more.
const SHORT_WITHIN: Duration = Duration::from_secs(30);
/// How long the nodes get to end by themselves.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Into how many stretches the idle time is cut, each of them a sample.
const STRETCHES: u32 = 5;

/// A running cluster. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Local {
    protocol: String,
    nodes: Vec<Node>,
    context: Context,
}

#[derive(Debug)]
struct Node {
    id: String,
    client: Client,
    daemon: Daemon,
}

/// Messages and bytes per node and second, a sample for each stretch of time.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) messages: Vec<f64>,
    pub(super) bytes: Vec<f64>,
}

/// What one node had sent and answered by then.
#[derive(Clone, Copy, Debug)]
struct Counters {
    at: Instant,
    messages: u64,
    bytes: u64,
}

impl Local {
    /// Starts as many nodes as are wanted; over every overlay they have the same identifiers.
    pub(super) async fn start(
        context: &Context,
        program: PathBuf,
        protocol: &str,
        nodes: u16,
        flags: &[OsString],
    ) -> Result<Self> {
        let bar = progress::counting(u64::from(nodes), "starting nodes");
        let launch = |number: u16, seed: Option<&str>| Launch {
            program: program.clone(),
            label: format!("{protocol} node {number}"),
            args: arguments(protocol, number, seed, flags),
            logs: Logs::Kept,
        };
        let started = start_all(nodes, launch, &bar).await?;
        bar.finish_and_clear();
        let mut context = context.clone();
        context.global.endpoints = started.iter().filter_map(|(_, ready)| ready.advertise.parse().ok()).collect();
        let node = |(daemon, ready): (Daemon, crate::cluster::Ready)| {
            let client = Client::with_config([&ready.advertise], context.config())?;
            Ok(Node { id: ready.id, client, daemon })
        };
        let nodes = started.into_iter().map(node).collect::<Result<Vec<_>>>()?;
        Ok(Self { protocol: protocol.to_owned(), nodes, context })
    }

    /// Waits until every invariant holds; and then, though not for ever, until no entry is a detour and every range is where
    /// it is to stay.
    pub(super) async fn until_settled(&self) -> Result {
        until("overlay in which every invariant holds", SOUND_WITHIN, || self.detours()).await?;
        let deadline = Instant::now() + SHORT_WITHIN;
        loop {
            match self.detours().await? {
                Some(0) if self.has_whole_sets().await? => return Ok(()),
                Some(0) if Instant::now() > deadline => {
                    note(&format!("{}: some ranges still change hands; going on all the same", self.protocol));
                    return Ok(());
                }
                Some(detours) if Instant::now() > deadline => {
                    let entries = counted(detours as u64, "entry");
                    note(&format!("{}: {entries} not at the best node yet; going on all the same", self.protocol));
                    return Ok(());
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    /// Whether each range has all of its holders, and nobody is on the way into one.
    async fn has_whole_sets(&self) -> Result<bool> {
        let statuses = try_join_all(self.nodes.iter().map(|node| node.client.status())).await?;
        let whole = |status: &StatusResponse| {
            let wanted = self.nodes.len().min(status.replicas as usize);
            status.sets.iter().filter(|set| set.role == "primary").all(|set| {
                set.settled && set.members.len() >= wanted && set.missing.is_empty() && set.learners.is_empty()
            })
        };
        Ok(statuses.iter().all(whole))
    }

    /// How many entries are detours; nothing while an invariant is broken.
    async fn detours(&self) -> Result<Option<usize>> {
        let overlay = survey_quietly(&self.context, Depth::Tables).await?;
        let verdict = invariants::judge(&overlay)?;
        let sound = overlay.members.len() == self.nodes.len() && verdict.violations.is_empty();
        Ok(sound.then_some(verdict.detours))
    }

    /// What the nodes send while nobody asks them for anything.
    pub(super) async fn idle_for(&self, time: Duration) -> Result<Traffic> {
        let mut traffic = Traffic::default();
        let mut before = self.counters().await?;
        for _ in 0..STRETCHES {
            tokio::time::sleep(time / STRETCHES).await;
            let after = self.counters().await?;
            traffic.add(&before, &after);
            before = after;
        }
        Ok(traffic)
    }

    async fn counters(&self) -> Result<Vec<Counters>> {
        let counters = self.nodes.iter().map(|node| async {
            let status = node.client.status().await?;
            Ok::<_, Failure>(Counters {
                at: Instant::now(),
                messages: status.overlay_messages,
                bytes: status.overlay_bytes,
            })
        });
        try_join_all(counters).await
    }

    /// Bytes of each node's routing state.
    pub(super) async fn state_bytes(&self) -> Result<Vec<f64>> {
        let state = self.nodes.iter().map(|node| async {
            let status = node.client.status().await?;
            Ok::<_, Failure>(status.routing_state_bytes as f64)
        });
        try_join_all(state).await
    }

    /// Looks every key up from some of the nodes, one lookup at a time. What is measured comes after a first
    /// round that opens the connections.
    pub(super) async fn look_up(&self, compare: &Compare) -> Result<Vec<Looked>> {
        let from = usize::from(compare.from).min(self.nodes.len());
        let asked: Vec<&Node> = (0..from).filter_map(|step| self.nodes.get(step * self.nodes.len() / from)).collect();
        let mut lookups = Vec::new();
        for round in 0..=compare.rounds {
            for key in &compare.keys {
                for node in &asked {
                    let looked = node.look_up(key, compare.hex).await?;
                    if round > 0 {
                        lookups.push(looked);
                    }
                }
            }
        }
        Ok(lookups)
    }

    /// Ends the nodes, politely at first.
    pub(super) async fn stop(mut self) {
        for node in &self.nodes {
            node.daemon.terminate();
        }
        join_all(self.nodes.iter_mut().map(|node| node.daemon.ended(END_WITHIN))).await;
    }
}

impl Node {
    async fn look_up(&self, key: &str, hex: bool) -> Result<Looked> {
        let answer = self.client.lookup(key_bytes(key, hex)?).await?;
        // The ready line has identifiers in all their digits, four bits each.
        let digits = Digits::of_bits(u32::try_from(self.id.len() * 4).unwrap_or(160));
        let route = Route::new(Some(key.to_owned()), &answer, digits)?;
        Ok(Looked {
            key: key.to_owned(),
            from: self.id.clone(),
            owner: route.owner.id,
            hops: route.hops,
            latency_us: route.elapsed_us,
        })
    }
}

impl Traffic {
    /// A sample: the mean of all nodes' rates between two moments.
    fn add(&mut self, before: &[Counters], after: &[Counters]) {
        let rate = |count: fn(&Counters) -> u64| {
            let rates = before.iter().zip(after).map(|(before, after)| {
                let seconds = after.at.duration_since(before.at).as_secs_f64().max(1e-9);
                count(after).saturating_sub(count(before)) as f64 / seconds
            });
            rates.sum::<f64>() / before.len().max(1) as f64
        };
        self.messages.push(rate(|counters| counters.messages));
        self.bytes.push(rate(|counters| counters.bytes));
    }
}

/// How a node is started.
fn arguments(protocol: &str, number: u16, seed: Option<&str>, flags: &[OsString]) -> Vec<OsString> {
    let fixed = ["--listen", "127.0.0.1:0", "--http", "off", "--on-sigterm", "stop", "--protocol", protocol];
    let mut args: Vec<OsString> = fixed.map(OsString::from).to_vec();
    let chosen = |flag: &OsString| flag.to_string_lossy().starts_with("--id");
    if !flags.iter().any(chosen) {
        let id = Space::SHA1.hash(format!("node {number}").as_bytes()).to_string();
        args.extend(["--id".to_owned(), id].map(OsString::from));
    }
    if let Some(seed) = seed {
        args.extend(["--join", seed].map(OsString::from));
    }
    args.extend(flags.iter().cloned());
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_the_same_over_every_overlay_unless_their_width_is_chosen() {
        let id = |args: &[OsString]| {
            let at = args.iter().position(|arg| arg == "--id")?;
            args.get(at + 1).cloned()
        };
        let [chord, kelips] = ["chord", "kelips"].map(|protocol| arguments(protocol, 3, None, &[]));
        assert!(id(&chord).is_some());
        assert_eq!(id(&chord), id(&kelips));
        assert_ne!(id(&chord), id(&arguments("chord", 4, None, &[])));
        assert_eq!(id(&arguments("chord", 3, None, &["--id-bits".into(), "7".into()])), None);
    }

    #[test]
    fn rates_are_means_over_nodes_by_the_time_that_each_took() {
        let start = Instant::now();
        let at = |ms: u64, messages, bytes| Counters { at: start + Duration::from_millis(ms), messages, bytes };
        let mut traffic = Traffic::default();
        traffic.add(&[at(0, 10, 100), at(0, 0, 0)], &[at(1000, 14, 300), at(2000, 4, 1200)]);
        assert_eq!((traffic.messages, traffic.bytes), (vec![3.0], vec![400.0]));
    }
}
