//! Reading a whole store, to see whether what is on the disk is what was written.
//!
//! Everything is read and compared with its checksum, and the trees with each other: a record has a head of its own,
//! and the index by expiry names exactly those that expire.

use std::path::Path;

use bytes::Bytes;

use super::header::Directory;
use super::trees::Trees;
use super::{NUMBER, codec};
use crate::head::Head;
use crate::{OpenError, StoreError};

/// Damage that is told in words; more is counted.
const TOLD_MAX: usize = 20;
/// A tree with more damage than this is not gone through to its end.
const DAMAGE_MAX: u64 = 1_000;

/// What a store directory holds, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Examined {
    /// The format it is in.
    pub format: u32,
    /// Bits of an identifier.
    pub id_bits: u32,
    /// Groups that places fall into; 1 without Kelips.
    pub groups: u32,
    /// The number that the store was born with, if it is there.
    pub number: Option<u64>,
    /// Records that are there, expired ones among them.
    pub records: u64,
    /// Records that say that there is none.
    pub tombstones: u64,
    /// Keys and values, in bytes.
    pub bytes: u64,
    /// What is not as it was written, the first of it.
    pub damage: Vec<String>,
    /// How much is not; 0 if the store is sound.
    pub damaged: u64,
}

impl Examined {
    /// Reads all of the store in `dir`, which nobody else may have open.
    pub fn of(dir: &Path) -> Result<Self, OpenError> {
        let (directory, format, places) = Directory::existing(dir)?;
        let trees = Trees::open(directory, places)?;
        let mut examined = Self { format, id_bits: places.space().bits(), groups: places.groups(), ..Self::default() };
        examined.records(&trees);
        examined.heads(&trees);
        examined.expiries(&trees);
        examined.blobs(&trees);
        Ok(examined)
    }

    fn records(&mut self, trees: &Trees) {
        let before = self.damaged;
        let mut last = Bytes::new();
        for entry in trees.records.iter() {
            match trees.entry(entry, &last) {
                Ok((key, place, bytes)) => {
                    last = place.key.clone();
                    match codec::decode(&key, &bytes) {
                        Ok((head, _)) => self.record(trees, &key, &place, &head),
                        Err(reason) => self.note(&StoreError::Corrupt { key: place.key, reason: reason.into() }),
                    }
                }
                Err(error) => self.note(&error),
            }
            if self.damaged - before > DAMAGE_MAX {
                return;
            }
        }
    }

    fn record(&mut self, trees: &Trees, key: &[u8], place: &crate::place::Place, head: &Head) {
        let corrupt = |reason: &str| StoreError::Corrupt { key: place.key.clone(), reason: reason.to_owned() };
        match head.value_len {
            None => self.tombstones += 1,
            Some(length) => {
                self.records += 1;
                self.bytes += place.key.len() as u64 + u64::from(length);
            }
        }
        if trees.places.of_key(&place.key) != place.id {
            self.note(&corrupt("it lies under another key's identifier"));
        }
        match trees.head(place) {
            Ok(Some(found)) if found == *head => {}
            Ok(Some(_)) => self.note(&corrupt("it is listed in another version")),
            Ok(None) => self.note(&corrupt("it is not listed")),
            Err(error) => self.note(&error),
        }
        if let Some(at_ms) = head.expires_at_ms {
            let due = [&at_ms.to_be_bytes()[..], key].concat();
            match trees.due.contains_key(&due) {
                Ok(true) => {}
                Ok(false) => self.note(&corrupt("it has a time to live that nobody watches")),
                Err(error) => self.note(&trees.unreadable(&place.key, &error)),
            }
        }
    }

    /// Whatever is listed is there. That both say the same was looked at from the other side.
    fn heads(&mut self, trees: &Trees) {
        let before = self.damaged;
        let mut last = Bytes::new();
        for entry in trees.heads.iter() {
            match trees.entry(entry, &last) {
                Ok((key, place, _)) => {
                    last = place.key.clone();
                    match trees.records.contains_key(&key) {
                        Ok(true) => {}
                        Ok(false) => {
                            let reason = "it is listed, and not there".to_owned();
                            self.note(&StoreError::Corrupt { key: place.key, reason });
                        }
                        Err(error) => self.note(&trees.unreadable(&place.key, &error)),
                    }
                }
                Err(error) => self.note(&error),
            }
            if self.damaged - before > DAMAGE_MAX {
                return;
            }
        }
    }

    /// An entry for a record that has changed since is no damage: whoever comes by passes it over.
    fn expiries(&mut self, trees: &Trees) {
        for entry in trees.due.iter() {
            let key = match entry.key() {
                Ok(key) => Bytes::from(key),
                Err(error) => return self.note(&trees.unreadable(b"", &error)),
            };
            if codec::due_of(trees.places.space(), &key).is_none() {
                let reason = "an entry of the index by expiry is none".to_owned();
                self.note(&StoreError::Corrupt { key, reason });
            }
        }
    }

    fn blobs(&mut self, trees: &Trees) {
        let mut keys = Vec::new();
        for entry in trees.meta.iter() {
            match entry.key() {
                Ok(key) => keys.push(Bytes::from(key)),
                Err(error) => return self.note(&trees.unreadable(b"", &error)),
            }
        }
        for key in keys {
            match trees.blob(&key) {
                Ok(Some(blob)) if key == NUMBER => match <[u8; 8]>::try_from(&*blob) {
                    Ok(number) => self.number = Some(u64::from_be_bytes(number)),
                    Err(_) => self.note(&StoreError::Corrupt { key, reason: "it is no number of a store".to_owned() }),
                },
                Ok(_) => {}
                Err(error) => self.note(&error),
            }
        }
    }

    fn note(&mut self, error: &StoreError) {
        self.damaged += 1;
        if self.damage.len() < TOLD_MAX {
            self.damage.push(error.to_string());
        }
    }
}
