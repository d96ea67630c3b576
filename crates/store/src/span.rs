use std::ops::Bound;

use bytes::Bytes;
use ring::{Id, Range};

use crate::Cursor;
use crate::place::Place;

/// A run of identifiers that does not cross zero, both ends included: what an ordered map can scan in one go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) first: Id,
    pub(crate) last: Id,
    /// Keys of `first` up to this one have been seen.
    pub(crate) seen: Option<Bytes>,
}

impl Span {
    /// Cuts the arc at zero: one span, or two, in clockwise order from `range.after`. With a cursor, what
    /// comes after it; nothing when the cursor lies outside the arc.
    pub(crate) fn of(range: Range, after: Option<&Cursor>) -> Vec<Span> {
        let space = range.after.space();
        let (zero, max) = (space.zero(), space.max());
        let from_start = |last| (range.after != max).then(|| Span::new(range.after.plus_power(0), last));
        let spans = match range.after < range.upto {
            true => [from_start(range.upto), None],
            // Also when the ends are equal: the whole circle, `after` itself last.
            false => [from_start(max), Some(Span::new(zero, range.upto))],
        };
        let spans = spans.into_iter().flatten();
        match after {
            None => spans.collect(),
            Some(cursor) => {
                let mut rest: Vec<Span> = spans.skip_while(|span| !span.contains(cursor.id)).collect();
                if let Some(span) = rest.first_mut() {
                    span.first = cursor.id;
                    span.seen = Some(cursor.key.clone());
                }
                rest
            }
        }
    }

    pub(crate) fn new(first: Id, last: Id) -> Self {
        Self { first, last, seen: None }
    }

    fn contains(&self, id: Id) -> bool {
        self.first <= id && id <= self.last
    }

    /// The places of the span start here; they end with the last key of `last`.
    pub(crate) fn start(&self) -> Bound<Place> {
        match &self.seen {
            None => Bound::Included(Place { id: self.first, key: Bytes::new() }),
            Some(key) => Bound::Excluded(Place { id: self.first, key: key.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use ring::Space;

    use super::*;

    fn ids(range: (u64, u64), after: Option<u64>) -> Vec<(u64, u64)> {
        let space = Space::new(3).expect("3 bits");
        let id = |number| space.id(number).expect("below 8");
        let number = |id: Id| u64::from(id.to_array()[19]);
        let cursor = after.map(|at| Cursor { id: id(at), key: Bytes::from("k") });
        let spans = Span::of(Range::new(id(range.0), id(range.1)), cursor.as_ref());
        spans.iter().map(|span| (number(span.first), number(span.last))).collect()
    }

    #[test]
    fn an_arc_is_cut_at_zero_only() {
        assert_eq!(ids((2, 5), None), [(3, 5)]);
        assert_eq!(ids((5, 2), None), [(6, 7), (0, 2)]);
        assert_eq!(ids((7, 2), None), [(0, 2)]);
        assert_eq!(ids((5, 0), None), [(6, 7), (0, 0)]);
        assert_eq!(ids((4, 4), None), [(5, 7), (0, 4)], "the whole circle, its opening last");
        assert_eq!(ids((7, 7), None), [(0, 7)]);
    }

    #[test]
    fn a_cursor_leaves_what_comes_after_it() {
        assert_eq!(ids((5, 2), Some(7)), [(7, 7), (0, 2)]);
        assert_eq!(ids((5, 2), Some(1)), [(1, 2)]);
        assert_eq!(ids((4, 4), Some(4)), [(4, 4)]);
        assert_eq!(ids((2, 5), Some(6)), [], "a cursor outside the arc");
    }
}
