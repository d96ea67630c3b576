//! News of sets for the operator: what happened to a range, who is missing, and what comes next.

use std::sync::atomic::Ordering;

use replica::{Event, Member, Wait};

use crate::shared::Shared;

/// What the control of sets has to say, for the log and the figures.
pub(crate) fn tell(shared: &Shared, event: &Event) {
    match event {
        Event::Accepted(range, set) => {
            tracing::debug!(%range, number = set.number, members = names(&set.members), "set accepted");
            metrics::counter!("dhtd_sets_accepted_total").increment(1);
        }
        Event::LostMajority(range, set, missing) => {
            tracing::warn!(%range, number = set.number, members = names(&set.members), missing = names(missing), "going on without the majority of a set");
            shared.counters.lost_majorities.fetch_add(1, Ordering::Relaxed);
        }
        Event::MajorityGone(range, set, missing, wait) => {
            let missing = names(missing);
            let (next, of) = (next_step(wait), set.members.len());
            tracing::warn!(%range, missing, of, "most copies of this range are out of reach: {next}");
        }
        Event::MajorityBack(range) => {
            tracing::info!(%range, "a majority of the copies of this range is there again");
        }
        Event::BegunEmpty(range) => {
            tracing::warn!(%range, "nobody alive held this range: begun empty");
            shared.counters.lost_majorities.fetch_add(1, Ordering::Relaxed);
        }
        Event::Note(text) => tracing::info!("{text}"),
    }
}

fn names(members: &[Member]) -> String {
    members.iter().map(|member| member.peer.addr.to_string()).collect::<Vec<_>>().join(", ")
}

/// What becomes of a range whose majority is gone, for the log.
fn next_step(wait: &Wait) -> String {
    match wait {
        Wait::Forever => "it waits for them, since lost_majority_after is never".to_owned(),
        Wait::For(patience) => {
            format!(
                "the others go on without them when that has lasted {} s (lost_majority_after)",
                patience.as_secs_f64()
            )
        }
        Wait::Stopped(stopped) => format!(
            "it waits for {}, stopped in order: start them again, or the others go on ten minutes after their stop",
            names(stopped)
        ),
        Wait::MayHaveStopped => {
            "it waits for them, for ten minutes from this node's own start: it may not have heard that they \
                                 only stopped; start them again"
                .to_owned()
        }
        Wait::Outnumbered(alive, known) => format!(
            "it waits, since only {alive} of the {known} nodes that were there answer, less than half: this node may be cut off. \
             Bring enough of the others back"
        ),
        Wait::NobodyWrites => "nobody who takes writes is left: make room on a disk and restart its node".to_owned(),
    }
}
