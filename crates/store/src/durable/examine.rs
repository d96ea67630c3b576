//! Reading a whole store, to see whether what is on the disk is what was written. Nothing in its directory is touched.
//!
//! First the files: none may be missing, and each is compared with its checksum. Then everything in them, read through a
//! [`Shadow`]: each record with its checksum, and the trees with each other: a record has a head of its own, and the
//! index by expiry names exactly those that expire. At last the whole with what the store noted when it was closed.

#[cfg(test)]
mod tests;

use std::path::Path;

use bytes::Bytes;

use super::fault::Fault;
use super::header::Directory;
use super::journal::{self, Journal};
use super::layout::{self, Depth};
use super::note::{self, Note};
use super::shadow::Shadow;
use super::trees::Trees;
use super::{NUMBER, codec};
use crate::head::Head;
use crate::{Digest, OpenError, StoreError};

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
    /// Whether the records could be read at all; else the rest is none.
    pub read: bool,
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
    digest: Digest,
}

impl Examined {
    /// Reads all of the store in `dir`, which nobody else may have open, and writes nothing there. The journals' part of it, some
    /// 64 MiB at most as a rule, is copied to the system's directory for temporary files meanwhile.
    ///
    /// # Errors
    ///
    /// It could not be looked at, or so much of it is missing that it is no store ([`OpenError::Damaged`]).
    pub fn of(dir: &Path) -> Result<Self, OpenError> {
        let (directory, format, places) = Directory::existing(dir)?;
        let mut examined = Self { format, id_bits: places.space().bits(), groups: places.groups(), ..Self::default() };
        let engine = directory.engine();
        let journals = match journal::read_all(&engine) {
            Ok(journals) => journals,
            Err(fault) => {
                examined.tell(&fault);
                return Ok(examined);
            }
        };
        let note = examined.files(dir, &engine, &journals);
        // Without its files the engine would make empty ones; where only bytes are wrong, some records can be told by name.
        if layout::faults(&engine, &journals, Depth::Names).is_empty() {
            let shadow = Shadow::of(&engine, &journals)?;
            match Trees::shadow(directory, places, &shadow) {
                Ok(trees) => examined.contents(&trees),
                Err(_) if examined.damaged > 0 => {}
                Err(error) => return Err(error),
            }
        }
        if let (0, Some(missing)) =
            (examined.damaged, note.and_then(|note| note.missing(note::position(&journals), examined.digest)))
        {
            examined.tell(&Fault::new(dir, format!("has lost records: {missing}")));
        }
        Ok(examined)
    }

    /// The files as such, and the journals' batches; what the store noted.
    fn files(&mut self, dir: &Path, engine: &Path, journals: &[Journal]) -> Option<Note> {
        journals.iter().filter_map(Journal::fault).for_each(|fault| self.tell(&fault));
        let faults = layout::faults(engine, journals, Depth::Bytes);
        faults.iter().for_each(|fault| self.tell(fault));
        let note = Note::read(dir).unwrap_or_else(|error| {
            let file = dir.join("CLOSED");
            self.tell(&match error.kind() {
                std::io::ErrorKind::InvalidData => Fault::new(file, "is damaged: it does not say what the store held"),
                _ => Fault::unread(&file, error),
            });
            None
        });
        // What is missing as a whole has been told.
        if let (true, Some(note)) = (faults.is_empty(), note) {
            note.cut(engine, note::position(journals)).iter().for_each(|fault| self.tell(fault));
        }
        note
    }

    fn contents(&mut self, trees: &Trees) {
        self.read = true;
        self.records(trees);
        self.heads(trees);
        self.expiries(trees);
        self.blobs(trees);
        if self.damaged == 0 && self.number.is_none() {
            self.tell(&Fault::new(trees.directory.engine(), "has no number of the store: the first write is missing"));
        }
    }

    fn records(&mut self, trees: &Trees) {
        let before = self.damaged;
        let mut last = Bytes::new();
        for entry in trees.records.iter() {
            match trees.entry(&trees.records, entry, &last) {
                Ok((key, place, bytes)) => {
                    last = place.key.clone();
                    match codec::decode(&key, &bytes) {
                        Ok((head, _)) => self.record(trees, &key, &place, &head),
                        Err(reason) => self.note(&trees.corrupt(&trees.records, &place.key, reason)),
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
        let corrupt = |reason: &str| trees.corrupt(&trees.records, &place.key, reason);
        self.digest = self.digest.plus(Digest::of(&place.key, head.version));
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
                Err(error) => self.note(&trees.unreadable(&trees.due, &place.key, &error)),
            }
        }
    }

    /// Whatever is listed is there. That both say the same was looked at from the other side.
    fn heads(&mut self, trees: &Trees) {
        let before = self.damaged;
        let mut last = Bytes::new();
        for entry in trees.heads.iter() {
            match trees.entry(&trees.heads, entry, &last) {
                Ok((key, place, _)) => {
                    last = place.key.clone();
                    match trees.records.contains_key(&key) {
                        Ok(true) => {}
                        Ok(false) => {
                            self.note(&trees.corrupt(&trees.records, &place.key, "it is listed, and not there"));
                        }
                        Err(error) => self.note(&trees.unreadable(&trees.records, &place.key, &error)),
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
                Err(error) => return self.note(&trees.unreadable(&trees.due, b"", &error)),
            };
            if codec::due_of(trees.places.space(), &key).is_none() {
                self.note(&trees.corrupt(&trees.due, &key, "an entry of the index by expiry is none"));
            }
        }
    }

    fn blobs(&mut self, trees: &Trees) {
        let mut keys = Vec::new();
        for entry in trees.meta.iter() {
            match entry.key() {
                Ok(key) => keys.push(Bytes::from(key)),
                Err(error) => return self.note(&trees.unreadable(&trees.meta, b"", &error)),
            }
        }
        for key in keys {
            match trees.blob(&key) {
                Ok(Some(blob)) if key == NUMBER => match <[u8; 8]>::try_from(&*blob) {
                    Ok(number) => self.number = Some(u64::from_be_bytes(number)),
                    Err(_) => self.note(&trees.corrupt(&trees.meta, &key, "it is no number of a store")),
                },
                Ok(_) => {}
                Err(error) => self.note(&error),
            }
        }
    }

    fn note(&mut self, error: &StoreError) {
        self.count(error.to_string());
    }

    fn tell(&mut self, fault: &Fault) {
        self.count(fault.to_string());
    }

    fn count(&mut self, what: String) {
        self.damaged += 1;
        if self.damage.len() < TOLD_MAX {
            self.damage.push(what);
        }
    }
}
