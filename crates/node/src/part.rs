//! A node's part in the range that a key falls in, read off the published holdings.

use crate::shared::Shared;
use overlay::RingId;
use replica::{Holding, Holdings, Learner, Role, Set};
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
        match &holding.role {
            Role::Primary { .. } if holding.fenced => Err(unavailable("the range is about to change hands")),
            Role::Primary { .. } if !holding.missing.is_empty() => Err(unavailable(&missing(holding))),
            Role::Primary { learners, .. } => Ok(Self {
                ring: shared.ring(),
                range: holding.range,
                set: holding.set.clone(),
                learners: learners.clone(),
            }),
            Role::TakingOver if !holding.missing.is_empty() => Err(unavailable(&missing(holding))),
            Role::TakingOver => Err(unavailable("the range is changing hands")),
            Role::Member | Role::Newcomer | Role::Outside if !holding.missing.is_empty() => {
                Err(unavailable(&missing(holding)))
            }
            Role::Member | Role::Newcomer | Role::Outside => {
                let primary = Some(holding.set.primary().peer.clone());
                Err(Outcome::NotPrimary(NotPrimary { primary, range: Some(holding.range) }))
            }
        }
    }
}

/// Nothing was done, and trying again soon may help.
pub(crate) fn unavailable(message: &str) -> Outcome {
    Outcome::Unavailable { reason: Reason::Quorum, message: message.to_owned(), outcome_unknown: false }
}

fn missing(holding: &Holding) -> String {
    let names: Vec<String> =
        holding.missing.iter().map(|member| format!("{} at {}", member.peer.id, member.peer.addr)).collect();
    format!(
        "{} of the {} copies of this range are on nodes that do not answer: {}",
        names.len(),
        holding.set.members.len(),
        names.join(", ")
    )
}
