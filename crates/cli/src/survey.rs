//! Walks an overlay from a few of its nodes and collects what every member says of itself.
//!
//! Each node that is heard of is asked, all at the same time and none for long, so a dead member costs a moment and
//! not a moment each. What comes out is a set of facts in ring order; [`crate::invariants`] judges them, and
//! `dht ring` draws them. The facts are no snapshot: members are asked at slightly different times.

mod report;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use overlay::Peer;
use ring::Id;

pub(crate) use self::report::{Report, State};
use crate::context::Context;
use crate::exit::{Exit, Failure, Result};
use crate::output::note;

/// How long one member is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many members are asked at the same time.
const IN_FLIGHT: usize = 64;

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    pub(crate) protocol: String,
    pub(crate) cluster: String,
    /// In ring order.
    pub(crate) members: Vec<Member>,
}

/// A node that was heard of, and what it said.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Member {
    pub(crate) peer: Peer,
    /// Or why there is no answer.
    pub(crate) report: std::result::Result<Report, String>,
}

/// How much to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Depth {
    /// Neighbours and shares.
    Neighbours,
    /// Routing tables too, whose entries are then asked as well.
    Tables,
}

/// Asks the endpoints, those whom they name, those whom these name, and so on.
///
/// # Errors
/// When not one endpoint answers.
pub(crate) async fn survey(context: &Context, depth: Depth) -> Result<Overlay> {
    let (overlay, silent) = walk(context, depth).await?;
    for (addr, why) in silent {
        note(&format!("warning: {addr} does not answer ({why}), and no member names it"));
    }
    Ok(overlay)
}

/// The same for looking again and again: says nothing about endpoints that do not answer.
pub(crate) async fn survey_quietly(context: &Context, depth: Depth) -> Result<Overlay> {
    Ok(walk(context, depth).await?.0)
}

async fn walk(context: &Context, depth: Depth) -> Result<(Overlay, Vec<(String, String)>)> {
    let endpoints: Vec<String> = context.global.endpoints.iter().map(ToString::to_string).collect();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    let mut queue: VecDeque<String> = endpoints.iter().filter(|addr| asked.insert((*addr).clone())).cloned().collect();
    let mut heard_of: BTreeSet<Peer> = BTreeSet::new();
    let mut answers = BTreeMap::new();
    let mut pending = FuturesUnordered::new();
    loop {
        while let Some(addr) = queue.pop_front_if(|_| pending.len() < IN_FLIGHT) {
            pending.push(async move { (ask(context, &addr, depth).await, addr) });
        }
        let Some((answer, addr)) = pending.next().await else {
            break;
        };
        for peer in answer.iter().flat_map(|report| &report.names) {
            if asked.insert(peer.addr.to_string()) {
                queue.push_back(peer.addr.to_string());
            }
            heard_of.insert(peer.clone());
        }
        answers.insert(addr, answer);
    }
    assemble(&endpoints, &answers, heard_of)
}

type Answers = BTreeMap<String, std::result::Result<Report, String>>;

/// Puts the answers in ring order. A node that was named and did not answer is a member too; an endpoint that did not
/// answer and that nobody names is not, and comes back apart.
fn assemble(
    endpoints: &[String],
    answers: &Answers,
    heard_of: BTreeSet<Peer>,
) -> Result<(Overlay, Vec<(String, String)>)> {
    let mut members: BTreeMap<Id, Member> = BTreeMap::new();
    for report in answers.values().flatten() {
        members.insert(report.me.id, Member { peer: report.me.clone(), report: Ok(report.clone()) });
    }
    for peer in heard_of {
        let why = match answers.get(peer.addr.as_str()) {
            Some(Ok(other)) => format!("{} answers at its address", other.me.id),
            Some(Err(why)) => why.clone(),
            None => "was not asked".to_owned(),
        };
        members.entry(peer.id).or_insert(Member { peer, report: Err(why) });
    }
    let silent = |addr: &String| match answers.get(addr) {
        Some(Err(why)) if members.values().all(|member| member.peer.addr.as_str() != addr) => {
            Some((addr.clone(), why.clone()))
        }
        _ => None,
    };
    let silent: Vec<(String, String)> = endpoints.iter().filter_map(silent).collect();
    let Some(first) = answers.values().flatten().next() else {
        let said: Vec<String> = silent.iter().map(|(addr, why)| format!("{addr} ({why})")).collect();
        let advice = "Is a node running there? Name others with --endpoints or DHT_ENDPOINTS.";
        return Err(Failure::new(Exit::Unreachable, format!("no endpoint answers: {}\n{advice}", said.join(", "))));
    };
    let (protocol, cluster) = (first.protocol.clone(), first.cluster.clone());
    let strange = |report: &&Report| (&report.protocol, &report.cluster) != (&protocol, &cluster);
    if let Some(other) = answers.values().flatten().find(strange) {
        let of = |report: &Report| format!("{} in cluster `{}`", report.protocol, report.cluster);
        let (one, two) = (format!("{} runs {}", first.me.addr, of(first)), format!("{} {}", other.me.addr, of(other)));
        return Err(Failure::usage(format!("{one}, {two}: name endpoints of one cluster")));
    }
    Ok((Overlay { protocol, cluster, members: members.into_values().collect() }, silent))
}

async fn ask(context: &Context, addr: &str, depth: Depth) -> std::result::Result<Report, String> {
    let client = context.client_of(addr, PATIENCE).map_err(|failure| failure.message.unwrap_or_default())?;
    let table = async {
        match depth {
            Depth::Neighbours => Ok(None),
            Depth::Tables => client.table().await.map(Some),
        }
    };
    let answer = tokio::try_join!(client.status(), client.neighbours(), table);
    let (status, neighbours, table) = answer.map_err(in_a_word)?;
    Report::new(&status, &neighbours, table.as_ref()).map_err(|why| format!("malformed answer: {why}"))
}

/// Why one endpoint, asked alone, did not answer: what came of it is all there is to say.
pub(crate) fn in_a_word(error: client::Error) -> String {
    match error {
        client::Error::Unreachable(attempts) | client::Error::TimedOut { attempts, .. } => {
            attempts.0.into_iter().next().map_or_else(|| "no answer".to_owned(), |attempt| attempt.why)
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use overlay::Addr;
    use ring::Space;

    use super::*;

    fn named(id: u64) -> Peer {
        let id = Space::new(6).unwrap().id(id).unwrap();
        Peer { id, addr: Addr::new(&format!("n{id}:1")).unwrap(), incarnation: 1 }
    }

    fn report(id: u64, neighbours: &[u64]) -> Report {
        let me = named(id);
        Report {
            process: me.id,
            me,
            protocol: "chord".into(),
            cluster: "default".into(),
            state: State::Ready,
            read_only: None,
            ring: None,
            keys: 0,
            bytes: 0,
            owns: Vec::new(),
            set_members_min: None,
            names: neighbours.iter().map(|id| named(*id)).collect(),
            place: None,
            table: None,
        }
    }

    fn refused() -> std::result::Result<Report, String> {
        Err("connection refused".into())
    }

    #[test]
    fn a_member_that_is_named_and_does_not_answer_is_listed_in_its_place() {
        let answers = Answers::from([
            ("localhost:1".into(), Ok(report(8, &[14, 21]))),
            ("n15:1".into(), Ok(report(21, &[8]))),
            ("n0e:1".into(), refused()),
        ]);
        let heard_of = BTreeSet::from([named(8), named(14), named(21)]);
        let (overlay, silent) = assemble(&["localhost:1".into()], &answers, heard_of).unwrap();
        let found: Vec<(String, bool)> =
            overlay.members.iter().map(|member| (member.peer.id.to_string(), member.report.is_ok())).collect();
        assert_eq!(found, [("08".into(), true), ("0e".into(), false), ("15".into(), true)]);
        assert_eq!(silent, []);
    }

    #[test]
    fn an_endpoint_that_no_member_names_is_no_member() {
        let answers = Answers::from([("n08:1".into(), Ok(report(8, &[]))), ("gone:1".into(), refused())]);
        let endpoints = ["gone:1".to_owned(), "n08:1".to_owned()];
        let (overlay, silent) = assemble(&endpoints, &answers, BTreeSet::new()).unwrap();
        assert_eq!(overlay.members.len(), 1);
        assert_eq!(silent, [("gone:1".to_owned(), "connection refused".to_owned())]);
    }

    #[test]
    fn a_node_whose_address_was_taken_over_is_gone() {
        let answers = Answers::from([("n08:1".into(), Ok(report(8, &[14]))), ("n0e:1".into(), Ok(report(20, &[])))]);
        let (overlay, _) = assemble(&["n08:1".into()], &answers, BTreeSet::from([named(14)])).unwrap();
        let why = overlay.members[1].report.clone().unwrap_err();
        assert_eq!(why, "14 answers at its address");
    }

    #[test]
    fn when_no_endpoint_answers_each_is_named() {
        let answers = Answers::from([("a:1".into(), refused()), ("b:1".into(), refused())]);
        let failure = assemble(&["a:1".into(), "b:1".into()], &answers, BTreeSet::new()).unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.message.unwrap().contains("a:1 (connection refused), b:1 (connection refused)"));
    }
}
