//! What must hold in an overlay, judged over the facts that [`crate::survey`] collected: pure functions, a module for
//! each protocol.

mod chord;

use std::collections::BTreeMap;

use ring::Id;
use serde::Serialize;

use crate::digits::short;
use crate::exit::{Failure, Result};
use crate::survey::{Member, Named, Overlay, Report, State};

/// Something that should not be.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Violation {
    /// Whose state is wrong.
    pub(crate) member: String,
    /// The rule that is broken.
    pub(crate) invariant: &'static str,
    /// What was found, in words.
    pub(crate) detail: String,
}

/// What a look at the whole overlay comes to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<Violation>,
    /// Entries that are not what they should be and make lookups longer, never wrong.
    pub(crate) detours: usize,
}

impl Verdict {
    fn add(&mut self, member: Id, invariant: &'static str, detail: String) {
        self.violations.push(Violation { member: member.to_string(), invariant, detail });
    }
}

/// A node in a sentence. The member whose state is wrong is told in full apart.
fn name(id: Id) -> String {
    short(&id.to_string())
}

/// Judges an overlay by its protocol's rules, and by those that all share.
///
/// # Errors
/// When the protocol is not one that this `dht` knows.
pub(crate) fn judge(overlay: &Overlay) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    reachable(overlay, &mut verdict);
    one_ring_id(overlay, &mut verdict);
    match overlay.protocol.as_str() {
        "chord" => chord::judge(overlay, &mut verdict),
        other => {
            return Err(Failure::other(format!("this `dht` knows no invariants of `{other}`: is the node newer?")));
        }
    }
    Ok(verdict)
}

/// Every member that is named answers, and at least one is ready.
fn reachable(overlay: &Overlay, verdict: &mut Verdict) {
    for Member { peer, report } in &overlay.members {
        if let Err(why) = report {
            verdict.add(peer.id, "reachable", format!("{} does not answer: {why}", peer.addr));
        }
    }
    let answering = overlay.members.iter().filter_map(|member| member.report.as_ref().ok());
    if ready(overlay).next().is_none() {
        for report in answering {
            verdict.add(report.me.id, "ready", format!("is {}, and no member is ready", report.state.word()));
        }
    }
}

/// All ready members are in the same ring: those outside the most frequented one are not.
fn one_ring_id(overlay: &Overlay, verdict: &mut Verdict) {
    let rings = by_ring(overlay);
    let Some((main, _)) = rings.iter().max_by_key(|(_, reports)| reports.len()) else {
        return;
    };
    for (ring, report) in rings.iter().flat_map(|(ring, reports)| reports.iter().map(move |report| (ring, report))) {
        if ring != main {
            let name = |ring: &Option<&str>| ring.unwrap_or("none").to_owned();
            let detail = format!("is in ring {}, most are in ring {}", name(ring), name(main));
            verdict.add(report.me.id, "one_ring_id", detail);
        }
    }
}

/// The ready members, in ring order.
fn ready(overlay: &Overlay) -> impl Iterator<Item = &Report> {
    let reports = overlay.members.iter().filter_map(|member| member.report.as_ref().ok());
    reports.filter(|report| report.state == State::Ready)
}

/// The ready members of each ring, in ring order.
fn by_ring(overlay: &Overlay) -> BTreeMap<Option<&str>, Vec<&Report>> {
    let mut rings: BTreeMap<Option<&str>, Vec<&Report>> = BTreeMap::new();
    for report in ready(overlay) {
        rings.entry(report.ring.as_deref()).or_default().push(report);
    }
    rings
}

/// How a node that some table names is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// Ready, and in the life that the table knows.
    Ready,
    /// It answers and is on its way in or out: it may or may not be in tables.
    Moving,
    /// It does not answer, or the life that the table knows is over.
    Dead,
}

/// Looks nodes up by what tables say of them.
struct Standings<'a>(BTreeMap<Id, &'a Member>);

impl<'a> Standings<'a> {
    fn new(overlay: &'a Overlay) -> Self {
        Self(overlay.members.iter().map(|member| (member.peer.id, member)).collect())
    }

    fn of(&self, named: &Named) -> Standing {
        match self.0.get(&named.id).map(|member| &member.report) {
            Some(Ok(report)) if report.me.incarnation > named.incarnation => Standing::Dead,
            Some(Ok(report)) if report.state == State::Ready => Standing::Ready,
            Some(Ok(_)) => Standing::Moving,
            Some(Err(_)) | None => Standing::Dead,
        }
    }
}
