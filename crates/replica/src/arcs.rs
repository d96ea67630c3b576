//! A map from the circle to values: which arc of identifiers has which.
//!
//! Arcs never overlap. Any arc can be cut at any identifier, and both parts inherit its value; neighbours
//! whose values are the same (in the sense of [`Join`]) become one arc again. So a map that is read
//! identifier by identifier never tells where it was cut: the tests hold it against such a plain table.

use ring::{Id, Range};

/// Values that two adjacent arcs may have in common.
pub(crate) trait Join: Sized {
    /// What the two become as one arc, or `None` if they stay apart.
    fn join(&self, next: &Self) -> Option<Self>;
}

/// Values on arcs of the circle, in order of the arcs' ends.
#[derive(Clone, Debug)]
pub(crate) struct Arcs<T> {
    arcs: Vec<(Range, T)>,
    /// How often something here was, or may have been, changed.
    changes: u64,
}

impl<T> Default for Arcs<T> {
    fn default() -> Self {
        Self { arcs: Vec::new(), changes: 0 }
    }
}

impl<T: Clone + Join> Arcs<T> {
    /// Every arc with its value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Range, &T)> {
        self.arcs.iter().map(|(range, value)| (*range, value))
    }

    /// How many arcs there are.
    pub(crate) fn len(&self) -> usize {
        self.arcs.len()
    }

    /// Grows with everything that may have changed something.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// Every value to be changed in place. Arcs are not joined until [`Arcs::settle`].
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = (Range, &mut T)> {
        self.changes += 1;
        self.arcs.iter_mut().map(|(range, value)| (*range, value))
    }

    /// The parts of `range` that have a value, clockwise from its start.
    pub(crate) fn over(&self, range: Range) -> Vec<(Range, T)> {
        let mut parts: Vec<(Range, T)> = self
            .near(range)
            .flat_map(|(arc, value)| range.intersect(*arc).into_iter().map(|part| (part, value.clone())))
            .collect();
        // The end tells the order, but an end equal to a full circle's opening comes last, not first.
        let opening = range.after;
        parts.sort_by_key(|(part, _)| (part.upto == opening, opening.distance_to(part.upto)));
        parts
    }

    /// The parts of `range` without a value.
    pub(crate) fn gaps(&self, range: Range) -> Vec<Range> {
        range.without(self.near(range).map(|(arc, _)| *arc))
    }

    /// The arcs that share something with `range`, without looking at all others: those that end in it, clockwise, and
    /// the one after them, which may begin in it.
    fn near(&self, range: Range) -> impl Iterator<Item = &(Range, T)> {
        let count = self.arcs.len();
        let first = self.arcs.partition_point(|(arc, _)| arc.upto <= range.after);
        let in_turn = (0..count).filter_map(move |turn| self.arcs.get((first + turn) % count));
        let mut ends_in_it = true;
        in_turn
            .take_while(move |(arc, _)| {
                let taken = ends_in_it;
                ends_in_it = range.contains(arc.upto);
                taken
            })
            .filter(move |(arc, _)| range.overlaps(*arc))
    }

    /// Changes the values on `range`, cutting the arcs that reach beyond it.
    pub(crate) fn update(&mut self, range: Range, mut change: impl FnMut(Range, &mut T)) {
        self.cut(range);
        for (arc, value) in &mut self.arcs {
            if range.contains(arc.upto) {
                change(*arc, value);
            }
        }
        self.settle();
    }

    /// Puts `value` on all of `range`, whatever was there.
    pub(crate) fn put(&mut self, range: Range, value: T) {
        self.remove(range);
        self.arcs.push((if range.is_full() { full(range.upto) } else { range }, value));
        self.settle();
    }

    /// Takes the values off `range`.
    pub(crate) fn remove(&mut self, range: Range) {
        self.cut(range);
        self.arcs.retain(|(arc, _)| !range.contains(arc.upto));
        self.settle();
    }

    /// Takes every value away.
    pub(crate) fn clear(&mut self) {
        self.changes += 1;
        self.arcs.clear();
    }

    fn cut(&mut self, range: Range) {
        if range.is_full() {
            return;
        }
        for end in [range.after, range.upto] {
            // Arcs never overlap, so that at most one is cut: the first that ends there or later.
            let next = self.arcs.partition_point(|(arc, _)| arc.upto < end) % self.arcs.len().max(1);
            let Some((arc, value)) = self.arcs.get(next).filter(|(arc, _)| arc.upto != end && arc.contains(end)) else {
                continue;
            };
            let parts: Vec<(Range, T)> = arc.split_at(end).into_iter().map(|part| (part, value.clone())).collect();
            self.arcs.splice(next..=next, parts);
            // The arc may have run over zero.
            self.arcs.sort_by_key(|(arc, _)| arc.upto);
        }
    }

    /// Joins what can be joined and restores the order.
    pub(crate) fn settle(&mut self) {
        self.changes += 1;
        self.arcs.sort_by_key(|(arc, _)| arc.upto);
        self.arcs.dedup_by(|next, last| match join(last, next) {
            Some(both) => {
                *last = both;
                true
            }
            None => false,
        });
        // The last arc's end may be the first one's start.
        if let [first, .., last] = &self.arcs[..]
            && let Some(both) = join(last, first)
        {
            self.arcs.pop();
            self.arcs[0] = both;
        }
    }
}

fn join<T: Join>(first: &(Range, T), second: &(Range, T)) -> Option<(Range, T)> {
    if first.0.upto != second.0.after || first.0.is_full() || second.0.is_full() {
        return None;
    }
    let value = first.1.join(&second.1)?;
    let (after, upto) = (first.0.after, second.0.upto);
    // However a whole circle came together, it opens at the same place.
    let range = if after == upto { full(after) } else { Range::new(after, upto) };
    Some((range, value))
}

fn full(any: Id) -> Range {
    Range::full(any.space().zero())
}

#[cfg(test)]
mod tests;
