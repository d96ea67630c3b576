use std::time::Duration;

use overlay::Peer;

/// The neighbourhood set M: the nearest nodes by round trip that this one has met, nearest first. Routing does
/// not use it; it is what a newcomer nearby begins with (Rowstron and Druschel 2001, §2.1 and §2.4).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Neighbourhood {
    size: usize,
    nodes: Vec<(Duration, Peer)>,
}

impl Neighbourhood {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, nodes: Vec::new() }
    }

    /// `peer` is alive and so far away.
    pub(crate) fn note(&mut self, peer: &Peer, rtt: Duration) {
        if self.nodes.iter().any(|(_, known)| known.id == peer.id && known.incarnation > peer.incarnation) {
            return;
        }
        self.nodes.retain(|(_, known)| known.id != peer.id);
        let at = self.nodes.partition_point(|(known, _)| *known <= rtt);
        if at < self.size {
            self.nodes.insert(at, (rtt, peer.clone()));
            self.nodes.truncate(self.size);
        }
    }

    pub(crate) fn remove(&mut self, peer: &Peer) {
        self.nodes.retain(|(_, known)| (known.id, known.incarnation) != (peer.id, peer.incarnation));
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.nodes.iter().map(|(_, peer)| peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{id, peer};

    #[test]
    fn the_nearest_are_kept_in_order_and_move_with_their_round_trips() {
        let mut set = Neighbourhood::new(2);
        let ms = Duration::from_millis;
        set.note(&peer(1), ms(30));
        set.note(&peer(2), ms(10));
        set.note(&peer(3), ms(20));
        let order = |set: &Neighbourhood| set.peers().map(|peer| peer.id).collect::<Vec<_>>();
        assert_eq!(order(&set), [id(2), id(3)]);
        set.note(&peer(2), ms(25));
        assert_eq!(order(&set), [id(3), id(2)]);
        set.remove(&peer(3));
        assert_eq!(order(&set), [id(2)]);
    }
}
