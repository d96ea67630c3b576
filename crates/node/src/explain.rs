//! All copies of one record and what becomes of them, for `dht explain`. What is found out is asked for by calls that
//! change nothing; what is said about it is a function of that alone.

mod holder;
mod next;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use overlay::{Failure, LocateError, Located, Peer};
use ring::Id;
use tokio::time::{Instant, timeout};
use transport::{KvError, Status};
use wire::records::{LookReply, Part, Reason, Sight};
use wire::{WireForm, v1};

use self::holder::{Holder, Role};
use self::next::{Cluster, Findings};
use crate::admin;
use crate::shared::Shared;
use crate::time::wall_ms;

/// How long one node may take to say what it has.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// The node that a lookup names, and so many more that are followed from there.
const ASKED_MAX: usize = 5;
/// Of the time that is left, a single step takes at most this part: what is known by then is still to be told.
const PART: u32 = 3;
/// Of the caller's time, so much is kept for the answer's way back.
const WAY_BACK: u32 = 8;

/// Who holds `key`, what each holder has of it, and what happens next; within `budget`, if there is one, as far as it is
/// known by then.
pub(crate) async fn explain(
    shared: &Arc<Shared>,
    key: Bytes,
    budget: Option<Duration>,
) -> Result<v1::ExplainResponse, Status> {
    let deadline = budget.map(|budget| Instant::now() + (budget - budget / WAY_BACK));
    let mut asking = Asking { shared, key, said: BTreeMap::new(), deadline };
    let located = asking.locate().await;
    let sight = match &located {
        Ok(located) => asking.follow(to_ask(located).cloned().collect()).await?,
        // This node may be a holder itself, and know the others.
        Err(status) => asking.follow(VecDeque::from([shared.me()])).await.map_err(|_| status.clone())?,
    };
    let holders = asking.holders(&sight).await;
    let findings = Findings {
        cluster: cluster(shared, &sight),
        replicas: shared.config.replicas,
        repair_period: shared.config.repair_period,
        tombstone_grace: shared.config.tombstone_grace,
        lost_majority_after: shared.config.lost_majority_after,
        now_ms: wall_ms(),
        sight,
        holders,
    };
    Ok(v1::ExplainResponse {
        id: shared.id_of(&asking.key).to_bytes().into(),
        owner: located.ok().and_then(|located| located.owners.first().map(WireForm::to_message)),
        primary: findings.holders.first().map(|primary| primary.member.peer.to_message()),
        set: Some(admin::set_status(&findings.sight)),
        copies: findings.holders.iter().map(|holder| holder.copy(findings.now_ms)).collect(),
        next: findings.next(),
    })
}

fn not_located(error: &LocateError) -> Status {
    let reason = match error {
        LocateError::Joining => Reason::Joining,
        LocateError::TimedOut { .. } => Reason::Unreachable,
    };
    unavailable(reason, error.to_string())
}

fn unavailable(reason: Reason, message: String) -> Status {
    KvError::Unavailable { reason, message, outcome_unknown: false }.into()
}

/// The nodes around a range, as far as this one knows.
fn cluster(shared: &Shared, sight: &Sight) -> Cluster {
    let view = shared.view();
    let members = || sight.set.members.iter().map(|member| member.peer.id);
    let alive: BTreeSet<Id> =
        view.known.iter().filter(|known| known.alive).map(|known| known.peer.id).chain([view.me.id]).collect();
    let known: BTreeSet<Id> = view
        .known
        .iter()
        .filter(|known| !known.left)
        .map(|known| known.peer.id)
        .chain(members())
        .chain([view.me.id])
        .collect();
    let has_part =
        |id: &Id| members().chain(sight.learners.iter().map(|learner| learner.peer.id)).any(|one| one == *id);
    Cluster {
        spare: alive.iter().filter(|id| !has_part(id)).count(),
        alive: alive.len(),
        known: known.len(),
        stopped: view.known.iter().filter(|known| known.stopped.is_some()).map(|known| known.peer.id).collect(),
    }
}

/// Asks nodes about a key, each once.
struct Asking<'a> {
    shared: &'a Arc<Shared>,
    key: Bytes,
    said: BTreeMap<Id, Result<LookReply, Failure>>,
    /// When what is known has to be told.
    deadline: Option<Instant>,
}

impl Asking<'_> {
    /// How long the next step may take.
    fn patience(&self, at_most: Duration) -> Duration {
        self.deadline.map_or(at_most, |at| at_most.min(at.saturating_duration_since(Instant::now()) / PART))
    }

    /// Its own time-out is shorter than what it is left here, unless the caller is in a hurry.
    async fn locate(&self) -> Result<Located, Status> {
        let located = self.shared.inbox.locate(self.shared.place_of(&self.key));
        let Some(deadline) = self.deadline else { return located.await.map_err(|error| not_located(&error)) };
        let left = deadline.saturating_duration_since(Instant::now());
        match timeout(left - left / PART, located).await {
            Ok(located) => located.map_err(|error| not_located(&error)),
            Err(_) => Err(unavailable(Reason::Unreachable, "no owner could be found in time".to_owned())),
        }
    }

    /// From those that are named to the primary whom they know. What it sees of the range or, where it does not
    /// answer, what the one who knows the newest set does.
    async fn follow(&mut self, mut named: VecDeque<Peer>) -> Result<Sight, Status> {
        let mut asked = Vec::new();
        let mut newest: Option<Sight> = None;
        while let Some(peer) = named.pop_front() {
            let peer = self.shared.now_at(&peer);
            if asked.len() >= ASKED_MAX {
                break;
            }
            if self.said.contains_key(&peer.id) {
                continue;
            }
            let said = self.look(&peer).await;
            self.said.insert(peer.id, said.clone());
            match said.map(|reply| reply.sight) {
                Err(failure) => asked.push(format!("{} ({failure})", peer.addr)),
                Ok(None) => asked.push(format!("{} (knows nobody who holds it)", peer.addr)),
                Ok(Some(sight)) if matches!(sight.part, Part::Primary | Part::TakingOver) => return Ok(sight),
                Ok(Some(sight)) => {
                    asked.push(format!("{} (is not its primary)", peer.addr));
                    named.push_front(sight.set.primary().peer.clone());
                    newest = newest.filter(|newest| newest.set.number >= sight.set.number).or(Some(sight));
                }
            }
        }
        newest.ok_or_else(|| nobody(&asked))
    }

    /// What each member and newcomer says, all asked at the same time.
    async fn holders(&self, sight: &Sight) -> Vec<Holder> {
        let members = sight.set.members.iter().enumerate();
        let members = members.map(|(place, member)| (member, if place == 0 { Role::Primary } else { Role::Member }));
        let all = members.chain(sight.learners.iter().map(|learner| (learner, Role::Newcomer)));
        let asked = all.map(async |(member, role)| {
            let member = self.shared.as_now(member);
            let said = match self.said.get(&member.peer.id) {
                Some(said) => said.clone(),
                None => self.look(&member.peer).await,
            };
            Holder { member, role, said }
        });
        join_all(asked).await
    }

    /// Asks one node; this one without a call.
    async fn look(&self, peer: &Peer) -> Result<LookReply, Failure> {
        if peer.id == self.shared.me().id {
            return crate::holder::look(self.shared, &self.key).await.map_err(Failure::Refused);
        }
        let patience = self.patience(LOOK_TIMEOUT);
        self.shared.peers.look(peer, self.shared.ring(), self.key.clone(), patience).await
    }
}

/// Those that a lookup names, the likeliest to know first: where data lies apart from its owner, its holders.
fn to_ask(located: &Located) -> impl Iterator<Item = &Peer> {
    let apart = located.owners.first().is_some_and(|owner| !located.holders.contains(owner));
    let (first, then) = if apart { (&located.holders, &located.owners) } else { (&located.owners, &located.holders) };
    first.iter().chain(then)
}

fn nobody(asked: &[String]) -> Status {
    let message = match asked {
        [] => "the lookup named nobody who could hold the key".to_owned(),
        asked => format!("no primary of the key could be found; asked were {}", asked.join(", ")),
    };
    unavailable(Reason::Unreachable, message)
}

#[cfg(test)]
mod tests {
    use ring::Space;

    use super::holder::fixtures::member;
    use super::*;

    #[test]
    fn a_primary_that_nobody_knows_is_said_with_those_who_were_asked() {
        let said = nobody(&["a:1 (no answer in time)".to_owned(), "a:2 (knows nobody who holds it)".to_owned()]);
        assert_eq!(
            said.message(),
            "no primary of the key could be found; asked were a:1 (no answer in time), a:2 (knows nobody who holds it)"
        );
        assert_eq!(transport::reason(&said), Some(Reason::Unreachable));
        assert_eq!(nobody(&[]).message(), "the lookup named nobody who could hold the key");
    }

    #[test]
    fn holders_are_asked_first_where_data_lies_apart_from_its_owner() {
        let peer = |number| member(number).peer;
        let located = |owners: &[u16], holders: &[u16]| Located {
            target: Space::SHA1.zero(),
            owners: owners.iter().copied().map(peer).collect(),
            holders: holders.iter().copied().map(peer).collect(),
            path: Vec::new(),
            arc: None,
        };
        let asked = |located: &Located| to_ask(located).map(|peer| peer.addr.to_string()).collect::<Vec<_>>();
        assert_eq!(asked(&located(&[1, 2], &[1, 2])), ["a:1", "a:2", "a:1", "a:2"]);
        assert_eq!(asked(&located(&[1], &[2, 3])), ["a:2", "a:3", "a:1"]);
    }
}
