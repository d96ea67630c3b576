//! Who should be in the next set, as a pure function of what is known.
//!
//! Three rules keep every acknowledged write within reach of any majority. While the primary is dead only
//! the order of the members may change. A newcomer is taken in only when it is synced. And a set shrinks
//! by one member at a time (its primary sees to it that everything is on a majority again in between).

use crate::{Member, Set};

/// What the choice depends on.
#[derive(Clone, Debug)]
pub(crate) struct Situation<'a> {
    /// The set that is to be followed.
    pub current: &'a Set,
    /// The wanted holders that are members or synced newcomers, in the overlay's order; none is leaving.
    pub wanted: &'a [Member],
    /// Some wanted holder is alive and still fetching: nobody need be dropped before it has come.
    pub waiting: bool,
    /// Copies of each record.
    pub replicas: usize,
    /// The node that the overlay calls the owner, if it is to hold what it owns and is not leaving.
    pub owner: Option<&'a Member>,
}

/// How a member is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Health {
    /// It can be reached.
    pub alive: bool,
    /// It is about to go.
    pub leaving: bool,
}

/// The members of the next set, its primary first; those of the current set in their order when nothing is to change.
pub(crate) fn next_members(situation: &Situation<'_>, health: impl Fn(&Member) -> Health) -> Vec<Member> {
    let current = &situation.current.members;
    if !health(situation.current.primary()).alive {
        return take_over(situation, &health);
    }
    let mut chosen: Vec<Member> = situation.wanted.iter().take(situation.replicas).cloned().collect();
    for rank in 0..4 {
        for member in current {
            let fits = chosen.len() < situation.replicas && !includes(&chosen, member);
            if fits && filler_rank(health(member), situation.waiting) == Some(rank) {
                chosen.push(member.clone());
            }
        }
    }
    // One less at a time: whoever is to go anyway stays for now, the living first.
    let least = current.len().saturating_sub(1).max(1);
    for alive in [true, false] {
        for member in current {
            if chosen.len() < least && !includes(&chosen, member) && health(member).alive == alive {
                chosen.push(member.clone());
            }
        }
    }
    let primary = primary_of(situation, &chosen, &health);
    in_order(current, chosen, primary)
}

/// In which round a member of the current set fills a free place; `None`: it should go.
fn filler_rank(health: Health, waiting: bool) -> Option<u8> {
    match health {
        Health { alive: true, leaving: false } => Some(0),
        Health { alive: true, leaving: true } => waiting.then_some(1),
        Health { alive: false, leaving: false } => Some(2),
        Health { alive: false, leaving: true } => waiting.then_some(3),
    }
}

/// The same members with a primary that lives.
fn take_over(situation: &Situation<'_>, health: &impl Fn(&Member) -> Health) -> Vec<Member> {
    let current = &situation.current.members;
    let owner = situation.owner.into_iter();
    let stays = |member: &&Member| health(member).alive && !health(member).leaving;
    let primary = owner
        .chain(situation.wanted.iter().filter(stays))
        .chain(current.iter().filter(stays))
        .chain(current.iter().filter(|member| health(member).alive))
        .find(|member| includes(current, member));
    match primary {
        Some(primary) => in_order(current, current.clone(), primary.clone()),
        None => current.clone(),
    }
}

fn primary_of(situation: &Situation<'_>, chosen: &[Member], health: &impl Fn(&Member) -> Health) -> Member {
    let before = situation.current.primary();
    let owner = situation.owner.filter(|owner| includes(chosen, owner));
    let keeps = includes(chosen, before).then_some(before);
    let stays = |member: &&Member| health(member).alive && !health(member).leaving;
    let primary = owner.or(keeps).or_else(|| chosen.iter().find(stays));
    primary.or_else(|| chosen.first()).unwrap_or(before).clone()
}

/// The primary first, then the rest as chosen; the current list itself if it says the same.
fn in_order(current: &[Member], chosen: Vec<Member>, primary: Member) -> Vec<Member> {
    let same = current.len() == chosen.len()
        && chosen.iter().all(|member| includes(current, member))
        && current.first().is_some_and(|first| first.is(&primary));
    if same {
        return current.to_vec();
    }
    let rest = chosen.into_iter().filter(|member| !member.is(&primary));
    std::iter::once(primary.clone()).chain(rest).collect()
}

fn includes(members: &[Member], member: &Member) -> bool {
    members.iter().any(|one| one.is(member))
}

#[cfg(test)]
mod tests;
