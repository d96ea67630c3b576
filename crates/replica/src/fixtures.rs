//! Members and sets in few words, for this crate's own tests.

use overlay::{Addr, Peer};
use ring::{Id, Range, Space};

use crate::{Member, Set};

pub(crate) fn id(place: u64) -> Id {
    Space::new(8).unwrap().id(place).unwrap()
}

pub(crate) fn range(after: u64, upto: u64) -> Range {
    Range::new(id(after), id(upto))
}

/// The node at `place`, with its first store.
pub(crate) fn member(place: u64) -> Member {
    born(place, 1)
}

/// The node at `place`, with another store.
pub(crate) fn born(place: u64, store: u64) -> Member {
    let addr = Addr::new(&format!("n{place}:1")).unwrap();
    Member { peer: Peer { id: id(place), addr, incarnation: store }, store }
}

pub(crate) fn set(number: u64, places: &[u64]) -> Set {
    Set { number, members: places.iter().map(|place| member(*place)).collect(), forced: false }
}
