//! One small number for each distinct value, so that the world's state is a handful of numbers.

use std::collections::HashMap;
use std::hash::Hash;

/// Values and their numbers, in order of first appearance.
pub(crate) struct Interned<K, V> {
    numbers: HashMap<K, u32>,
    values: Vec<V>,
}

impl<K, V> Default for Interned<K, V> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), values: Vec::new() }
    }
}

impl<K: Hash + Eq, V> Interned<K, V> {
    /// The number of `key`; the value is made if it is new.
    pub(crate) fn number(&mut self, key: K, value: impl FnOnce() -> V) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap();
        *self.numbers.entry(key).or_insert_with(|| {
            self.values.push(value());
            next
        })
    }

    pub(crate) fn get(&self, number: u32) -> &V {
        &self.values[number as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}

impl<T: Hash + Eq + Clone> Interned<T, T> {
    pub(crate) fn of(&mut self, value: T) -> u32 {
        let kept = value.clone();
        self.number(value, || kept)
    }
}
