//! The nodes of the demo, and what can be asked of all of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use client::{Client, Config, Error, PutOptions};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use overlay::inspect::Verdict;
use ring::{Id, Space};

use super::{Held, Tale};
use crate::cluster::{Daemon, Launch, Logs, Ready};
use crate::commands::PeerJson;
use crate::commands::lookup::Route;
use crate::commands::ring::RingView;
use crate::context::Context;
use crate::digits::Digits;
use crate::exit::{Failure, Result};
use crate::invariants;
use crate::survey::{Depth, Member, Report, State, survey_quietly};
use crate::until::until;

/// Copies of each record: the daemon's own default.
pub(crate) const COPIES: usize = 3;
/// Nothing here takes longer, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
const FLAGS: [&str; 4] = ["--listen", "127.0.0.1:0", "--http", "off"];
const IN_FLIGHT: usize = 16;

/// A process of the demo.
#[derive(Debug)]
pub(crate) struct Actor {
    name: String,
    daemon: Daemon,
    ready: Ready,
    client: Client,
}

impl Actor {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> &str {
        &self.ready.id
    }

    pub(crate) fn addr(&self) -> &str {
        &self.ready.advertise
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.pid().unwrap_or_default()
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn peer(&self) -> PeerJson {
        PeerJson { id: self.id().to_owned(), addr: self.addr().to_owned() }
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn crash(self) -> Result {
        self.daemon.crash().await
    }
}

/// All of them, in the order of their start.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    context: &'a Context,
    program: PathBuf,
    tale: Tale,
    actors: Vec<Actor>,
    started: usize,
    /// Everything that was put, and must be there.
    records: BTreeMap<String, String>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(context: &'a Context, program: PathBuf, tale: Tale) -> Self {
        let records = BTreeMap::from([("fruit".to_owned(), "apple".to_owned())]);
        Self { context, program, tale, actors: Vec::new(), started: 0, records }
    }

    pub(crate) fn tale(&self) -> &Tale {
        &self.tale
    }

    pub(crate) fn nodes(&self) -> &[Actor] {
        &self.actors
    }

    pub(crate) fn node(&self, place: usize) -> Result<&Actor> {
        self.actors.get(place).ok_or_else(|| Failure::other("the demo has lost count of its nodes"))
    }

    /// How many records are there to be found.
    pub(crate) fn records(&self) -> usize {
        self.records.len()
    }

    /// What one would type to start a node.
    pub(crate) fn command_line(&self, seed: Option<&str>) -> String {
        let join = seed.map_or_else(String::new, |seed| format!(" --join {seed}"));
        format!("dhtd {}{join}", self.flags().join(" "))
    }

    fn flags(&self) -> Vec<&str> {
        FLAGS.into_iter().chain(self.tale.flags()).collect()
    }

    /// Starts processes that join through the first one, all at the same time, and waits until they are ready.
    pub(crate) async fn add_nodes(&mut self, number: usize) -> Result {
        let seed = self.actors.first().map(|actor| actor.addr().to_owned());
        let start = (1..=number).map(|step| self.start(self.started + step, seed.as_deref()));
        let newcomers = try_join_all(start).await?;
        self.started += number;
        self.actors.extend(newcomers);
        Ok(())
    }

    async fn start(&self, number: usize, seed: Option<&str>) -> Result<Actor> {
        let name = format!("node {number}");
        let mut args: Vec<OsString> = self.flags().into_iter().map(OsString::from).collect();
        if let Some(seed) = seed {
            args.extend(["--join", seed].map(OsString::from));
        }
        let launch = Launch { program: self.program.clone(), label: name.clone(), args, logs: Logs::Kept };
        let mut daemon = Daemon::start(&launch)?;
        let ready = daemon.ready(PATIENCE).await?;
        let client = Client::with_config([&ready.advertise], self.config())?;
        Ok(Actor { name, daemon, ready, client })
    }

    /// The node that is called so, taken off the stage.
    pub(crate) fn take(&mut self, addr: &str) -> Result<Actor> {
        let place = self.actors.iter().position(|actor| actor.addr() == addr);
        let place = place.ok_or_else(|| Failure::other(format!("{addr} is none of the demo's nodes")))?;
        Ok(self.actors.remove(place))
    }

    pub(crate) fn name_at<'b>(&'b self, addr: &'b str) -> &'b str {
        self.actors.iter().find(|actor| actor.addr() == addr).map_or(addr, |actor| &actor.name)
    }

    /// The identifier of the first node at or after this one. Identifiers of one width sort as their digits do.
    pub(crate) fn successor_of(&self, id: &str) -> String {
        let mut ids: Vec<&str> = self.actors.iter().map(Actor::id).collect();
        ids.sort_unstable();
        ids.iter().find(|node| **node >= id).or(ids.first()).map_or_else(String::new, |id| (*id).to_owned())
    }

    /// Waits until there is one ring of so many nodes, in which every invariant holds.
    pub(crate) async fn until_sound(&self, nodes: usize) -> Result {
        self.until_judged("one ring in which every invariant holds", nodes, |verdict| verdict.violations.is_empty())
            .await
    }

    /// Waits until besides that no entry makes routes longer than they have to be.
    pub(crate) async fn until_routes_are_short(&self) -> Result {
        self.until_judged("routing table without a detour", self.actors.len(), |verdict| {
            verdict.violations.is_empty() && verdict.detours == 0
        })
        .await
    }

    async fn until_judged(&self, what: &str, nodes: usize, good: impl Fn(&Verdict) -> bool) -> Result {
        let context = self.everybody();
        until(what, PATIENCE, || async {
            let overlay = survey_quietly(&context, Depth::Tables).await?;
            let enough = overlay.members.len() == nodes;
            Ok((enough && good(&invariants::judge(&overlay)?)).then_some(()))
        })
        .await
    }

    /// Waits until all nodes are ready and each range has all of its holders.
    pub(crate) async fn until_whole(&self) -> Result {
        let context = self.everybody();
        until("range that has all of its holders", PATIENCE, || async {
            let overlay = survey_quietly(&context, Depth::Neighbours).await?;
            let whole = overlay.members.iter().all(|member| copies_of(member).is_some());
            Ok((overlay.members.len() == self.actors.len() && whole).then_some(()))
        })
        .await
    }

    /// Waits until all nodes are ready and each record is where it belongs, at its owner and the next two; says who
    /// holds how many.
    pub(crate) async fn until_copied(&self) -> Result<RingView> {
        let context = self.everybody();
        let what = format!("{COPIES} copies of each of {} records", self.records.len());
        until(&what, PATIENCE, || async {
            let overlay = survey_quietly(&context, Depth::Neighbours).await?;
            let found: Option<BTreeMap<Id, u64>> = overlay.members.iter().map(copies_of).collect();
            let settled =
                overlay.members.len() == self.actors.len() && found.is_some_and(|found| self.is_copied(&found));
            Ok(settled.then(|| RingView::new(&overlay)))
        })
        .await
    }

    /// Whether each node holds as many records as it should; where identifiers do not tell, whether all do together.
    fn is_copied(&self, found: &BTreeMap<Id, u64>) -> bool {
        if self.tale.is_plain_ring() {
            return *found == self.expected_copies(found.keys().copied());
        }
        // So many records over so few nodes: whoever holds none is still to get its part, unless a newcomer may have none.
        let all_have_some = self.tale.owner_may_hold_nothing() || found.values().all(|held| *held > 0);
        let few = self.records.len() < found.len() * 10;
        found.values().sum::<u64>() == (self.records.len() * COPIES) as u64 && (all_have_some || few)
    }

    /// How many records each of these nodes should hold, worked out from keys and identifiers alone.
    fn expected_copies(&self, nodes: impl Iterator<Item = Id>) -> BTreeMap<Id, u64> {
        let mut expected: BTreeMap<Id, u64> = nodes.map(|id| (id, 0)).collect();
        for key in self.records.keys() {
            let id = Space::SHA1.hash(key.as_bytes());
            let after = expected.range(id..).map(|(id, _)| *id);
            let before = expected.range(..id).map(|(id, _)| *id);
            let holders: Vec<Id> = after.chain(before).take(COPIES).collect();
            for holder in holders {
                *expected.entry(holder).or_default() += 1;
            }
        }
        expected
    }

    /// Puts records through the nodes in turn.
    pub(crate) async fn put_records(&mut self, number: usize) -> Result<Duration> {
        let start = Instant::now();
        let records = (1..=number).map(|n| (format!("record-{n}"), format!("value-{n}")));
        let records: Vec<(String, String)> = records.collect();
        let puts = records.iter().zip(self.actors.iter().cycle()).map(|((key, value), actor)| async move {
            actor.client.put(key.clone(), value.clone(), PutOptions::default()).await
        });
        stream::iter(puts).buffer_unordered(IN_FLIGHT).try_collect::<Vec<_>>().await?;
        self.records.extend(records);
        Ok(start.elapsed())
    }

    /// Reads every record, through one node or through all in turn. While a crash is being noticed a read may have to be
    /// tried again; a record that is said not to be there, or to be another, is lost.
    pub(crate) async fn read_all(&self, through: Option<usize>) -> Result<usize> {
        let actors = match through {
            Some(place) => std::slice::from_ref(self.node(place)?),
            None => &self.actors[..],
        };
        let deadline = Instant::now() + PATIENCE;
        let reads = self.records.iter().zip(actors.iter().cycle()).map(|((key, value), actor)| async move {
            loop {
                match actor.client.get(key.clone()).await {
                    Ok(record) if record.value == value.as_bytes() => return Ok(()),
                    Ok(_) => {
                        return Err(Failure::other(format!("not as promised: `{key}` has another value")));
                    }
                    Err(Error::NotFound) => {
                        return Err(Failure::other(format!("not as promised: `{key}` is lost, says {}", actor.name)));
                    }
                    Err(error) if Instant::now() > deadline => return Err(error.into()),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        stream::iter(reads).buffer_unordered(IN_FLIGHT).try_collect::<Vec<()>>().await?;
        Ok(self.records.len())
    }

    /// The longest way that any node has to any of a few keys.
    pub(crate) async fn longest_route(&self) -> Result<(&Actor, Route)> {
        let mut longest: Option<(&Actor, Route)> = None;
        for key in ["fruit", "tree", "leaf", "root", "seed", "bark"] {
            for actor in &self.actors {
                let route = self.route(actor, key).await?;
                if longest.as_ref().is_none_or(|(_, best)| route.hops > best.hops) {
                    longest = Some((actor, route));
                }
            }
        }
        longest.ok_or_else(|| Failure::other("the demo has no nodes"))
    }

    /// The address of the first who holds a key's record: its owner, where owners hold records.
    pub(crate) async fn holder_of(&self, key: &str) -> Result<String> {
        let route = self.route(self.node(0)?, key).await?;
        let holder =
            if self.tale.owner_may_hold_nothing() { route.replicas.into_iter().next() } else { Some(route.owner) };
        holder.map(|holder| holder.addr).ok_or_else(|| Failure::other(format!("nobody is said to hold `{key}`")))
    }

    /// Whether every node names this owner of a key.
    pub(crate) async fn all_agree_on(&self, key: &str, owner: &PeerJson) -> Result<bool> {
        let routes = try_join_all(self.actors.iter().map(|actor| self.route(actor, key))).await?;
        Ok(routes.iter().all(|route| route.owner == *owner))
    }

    /// How many records this node owns.
    pub(crate) async fn owned_by(&self, place: usize) -> Result<usize> {
        let actor = self.node(place)?;
        let routes = self.records.keys().map(|key| self.route(actor, key));
        let routes: Vec<Route> = stream::iter(routes).buffer_unordered(IN_FLIGHT).try_collect().await?;
        Ok(routes.iter().filter(|route| route.owner.addr == actor.addr()).count())
    }

    async fn route(&self, actor: &Actor, key: &str) -> Result<Route> {
        let answer = actor.client.lookup(key.to_owned()).await?;
        // The ready line has identifiers in all their digits, four bits each.
        let digits = Digits::of_bits(u32::try_from(actor.id().len() * 4).unwrap_or(160));
        Route::new(Some(key.to_owned()), &answer, digits)
    }

    /// Who holds how many records, before and after, in ring order.
    pub(crate) fn held(&self, before: &RingView, after: &RingView) -> Vec<Held> {
        let keys = |view: &RingView, id: &str| {
            view.members.iter().find(|member| member.id == id).and_then(|member| member.keys).unwrap_or(0)
        };
        let held = after.members.iter().map(|member| Held {
            node: self.name_at(&member.addr).to_owned(),
            addr: member.addr.clone(),
            before: keys(before, &member.id),
            after: keys(after, &member.id),
        });
        held.collect()
    }

    fn everybody(&self) -> Context {
        let mut context = self.context.clone();
        context.global.endpoints = self.actors.iter().filter_map(|actor| actor.addr().parse().ok()).collect();
        context
    }

    fn config(&self) -> Config {
        self.context.config()
    }
}

/// How many records a member holds. None while it is not ready, or while a set of its own is short of members: a copy that
/// is not yet in its range's set would not count when another is lost.
fn copies_of(member: &Member) -> Option<(Id, u64)> {
    let report: &Report = member.report.as_ref().ok()?;
    let complete = report.set_members_min.is_none_or(|members| members >= COPIES);
    (report.state == State::Ready && complete).then_some((report.me.id, report.keys))
}

/// Milliseconds since then.
pub(crate) fn millis(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}
