//! The main job in one go, told as it happens. What is promised is checked, and anything else ends it with an error.

mod stage;
mod story;
mod tale;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use client::{DeleteOptions, PutOptions};
use serde::Serialize;

use self::stage::{COPIES, Stage, millis};
use self::story::Story;
use self::tale::Tale;
use super::PeerJson;
use super::lookup::{Route, path_text};
use super::ring::{RingView, members_text};
use crate::cluster::find_dhtd;
use crate::columns::Columns;
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::output::duration_us;

/// The main job in one go: start 5 processes, put, get, trace a lookup, crash one, add one
#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// On which overlay; else on the first one, chord
    #[arg(long, value_name = "NAME")]
    protocol: Option<String>,
    /// The daemon to run; else the one beside this binary, or in PATH
    #[arg(long, value_name = "PATH")]
    dhtd: Option<PathBuf>,
}

const NODES: usize = 5;
const RECORDS: usize = 100;

/// What happened.
#[derive(Serialize, Debug)]
struct Outcome {
    ok: bool,
    protocol: &'static str,
    nodes: Vec<PeerJson>,
    put: Put,
    get: Get,
    lookup: Route,
    records: usize,
    ring: RingView,
    crash: Crash,
    join: Join,
    elapsed_ms: u64,
}

#[derive(Serialize, Debug)]
struct Put {
    key: &'static str,
    through: String,
    version: String,
    copies: usize,
}

#[derive(Serialize, Debug)]
struct Get {
    through: String,
    value: String,
    served_by: Option<String>,
}

#[derive(Serialize, Debug)]
struct Crash {
    killed: PeerJson,
    read: usize,
    all_read_after_ms: u64,
    copies_restored_after_ms: u64,
}

#[derive(Serialize, Debug)]
struct Join {
    node: PeerJson,
    settled_after_ms: u64,
    /// Records each node holds, before and after.
    held: Vec<Held>,
    /// Keys that the newcomer owns now.
    owned: usize,
    read: usize,
}

#[derive(Serialize, Debug)]
struct Held {
    node: String,
    addr: String,
    before: u64,
    after: u64,
}

impl Demo {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let program = find_dhtd(self.dhtd.as_deref())?;
        let start = Instant::now();
        let mut stage = Stage::new(context, program, Tale::of(self.protocol.as_deref())?);
        let mut story = Story::new(context.out);
        let nodes = form_a_ring(&mut stage, &mut story).await?;
        let (put, get) = put_and_get(&stage, &mut story).await?;
        let lookup = trace_a_lookup(&stage, &mut story).await?;
        let ring = spread_records(&mut stage, &mut story).await?;
        let crash = crash_one(&mut stage, &mut story).await?;
        let join = add_one(&mut stage, &mut story).await?;
        let outcome = Outcome {
            ok: true,
            protocol: stage.tale().protocol(),
            nodes,
            put,
            get,
            lookup,
            records: stage.records(),
            ring,
            crash,
            join,
            elapsed_ms: millis(start),
        };
        story.end(&format!(
            "Everything was as promised: {} records, one crash, nothing lost, in {:.1} s.",
            outcome.records,
            start.elapsed().as_secs_f64()
        ))?;
        if context.out.is_json() { context.out.show(&outcome, |_, _| String::new()) } else { Ok(()) }
    }
}

async fn form_a_ring(stage: &mut Stage<'_>, story: &mut Story) -> Result<Vec<PeerJson>> {
    story.heading(&stage.tale().opening())?;
    let start = Instant::now();
    stage.add_nodes(1).await?;
    story.command(&stage.command_line(None))?;
    let seed = stage.node(0)?.addr().to_owned();
    stage.add_nodes(NODES - 1).await?;
    story.command(&format!("{}    # four times", stage.command_line(Some(&seed))))?;
    stage.until_sound(NODES).await?;
    // Members know each other before every range has all of its holders.
    stage.until_whole().await?;
    story.say(&format!(
        "one ring, every invariant checked, {:.1} s after the first start",
        start.elapsed().as_secs_f64()
    ))?;
    let mut columns = Columns::new(&["", "identifier", "address"]);
    for node in stage.nodes() {
        columns.row([node.name().to_owned(), node.id().to_owned(), node.addr().to_owned()]);
    }
    story.block(&columns.render(0))?;
    Ok(stage.nodes().iter().map(|node| node.peer()).collect())
}

async fn put_and_get(stage: &Stage<'_>, story: &mut Story) -> Result<(Put, Get)> {
    let (one, other) = (stage.node(0)?, stage.node(NODES - 1)?);
    story.heading(&format!("A value goes in through {} and comes out through {}", one.name(), other.name()))?;
    story.command(&format!("dht --endpoints {} put fruit apple", one.addr()))?;
    let start = Instant::now();
    let receipt = one.client().put("fruit", "apple", PutOptions::default()).await?;
    let holders: Vec<&str> = receipt.acks.iter().map(|ack| stage.name_at(&ack.peer.addr)).collect();
    let taken = duration_us(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    story.say(&format!("stored on {} in {taken}, version {}", holders.join(", "), receipt.version))?;
    promise(receipt.acks.len() > COPIES / 2, "a majority of the copies is made before a put is answered")?;

    story.command(&format!("dht --endpoints {} get fruit", other.addr()))?;
    let record = other.client().get("fruit").await?;
    let value = String::from_utf8_lossy(&record.value).into_owned();
    let served_by = record.served_by.map(|peer| peer.addr);
    let by = served_by.as_deref().map_or("a node", |addr| stage.name_at(addr));
    story.say(&format!("{value}    # served by {by}"))?;
    promise(value == "apple", "what was put is what is got")?;
    promise(record.version == receipt.version, "the version that was written is the one that is read")?;

    let gone = one.client().delete("fruit", DeleteOptions::default()).await;
    let after = other.client().get("fruit").await;
    promise(gone.is_ok() && after == Err(client::Error::NotFound), "what was deleted is gone, at every node")?;
    one.client().put("fruit", "apple", PutOptions::default()).await?;
    let put = Put {
        key: "fruit",
        through: one.addr().to_owned(),
        version: receipt.version.to_string(),
        copies: receipt.acks.len(),
    };
    Ok((put, Get { through: other.addr().to_owned(), value, served_by }))
}

async fn trace_a_lookup(stage: &Stage<'_>, story: &mut Story) -> Result<Route> {
    story.heading("A lookup, hop by hop")?;
    if stage.tale().is_plain_ring() {
        stage.until_routes_are_short().await?;
    }
    let (asked, route) = stage.longest_route().await?;
    let key = route.key.clone().unwrap_or_default();
    story.command(&format!("dht --endpoints {} lookup {key}", asked.addr()))?;
    story.say(&format!("{key} has the identifier {}", route.id))?;
    story.block(&path_text(&route, story.paint()))?;
    let owner = stage.name_at(&route.owner.addr);
    let ends_at_owner = route.path.last().is_some_and(|step| step.id == route.owner.id);
    promise(ends_at_owner || stage.tale().owner_may_hold_nothing(), "a route ends at the owner")?;
    promise(stage.all_agree_on(&key, &route.owner).await?, "every node names the same owner")?;
    if stage.tale().is_plain_ring() {
        promise(stage.successor_of(&route.id) == route.owner.id, "the owner is the successor of the key's identifier")?;
        story.say(&format!("{owner} is the first node at or after it: the owner"))?;
    } else {
        story.say(&format!("{owner} is the owner, whichever node is asked"))?;
    }
    Ok(route)
}

async fn spread_records(stage: &mut Stage<'_>, story: &mut Story) -> Result<RingView> {
    story.heading("A hundred records, three copies each")?;
    story.command("for i in $(seq 100); do dht put record-$i value-$i; done")?;
    let taken = stage.put_records(RECORDS).await?;
    story.say(&format!("{RECORDS} records put through all {NODES} nodes in turn, in {taken:.1?}"))?;
    let ring = stage.until_copied().await?;
    story.command("dht ring")?;
    story.block(&members_text(&ring.members, story.paint()))?;
    Ok(ring)
}

async fn crash_one(stage: &mut Stage<'_>, story: &mut Story) -> Result<Crash> {
    let holder = stage.holder_of("fruit").await?;
    let victim = stage.take(&holder)?;
    let killed = victim.peer();
    let role = if stage.tale().owner_may_hold_nothing() { "A holder" } else { "The owner" };
    story.heading(&format!("{role} of `fruit`, {}, crashes", victim.name()))?;
    story.command(&format!("kill -9 {}", victim.pid()))?;
    let start = Instant::now();
    victim.crash().await?;
    let read = stage.read_all(None).await?;
    let all_read_after_ms = millis(start);
    story.say(&format!(
        "{read} of {read} records read through the other four, {:.1} s after the crash",
        seconds(all_read_after_ms)
    ))?;
    stage.until_copied().await?;
    let copies_restored_after_ms = millis(start);
    story
        .say(&format!("every record has its {COPIES} copies again after {:.1} s", seconds(copies_restored_after_ms)))?;
    stage.until_sound(NODES - 1).await?;
    story.command("dht check")?;
    story.say("ok")?;
    Ok(Crash { killed, read, all_read_after_ms, copies_restored_after_ms })
}

async fn add_one(stage: &mut Stage<'_>, story: &mut Story) -> Result<Join> {
    let apart = stage.tale().owner_may_hold_nothing();
    story.heading(if apart { "A new process joins" } else { "A new process joins, and records move to it" })?;
    let before = stage.until_copied().await?;
    let seed = stage.node(0)?.addr().to_owned();
    story.command(&stage.command_line(Some(&seed)))?;
    let start = Instant::now();
    stage.add_nodes(1).await?;
    let newcomer = stage.nodes().len() - 1;
    let after = stage.until_copied().await?;
    let settled_after_ms = millis(start);
    let node = stage.node(newcomer)?;
    let held = stage.held(&before, &after);
    let moved = held.iter().find(|held| held.addr == node.addr()).map_or(0, |held| held.after);
    // Where data lies apart from owners a join need not move any.
    promise(moved > 0 || apart, "records move to a newcomer")?;
    story.say(&format!("{} holds {moved} records, {:.1} s after its start", node.name(), seconds(settled_after_ms)))?;
    story.block(&held_text(&held))?;
    let owned = stage.owned_by(newcomer).await?;
    if apart {
        let stay = if moved == 0 { "homes that live stay where they are; " } else { "" };
        story.say(&format!("{stay}it is the owner of {owned} keys: where their records are is asked of it"))?;
    } else {
        story.say(&format!("it owns {owned} of them, and keeps copies of the others for its neighbours"))?;
    }
    let read = stage.read_all(Some(newcomer)).await?;
    story.say(&format!("{read} of {read} records read through it"))?;
    stage.until_sound(NODES).await?;
    Ok(Join { node: stage.node(newcomer)?.peer(), settled_after_ms, held, owned, read })
}

fn held_text(held: &[Held]) -> String {
    let mut columns = Columns::new(&["records held", "address", ">before", ">after"]);
    for Held { node, addr, before, after } in held {
        columns.row([node.clone(), addr.clone(), before.to_string(), after.to_string()]);
    }
    columns.render(0)
}

/// Ends the demo where the overlay does not keep its word.
fn promise(kept: bool, what: &str) -> Result {
    if kept { Ok(()) } else { Err(Failure::other(format!("not as promised: {what}"))) }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
