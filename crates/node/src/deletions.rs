//! Forgetting deletions: when they are old enough, and every holder has them. [`replica::may_be_forgotten`] is the rule.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use overlay::State;
use replica::{Holding, Member, forgotten_up_to, may_be_forgotten};
use store::{Cursor, StoreError, Version};
use wire::records::{Forget, Listed};

use crate::part::Primary;
use crate::primary::COPY_TIMEOUT;
use crate::shared::Shared;
use crate::time::wall_ms;
use crate::trouble;

/// A primary looks for deletions so many times in a grace period, at least and at most so far apart.
const LOOKS_IN_GRACE: u32 = 10;
const LOOK_EVERY_MIN: Duration = Duration::from_secs(1);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(3_600);
/// Keys looked at, and deletions forgotten, at a time.
const BATCH: usize = 512;

/// Forgets until the process ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let every = (shared.config.tombstone_grace / LOOKS_IN_GRACE).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX);
    loop {
        tokio::time::sleep(every).await;
        if shared.view().state != State::Ready || shared.store.stats().tombstones == 0 {
            continue;
        }
        if let Err(error) = sweep(&shared).await {
            trouble::of_store(&error.to_string());
        }
    }
}

async fn sweep(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let holdings = Arc::clone(&*shared.holdings.read().await);
    let (now, grace) = (shared.versions.now(wall_ms()), shared.config.tombstone_grace);
    for holding in holdings.ranges.iter().filter(|holding| holding.is_quiet()) {
        let mut after: Option<Cursor> = None;
        loop {
            let page = shared.store.list(holding.range, after.as_ref(), BATCH)?;
            let may_go = |clock| may_be_forgotten(clock, now, grace, holding.whole);
            let old = page.entries.into_iter().filter(|entry| entry.tombstone && may_go(entry.version.clock));
            let old: Vec<Listed> = old.map(|entry| Listed { key: entry.key, version: entry.version }).collect();
            let go_on = old.is_empty() || forget_everywhere(shared, holding, old, forgotten_up_to(now, grace)).await?;
            after = page.next;
            if after.is_none() || !go_on {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// First all members say that they have them as deletions, then all forget them and that any were forgotten up to
/// `horizon`, this node last. Whether there is any use in asking about more of the range now.
async fn forget_everywhere(
    shared: &Arc<Shared>,
    holding: &Holding,
    mut old: Vec<Listed>,
    horizon: u64,
) -> Result<bool, StoreError> {
    let me = shared.member();
    let others: Vec<Member> = holding.set.members.iter().filter(|member| !member.is(&me)).cloned().collect();
    for now in [false, true] {
        if now {
            // Whoever comes in from now on learns by this that they are gone. Whoever has begun to may need them yet.
            shared.store.raise_horizon(horizon).await?;
            if !shared.holdings.read().await.are_quiet(holding.range, holding.set.number) {
                return Ok(false);
            }
        }
        for member in &others {
            let Some(held) = held_by(shared, holding, member, old, now.then_some(horizon)).await else {
                return Ok(false);
            };
            old = held;
        }
        if old.is_empty() {
            return Ok(true);
        }
    }
    let holdings = shared.holdings.read().await;
    let mut gone: Vec<(Bytes, Version)> = Vec::new();
    for Listed { key, version } in old {
        let still = Primary::of(shared, &holdings, shared.place_of(&key));
        if still.is_ok_and(|primary| primary.set.number == holding.set.number) {
            gone.push((key, version));
        }
    }
    let forgotten = shared.store.forget(gone).await?;
    metrics::counter!("dhtd_deletions_forgotten_total").increment(forgotten);
    Ok(true)
}

/// Those of `entries` that the member has as deletions; `None` if it does not say, or goes by a newer set.
async fn held_by(
    shared: &Shared,
    holding: &Holding,
    member: &Member,
    entries: Vec<Listed>,
    horizon: Option<u64>,
) -> Option<Vec<Listed>> {
    let to = shared.as_now(member);
    let number = holding.set.number;
    let request = Forget { holder: to.store, number, entries: entries.clone(), horizon };
    let reply = shared.peers.forget(&to, shared.ring(), request, COPY_TIMEOUT * 2).await.ok()?;
    if reply.newer.is_some() {
        return None;
    }
    Some(reply.held.iter().filter_map(|index| entries.get(*index as usize).cloned()).collect())
}
