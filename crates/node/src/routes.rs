//! Who answered for which range lately: saves a lookup, and is only ever a hint, since whoever is asked checks for itself.

use overlay::Peer;
use parking_lot::RwLock;
use ring::{Id, Range};

/// Ranges remembered at most; the oldest go first.
const ROUTES_MAX: usize = 1_024;

/// A small cache of range → primary.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    known: RwLock<Vec<(Range, Peer)>>,
}

impl Routes {
    pub(crate) fn find(&self, id: Id) -> Option<Peer> {
        let known = self.known.read();
        known.iter().rev().find(|(range, _)| range.contains(id)).map(|(_, peer)| peer.clone())
    }

    pub(crate) fn learn(&self, range: Range, peer: Peer) {
        let mut known = self.known.write();
        known.retain(|(old, _)| *old != range && !range.contains_range(*old));
        if known.len() >= ROUTES_MAX {
            known.remove(0);
        }
        known.push((range, peer));
    }

    /// Whoever was named for `id` is not the one.
    pub(crate) fn forget(&self, id: Id) {
        self.known.write().retain(|(range, _)| !range.contains(id));
    }

    pub(crate) fn clear(&self) {
        self.known.write().clear();
    }
}

#[cfg(test)]
mod tests {
    use overlay::Addr;
    use ring::Space;

    use super::*;

    #[test]
    fn a_route_is_found_until_its_range_is_forgotten_or_told_anew() {
        let space = Space::new(7).unwrap();
        let id = |number| space.id(number).unwrap();
        let peer = |number| Peer { id: id(number), addr: Addr::new("a:1").unwrap(), incarnation: 1 };
        let routes = Routes::default();
        routes.learn(Range::new(id(10), id(20)), peer(20));
        routes.learn(Range::new(id(120), id(5)), peer(5));
        assert_eq!(routes.find(id(11)), Some(peer(20)));
        assert_eq!(routes.find(id(0)), Some(peer(5)));
        assert_eq!(routes.find(id(10)), None);
        routes.learn(Range::new(id(8), id(20)), peer(21));
        assert_eq!(routes.find(id(11)), Some(peer(21)));
        routes.forget(id(15));
        assert_eq!(routes.find(id(11)), None);
    }
}
