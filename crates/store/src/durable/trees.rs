use std::path::PathBuf;

use bytes::Bytes;
use fjall::{CompressionType, Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::Mutex;
use ring::Places;

use super::codec;
use super::header::Directory;
use super::journal;
use crate::head::Head;
use crate::place::Place;
use crate::span::Span;
use crate::{OpenError, Record, StoreError};

const MIB: u64 = 1 << 20;
/// Blocks kept in memory once they were read. Grows with use only; the page cache holds the rest.
const CACHE_BYTES: u64 = 16 * MIB;
/// What replaying at a start reads at most, more or less. The least that fjall takes.
const JOURNAL_BYTES: u64 = 64 * MIB;
/// One to flush while another compacts.
const WORKERS: usize = 2;
/// Open files of the engine at most: leaves most of the usual limit of 1,024 to connections.
const FILES_MAX: usize = 256;

/// The ordered maps of the durable engine. One record lies in several, always changed in one batch:
/// its head apart from its value, because a put compares versions and a listing shows them
/// without reading (or rewriting, when the tree is compacted) the values.
pub(super) struct Trees {
    pub(super) places: Places,
    pub(super) db: Database,
    /// Place → head and value.
    pub(super) records: Keyspace,
    /// Place → head.
    pub(super) heads: Keyspace,
    /// Expiry and place, of the records that expire.
    pub(super) due: Keyspace,
    /// Name → blob.
    pub(super) meta: Keyspace,
    /// Why writes are refused, once one failed.
    failure: Mutex<Option<String>>,
    /// Last, so that the engine is closed before the directory is unlocked.
    pub(super) directory: Directory,
}

impl Trees {
    pub(super) fn open(directory: Directory, places: Places) -> Result<Self, OpenError> {
        let unwritable = |source| {
            let dir = directory.path().to_owned();
            OpenError::Unwritable { dir, source }
        };
        let refused = |error: fjall::Error| match error {
            fjall::Error::Io(source) => unwritable(source),
            other => directory.damaged(other.to_string()),
        };
        let journals = journal::check(&directory.engine()).map_err(unwritable)?;
        journals.map_err(|reason| directory.damaged(reason))?;
        let db = Database::builder(directory.engine())
            .cache_size(CACHE_BYTES)
            .journal_compression(CompressionType::None)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(WORKERS)
            .max_cached_files(Some(FILES_MAX))
            .open()
            .map_err(refused)?;
        let tree = |name, buffer_bytes| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(buffer_bytes);
            db.keyspace(name, options).map_err(refused)
        };
        let (records, heads) = (tree("records", 8 * MIB)?, tree("heads", 2 * MIB)?);
        let (due, meta) = (tree("due", MIB)?, tree("meta", MIB)?);
        Ok(Self { directory, places, db, records, heads, due, meta, failure: Mutex::new(None) })
    }

    pub(super) fn head(&self, place: &Place) -> Result<Option<Head>, StoreError> {
        let key = codec::place_key(place);
        let found = self.heads.get(&key).map_err(|error| self.unreadable(&place.key, &error))?;
        found.map(|bytes| decode(&place.key, &key, &bytes.into()).map(|(head, _)| head)).transpose()
    }

    pub(super) fn record(&self, place: Place) -> Result<Option<Record>, StoreError> {
        let key = codec::place_key(&place);
        let found = self.records.get(&key).map_err(|error| self.unreadable(&place.key, &error))?;
        let Some(bytes) = found else { return Ok(None) };
        let (head, value) = decode(&place.key, &key, &bytes.into())?;
        Ok(Some(Record {
            version: head.version,
            expires_at_ms: head.expires_at_ms,
            value: head.value_len.map(|_| value),
            key: place.key,
        }))
    }

    /// Shows the heads of the span in order until `each` wants no more.
    pub(super) fn scan(&self, span: &Span, each: &mut dyn FnMut(Place, Head) -> bool) -> Result<(), StoreError> {
        let start = span.start().map(|place| codec::place_key(&place));
        let mut last_seen = Bytes::new();
        for entry in self.heads.range((start, std::ops::Bound::Unbounded)) {
            let (key, place, bytes) = self.entry(entry, &last_seen)?;
            if place.id > span.last {
                break;
            }
            let (head, _) = decode(&place.key, &key, &bytes)?;
            last_seen = place.key.clone();
            if !each(place, head) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn entry(&self, entry: Guard, last_seen: &[u8]) -> Result<(Bytes, Place, Bytes), StoreError> {
        let (key, bytes) = entry.into_inner().map_err(|error| {
            match self.unreadable(last_seen, &error) {
                // A damaged block does not tell its keys.
                StoreError::Corrupt { key, reason } => corrupt(key, format!("the one after it: {reason}")),
                other => other,
            }
        })?;
        let key = Bytes::from(key);
        match codec::place_of(self.places.space(), &key) {
            Some(place) => Ok((key, place, bytes.into())),
            None => Err(corrupt(key, "it lies under an impossible identifier")),
        }
    }

    /// Up to `limit` entries of the index by expiry, from `from_ms` up to and with `upto_ms`.
    pub(super) fn due(&self, from_ms: u64, upto_ms: u64, limit: usize) -> Result<Vec<(u64, Place)>, StoreError> {
        let mut found = Vec::new();
        for entry in self.due.range(from_ms.to_be_bytes()..).take(limit) {
            let key = Bytes::from(entry.key().map_err(|error| self.unreadable(b"", &error))?);
            match codec::due_of(self.places.space(), &key) {
                Some((at_ms, _)) if at_ms > upto_ms => break,
                Some(due) => found.push(due),
                None => {
                    tracing::error!(key = %key.escape_ascii(), "an entry of the index by expiry is damaged")
                }
            }
        }
        Ok(found)
    }

    pub(super) fn blob(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        // Two letters say whose the blob is; the rest is its name.
        let name = key.get(2..).unwrap_or(key);
        let found = self.meta.get(key).map_err(|error| self.unreadable(name, &error))?;
        let decoded = found.map(|bytes| codec::decode_blob(key, &bytes.into()));
        decoded.transpose().map_err(|reason| corrupt(Bytes::copy_from_slice(name), reason))
    }

    pub(super) fn set_blob(&self, key: &[u8], blob: &[u8]) -> Result<(), StoreError> {
        self.health()?;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.meta, key, codec::encode_blob(key, blob));
        batch.commit().map_err(|error| self.failed(error.to_string()))
    }

    pub(super) fn health(&self) -> Result<(), StoreError> {
        match &*self.failure.lock() {
            None => Ok(()),
            Some(reason) => Err(StoreError::Failed { dir: self.directory.path().to_owned(), reason: reason.clone() }),
        }
    }

    /// Refuses writes from now on. The first reason is the one that is told.
    pub(super) fn failed(&self, reason: String) -> StoreError {
        let mut failure = self.failure.lock();
        let reason = failure.get_or_insert(reason).clone();
        StoreError::Failed { dir: self.directory.path().to_owned(), reason }
    }

    /// A block that fails the engine's own checksum is a damaged record; anything else may be the disk's passing trouble.
    pub(super) fn unreadable(&self, near: &[u8], error: &fjall::Error) -> StoreError {
        use fjall::{Error, LsmError};
        match error {
            Error::Storage(LsmError::Io(_)) | Error::Io(_) => {
                let dir: PathBuf = self.directory.path().to_owned();
                StoreError::Unreadable { dir, reason: error.to_string() }
            }
            _ => corrupt(Bytes::copy_from_slice(near), error.to_string()),
        }
    }
}

fn decode(key: &Bytes, place_key: &[u8], bytes: &Bytes) -> Result<(Head, Bytes), StoreError> {
    codec::decode(place_key, bytes).map_err(|reason| corrupt(key.clone(), reason))
}

fn corrupt(key: Bytes, reason: impl Into<String>) -> StoreError {
    StoreError::Corrupt { key, reason: reason.into() }
}
