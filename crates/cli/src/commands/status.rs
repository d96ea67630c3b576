use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use client::message::{RingId, SetStatus, StatusResponse};
use serde::Serialize;

use super::PeerJson;
use crate::columns::Columns;
use crate::context::Context;
use crate::digits::{Digits, hex};
use crate::exit::{Failure, Result};
use crate::output::{Paint, byte_size, counted};

/// More ranges than these are counted, not listed.
const LINES_MAX: usize = 24;

/// Show one node: who it is, what it holds, how it is
#[derive(Args, Debug)]
pub(crate) struct Status {}

#[derive(Serialize, Debug)]
struct StatusJson {
    id: String,
    addr: String,
    process: String,
    incarnation: u64,
    protocol: String,
    /// The overlay's own, which the whole cluster agrees on.
    settings: BTreeMap<String, String>,
    /// Where among the members, where an identifier does not tell.
    place: Option<String>,
    cluster: String,
    id_bits: u32,
    replicas: u32,
    state: String,
    health: String,
    ring: Option<RingJson>,
    /// Known alive.
    peers: u32,
    peers_known: u32,
    keys: u64,
    bytes: u64,
    tombstones: u64,
    durable: bool,
    store: String,
    http: Option<String>,
    uptime_ms: u64,
    version: String,
    lost_majorities: u64,
    overlay_messages: u64,
    overlay_bytes: u64,
    routing_state_bytes: u64,
    sets: Vec<SetJson>,
}

#[derive(Serialize, Debug)]
struct RingJson {
    started_ms: u64,
    starter: String,
}

/// A range and those who hold it.
#[derive(Serialize, Debug)]
struct SetJson {
    after: Option<String>,
    upto: Option<String>,
    number: u64,
    role: String,
    members: Vec<PeerJson>,
    missing: Vec<String>,
    learners: Vec<PeerJson>,
    settled: bool,
    forced: bool,
}

impl Status {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let status = StatusJson::new(context.client()?.status().await?)?;
        context.out.show(&status, text)
    }
}

impl StatusJson {
    fn new(status: StatusResponse) -> Result<Self> {
        let digits = Digits::of_bits(status.id_bits);
        let me = status.me.ok_or_else(|| Failure::other("the node answered without saying who it is"))?;
        let ring = |ring: RingId| RingJson { started_ms: ring.started_ms, starter: digits.show(&ring.starter) };
        Ok(Self {
            id: digits.show(&me.id),
            addr: me.addr,
            process: digits.show(&status.process),
            incarnation: me.incarnation,
            protocol: status.protocol,
            settings: status.settings.into_iter().map(|setting| (setting.name, setting.value)).collect(),
            place: Some(status.place).filter(|place| !place.is_empty()),
            cluster: status.cluster,
            id_bits: status.id_bits,
            replicas: status.replicas,
            state: status.state,
            health: status.health,
            ring: status.ring.map(ring),
            peers: status.peers_alive,
            peers_known: status.peers_known,
            keys: status.keys,
            bytes: status.bytes,
            tombstones: status.tombstones,
            durable: status.durable,
            store: hex(&status.store.to_be_bytes()),
            http: Some(status.http).filter(|http| !http.is_empty() && http != "off"),
            uptime_ms: status.uptime_ms,
            version: status.version,
            lost_majorities: status.lost_majorities,
            overlay_messages: status.overlay_messages,
            overlay_bytes: status.overlay_bytes,
            routing_state_bytes: status.routing_state_bytes,
            sets: status.sets.iter().map(|set| SetJson::new(set, digits)).collect(),
        })
    }
}

impl SetJson {
    fn new(set: &SetStatus, digits: Digits) -> Self {
        let range = set.range.as_ref();
        Self {
            after: range.map(|range| digits.show(&range.after)),
            upto: range.map(|range| digits.show(&range.upto)),
            number: set.number,
            role: set.role.clone(),
            members: set.members.iter().map(|peer| PeerJson::new(peer, digits)).collect(),
            missing: set.missing.iter().map(|id| digits.show(id)).collect(),
            learners: set.learners.iter().map(|peer| PeerJson::new(peer, digits)).collect(),
            settled: set.settled,
            forced: set.forced,
        }
    }
}

fn text(status: &StatusJson, paint: Paint) -> String {
    let mut columns = Columns::bare();
    let mut line = |name: &str, value: String| columns.row([name.to_owned(), value]);
    let uptime = Duration::from_secs(status.uptime_ms / 1000);
    let disk = if status.durable { "on disk" } else { "in memory" };
    // The node's own words, where it has more to say than its state.
    let words = if status.health.is_empty() { &status.state } else { &status.health };
    let state = match status.state.as_str() {
        "ready" => paint.good(words),
        _ => paint.bad(words),
    };
    line("node", format!("{} at {}", paint.bold(&status.id), status.addr));
    line("state", state);
    let settings = status.settings.iter().map(|(name, value)| format!(", {name} = {value}")).collect::<String>();
    let place = status.place.iter().map(|place| format!("; this node is in {place}")).collect::<String>();
    let cluster = format!("cluster `{}`, {} bits", status.cluster, status.id_bits);
    line("overlay", format!("{}, {cluster}{settings}{place}", status.protocol));
    if let Some(ring) = &status.ring {
        let started = UNIX_EPOCH.checked_add(Duration::from_millis(ring.started_ms));
        let started =
            started.map_or_else(|| "?".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string());
        line("ring", format!("started by {} at {started}", ring.starter));
    }
    line("peers", format!("{} alive of {} known", status.peers, status.peers_known));
    line(
        "holds",
        format!(
            "{}, {}, {} ({disk})",
            counted(status.keys, "record"),
            byte_size(status.bytes),
            counted(status.tombstones, "tombstone")
        ),
    );
    line("copies", format!("{} of each record", status.replicas));
    if status.lost_majorities > 0 {
        line("lost", format!("{} went on without a majority", counted(status.lost_majorities, "set")));
    }
    line("http", status.http.clone().unwrap_or_else(|| "off".to_owned()));
    line("up", format!("{}, version {}", humantime::format_duration(uptime), status.version));
    format!("{}{}", columns.render(0), sets_text(&status.sets, paint))
}

/// The ranges, with what is not as it should be in words: a line for each, or, when they are many, for all that are alike.
fn sets_text(sets: &[SetJson], paint: Paint) -> String {
    if sets.is_empty() {
        return String::new();
    }
    if sets.len() > LINES_MAX {
        return alike_text(sets, paint);
    }
    let mut columns = Columns::new(&["range (after, upto]", ">set", "role", ">members", "state"]);
    for set in sets {
        let end = |end: &Option<String>| crate::digits::short(end.as_deref().unwrap_or("?"));
        let range = format!("({}, {}]", end(&set.after), end(&set.upto));
        let members = set.members.len().to_string();
        columns.row([range, set.number.to_string(), set.role.clone(), members, state_text(set, paint)]);
    }
    format!("\n{}", columns.render(0))
}

fn alike_text(sets: &[SetJson], paint: Paint) -> String {
    let mut alike: BTreeMap<(&str, usize, String), u64> = BTreeMap::new();
    for set in sets {
        *alike.entry((&set.role, set.members.len(), state_text(set, paint))).or_default() += 1;
    }
    let mut columns = Columns::new(&[">ranges", "role", ">members", "state"]);
    for ((role, members, state), count) in alike {
        columns.row([count.to_string(), role.to_owned(), members.to_string(), state]);
    }
    format!("\n{}{} in all; `-o json` lists each\n", columns.render(0), counted(sets.len() as u64, "range"))
}

fn state_text(set: &SetJson, paint: Paint) -> String {
    let mut state = Vec::new();
    // Only a primary knows.
    match (set.role.as_str(), set.settled) {
        ("primary", true) => state.push("settled".to_owned()),
        ("primary", false) => state.push(paint.bad("not settled")),
        _ => {}
    }
    if !set.missing.is_empty() {
        state.push(paint.bad(&format!("{} missing", set.missing.len())));
    }
    if !set.learners.is_empty() {
        state.push(counted(set.learners.len() as u64, "newcomer"));
    }
    if set.forced {
        state.push(paint.bad("made without a majority"));
    }
    state.join(", ")
}

#[cfg(test)]
mod tests {
    use client::message::{Peer, Range, Setting};

    use super::*;

    fn response() -> StatusResponse {
        let me = Peer { id: vec![0x0a].into(), addr: "127.0.0.1:7160".into(), incarnation: 7 };
        let range = Range { after: vec![0x2d].into(), upto: vec![0x0a].into() };
        let missing = vec![vec![0x20].into()];
        StatusResponse {
            me: Some(me.clone()),
            protocol: "chord".into(),
            cluster: "default".into(),
            id_bits: 6,
            replicas: 3,
            state: "ready".into(),
            ring: Some(RingId { started_ms: 12, starter: vec![0x0a].into() }),
            version: "0.1.0".into(),
            uptime_ms: 61_500,
            keys: 1,
            bytes: 2048,
            peers_alive: 4,
            peers_known: 5,
            store: 0xab,
            process: vec![0x0a].into(),
            http: "off".into(),
            health: "ready".into(),
            overlay_messages: 12,
            overlay_bytes: 3400,
            routing_state_bytes: 560,
            sets: vec![SetStatus {
                range: Some(range),
                number: 3,
                role: "primary".into(),
                members: vec![me],
                missing,
                ..SetStatus::default()
            }],
            ..StatusResponse::default()
        }
    }

    #[test]
    fn a_node_is_described_for_people() {
        let expected = "\
node     0a at 127.0.0.1:7160
state    ready
overlay  chord, cluster `default`, 6 bits
ring     started by 0a at 1970-01-01T00:00:00Z
peers    4 alive of 5 known
holds    1 record, 2.0 KiB, 0 tombstones (in memory)
copies   3 of each record
http     off
up       1m 1s, version 0.1.0

range (after, upto]  set  role     members  state
(2d, 0a]               3  primary        1  not settled, 1 missing
";
        assert_eq!(text(&StatusJson::new(response()).unwrap(), Paint::PLAIN), expected);
    }

    #[test]
    fn many_ranges_are_counted_by_what_they_have_in_common() {
        let mut response = response();
        response.sets = vec![response.sets[0].clone(); 20];
        response.sets.extend(vec![SetStatus { role: "member".into(), ..SetStatus::default() }; 10]);
        let shown = text(&StatusJson::new(response).unwrap(), Paint::PLAIN);
        let expected = "
ranges  role     members  state
    10  member         0
    20  primary        1  not settled, 1 missing
30 ranges in all; `-o json` lists each
";
        assert!(shown.ends_with(expected), "{shown}");
    }

    #[test]
    fn what_only_the_overlay_knows_is_shown_where_there_is_any() {
        let mut response = response();
        response.settings = vec![Setting { name: "groups".into(), value: "3".into() }];
        response.place = "group 2".into();
        let status = StatusJson::new(response).unwrap();
        let shown = text(&status, Paint::PLAIN);
        assert!(shown.contains("cluster `default`, 6 bits, groups = 3; this node is in group 2\n"), "{shown}");
        let json = serde_json::to_value(status).unwrap();
        assert_eq!((&json["settings"]["groups"], &json["place"]), (&"3".into(), &"group 2".into()));
    }

    #[test]
    fn json_holds_what_scripts_look_for() {
        let json = serde_json::to_value(StatusJson::new(response()).unwrap()).unwrap();
        assert_eq!(json["id"], "0a");
        assert_eq!(json["protocol"], "chord");
        assert_eq!(json["peers"], 4);
        assert_eq!(json["keys"], 1);
        assert_eq!(json["bytes"], 2048);
        assert_eq!(json["uptime_ms"], 61_500);
        assert_eq!(json["health"], "ready");
        assert_eq!(json["http"], serde_json::Value::Null);
        assert_eq!(json["overlay_messages"], 12);
        assert_eq!(json["overlay_bytes"], 3400);
        assert_eq!(json["routing_state_bytes"], 560);
        assert_eq!(json["sets"][0]["missing"][0], "20");
    }
}
