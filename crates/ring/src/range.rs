use std::cmp::Ordering;
use std::fmt;

use crate::Id;

/// `y` strictly between `x` and `z`, clockwise, in the sense of Zave's proof (TSE 43(12), 2017):
/// `between(x, y, x)` holds for every `y ≠ x`; `between(x, x, y)` and `between(y, x, x)` never do.
pub fn between(x: Id, y: Id, z: Id) -> bool {
    if x == z {
        return y != x;
    }
    let (to_y, to_z) = (x.distance_to(y), x.distance_to(z));
    y != x && to_y < to_z
}

/// A half-open arc `(after, upto]` of the circle: what a node is responsible for when `after` is
/// its predecessor. Equal ends mean the whole circle, never nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    /// The end that is not part of the arc.
    pub after: Id,
    /// The end that is.
    pub upto: Id,
}

impl Range {
    /// The arc `(after, upto]`.
    pub fn new(after: Id, upto: Id) -> Self {
        Self { after, upto }
    }

    /// The whole circle, cut open at `id`.
    pub fn full(id: Id) -> Self {
        Self { after: id, upto: id }
    }

    /// Whether this is the whole circle.
    pub fn is_full(self) -> bool {
        self.after == self.upto
    }

    /// Whether `id` lies on the arc.
    pub fn contains(self, id: Id) -> bool {
        // Compared, not subtracted: nothing else is asked as often.
        match self.after.cmp(&self.upto) {
            Ordering::Less => self.after < id && id <= self.upto,
            Ordering::Equal => true,
            // Over zero.
            Ordering::Greater => self.after < id || id <= self.upto,
        }
    }

    /// Whether every point of `other` lies on this arc.
    pub fn contains_range(self, other: Range) -> bool {
        if self.is_full() {
            return true;
        }
        if other.is_full() {
            return false;
        }
        let start = self.after.distance_to(other.after);
        let end = self.after.distance_to(other.upto);
        start < end && end <= self.after.distance_to(self.upto)
    }

    /// Whether the two arcs share any point: then the end of one lies on the other.
    pub fn overlaps(self, other: Range) -> bool {
        self.contains(other.upto) || other.contains(self.upto)
    }

    /// The points that both arcs share: none, one arc, or two (when each covers the other's ends).
    /// In clockwise order from this arc's start.
    pub fn intersect(self, other: Range) -> Vec<Range> {
        if other.is_full() {
            return vec![self];
        }
        if self.is_full() {
            // Cut at our own opening and turned round, so that the order from our start holds.
            let mut arcs = other.split_at(self.after);
            arcs.reverse();
            return arcs;
        }
        let zero = self.after.space().zero();
        let length = self.after.distance_to(self.upto);
        let start = self.after.distance_to(other.after);
        let end = self.after.distance_to(other.upto);
        let mut arcs = Vec::new();
        let mut push = |from: Id, to: Id| {
            if from < to {
                arcs.push(Range::new(self.after.plus(from), self.after.plus(to)));
            }
        };
        if start < end {
            push(start, end.min(length));
        } else {
            // `other` runs over our start: its tail comes first, its head after the gap.
            push(zero, end.min(length));
            push(start, length);
        }
        arcs
    }

    /// What is left of this arc without `other`, in clockwise order.
    pub fn minus(self, other: Range) -> Vec<Range> {
        if other.is_full() {
            return Vec::new();
        }
        self.intersect(Range::new(other.upto, other.after))
    }

    /// What is left of this arc without all of `others`, in clockwise order.
    pub fn without(self, others: impl IntoIterator<Item = Range>) -> Vec<Range> {
        let mut rest = vec![self];
        for other in others {
            if rest.iter().any(|part| part.overlaps(other)) {
                rest = rest.into_iter().flat_map(|part| part.minus(other)).collect();
            }
        }
        rest
    }

    /// Cuts the arc after `id`: `(after, id]` and `(id, upto]`, or the arc as it was when the cut
    /// falls outside or on its end. The whole circle falls into the two arcs between `id` and its own opening.
    pub fn split_at(self, id: Id) -> Vec<Range> {
        if !self.contains(id) || id == self.upto {
            return vec![self];
        }
        vec![Range::new(self.after, id), Range::new(id, self.upto)]
    }

    /// Cuts the arc into `parts` that differ by at most one identifier, clockwise; into fewer where it has fewer identifiers.
    pub fn cut(self, parts: u32) -> Vec<Range> {
        if parts <= 1 {
            return vec![self];
        }
        let (zero, one) = (self.after.space().zero(), self.after.space().zero().plus_power(0));
        // Counted from 0, since the whole circle's 2^m is no identifier.
        let (mut size, mut over) = self.after.distance_to(self.upto).minus(one).div_rem(parts);
        over += 1;
        if over == parts {
            (size, over) = (size.plus(one), 0);
        }
        let count = if size == zero { over } else { parts };
        let mut cut = Vec::with_capacity(count as usize);
        let mut after = self.after;
        for part in 0..count {
            let upto = after.plus(size).plus(if part < over { one } else { zero });
            cut.push(Range::new(after, upto));
            after = upto;
        }
        cut
    }

    /// The arc's share of the circle, for showing only.
    pub fn fraction(self) -> f64 {
        if self.is_full() { 1.0 } else { self.after.distance_to(self.upto).fraction() }
    }
}

/// `(after, upto]` in the identifiers' own digits.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {}]", self.after, self.upto)
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
