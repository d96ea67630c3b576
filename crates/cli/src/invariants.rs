//! What must hold in an overlay, judged over the facts that [`crate::survey`] collected: pure functions. What all
//! overlays share is judged here, the rest by each protocol's own rules.

use std::collections::BTreeMap;

use overlay::inspect::{Standing, Verdict};

use crate::exit::{Failure, Result};
use crate::protocols::{self, Answered};
use crate::survey::{Member, Overlay, Report, State};

/// Judges an overlay by its protocol's rules, and by those that all share.
///
/// # Errors
/// When the protocol is not one that this `dht` knows.
pub(crate) fn judge(overlay: &Overlay) -> Result<Verdict> {
    let protocol = protocols::find(&overlay.protocol).ok_or_else(|| {
        Failure::other(format!("this `dht` knows no invariants of `{}`: is the node newer?", overlay.protocol))
    })?;
    let mut verdict = Verdict::default();
    reachable(overlay, &mut verdict);
    one_ring_id(overlay, &mut verdict);
    let answered = answered(overlay);
    // The members of one ring are judged as a ring of their own.
    for ring in by_ring(overlay).values() {
        protocol.judge(ring, &answered, &mut verdict);
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

/// How everybody is who answered.
fn answered(overlay: &Overlay) -> Answered {
    let reports = overlay.members.iter().filter_map(|member| member.report.as_ref().ok());
    let standing = |report: &Report| match report.state {
        State::Ready => Standing::Ready,
        State::Joining | State::Leaving => Standing::Moving,
    };
    reports.map(|report| (report.me.id, (report.me.incarnation, standing(report)))).collect()
}

#[cfg(test)]
mod tests;
