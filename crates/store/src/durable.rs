//! The durable engine: fjall, a log-structured merge tree with a write-ahead journal, behind group commit.
//! Reads go to the trees directly and see only what is past its fsync; writes go through the [`writer`].

mod changes;
mod codec;
mod examine;
mod fault;
mod header;
mod journal;
mod layout;
mod note;
mod shadow;
mod tables;
mod trees;
mod words;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ring::{Places, Range};

use crate::counters::Counters;
use crate::engine::{Answer, Engine};
use crate::head::Head;
use crate::place::Place;
use crate::span::Span;
use crate::{Digest, OpenError, Put, Record, Stats, StoreError, Version};
pub use examine::Examined;
use header::Directory;
use note::Note;
use trees::Trees;
use writer::{Shared, Writer};

/// Our own blobs and the node's lie in one tree, apart by their first letter.
const NUMBER: &[u8] = b"s/number";
const HORIZON: &[u8] = b"s/horizon";

/// Records in a directory; see the [module](self).
pub(crate) struct Durable {
    number: u64,
    writer: Writer,
}

impl Durable {
    pub(crate) fn open(dir: &Path, places: Places) -> Result<Self, OpenError> {
        let directory = Directory::open(dir, places)?;
        let note = noted(&directory);
        let trees = Trees::open(directory, places, note.as_ref())?;
        let counters = count(&trees)?;
        check_note(&trees, &counters, note)?;
        let number = number(&trees)?;
        let horizon = AtomicU64::new(horizon(&trees)?);
        let first_due = trees.due(0, u64::MAX, 1).map_err(|error| trees.directory.damaged(error.to_string()))?;
        let next_due_ms = AtomicU64::new(first_due.first().map_or(u64::MAX, |(at_ms, _)| *at_ms));
        let unwritable = |source| OpenError::Unwritable { dir: dir.to_owned(), source };
        let shared = Shared { trees, counters, commits: AtomicU64::new(0), next_due_ms, horizon };
        let writer = Writer::start(shared).map_err(unwritable)?;
        Ok(Self { number, writer })
    }

    fn trees(&self) -> &Trees {
        &self.writer.shared().trees
    }
}

/// What it held when it was closed, if it says so.
fn noted(directory: &Directory) -> Option<Note> {
    Note::read(directory.path()).unwrap_or_else(|error| {
        let file = directory.path().join("CLOSED");
        tracing::warn!(%error, file = %file.display(), "what the store held when it was closed cannot be read: a loss since would go unseen");
        None
    })
}

/// Refuses a store that has less than it had when it was closed, and lets the note go before anything is written.
fn check_note(trees: &Trees, counters: &Counters, note: Option<Note>) -> Result<(), OpenError> {
    let dir = trees.directory.path();
    match (note, trees.position) {
        (Some(note), Some(_)) => {
            let digest = all(trees, counters).map_err(|error| trees.directory.damaged(error.to_string()))?;
            note.missing(trees.position, digest).map_or(Ok(()), |missing| Err(trees.directory.damaged(missing)))?;
        }
        (Some(_), None) => {
            let engine = trees.directory.engine();
            tracing::warn!(engine = %engine.display(), "the engine of this store was removed: it begins empty, as another store");
        }
        (None, _) => {}
    }
    Note::remove(dir).map_err(|source| OpenError::Unwritable { dir: dir.to_owned(), source })
}

/// What all records come to.
fn all(trees: &Trees, counters: &Counters) -> Result<Digest, StoreError> {
    counters.digest(Range::full(trees.places.space().max()), |span, each| trees.scan(span, each))
}

/// Kept among the records, not beside them: whoever loses those loses the number too.
fn number(trees: &Trees) -> Result<u64, OpenError> {
    let damaged = |error: StoreError| trees.directory.damaged(error.to_string());
    match trees.blob(NUMBER).map_err(damaged)? {
        Some(bytes) => match <[u8; 8]>::try_from(&*bytes) {
            Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
            Err(_) => Err(trees.directory.damaged("its number is not one")),
        },
        None => {
            if trees.position.is_some() {
                let engine = trees.directory.engine();
                tracing::warn!(engine = %engine.display(), "this store holds nothing, not even its number: it begins empty, as another store");
            }
            let number = rand::random::<u64>().max(1);
            trees.set_blob(NUMBER, &number.to_be_bytes()).map_err(damaged)?;
            Ok(number)
        }
    }
}

fn horizon(trees: &Trees) -> Result<u64, OpenError> {
    let damaged = |error: StoreError| trees.directory.damaged(error.to_string());
    match trees.blob(HORIZON).map_err(damaged)? {
        Some(bytes) => match <[u8; 8]>::try_from(&*bytes) {
            Ok(bytes) => Ok(u64::from_be_bytes(bytes)),
            Err(_) => Err(trees.directory.damaged("its horizon is no number")),
        },
        None => Ok(0),
    }
}

/// Counting afresh costs about a second for a million records, and never drifts.
fn count(trees: &Trees) -> Result<Counters, OpenError> {
    let counters = Counters::new(trees.places.space());
    for span in Span::of(Range::full(trees.places.space().max()), None) {
        let mut counted = |place: Place, head| {
            counters.changed(&place, None, Some(&head));
            true
        };
        trees.scan(&span, &mut counted).map_err(|error| trees.directory.damaged(error.to_string()))?;
    }
    Ok(counters)
}

/// Notes what it holds, for the next opening to find again.
impl Drop for Durable {
    fn drop(&mut self) {
        let whole = self.writer.stop();
        let Shared { trees, counters, .. } = self.writer.shared();
        if let (true, Ok(digest)) = (whole, all(trees, counters)) {
            trees.directory.close_with(digest);
        }
    }
}

impl Engine for Durable {
    fn number(&self) -> u64 {
        self.number
    }

    fn retire(&self) -> Result<(), StoreError> {
        self.trees().set_blob(NUMBER, &rand::random::<u64>().max(1).to_be_bytes())
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn stats(&self) -> Stats {
        self.writer.shared().counters.stats()
    }

    fn health(&self) -> Result<(), StoreError> {
        self.writer.health()
    }

    fn commits(&self) -> u64 {
        self.writer.shared().commits.load(Ordering::Relaxed)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        self.trees().record(Place::copied(self.trees().places, key))
    }

    fn scan(&self, span: &Span, each: &mut dyn FnMut(Place, Head) -> bool) -> Result<(), StoreError> {
        self.trees().scan(span, each)
    }

    fn digest(&self, range: Range) -> Result<Digest, StoreError> {
        self.writer.shared().counters.digest(range, |span, each| self.scan(span, each))
    }

    fn put(&self, records: Vec<Record>) -> Answer<'_, Vec<Put>> {
        Box::pin(self.writer.put(records))
    }

    fn erase(&self, entries: Vec<(Bytes, Version)>) -> Answer<'_, u64> {
        Box::pin(self.writer.erase(entries))
    }

    fn forget(&self, entries: Vec<(Bytes, Version)>, upto: u64) -> Answer<'_, u64> {
        Box::pin(self.writer.forget(entries, upto))
    }

    fn horizon(&self) -> u64 {
        self.writer.shared().horizon.load(Ordering::Acquire)
    }

    fn expire(&self, now_ms: u64, limit: usize) -> Answer<'_, u64> {
        Box::pin(self.writer.expire(now_ms, limit))
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.trees().blob(&meta_key(name))?.map(|blob| blob.to_vec()))
    }

    fn set_meta(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.trees().set_blob(&meta_key(name), value)
    }

    fn flush(&self) -> Answer<'_, ()> {
        Box::pin(self.writer.flush())
    }
}

fn meta_key(name: &str) -> Vec<u8> {
    [b"m/", name.as_bytes()].concat()
}
