use overlay::Peer;
use ring::Id;

use crate::Entry;

/// The next r nodes clockwise, always full: exactly r entries.
///
/// It is only ever replaced as a whole (Zave 2017): by another node's list, by a live head followed by that
/// head's own list, or, when the head is dead, by what follows it with padding at the end. Lists with holes
/// and patched entries are how the protocol of 2001 loses the ring.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SuccessorList {
    entries: Box<[Entry]>,
}

impl SuccessorList {
    /// A ring of one has itself in its list.
    pub(crate) fn alone(me: &Peer, length: usize) -> Self {
        Self { entries: vec![Entry::Peer(me.clone()); length.max(1)].into() }
    }

    /// Another member's whole list, taken over as it is (join). `None` if it names nobody.
    pub(crate) fn adopted(list: Vec<Entry>, length: usize) -> Option<Self> {
        let first = list.first()?.id();
        let adopted = Self { entries: filled(list, first, length) };
        let names_somebody = adopted.peers().next().is_some();
        names_somebody.then_some(adopted)
    }

    /// `head : butlast(list)`: a live head, then that head's own list.
    pub(crate) fn led_by(head: Peer, list: &[Entry], length: usize) -> Self {
        let id = head.id;
        let entries = std::iter::once(Entry::Peer(head)).chain(list.iter().take(length).cloned()).collect();
        Self { entries: filled(entries, id, length) }
    }

    /// What follows a dead head. The list keeps its length: its end is padded with the identifier that
    /// follows the last entry.
    pub(crate) fn without_head(&self) -> Self {
        let head = self.entries.first().map(Entry::id);
        let rest = self.entries.get(1..).unwrap_or_default().to_vec();
        match head {
            Some(head) => Self { entries: filled(rest, head, self.entries.len()) },
            None => self.clone(),
        }
    }

    /// The first successor; `None` when nobody is left at the head of the list.
    pub(crate) fn head(&self) -> Option<&Peer> {
        match self.entries.first() {
            Some(Entry::Peer(peer)) => Some(peer),
            _ => None,
        }
    }

    /// All r entries.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Every node in the list, as it stands: in a small ring with repetitions and the node itself.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Peer(peer) => Some(peer),
            Entry::Padding(_) => None,
        })
    }

    /// The nodes after `me` in clockwise order, each once: the list up to where it comes round to
    /// `me` again, as it does in a ring of r members or fewer.
    pub(crate) fn in_order(&self, me: Id) -> impl Iterator<Item = &Peer> {
        let mut last = me.space().zero();
        self.peers().take_while(move |peer| {
            let distance = me.distance_to(peer.id);
            let further = distance > last;
            last = distance;
            further
        })
    }

    /// Whether the list comes round to `me`: it then names the whole ring.
    pub(crate) fn comes_round(&self, me: Id) -> bool {
        self.peers().any(|peer| peer.id == me)
    }
}

/// Brings a list to `length` entries. `before` is the identifier that precedes the padding of an empty list.
fn filled(mut entries: Vec<Entry>, before: Id, length: usize) -> Box<[Entry]> {
    let length = length.max(1);
    entries.truncate(length);
    let mut last = entries.last().map_or(before, Entry::id);
    while entries.len() < length {
        last = last.plus_power(0);
        entries.push(Entry::Padding(last));
    }
    entries.into()
}

impl Entry {
    /// The identifier of the node, or of the place.
    pub fn id(&self) -> Id {
        match self {
            Entry::Peer(peer) => peer.id,
            Entry::Padding(id) => *id,
        }
    }
}

#[cfg(test)]
mod tests {
    use overlay::Addr;
    use ring::Space;

    use super::*;

    fn peer(id: u64) -> Peer {
        Peer {
            id: Space::new(7).unwrap().id(id).unwrap(),
            addr: Addr::new(&format!("node{id}:1")).unwrap(),
            incarnation: 1,
        }
    }

    fn list(ids: &[u64]) -> Vec<Entry> {
        ids.iter().map(|&id| Entry::Peer(peer(id))).collect()
    }

    fn ids(list: &SuccessorList) -> Vec<String> {
        list.entries()
            .iter()
            .map(|entry| match entry {
                Entry::Peer(peer) => u64::from_str_radix(&peer.id.to_string(), 16).unwrap().to_string(),
                Entry::Padding(id) => {
                    format!("pad {}", u64::from_str_radix(&id.to_string(), 16).unwrap())
                }
            })
            .collect()
    }

    #[test]
    fn a_live_head_leads_its_own_list_without_the_last_entry() {
        let built = SuccessorList::led_by(peer(16), &list(&[32, 45, 80]), 3);
        assert_eq!(ids(&built), ["16", "32", "45"]);
    }

    #[test]
    fn a_dead_head_is_dropped_and_the_end_padded_with_the_identifier_after_the_last() {
        let built = SuccessorList::adopted(list(&[96, 112, 127]), 3).unwrap();
        let once = built.without_head();
        assert_eq!(ids(&once), ["112", "127", "pad 0"]);
        let thrice = once.without_head().without_head();
        assert_eq!(ids(&thrice), ["pad 0", "pad 1", "pad 2"]);
        assert_eq!(thrice.head(), None);
    }

    #[test]
    fn a_list_of_one_entry_pads_with_the_place_after_the_dead_one() {
        let built = SuccessorList::adopted(list(&[96]), 1).unwrap();
        assert_eq!(ids(&built.without_head()), ["pad 97"]);
    }

    #[test]
    fn a_list_of_another_length_is_cut_or_padded() {
        assert_eq!(ids(&SuccessorList::adopted(list(&[16, 32, 45]), 2).unwrap()), ["16", "32"]);
        assert_eq!(ids(&SuccessorList::adopted(list(&[16]), 3).unwrap()), ["16", "pad 17", "pad 18"]);
        assert_eq!(SuccessorList::adopted(Vec::new(), 3), None);
        assert_eq!(SuccessorList::adopted(vec![Entry::Padding(peer(3).id)], 3), None);
    }

    #[test]
    fn in_a_small_ring_the_order_ends_where_the_list_comes_round() {
        let me = peer(80);
        let built = SuccessorList::adopted(list(&[96, 16, 80, 96, 16]), 5).unwrap();
        let order: Vec<_> = built.in_order(me.id).cloned().collect();
        assert_eq!(order, [peer(96), peer(16)]);
        assert!(built.comes_round(me.id));
        assert_eq!(SuccessorList::alone(&me, 4).in_order(me.id).count(), 0);
        let before_coming_round = SuccessorList::adopted(list(&[96, 96, 16]), 3).unwrap();
        assert_eq!(before_coming_round.in_order(me.id).count(), 1);
    }
}
