//! Arcs of the circle against plain sets of points, every pair of a small circle and random ones of wide circles.

use std::collections::BTreeSet;

use proptest::prelude::*;
use ring::{Id, Range, Space};

fn points(space: Space) -> Vec<Id> {
    (0..1 << space.bits()).map(|number| space.id(number).expect("it fits")).collect()
}

/// The points of `(after, upto]`, walked one by one.
fn walk(range: Range) -> Vec<Id> {
    let mut points = vec![range.after.plus_power(0)];
    while points[points.len() - 1] != range.upto {
        points.push(points[points.len() - 1].plus_power(0));
    }
    points
}

fn set(ranges: &[Range]) -> BTreeSet<Id> {
    ranges.iter().flat_map(|range| walk(*range)).collect()
}

/// Neither overlapping nor out of clockwise order as seen from the start of `within`.
fn assert_in_order(parts: &[Range], within: Range) {
    let walked: Vec<Id> = parts.iter().flat_map(|part| walk(*part)).collect();
    let distance = |id: &Id| within.after.plus_power(0).distance_to(*id);
    assert!(walked.windows(2).all(|pair| distance(&pair[0]) < distance(&pair[1])), "{parts:?} within {within}");
}

#[test]
fn arcs_are_sets_of_points_for_every_pair_of_arcs() {
    let space = Space::new(3).unwrap();
    let points = points(space);
    let pairs = points.iter().flat_map(|&after| points.iter().map(move |&upto| Range::new(after, upto)));
    let ranges: Vec<Range> = pairs.collect();
    for &a in &ranges {
        let in_a: BTreeSet<Id> = walk(a).into_iter().collect();
        assert_eq!(a.is_full(), in_a.len() == points.len());
        assert!((a.fraction() - in_a.len() as f64 / points.len() as f64).abs() < 1e-9);
        for &point in &points {
            assert_eq!(a.contains(point), in_a.contains(&point), "{point} in {a}");
            let parts = a.split_at(point);
            assert_eq!(set(&parts), in_a, "{a} cut at {point}");
            assert_in_order(&parts, a);
            let cut = in_a.contains(&point) && point != a.upto;
            assert_eq!(parts.len(), if cut { 2 } else { 1 }, "{a} cut at {point}");
            assert_eq!(cut, parts[0].upto == point && parts[0] != a, "{a} cut at {point}");
        }
        for parts in [1, 2, 3, 5, 8, 100] {
            let cut = a.cut(parts);
            assert_eq!(set(&cut), in_a, "{a} in {parts}");
            assert_eq!(cut.len(), in_a.len().min(parts as usize), "{a} in {parts}");
            assert_eq!((cut[0].after, cut[cut.len() - 1].upto), (a.after, a.upto));
            let sizes: Vec<usize> = cut.iter().map(|part| walk(*part).len()).collect();
            assert!(cut.windows(2).all(|pair| pair[0].upto == pair[1].after), "{cut:?}");
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{a} in {parts}: {sizes:?}");
        }
        for &b in &ranges {
            let in_b: BTreeSet<Id> = walk(b).into_iter().collect();
            assert_eq!(a.contains_range(b), in_b.is_subset(&in_a), "{b} within {a}");
            let both = a.intersect(b);
            assert_eq!(set(&both), &in_a & &in_b, "{a} and {b}");
            assert_in_order(&both, a);
            let left = a.minus(b);
            assert_eq!(set(&left), &in_a - &in_b, "{a} without {b}");
            assert_in_order(&left, a);
            assert!(both.len() <= 2 && left.len() <= 2, "{a} and {b}: {both:?}, {left:?}");
        }
    }
}

#[test]
fn the_whole_circle_contains_every_arc_and_is_contained_in_none_that_is_shorter() {
    let space = Space::SHA1;
    let whole = Range::full(space.hash(b"a"));
    let arc = Range::new(space.hash(b"b"), space.hash(b"c"));
    assert!(whole.contains_range(arc) && !arc.contains_range(whole));
    assert!(whole.contains_range(Range::full(space.zero())));
    assert!(whole.contains(whole.after) && whole.contains(space.zero()) && whole.contains(space.max()));
    assert_eq!(arc.minus(whole), []);
    assert_eq!(Range::full(arc.after).minus(arc), [Range::new(arc.upto, arc.after)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Wide circles can't be walked; membership of the ends and of their neighbours tells arcs apart.
    #[test]
    fn wide_arcs_have_the_points_that_their_parts_have(
        bits in prop::sample::select(&[7u32, 8, 64, 127, 128, 129, 159, 160][..]),
        numbers in prop::collection::vec(any::<[u8; 20]>(), 5),
        near in prop::collection::vec(0u8..8, 5),
    ) {
        let space = Space::new(bits).unwrap();
        // Some ends next to each other or equal, so that narrow arcs and touching ends occur.
        let base = space.truncate(numbers[0]);
        let place = |at: usize| match near[at] {
            0..4 => base.plus(space.id(u64::from(near[at])).unwrap()),
            _ => space.truncate(numbers[at]),
        };
        let (a, b) = (Range::new(place(0), place(1)), Range::new(place(2), place(3)));
        let c = Range::new(place(1), place(4));
        let ends = (0..5).map(place).chain([space.zero(), space.max()]);
        let one = space.zero().plus_power(0);
        for point in ends.flat_map(|end| [end.minus(one), end, end.plus(one)]) {
            let (in_a, in_b) = (a.contains(point), b.contains(point));
            let among = |parts: Vec<Range>| parts.iter().filter(|part| part.contains(point)).count();
            prop_assert_eq!(among(a.intersect(b)), usize::from(in_a && in_b), "{} in {} and {}", point, a, b);
            prop_assert_eq!(among(b.intersect(a)), usize::from(in_a && in_b), "{} in {} and {}", point, b, a);
            prop_assert_eq!(among(a.minus(b)), usize::from(in_a && !in_b), "{} in {} without {}", point, a, b);
            prop_assert_eq!(among(a.without([b, c])), usize::from(in_a && !in_b && !c.contains(point)), "{} in {}", point, a);
            prop_assert_eq!(among(a.split_at(place(4))), usize::from(in_a), "{} in {}", point, a);
            if a.contains_range(b) {
                prop_assert!(in_a || !in_b, "{} in {} within {}", point, b, a);
            }
        }
        prop_assert_eq!(a.contains_range(b), b.minus(a).is_empty());
        prop_assert_eq!(a.overlaps(b), !a.intersect(b).is_empty());
    }
}
