//! Arcs against a plain table of one value per identifier, in a space of 16.

use proptest::prelude::*;
use ring::{Id, Range, Space};

use super::{Arcs, Join};

#[derive(Clone, PartialEq, Eq, Debug)]
struct Value(u8);

impl Join for Value {
    fn join(&self, next: &Self) -> Option<Self> {
        (self == next).then(|| self.clone())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(Range, u8),
    Add(Range, u8),
    Remove(Range),
}

fn ids() -> Vec<Id> {
    let space = Space::new(4).unwrap();
    (0..16).map(|place| space.id(place).unwrap()).collect()
}

fn ranges() -> impl Strategy<Value = Range> {
    (0..16usize, 0..16usize).prop_map(|(after, upto)| Range::new(ids()[after], ids()[upto]))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (ranges(), 0..3u8).prop_map(|(range, value)| Step::Put(range, value)),
        2 => (ranges(), 1..3u8).prop_map(|(range, value)| Step::Add(range, value)),
        1 => ranges().prop_map(Step::Remove),
    ];
    proptest::collection::vec(step, 1..12)
}

fn apply(arcs: &mut Arcs<Value>, table: &mut [Option<u8>], step: &Step) {
    let inside = |range: Range| ids().into_iter().enumerate().filter(move |(_, id)| range.contains(*id));
    match step {
        Step::Put(range, value) => {
            arcs.put(*range, Value(*value));
            inside(*range).for_each(|(place, _)| table[place] = Some(*value));
        }
        Step::Add(range, value) => {
            arcs.update(*range, |_, held| held.0 = (held.0 + value) % 3);
            inside(*range).for_each(|(place, _)| table[place] = table[place].map(|held| (held + value) % 3));
        }
        Step::Remove(range) => {
            arcs.remove(*range);
            inside(*range).for_each(|(place, _)| table[place] = None);
        }
    }
}

fn value_at(arcs: &Arcs<Value>, id: Id) -> Vec<u8> {
    arcs.iter().filter(|(range, _)| range.contains(id)).map(|(_, value)| value.0).collect()
}

proptest! {
    #[test]
    fn arcs_say_what_a_plain_table_says(steps in steps()) {
        let (mut arcs, mut table) = (Arcs::default(), vec![None; 16]);
        for step in &steps {
            apply(&mut arcs, &mut table, step);
            for (place, id) in ids().into_iter().enumerate() {
                // One value or none: arcs never overlap.
                prop_assert_eq!(value_at(&arcs, id), Vec::from_iter(table[place]));
            }
        }
    }

    #[test]
    fn neighbours_with_equal_values_are_one_arc(steps in steps()) {
        let (mut arcs, mut table) = (Arcs::default(), vec![None; 16]);
        for step in &steps {
            apply(&mut arcs, &mut table, step);
        }
        let changes = (0..16).filter(|place| table[*place] != table[(place + 15) % 16]).count();
        let gaps = (0..16).filter(|place| table[*place].is_none() && table[(place + 15) % 16].is_some()).count();
        let expected = if changes == 0 { usize::from(table[0].is_some()) } else { changes - gaps };
        prop_assert_eq!(arcs.iter().count(), expected, "{:?}", arcs);
        let ends: Vec<Id> = arcs.iter().map(|(range, _)| range.upto).collect();
        prop_assert!(ends.is_sorted());
    }

    #[test]
    fn parts_and_gaps_of_a_range_make_up_the_range(steps in steps(), range in ranges()) {
        let (mut arcs, mut table) = (Arcs::default(), vec![None; 16]);
        for step in &steps {
            apply(&mut arcs, &mut table, step);
        }
        let (parts, gaps) = (arcs.over(range), arcs.gaps(range));
        for (place, id) in ids().into_iter().enumerate() {
            let found: Vec<u8> =
                parts.iter().filter(|(part, _)| part.contains(id)).map(|(_, value)| value.0).collect();
            let missing = gaps.iter().filter(|gap| gap.contains(id)).count();
            let expected = if range.contains(id) { table[place] } else { None };
            prop_assert_eq!(found, Vec::from_iter(expected));
            prop_assert_eq!(missing, usize::from(range.contains(id) && table[place].is_none()));
        }
        let ends: Vec<Id> = parts.iter().map(|(part, _)| range.after.distance_to(part.upto)).collect();
        let last = ends.len().saturating_sub(1);
        prop_assert!(ends[..last].is_sorted(), "not clockwise: {:?}", parts);
    }
}

#[test]
fn a_whole_circle_opens_at_the_same_place_however_it_came_together() {
    let range = |after: usize, upto: usize| Range::new(ids()[after], ids()[upto]);
    let mut joined = Arcs::default();
    joined.put(range(3, 9), Value(1));
    joined.put(range(9, 3), Value(1));
    let mut whole = Arcs::default();
    whole.put(range(5, 5), Value(1));
    assert_eq!(joined.arcs, whole.arcs);
}
