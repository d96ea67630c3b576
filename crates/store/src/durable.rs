//! The durable engine: fjall, a log-structured merge tree with a write-ahead journal, behind group commit.
//! Reads go to the trees directly and see only what is past its fsync; writes go through the [`writer`].

mod changes;
mod codec;
mod examine;
mod header;
mod journal;
mod trees;
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
use crate::{OpenError, Put, Record, Stats, StoreError, Version};
pub use examine::Examined;
use header::Directory;
use trees::Trees;
use writer::{Shared, Writer};

/// Our own blobs and the node's lie in one tree, apart by their first letter.
const NUMBER: &[u8] = b"s/number";

/// Records in a directory; see the [module](self).
pub(crate) struct Durable {
    number: u64,
    writer: Writer,
}

impl Durable {
    pub(crate) fn open(dir: &Path, places: Places) -> Result<Self, OpenError> {
        let trees = Trees::open(Directory::open(dir, places)?, places)?;
        let number = number(&trees)?;
        let counters = count(&trees)?;
        let first_due = trees.due(0, u64::MAX, 1).map_err(|error| trees.directory.damaged(error.to_string()))?;
        let next_due_ms = AtomicU64::new(first_due.first().map_or(u64::MAX, |(at_ms, _)| *at_ms));
        let unwritable = |source| OpenError::Unwritable { dir: dir.to_owned(), source };
        let shared = Shared { trees, counters, commits: AtomicU64::new(0), next_due_ms };
        let writer = Writer::start(shared).map_err(unwritable)?;
        Ok(Self { number, writer })
    }

    fn trees(&self) -> &Trees {
        &self.writer.shared().trees
    }
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
            let number = rand::random::<u64>().max(1);
            trees.set_blob(NUMBER, &number.to_be_bytes()).map_err(damaged)?;
            Ok(number)
        }
    }
}

/// Counting afresh costs about a second for a million records, and never drifts.
fn count(trees: &Trees) -> Result<Counters, OpenError> {
    let counters = Counters::default();
    for span in Span::of(Range::full(trees.places.space().max()), None) {
        let mut counted = |place: Place, head| {
            counters.changed(place.key.len(), None, Some(&head));
            true
        };
        trees.scan(&span, &mut counted).map_err(|error| trees.directory.damaged(error.to_string()))?;
    }
    Ok(counters)
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

    fn put(&self, records: Vec<Record>) -> Answer<'_, Vec<Put>> {
        Box::pin(self.writer.put(records))
    }

    fn erase(&self, entries: Vec<(Bytes, Version)>) -> Answer<'_, u64> {
        Box::pin(self.writer.erase(entries))
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
