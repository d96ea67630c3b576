use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args;
use client::message::{RingId, SetStatus, SkewedPeer, StatusResponse, Transfer};
use serde::{Serialize, Serializer};

use super::PeerJson;
use crate::columns::Columns;
use crate::context::Context;
use crate::digits::{Digits, hex, short};
use crate::exit::{Failure, Result};
use crate::output::{Paint, byte_size, counted, duration_us};

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
    write_quorum: Quorum,
    read_quorum: Quorum,
    state: String,
    health: String,
    /// Why it takes no writes; null if it does.
    read_only: Option<String>,
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
    /// Records that their owners refused, set aside since the start.
    quarantined: u64,
    overlay_messages: u64,
    overlay_bytes: u64,
    routing_state_bytes: u64,
    sets: Vec<SetJson>,
    transfers: Vec<TransferJson>,
    /// Peers whose clock is further off than is allowed.
    skewed: Vec<SkewedJson>,
}

/// Copies that a write or a read needs unless the call says otherwise; 0: a majority.
#[derive(Clone, Copy, Debug)]
struct Quorum(u32);

impl Serialize for Quorum {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_str("majority"),
            copies => serializer.serialize_u32(copies),
        }
    }
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
    /// Members that do not answer.
    missing: Vec<String>,
    newcomers: Vec<PeerJson>,
    settled: bool,
    forced: bool,
}

/// Records under way between this node and another.
#[derive(Serialize, Debug)]
struct TransferJson {
    kind: String,
    after: Option<String>,
    upto: Option<String>,
    with: Option<PeerJson>,
    /// Records compared, of so many.
    compared: u64,
    total: u64,
    /// Records moved, either way.
    moved: u64,
    bytes: u64,
    elapsed_ms: u64,
}

#[derive(Serialize, Debug)]
struct SkewedJson {
    peer: Option<PeerJson>,
    /// Ahead of this node's clock; negative: behind.
    ahead_ms: i64,
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
            write_quorum: Quorum(status.write_quorum),
            read_quorum: Quorum(status.read_quorum),
            state: status.state,
            health: status.health,
            read_only: Some(status.read_only).filter(|why| !why.is_empty()),
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
            quarantined: status.quarantined,
            overlay_messages: status.overlay_messages,
            overlay_bytes: status.overlay_bytes,
            routing_state_bytes: status.routing_state_bytes,
            sets: status.sets.iter().map(|set| SetJson::new(set, digits)).collect(),
            transfers: status.transfers.iter().map(|transfer| TransferJson::new(transfer, digits)).collect(),
            skewed: status.skewed.iter().map(|skewed| SkewedJson::new(skewed, digits)).collect(),
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
            newcomers: set.learners.iter().map(|peer| PeerJson::new(peer, digits)).collect(),
            settled: set.settled,
            forced: set.forced,
        }
    }
}

impl TransferJson {
    fn new(transfer: &Transfer, digits: Digits) -> Self {
        let range = transfer.range.as_ref();
        Self {
            kind: transfer.kind.clone(),
            after: range.map(|range| digits.show(&range.after)),
            upto: range.map(|range| digits.show(&range.upto)),
            with: transfer.with.as_ref().map(|peer| PeerJson::new(peer, digits)),
            compared: transfer.compared,
            total: transfer.total,
            moved: transfer.moved,
            bytes: transfer.bytes,
            elapsed_ms: transfer.elapsed_ms,
        }
    }
}

impl SkewedJson {
    fn new(skewed: &SkewedPeer, digits: Digits) -> Self {
        Self { peer: skewed.peer.as_ref().map(|peer| PeerJson::new(peer, digits)), ahead_ms: skewed.ahead_ms }
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
        "ready" if status.read_only.is_none() => paint.good(words),
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
    line("copies", format!("{} of each record{}", status.replicas, quorums_text(status)));
    if status.lost_majorities > 0 {
        line("lost", format!("{} went on without a majority", counted(status.lost_majorities, "set")));
    }
    if status.quarantined > 0 {
        line("aside", format!("{}, refused by their owners", counted(status.quarantined, "record")));
    }
    for skewed in &status.skewed {
        line("clock", skewed_text(skewed, paint));
    }
    line("http", status.http.clone().unwrap_or_else(|| "off".to_owned()));
    line("up", format!("{}, version {}", humantime::format_duration(uptime), status.version));
    format!("{}{}{}", columns.render(0), sets_text(&status.sets, paint), transfers_text(&status.transfers))
}

/// What was configured; a majority goes without saying.
fn quorums_text(status: &StatusJson) -> String {
    let quorum = |what: &str, Quorum(copies): Quorum| match copies {
        0 => String::new(),
        copies => format!(", a {what} needs {copies}"),
    };
    quorum("write", status.write_quorum) + &quorum("read", status.read_quorum)
}

fn skewed_text(skewed: &SkewedJson, paint: Paint) -> String {
    let whose = skewed
        .peer
        .as_ref()
        .map_or_else(|| "a peer".to_owned(), |peer| format!("{} at {}", short(&peer.id), peer.addr));
    let off = duration_us(skewed.ahead_ms.unsigned_abs().saturating_mul(1000));
    let way = if skewed.ahead_ms < 0 { "behind" } else { "ahead of" };
    paint.bad(&format!("{whose} is {off} {way} this node"))
}

/// `(2d, 0a]`.
fn range_text(after: &Option<String>, upto: &Option<String>) -> String {
    let end = |end: &Option<String>| short(end.as_deref().unwrap_or("?"));
    format!("({}, {}]", end(after), end(upto))
}

/// What is being moved, a line each; of many, the first.
fn transfers_text(transfers: &[TransferJson]) -> String {
    if transfers.is_empty() {
        return String::new();
    }
    let mut columns =
        Columns::new(&["transfer", "range (after, upto]", "with", ">compared", ">records", ">size", ">since"]);
    for transfer in transfers.iter().take(LINES_MAX) {
        let percent = (transfer.compared.min(transfer.total) * 100).checked_div(transfer.total);
        columns.row([
            transfer.kind.clone(),
            range_text(&transfer.after, &transfer.upto),
            transfer.with.as_ref().map_or_else(String::new, |peer| short(&peer.id)),
            percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %")),
            transfer.moved.to_string(),
            byte_size(transfer.bytes),
            duration_us(transfer.elapsed_ms.saturating_mul(1000)),
        ]);
    }
    let more = transfers.len().saturating_sub(LINES_MAX);
    let more = if more > 0 { format!("{more} more; `-o json` lists each\n") } else { String::new() };
    format!("\n{}{more}", columns.render(0))
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
        let range = range_text(&set.after, &set.upto);
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
    if !set.newcomers.is_empty() {
        state.push(counted(set.newcomers.len() as u64, "newcomer"));
    }
    if set.forced {
        state.push(paint.bad("made without a majority"));
    }
    state.join(", ")
}

#[cfg(test)]
mod tests {
    use client::message::{Peer, Range, Setting};
    use serde_json::json;

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
    fn quorums_are_told_where_they_are_no_majorities() {
        let shown = |write_quorum, read_quorum| {
            let status = StatusResponse { write_quorum, read_quorum, ..response() };
            let status = StatusJson::new(status).unwrap();
            let json = serde_json::to_value(&status).unwrap();
            (text(&status, Paint::PLAIN), json["write_quorum"].clone(), json["read_quorum"].clone())
        };
        let (words, write, read) = shown(0, 0);
        assert!(words.contains("copies   3 of each record\n"), "{words}");
        assert_eq!((write, read), (json!("majority"), json!("majority")));
        let (words, write, read) = shown(3, 1);
        assert!(words.contains("copies   3 of each record, a write needs 3, a read needs 1\n"), "{words}");
        assert_eq!((write, read), (json!(3), json!(1)));
    }

    #[test]
    fn what_is_set_aside_and_whose_clock_is_off_is_told_where_there_is_any() {
        let peer = || response().me;
        let status = StatusResponse {
            quarantined: 2,
            skewed: vec![SkewedPeer { peer: peer(), ahead_ms: 2_500 }, SkewedPeer { peer: peer(), ahead_ms: -800 }],
            ..response()
        };
        let status = StatusJson::new(status).unwrap();
        let shown = text(&status, Paint::PLAIN);
        let expected = "
aside    2 records, refused by their owners
clock    0a at 127.0.0.1:7160 is 2.50 s ahead of this node
clock    0a at 127.0.0.1:7160 is 800.0 ms behind this node
";
        assert!(shown.contains(expected), "{shown}");
        let json = serde_json::to_value(status).unwrap();
        assert_eq!(json["quarantined"], 2);
        let peer = json!({ "id": "0a", "addr": "127.0.0.1:7160" });
        assert_eq!(json["skewed"][1], json!({ "peer": peer, "ahead_ms": -800 }));
    }

    #[test]
    fn what_is_being_moved_is_listed_with_how_far_it_is() {
        let response = response();
        let transfer = Transfer {
            kind: "fetching".into(),
            range: response.sets[0].range.clone(),
            with: response.me.clone(),
            compared: 45,
            total: 99,
            moved: 12,
            bytes: 3072,
            elapsed_ms: 1_250,
        };
        let begun =
            Transfer { kind: "repairing".into(), compared: 0, total: 0, moved: 0, bytes: 0, ..transfer.clone() };
        let status = StatusResponse { transfers: vec![transfer, begun], sets: vec![], ..response };
        let status = StatusJson::new(status).unwrap();
        let shown = text(&status, Paint::PLAIN);
        let expected = "
transfer   range (after, upto]  with  compared  records     size   since
fetching   (2d, 0a]             0a        45 %       12  3.0 KiB  1.25 s
repairing  (2d, 0a]             0a           -        0      0 B  1.25 s
";
        assert!(shown.ends_with(expected), "{shown}");
        let json = serde_json::to_value(&status).unwrap();
        let expected = json!({
            "kind": "fetching", "after": "2d", "upto": "0a", "with": { "id": "0a", "addr": "127.0.0.1:7160" },
            "compared": 45, "total": 99, "moved": 12, "bytes": 3072, "elapsed_ms": 1250,
        });
        assert_eq!(json["transfers"][0], expected);
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
