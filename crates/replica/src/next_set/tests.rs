//! Who should be in the next set.

use proptest::prelude::*;

use super::{Health, Situation, next_members};
use crate::fixtures::{born, member, set};
use crate::{Member, Set};

struct Case {
    current: Set,
    wanted: Vec<Member>,
    waiting: bool,
    replicas: usize,
    owner: Option<Member>,
    dead: Vec<u64>,
    leaving: Vec<u64>,
}

impl Case {
    /// Three copies, nobody dead or leaving; the first wanted one is the owner.
    fn new(current: &[u64], wanted: &[u64]) -> Self {
        let wanted: Vec<Member> = wanted.iter().map(|place| member(*place)).collect();
        let owner = wanted.first().cloned();
        let (dead, leaving) = (Vec::new(), Vec::new());
        Self { current: set(4, current), wanted, waiting: false, replicas: 3, owner, dead, leaving }
    }

    fn health(&self, member: &Member) -> Health {
        let among = |places: &[u64]| places.iter().any(|place| crate::fixtures::id(*place) == member.peer.id);
        Health { alive: !among(&self.dead), leaving: among(&self.leaving) }
    }

    fn next(&self) -> Vec<Member> {
        let situation = Situation {
            current: &self.current,
            wanted: &self.wanted,
            waiting: self.waiting,
            replicas: self.replicas,
            owner: self.owner.as_ref(),
        };
        next_members(&situation, |member| self.health(member))
    }

    fn expect(&self, places: &[u64]) {
        assert_eq!(self.next(), places.iter().map(|place| member(*place)).collect::<Vec<_>>());
    }
}

#[test]
fn nothing_changes_when_the_wanted_holders_are_the_members() {
    Case::new(&[10, 20, 30], &[10, 20, 30]).expect(&[10, 20, 30]);
    // Only the primary's place in the order says anything.
    Case::new(&[10, 30, 20], &[10, 20, 30]).expect(&[10, 30, 20]);
}

#[test]
fn a_set_grows_until_it_has_all_its_copies() {
    Case::new(&[10], &[10, 20]).expect(&[10, 20]);
    Case::new(&[10, 20], &[10, 20, 30]).expect(&[10, 20, 30]);
}

#[test]
fn a_new_owner_becomes_primary_and_the_last_in_line_goes() {
    Case::new(&[10, 20, 30], &[5, 10, 20]).expect(&[5, 10, 20]);
}

#[test]
fn an_owner_that_is_still_fetching_is_not_taken_in() {
    let mut case = Case::new(&[10, 20, 30], &[10, 20]);
    (case.owner, case.waiting) = (Some(member(5)), true);
    case.expect(&[10, 20, 30]);
}

#[test]
fn a_dead_member_stays_until_a_newcomer_replaces_it() {
    let mut case = Case::new(&[10, 20, 30], &[10, 20]);
    case.dead = vec![30];
    case.expect(&[10, 20, 30]);
    case.wanted.push(member(40));
    case.expect(&[10, 20, 40]);
}

#[test]
fn when_the_primary_is_dead_only_the_order_changes() {
    let mut case = Case::new(&[10, 20, 30], &[20, 30, 40]);
    case.dead = vec![10];
    case.expect(&[20, 10, 30]);
    // The owner is no member yet: the first live one goes first.
    (case.wanted, case.owner) = (vec![member(30)], Some(member(15)));
    case.expect(&[30, 10, 20]);
}

#[test]
fn a_node_that_came_back_empty_is_another_member() {
    let mut case = Case::new(&[10, 20, 30], &[10, 20]);
    case.wanted.push(born(30, 2));
    assert_eq!(case.next(), [member(10), member(20), born(30, 2)]);
}

#[test]
fn a_leaver_stays_while_its_successor_fetches_and_goes_then() {
    let mut case = Case::new(&[10, 20, 30], &[20, 30]);
    (case.owner, case.leaving, case.waiting) = (None, vec![10], true);
    case.expect(&[10, 20, 30]);
    (case.wanted, case.waiting) = (vec![member(20), member(30), member(40)], false);
    case.expect(&[20, 30, 40]);
}

#[test]
fn a_leaver_that_nobody_can_replace_leaves_a_smaller_set() {
    let mut case = Case::new(&[10, 20, 30], &[20, 30]);
    (case.owner, case.leaving) = (None, vec![10]);
    case.expect(&[20, 30]);
}

#[test]
fn a_set_shrinks_by_one_at_a_time() {
    let mut case = Case::new(&[10, 20, 30, 40], &[40]);
    (case.leaving, case.replicas) = (vec![10, 20, 30], 3);
    assert_eq!(case.next().len(), 3);
    let mut fewer = Case::new(&[10, 20, 30, 40, 50], &[10, 20, 30]);
    fewer.replicas = 1;
    assert_eq!(fewer.next().len(), 4);
}

fn places() -> impl Strategy<Value = Vec<u64>> {
    proptest::sample::subsequence(vec![10u64, 20, 30, 40, 50, 60], 0..=6).prop_shuffle()
}

proptest! {
    #[test]
    fn whatever_happens_the_rules_hold(
        current in places().prop_filter("a set has members", |places| !places.is_empty()),
        wanted in places(),
        dead in places(),
        leaving in places(),
        waiting: bool,
        replicas in 1..5usize,
    ) {
        let mut case = Case::new(&current, &wanted);
        case.wanted.retain(|member| !leaving.contains(&(u64::from(member.peer.id.to_array()[19]))));
        case.owner = case.wanted.first().cloned();
        (case.dead, case.leaving, case.waiting, case.replicas) = (dead, leaving, waiting, replicas);
        let next = case.next();
        let new = Set { number: 5, members: next.clone(), forced: false };
        prop_assert!(!next.is_empty());
        prop_assert!(next.iter().all(|one| next.iter().filter(|other| one.is(other)).count() == 1), "{next:?}");
        prop_assert!(next.iter().all(|one| case.current.includes(one) || case.wanted.iter().any(|other| one.is(other))));
        prop_assert!(next.len() + 1 >= case.current.members.len(), "shrinks by more than one: {next:?}");
        prop_assert!(next.len() <= replicas.max(case.current.members.len()), "grows past its copies: {next:?}");
        if !case.health(case.current.primary()).alive {
            prop_assert!(new.same_members(&case.current), "the primary is dead, yet {next:?}");
        }
        // Among the well, what was chosen is chosen again once it can't shrink any further.
        if case.dead.is_empty() && case.leaving.is_empty() && next.len() <= replicas {
            let again = Case { current: new, ..case };
            prop_assert_eq!(again.next(), next);
        }
    }
}
