//! A node's part in the range that a key falls in, read off the published holdings.

use crate::shared::Shared;
use overlay::RingId;
use replica::{Holding, Holdings, Learner, Member, Need, Service, Set};
use ring::{Id, Range};
use wire::records::{NotPrimary, Outcome, Reason};

/// What a primary needs to carry out an operation.
pub(crate) struct Primary {
    /// The ring that all this holds in.
    pub(crate) ring: Option<RingId>,
    pub(crate) range: Range,
    pub(crate) set: Set,
    pub(crate) learners: Vec<Learner>,
}

impl Primary {
    /// This node's part as the primary of `id`'s range, or what to answer instead. The ring changes only after the
    /// holdings were emptied, so the two belong together while `holdings` is read.
    #[expect(clippy::result_large_err, reason = "what is answered instead goes out as it is")]
    pub(crate) fn of(shared: &Shared, holdings: &Holdings, id: Id) -> Result<Self, Outcome> {
        let Some(holding) = holdings.find(id) else {
            return Err(Outcome::NotPrimary(NotPrimary { primary: None, range: None }));
        };
        match holding.service() {
            Service::Serves(learners) => Ok(Self {
                ring: shared.ring(),
                range: holding.range,
                set: holding.set.clone(),
                learners: learners.to_vec(),
            }),
            Service::Fenced => Err(unavailable("the range is about to change hands")),
            Service::TakingOver => Err(unavailable("the range is changing hands")),
            Service::Missing => Err(unavailable(&missing(holding))),
            Service::Elsewhere => {
                let primary = Some(holding.set.primary().peer.clone());
                Err(Outcome::NotPrimary(NotPrimary { primary, range: Some(holding.range) }))
            }
        }
    }
}

/// What to answer to a write of `id`, if its primary or too many of its holders take none. While a majority takes some the
/// range is about to get a primary that does.
pub(crate) fn takes_no_write(shared: &Shared, holdings: &Holdings, id: Id, need: Need) -> Option<Outcome> {
    let holding = holdings.find(id)?;
    let own = shared.is_read_only();
    let all = holding.set.members.len();
    let writers = all - holding.missing.len() - holding.read_only.len();
    let moves = writers >= holding.set.majority();
    match own {
        Some(why) if moves => Some(unavailable(&format!("the key's owner is read-only: {why}"))),
        // Those that do not answer now may be back in time.
        None if holding.read_only.is_empty() || all - holding.read_only.len() >= need.of(all) => None,
        _ => {
            let message = format!(
                "{} of the {all} copies of this range are on nodes that are read-only: {}; make room on their disks and \
                 restart them",
                holding.read_only.len(),
                names(&holding.read_only)
            );
            Some(Outcome::Unavailable { reason: Reason::ReadOnly, message, outcome_unknown: false })
        }
    }
}

/// Nothing was done, and trying again soon may help.
pub(crate) fn unavailable(message: &str) -> Outcome {
    Outcome::Unavailable { reason: Reason::Quorum, message: message.to_owned(), outcome_unknown: false }
}

fn missing(holding: &Holding) -> String {
    format!(
        "{} of the {} copies of this range are on nodes that do not answer: {}",
        holding.missing.len(),
        holding.set.members.len(),
        names(&holding.missing)
    )
}

fn names(members: &[Member]) -> String {
    let name = |member: &Member| format!("{} at {}", member.peer.id, member.peer.addr);
    members.iter().map(name).collect::<Vec<_>>().join(", ")
}
