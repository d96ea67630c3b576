use std::time::Duration;

use clap::Args;
use client::Version;
use client::message::{Copy, ExplainResponse, Range, SetStatus};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::PeerJson;
use crate::args::KeyArg;
use crate::columns::Columns;
use crate::context::Context;
use crate::digits::{Digits, short};
use crate::exit::Result;
use crate::output::Paint;

/// Show all copies of a record, who holds them, and what happens next
#[derive(Args, Debug)]
pub(crate) struct Explain {
    #[command(flatten)]
    key: KeyArg,
}

#[derive(Serialize, Debug)]
struct Explained {
    key: String,
    id: String,
    /// Whom the overlay names.
    owner: Option<PeerJson>,
    /// Who orders the key's writes.
    primary: Option<PeerJson>,
    set: Option<SetJson>,
    copies: Vec<CopyJson>,
    /// In words, one sentence each.
    next: Vec<String>,
}

/// The set that holds the key.
#[derive(Serialize, Debug)]
struct SetJson {
    number: u64,
    range: Option<RangeJson>,
    forced: bool,
    settled: bool,
}

#[derive(Serialize, Debug)]
struct RangeJson {
    after: String,
    upto: String,
}

/// What one holder has; what it does not tell, or can not, is null.
#[derive(Serialize, Debug)]
struct CopyJson {
    id: Option<String>,
    addr: Option<String>,
    role: String,
    state: String,
    version: Option<String>,
    age_ms: Option<u64>,
    durable: Option<bool>,
    error: Option<String>,
    /// It takes no writes: its disk failed.
    read_only: bool,
}

impl Explain {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let deadline = Instant::now() + context.global.timeout;
        let client = context.client()?;
        let answer = client.explain(self.key.bytes()?).await?;
        let holders = answer.copies.iter().filter_map(|copy| copy.holder.as_ref());
        let peers = holders.chain(&answer.owner).chain(&answer.primary).map(|peer| &peer.id[..]);
        let ids: Vec<&[u8]> = peers.chain([&answer.id[..]]).collect();
        // How wide identifiers are is not worth more time than there is: without an answer all digits are shown.
        let digits = match timeout_at(deadline, Digits::of(&client, ids.iter().copied())).await {
            Ok(digits) => digits,
            Err(_) => Digits::of_bits(ids.iter().map(|id| id.len() as u32 * 8).max().unwrap_or(0)),
        };
        context.out.show(&Explained::new(self.key.key, &answer, digits), text)
    }
}

impl Explained {
    fn new(key: String, answer: &ExplainResponse, digits: Digits) -> Self {
        let peer = |peer: &client::message::Peer| PeerJson::new(peer, digits);
        Self {
            key,
            id: digits.show(&answer.id),
            owner: answer.owner.as_ref().map(peer),
            primary: answer.primary.as_ref().map(peer),
            set: answer.set.as_ref().map(|set| SetJson::new(set, digits)),
            copies: answer.copies.iter().map(|copy| CopyJson::new(copy, digits)).collect(),
            next: answer.next.clone(),
        }
    }
}

impl SetJson {
    fn new(set: &SetStatus, digits: Digits) -> Self {
        let range = |range: &Range| RangeJson { after: digits.show(&range.after), upto: digits.show(&range.upto) };
        Self { number: set.number, range: set.range.as_ref().map(range), forced: set.forced, settled: set.settled }
    }
}

impl CopyJson {
    fn new(copy: &Copy, digits: Digits) -> Self {
        let there = copy.version.is_some();
        Self {
            id: copy.holder.as_ref().map(|peer| digits.show(&peer.id)),
            addr: copy.holder.as_ref().map(|peer| peer.addr.clone()),
            role: copy.role.clone(),
            state: copy.state.clone(),
            version: copy.version.map(|version| Version::from(version).to_string()),
            age_ms: there.then_some(copy.age_ms),
            durable: there.then_some(copy.durable),
            error: Some(copy.error.clone()).filter(|error| !error.is_empty()),
            read_only: copy.read_only,
        }
    }
}

fn text(explained: &Explained, paint: Paint) -> String {
    let mut head = Columns::bare();
    head.row(["key".to_owned(), paint.bold(&explained.key)]);
    head.row(["id".to_owned(), explained.id.clone()]);
    for (name, peer) in [("owner", &explained.owner), ("primary", &explained.primary)] {
        let known =
            peer.as_ref().map_or_else(|| "not known".to_owned(), |peer| format!("{} at {}", peer.id, peer.addr));
        head.row([name.to_owned(), known]);
    }
    head.row(["set".to_owned(), explained.set.as_ref().map_or_else(|| "none".to_owned(), |set| set_text(set, paint))]);
    let absent = absence(&explained.copies).map_or_else(String::new, |said| format!("\n{said}\n"));
    let next: String = explained.next.iter().map(|sentence| format!("next: {sentence}\n")).collect();
    let next = if next.is_empty() { next } else { format!("\n{next}") };
    format!("{}{}{absent}{next}", head.render(0), copies_text(&explained.copies, paint))
}

/// That there is no such record, where nobody has anything of it: it looks like copies that were lost.
fn absence(copies: &[CopyJson]) -> Option<&'static str> {
    let any = |state: &str| copies.iter().any(|copy| copy.state == state);
    let nothing = any("absent") && copies.iter().all(|copy| matches!(&*copy.state, "absent" | "unreachable"));
    match (nothing, any("unreachable")) {
        (false, _) => None,
        (true, false) => {
            Some("no holder has anything of this key: it was never put, or its deletion is forgotten by now")
        }
        (true, true) => Some("no holder that answers has anything of this key; those that do not answer may"),
    }
}

/// `3, (2d, 0a], settled`.
fn set_text(set: &SetJson, paint: Paint) -> String {
    let mut words = vec![set.number.to_string()];
    if let Some(RangeJson { after, upto }) = &set.range {
        words.push(format!("({}, {}]", short(after), short(upto)));
    }
    words.push(if set.settled { "settled".to_owned() } else { paint.bad("not settled") });
    if set.forced {
        words.push(paint.bad("made without a majority"));
    }
    words.join(", ")
}

/// A line for each holder.
fn copies_text(copies: &[CopyJson], paint: Paint) -> String {
    if copies.is_empty() {
        return String::new();
    }
    let mut columns = Columns::new(&["node", "address", "role", "state", "version", ">age", "", ""]);
    for copy in copies {
        let state = match copy.state.as_str() {
            "present" => paint.good("present"),
            "unreachable" => paint.bad("unreachable"),
            state => state.to_owned(),
        };
        let place = copy.durable.map_or("", |durable| if durable { "on disk" } else { "in memory" });
        columns.row([
            copy.id.as_deref().map_or_else(|| "?".to_owned(), short),
            copy.addr.clone().unwrap_or_default(),
            copy.role.clone(),
            state,
            copy.version.clone().unwrap_or_default(),
            copy.age_ms.map_or_else(String::new, age),
            place.to_owned(),
            copy.error.clone().unwrap_or_else(|| if copy.read_only { "read-only".to_owned() } else { String::new() }),
        ]);
    }
    format!("\n{}", columns.render(0))
}

/// `250ms`, `1m 1s`, `2days 3h`: the two greatest units are enough.
fn age(ms: u64) -> String {
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let whole = humantime::format_duration(Duration::from_secs(ms / 1000)).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use client::message::{self, Peer};

    use super::*;

    fn peer(id: u8) -> Option<Peer> {
        Some(Peer { id: vec![id].into(), addr: format!("127.0.0.1:{}", 7000 + u32::from(id)), incarnation: 1 })
    }

    fn answer() -> ExplainResponse {
        let version = Some(message::Version { term: 0, clock: 1, store: 0xa7 });
        let copy = |id, role: &str, state: &str| Copy {
            holder: peer(id),
            role: role.into(),
            state: state.into(),
            ..Copy::default()
        };
        ExplainResponse {
            id: vec![0x2a].into(),
            owner: peer(0x2d),
            primary: peer(0x2d),
            set: Some(SetStatus {
                range: Some(message::Range { after: vec![0x20].into(), upto: vec![0x2d].into() }),
                number: 3,
                settled: true,
                ..SetStatus::default()
            }),
            copies: vec![
                Copy { version, age_ms: 61_500, durable: true, ..copy(0x2d, "primary", "present") },
                Copy { error: "connection refused".into(), ..copy(0x08, "member", "unreachable") },
                copy(0x0e, "newcomer", "absent"),
            ],
            next: vec!["08 is replaced in 12 s.".into(), "0e fetches its copy.".into()],
        }
    }

    fn explained(answer: &ExplainResponse) -> Explained {
        Explained::new("fruit".into(), answer, Digits::of_bits(6))
    }

    #[test]
    fn each_holder_has_a_line_and_what_happens_next_follows() {
        let expected = "\
key      fruit
id       2a
owner    2d at 127.0.0.1:7045
primary  2d at 127.0.0.1:7045
set      3, (20, 2d], settled

node  address         role      state        version                                               age
2d    127.0.0.1:7045  primary   present      0000000000000000-0000000000000001-00000000000000a7  1m 1s  on disk
08    127.0.0.1:7008  member    unreachable                                                                      connection refused
0e    127.0.0.1:7014  newcomer  absent

next: 08 is replaced in 12 s.
next: 0e fetches its copy.
";
        assert_eq!(text(&explained(&answer()), Paint::PLAIN), expected);
    }

    #[test]
    fn json_has_the_promised_fields_in_order() {
        let mut answer = answer();
        answer.copies.truncate(2);
        answer.next.clear();
        let expected = concat!(
            r#"{"key":"fruit","id":"2a","owner":{"id":"2d","addr":"127.0.0.1:7045"},"#,
            r#""primary":{"id":"2d","addr":"127.0.0.1:7045"},"#,
            r#""set":{"number":3,"range":{"after":"20","upto":"2d"},"forced":false,"settled":true},"copies":["#,
            r#"{"id":"2d","addr":"127.0.0.1:7045","role":"primary","state":"present","#,
            r#""version":"0000000000000000-0000000000000001-00000000000000a7","age_ms":61500,"durable":true,"error":null,"read_only":false},"#,
            r#"{"id":"08","addr":"127.0.0.1:7008","role":"member","state":"unreachable","#,
            r#""version":null,"age_ms":null,"durable":null,"error":"connection refused","read_only":false}],"next":[]}"#
        );
        assert_eq!(serde_json::to_string(&explained(&answer)).unwrap(), expected);
    }

    #[test]
    fn what_is_not_known_is_null_and_said_in_words() {
        let answer = ExplainResponse { id: vec![0x2a].into(), ..ExplainResponse::default() };
        let expected = "\
key      fruit
id       2a
owner    not known
primary  not known
set      none
";
        assert_eq!(text(&explained(&answer), Paint::PLAIN), expected);
        let expected = r#"{"key":"fruit","id":"2a","owner":null,"primary":null,"set":null,"copies":[],"next":[]}"#;
        assert_eq!(serde_json::to_string(&explained(&answer)).unwrap(), expected);
    }

    #[test]
    fn a_key_that_nobody_has_is_said_to_be_none_and_a_disk_that_takes_no_writes_is_named() {
        let copy = |state: &str, read_only| {
            let copy =
                Copy { holder: peer(8), role: "member".into(), state: state.into(), read_only, ..Copy::default() };
            CopyJson::new(&copy, Digits::of_bits(6))
        };
        let said = |states: &[&str]| absence(&states.iter().map(|state| copy(state, false)).collect::<Vec<_>>());
        assert!(said(&["absent", "absent"]).unwrap().contains("never put"));
        assert!(said(&["absent", "unreachable"]).unwrap().contains("do not answer may"));
        assert_eq!(said(&["absent", "present"]), None);
        assert_eq!(said(&["absent", "deleted"]), None);
        assert_eq!(said(&["unreachable"]), None);
        assert_eq!(said(&[]), None);
        assert!(copies_text(&[copy("present", true)], Paint::PLAIN).contains("read-only"));
        assert!(!copies_text(&[copy("present", false)], Paint::PLAIN).contains("read-only"));
    }

    #[test]
    fn an_age_is_told_in_two_units_at_most() {
        assert_eq!([0, 250, 1_999, 61_500].map(age), ["0ms", "250ms", "1s", "1m 1s"]);
        assert_eq!(age(((2 * 24 + 3) * 3600 + 59) * 1000), "2days 3h");
    }
}
