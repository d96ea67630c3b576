//! Which ranges this node can speak for, and which it can't any more: sets change while others are compared.

use replica::{Holding, Holdings, Role};

/// This node orders the range's writes, and nothing says that somebody else will in a moment.
pub(super) fn serves(holding: &Holding) -> bool {
    matches!(holding.role, Role::Primary { .. }) && !holding.fenced
}

/// The parts that a range has come to be cut into, each with what this node is to it now. The sets may have changed
/// while others were compared.
pub(super) fn as_now(holdings: &Holdings, then: &Holding) -> Vec<Holding> {
    let mut parts = Vec::new();
    for now in holdings.over(then.range) {
        parts.extend(then.range.intersect(now.range).into_iter().map(|range| Holding { range, ..now.clone() }));
    }
    let unknown = then.range.without(parts.iter().map(|part| part.range));
    parts.extend(unknown.into_iter().map(|range| Holding { range, role: Role::Outside, ..then.clone() }));
    parts
}

/// Whether nothing has come after the set that the range was compared under.
pub(super) fn still_serves(holdings: &Holdings, then: &Holding) -> bool {
    let mut now = holdings.over(then.range).peekable();
    now.peek().is_some() && now.all(|now| now.set == then.set && serves(now))
}

#[cfg(test)]
mod tests {
    use overlay::{Addr, Peer};
    use replica::{Member, Set};
    use ring::{Range, Space};

    use super::*;

    /// What this node serves alone, of the whole circle.
    fn whole() -> Holding {
        let peer = Peer { id: Space::SHA1.hash(b"peer"), addr: Addr::new("a:1").unwrap(), incarnation: 1 };
        let set = Set { number: 4, members: vec![Member { peer, store: 1 }], forced: false };
        let role = Role::Primary { learners: Vec::new(), settled: true };
        let range = Range::full(Space::SHA1.zero());
        Holding { range, set, role, missing: Vec::new(), read_only: Vec::new(), fenced: false, whole: u64::MAX }
    }

    /// Its first half and its second, that one with its next set.
    fn halves() -> (Holding, Holding) {
        let (zero, middle) = (Space::SHA1.zero(), Space::SHA1.zero().plus_power(159));
        let half = |after, upto| Holding { range: Range::new(after, upto), ..whole() };
        let next = Set { number: 5, ..whole().set };
        (half(zero, middle), Holding { set: next, ..half(middle, zero) })
    }

    #[test]
    fn a_range_that_was_cut_is_looked_at_in_its_parts_and_what_nobody_knows_any_more_is_not_this_node_s() {
        let ((first, second), whole) = (halves(), whole());
        let now = |ranges: &[&Holding], then: &Holding| {
            as_now(&Holdings { ranges: ranges.iter().copied().cloned().collect() }, then)
        };
        assert_eq!(now(&[&whole], &whole), std::slice::from_ref(&whole));
        assert_eq!(now(&[&first, &second], &whole), [first.clone(), second.clone()]);
        let joined = Holding { range: first.range, ..whole.clone() };
        assert_eq!(now(&[&whole], &first), [joined]);
        let lost = Holding { range: second.range, role: Role::Outside, ..whole.clone() };
        assert_eq!(now(&[&first], &whole), [first, lost]);
        assert_eq!(now(&[], &whole), [Holding { role: Role::Outside, ..whole.clone() }]);
    }

    #[test]
    fn a_range_is_this_node_s_until_another_set_or_another_part_in_it() {
        let ((first, second), whole) = (halves(), whole());
        let now = |ranges: Vec<Holding>| still_serves(&Holdings { ranges }, &whole);
        assert!(now(vec![whole.clone()]));
        let same = Holding { set: whole.set.clone(), ..second.clone() };
        assert!(now(vec![first.clone(), same]), "cut, with the same set");
        assert!(!now(vec![first, second]));
        assert!(!now(vec![Holding { fenced: true, ..whole.clone() }]));
        assert!(!now(vec![Holding { role: Role::Member, ..whole.clone() }]));
        assert!(!now(vec![]), "this node is in another ring");
    }
}
