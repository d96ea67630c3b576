//! What a primary holds and a newcomer may miss.

use std::collections::HashMap;
use std::hash::Hash;

/// So many are told apart. With more, all is doubted: reads are slower then, and as right.
const LIMIT: usize = 65_536;

/// Versions that a primary came to hold while newcomers were registered in their range, and that were not acknowledged
/// since: a newcomer may be without them and be in the next set all the same. Whoever reads one has it written back first.
///
/// Nothing else is to be doubted. What the primary held when a newcomer registered that one fetches; what was
/// acknowledged since it has, or it was dropped.
#[derive(Clone, Debug)]
pub struct Doubts<K, V> {
    versions: HashMap<K, V>,
    all: bool,
}

impl<K, V> Default for Doubts<K, V> {
    fn default() -> Self {
        Self { versions: HashMap::new(), all: false }
    }
}

impl<K: Eq + Hash, V: Ord> Doubts<K, V> {
    /// The primary is about to hold this version, and newcomers are registered.
    pub fn raise(&mut self, key: K, version: V) {
        if self.versions.len() >= LIMIT && !self.versions.contains_key(&key) {
            self.all = true;
            return;
        }
        match self.versions.get_mut(&key) {
            Some(doubted) if *doubted >= version => {}
            Some(doubted) => *doubted = version,
            None => drop(self.versions.insert(key, version)),
        }
    }

    /// This version, or one above it, is on a majority and every newcomer.
    pub fn settle(&mut self, key: &K, version: &V) {
        if self.versions.get(key).is_some_and(|doubted| doubted <= version) {
            self.versions.remove(key);
        }
    }

    /// Whether a newcomer may be without what the primary holds of this key.
    pub fn any_about(&self, key: &K) -> bool {
        self.all || self.versions.contains_key(key)
    }

    /// No newcomer is registered any more: who comes now fetches it all.
    pub fn clear(&mut self) {
        self.versions.clear();
        self.all = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_doubted_until_it_or_a_later_one_is_acknowledged() {
        let mut doubts = Doubts::default();
        doubts.raise("a", 5);
        assert!(doubts.any_about(&"a") && !doubts.any_about(&"b"));
        doubts.settle(&"a", &4);
        assert!(doubts.any_about(&"a"), "an earlier write says nothing of it");
        doubts.raise("a", 3);
        doubts.settle(&"a", &4);
        assert!(doubts.any_about(&"a"), "the newest counts");
        doubts.settle(&"a", &6);
        assert!(!doubts.any_about(&"a"));
    }

    #[test]
    fn too_many_to_tell_apart_are_all_doubted_until_no_newcomer_is_left() {
        let mut doubts = Doubts::default();
        (0..LIMIT).for_each(|key| doubts.raise(key, 1));
        assert!(!doubts.any_about(&LIMIT));
        doubts.raise(LIMIT, 1);
        doubts.settle(&LIMIT, &1);
        assert!(doubts.any_about(&LIMIT));
        assert!(doubts.versions.len() == LIMIT, "and no more are kept");
        doubts.clear();
        assert!(!doubts.any_about(&0));
    }
}
