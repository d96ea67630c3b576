//! The users' API: find the key's primary, pass the operation on to it, follow it when it has moved.

use std::sync::Arc;
use std::time::Duration;

use overlay::{Failure, Peer, State};
use replica::Role;
use ring::Id;
use tokio::time::Instant;
use wire::records::{NotPrimary, Operation, Outcome, Reason};

use crate::inbox::Input;
use crate::primary;
use crate::shared::Shared;

/// An operation is tried for so long, through changes of the ring; for a caller that does not say how long it waits.
const BUDGET: Duration = Duration::from_millis(4_500);
/// The answer, even "not in time", should arrive before the caller stops waiting.
const ANSWER_AHEAD: Duration = Duration::from_millis(200);
/// One attempt at one node.
const ATTEMPT: Duration = Duration::from_millis(2_500);
const PAUSE_MIN: Duration = Duration::from_millis(15);
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// A primary that names another is followed so many times before looking again.
const REDIRECTS_MAX: usize = 4;

/// Why an operation can't be done just now.
struct Unavailable {
    reason: Reason,
    message: String,
    outcome_unknown: bool,
}

impl From<Unavailable> for Outcome {
    fn from(Unavailable { reason, message, outcome_unknown }: Unavailable) -> Self {
        Outcome::Unavailable { reason, message, outcome_unknown }
    }
}

/// What an attempt came to.
enum Attempt {
    /// That is the answer.
    Final(Outcome),
    /// It can't be done, and not before somebody does something about it.
    Hopeless(Unavailable),
    /// Not yet; this is the answer if time runs out.
    Again(Unavailable),
}

/// Carries out an operation wherever its key belongs.
/// `budget` is how long the caller waits, if it said so.
pub(crate) async fn route(shared: &Arc<Shared>, operation: Operation, budget: Option<Duration>) -> Outcome {
    let id = shared.place_of(operation.key());
    let deadline = Instant::now() + budget.map_or(BUDGET, |budget| budget.saturating_sub(ANSWER_AHEAD).max(budget / 2));
    let mut pause = PAUSE_MIN;
    // The first try that nobody knows the outcome of: it stays unknown, whatever comes of the others.
    let mut unknown: Option<Unavailable> = None;
    loop {
        if let Some(why) = not_a_member(shared) {
            return unknown.unwrap_or(why).into();
        }
        let mut unavailable = match attempt(shared, &operation, id, deadline).await {
            Attempt::Final(outcome) => return outcome,
            Attempt::Hopeless(why) => return unknown.unwrap_or(why).into(),
            Attempt::Again(unavailable) => unavailable,
        };
        if let Some(first) = unknown.take() {
            unavailable = first;
        }
        // A condition is judged once: its first try may be what makes a second one fail.
        let judged = unavailable.outcome_unknown && is_conditional(&operation);
        if judged || Instant::now() + pause >= deadline {
            return unavailable.into();
        }
        unknown = unavailable.outcome_unknown.then_some(unavailable);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn is_conditional(operation: &Operation) -> bool {
    match operation {
        Operation::Put { condition, .. } | Operation::Delete { condition, .. } => condition.is_some(),
        Operation::Get { .. } => false,
    }
}

fn not_a_member(shared: &Shared) -> Option<Unavailable> {
    let (reason, message) = match shared.view().state {
        State::Ready | State::Leaving => return None,
        State::Searching => {
            (Reason::Joining, "this node looks for its ring; ask again in a moment, or ask another node")
        }
        State::Joining => {
            (Reason::Joining, "this node is joining its ring; ask again in a moment, or ask another node")
        }
        State::Left => (Reason::Leaving, "this node is leaving; ask another node"),
    };
    Some(Unavailable { reason, message: message.to_owned(), outcome_unknown: false })
}

async fn attempt(shared: &Arc<Shared>, operation: &Operation, id: Id, deadline: Instant) -> Attempt {
    let mut next = match remembered(shared, id).await {
        Some(peer) => peer,
        None => match located(shared, id).await {
            Ok(peer) => peer,
            Err(unavailable) => return Attempt::Again(unavailable),
        },
    };
    for _ in 0..REDIRECTS_MAX {
        let outcome = if next.id == shared.me().id {
            Ok(primary::execute(shared, operation.clone(), deadline).await)
        } else {
            let patience = deadline.saturating_duration_since(Instant::now()).min(ATTEMPT);
            shared.peers.execute(&next, shared.ring(), operation.clone(), patience).await
        };
        match outcome {
            Ok(Outcome::NotPrimary(NotPrimary { primary: Some(primary), range })) if primary.id != next.id => {
                shared.routes.forget(id);
                next = shared.now_at(&primary);
                if let Some(range) = range {
                    shared.routes.learn(range, next.clone());
                }
            }
            Ok(Outcome::NotPrimary(_)) => {
                shared.routes.forget(id);
                return Attempt::Again(nobody("the owner does not know yet who holds the key"));
            }
            Ok(Outcome::Unavailable { reason: Reason::ReadOnly, message, outcome_unknown }) => {
                return Attempt::Hopeless(Unavailable { reason: Reason::Quorum, message, outcome_unknown });
            }
            Ok(Outcome::Unavailable { reason, message, outcome_unknown }) => {
                shared.routes.forget(id);
                return Attempt::Again(Unavailable { reason, message, outcome_unknown });
            }
            Ok(outcome) => return Attempt::Final(outcome),
            Err(failure) => {
                shared.routes.forget(id);
                return Attempt::Again(unreachable(shared, operation, next, failure));
            }
        }
    }
    Attempt::Again(nobody("the key's range is changing hands"))
}

/// Who answered for the range lately, or is its primary as far as this node is told.
async fn remembered(shared: &Shared, id: Id) -> Option<Peer> {
    let holdings = Arc::clone(&*shared.holdings.read().await);
    if let Some(holding) = holdings.find(id) {
        let primary = shared.now_at(&holding.set.primary().peer);
        if matches!(holding.role, Role::Primary { .. } | Role::Member) && !shared.is_down(&primary) {
            return Some(primary);
        }
    }
    shared.routes.find(id).map(|peer| shared.now_at(&peer)).filter(|peer| !shared.is_down(peer))
}

async fn located(shared: &Shared, id: Id) -> Result<Peer, Unavailable> {
    let located = shared.inbox.locate(id).await.map_err(|error| nobody(&error.to_string()))?;
    // Where data lies apart from its owner, the first of its holders orders the writes.
    let apart = located.owners.first().is_some_and(|owner| !located.holders.contains(owner));
    let named = if apart {
        located.holders.into_iter().chain(located.owners).next()
    } else {
        located.owners.into_iter().next()
    };
    let Some(owner) = named else {
        return Err(nobody("the lookup named nobody"));
    };
    // It may have come back since the set was accepted that names it.
    let owner = shared.now_at(&owner);
    if let Some(arc) = located.arc {
        shared.routes.learn(arc, owner.clone());
    }
    Ok(owner)
}

fn nobody(why: &str) -> Unavailable {
    Unavailable { reason: Reason::Unreachable, message: why.to_owned(), outcome_unknown: false }
}

fn unreachable(shared: &Shared, operation: &Operation, peer: Peer, failure: Failure) -> Unavailable {
    let outcome_unknown = operation.is_write() && primary::may_have_happened(&failure);
    let message = format!("the key's owner {} at {}: {failure}", peer.id, peer.addr);
    shared.inbox.tell(Input::Evidence { peer, result: Err(failure) });
    Unavailable { reason: Reason::Unreachable, message, outcome_unknown }
}
