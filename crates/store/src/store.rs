use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ring::{Places, Range};

use crate::durable::Durable;
use crate::engine::Engine;
use crate::memory::Memory;
use crate::span::Span;
use crate::{Cursor, Digest, OpenError, Page, Put, Record, Stats, StoreError, Version};

/// A handle to the records of this node; clones are the same store.
///
/// Reads are synchronous: in memory, or from the engine's caches and the page cache, at worst a
/// disk read. Writes are futures that end when the record is where [`Store::is_durable`] says; a
/// write whose future is dropped on the way is done whole or not at all. The directory of a durable store is free again when the
/// last handle is dropped, which waits for the writes under way.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
}

impl Store {
    /// Bytes that a key may have at most. Clients are held to far less.
    pub const KEY_BYTES_MAX: usize = 60_000;
    /// Bytes that a value may have at most. Clients are held to far less.
    pub const VALUE_BYTES_MAX: usize = 1 << 30;

    /// A store that ends with its last handle, of keys that lie at `places` (a plain [`ring::Space`] will do).
    pub fn memory(places: impl Into<Places>) -> Store {
        Store { engine: Arc::new(Memory::new(places.into())) }
    }

    /// The store in `dir`, of keys that lie at `places`; made when there is none. Its number, records and blobs are
    /// those it had; every acknowledged write is among them.
    ///
    /// # Errors
    ///
    /// The directory cannot be written, is in use, is in another format, or is damaged; nothing in it was changed.
    pub fn open(dir: &Path, places: impl Into<Places>) -> Result<Store, OpenError> {
        Ok(Store { engine: Arc::new(Durable::open(dir, places.into())?) })
    }

    /// A random number, never zero, made with the store: whoever meets it again knows that this store still has what it had.
    pub fn number(&self) -> u64 {
        self.engine.number()
    }

    /// Says that this store has given away what it had: from its next opening on it is another one, with another number.
    pub fn retire(&self) -> Result<(), StoreError> {
        self.engine.retire()
    }

    /// Whether an acknowledged write is on the disk.
    pub fn is_durable(&self) -> bool {
        self.engine.is_durable()
    }

    /// Whatever is known of the key, a tombstone or a record past its time too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when what is there is not what was written.
    pub fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        self.engine.get(key)
    }

    /// Keeps the newer of what is there and `record`.
    ///
    /// # Errors
    ///
    /// A record that is too long, what is there is damaged, or the engine failed. Only in the last case may the record be found here later.
    pub async fn put(&self, record: Record) -> Result<Put, StoreError> {
        let mut outcomes = self.put_many(vec![record]).await?;
        // Cannot fail: the engine answers each record, and there was one.
        Ok(outcomes.pop().expect("an outcome for each record"))
    }

    /// Several puts in one commit, all or none; an outcome for each, in order.
    ///
    /// # Errors
    ///
    /// As [`Store::put`]; one record that fails fails all.
    pub async fn put_many(&self, records: Vec<Record>) -> Result<Vec<Put>, StoreError> {
        records.iter().try_for_each(check_lengths)?;
        match records.is_empty() {
            true => Ok(Vec::new()),
            false => self.engine.put(records).await,
        }
    }

    /// Removes, without leaving a tombstone, the entries whose version here is not above the one given; how many there were.
    ///
    /// # Errors
    ///
    /// As [`Store::put`].
    pub async fn erase(&self, entries: Vec<(Bytes, Version)>) -> Result<u64, StoreError> {
        match entries.is_empty() {
            true => Ok(0),
            false => self.engine.erase(entries).await,
        }
    }

    /// Up to `limit` entries (at least one) of the range, tombstones and records past their time among them, clockwise from
    /// `range.after`, those after the cursor. A listing sees each key that is there throughout exactly once,
    /// whatever is written between its pages.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] or [`StoreError::Unreadable`].
    pub fn list(&self, range: Range, after: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let limit = limit.max(1);
        let mut entries = Vec::new();
        let mut more = false;
        for span in Span::of(range, after) {
            self.engine.scan(&span, &mut |place, head| {
                more = entries.len() == limit;
                if !more {
                    entries.push(head.listed(place));
                }
                !more
            })?;
            if more {
                break;
            }
        }
        let last = entries.last().filter(|_| more);
        let next = last.map(|listed| Cursor { id: listed.id, key: listed.key.clone() });
        Ok(Page { entries, next })
    }

    /// What the records of a range come to. Costs two short scans, however many there are. While it is written to there
    /// may be a write in it that a listing does not show yet, or the other way round.
    ///
    /// # Errors
    ///
    /// As [`Store::list`].
    pub fn digest(&self, range: Range) -> Result<Digest, StoreError> {
        self.engine.digest(range)
    }

    /// The records of the keys, in order, as many as fit in `max_bytes` of keys and values, but one
    /// at least; and how many of the keys that deals with. A key that is not here has no record.
    ///
    /// # Errors
    ///
    /// As [`Store::get`], for the first key that is left to deal with; those before it are returned first.
    pub fn fetch(&self, keys: &[Bytes], max_bytes: usize) -> Result<(Vec<Record>, usize), StoreError> {
        let (mut records, mut bytes) = (Vec::new(), 0usize);
        for (dealt_with, key) in keys.iter().enumerate() {
            match self.get(key) {
                Ok(None) => {}
                Ok(Some(record)) => {
                    bytes = bytes.saturating_add(record.byte_len());
                    if bytes > max_bytes && !records.is_empty() {
                        return Ok((records, dealt_with));
                    }
                    records.push(record);
                }
                Err(error) if dealt_with == 0 => return Err(error),
                Err(_) => return Ok((records, dealt_with)),
            }
        }
        Ok((records, keys.len()))
    }

    /// How much is here.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Forgets the deletions among these that are of exactly that version; how many there were. From then on the key is as
    /// if it had never been: call this only when no holder can bring an older record back, but for those that
    /// [`Store::horizon`] tells apart.
    ///
    /// # Errors
    ///
    /// As [`Store::put`].
    pub async fn forget(&self, entries: Vec<(Bytes, Version)>) -> Result<u64, StoreError> {
        match entries.is_empty() {
            true => Ok(0),
            false => {
                let upto = entries.iter().map(|(_, version)| version.clock).max().unwrap_or(0);
                self.engine.forget(entries, upto).await
            }
        }
    }

    /// Deletions up to this moment of the hybrid clock ([`Version::clock`]) may have been forgotten: a record from a store that was
    /// not up to date then may have been deleted since, and nobody here would know.
    pub fn horizon(&self) -> u64 {
        self.engine.horizon()
    }

    /// Makes the horizon `clock` at least: somebody whose records were copied here has forgotten that much. In a durable
    /// store it is past its fsync on return.
    ///
    /// # Errors
    ///
    /// As [`Store::put`].
    pub async fn raise_horizon(&self, clock: u64) -> Result<(), StoreError> {
        match clock <= self.horizon() {
            true => Ok(()),
            false => self.engine.forget(Vec::new(), clock).await.map(drop),
        }
    }

    /// Turns up to `limit` records whose time has come by `now_ms` (wall clock) into tombstones of the same version, so
    /// that no copy brings one back; how many. Costs next to nothing when none is due.
    ///
    /// # Errors
    ///
    /// As [`Store::put`].
    pub async fn expire(&self, now_ms: u64, limit: usize) -> Result<u64, StoreError> {
        self.engine.expire(now_ms, limit).await
    }

    /// A small blob by name: the node's own notes, kept apart from the records.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] with the name in the key's place, or [`StoreError::Unreadable`].
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.engine.meta(name)
    }

    /// Replaces a blob. In a durable store it is past its fsync on return, which blocks for as long as that takes.
    ///
    /// # Errors
    ///
    /// As [`Store::put`].
    pub fn set_meta(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        check_key(name.len())?;
        check_value(value.len())?;
        self.engine.set_meta(name, value)
    }

    /// Whether the store still takes writes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`], which every write answers from then on.
    pub fn health(&self) -> Result<(), StoreError> {
        self.engine.health()
    }

    /// Commits of records since the store was opened. Puts that came together share one, so in a durable
    /// store this grows more slowly than the puts do. Always 0 in memory.
    pub fn commits(&self) -> u64 {
        self.engine.commits()
    }

    /// Ends when every write begun before it has been answered.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`].
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.engine.flush().await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("number", &self.number())
            .field("durable", &self.is_durable())
            .field("stats", &self.stats())
            .finish()
    }
}

fn check_lengths(record: &Record) -> Result<(), StoreError> {
    check_key(record.key.len())?;
    check_value(record.value.as_ref().map_or(0, Bytes::len))
}

fn check_key(bytes: usize) -> Result<(), StoreError> {
    let max = Store::KEY_BYTES_MAX;
    if bytes > max { Err(StoreError::KeyTooLong { bytes, max }) } else { Ok(()) }
}

fn check_value(bytes: usize) -> Result<(), StoreError> {
    let max = Store::VALUE_BYTES_MAX;
    if bytes > max { Err(StoreError::ValueTooLong { bytes, max }) } else { Ok(()) }
}
