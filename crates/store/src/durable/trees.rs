use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fjall::{CompressionType, Database, Guard, Keyspace, KeyspaceCreateOptions, PersistMode};
use parking_lot::Mutex;
use ring::Places;

use super::codec;
use super::fault::Fault;
use super::header::Directory;
use super::journal::{self, Journal};
use super::layout::{self, Depth};
use super::note::{self, Note};
use super::shadow::Shadow;
use super::words::words;
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
/// Written to see whether a disk takes anything: less than a table, more than what is left on a full one.
const PROBE_BYTES: usize = 1 << 20;
/// Open files of the engine at most: leaves most of the usual limit of 1,024 to connections.
const FILES_MAX: usize = 256;

/// The ordered maps of the durable engine. One record lies in several, always changed in one batch:
/// its head apart from its value, because a put compares versions and a listing shows them
/// without reading (or rewriting, when the tree is compacted) the values.
pub(super) struct Trees {
    pub(super) places: Places,
    pub(super) db: Database,
    /// Where the last journal ended when it was opened; none if the engine was made then.
    pub(super) position: Option<(u64, u64)>,
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
    /// Opens the directory's engine, and makes it if there is none. What lacks a file that it had is refused, and left as it is.
    /// `noted`: what it had when it was closed.
    pub(super) fn open(directory: Directory, places: Places, noted: Option<&Note>) -> Result<Self, OpenError> {
        let engine = directory.engine();
        let refused = |fault| directory.refused(fault);
        let unwritable = |source| OpenError::Unwritable { dir: directory.path().to_owned(), source };
        let journals = journal::read_all(&engine).map_err(refused)?;
        if !engine.exists() {
            return Self::start(directory, places, engine, WORKERS, None);
        }
        let position = note::position(&journals);
        journals.iter().find_map(Journal::fault).map_or(Ok(()), |fault| Err(refused(fault)))?;
        if noted.is_some() || layout::is_written_to(&engine, &journals).map_err(refused)? {
            let fault = layout::faults(&engine, &journals, Depth::Names).into_iter().next();
            let fault = fault.or_else(|| noted?.cut(&engine, position));
            fault.map_or(Ok(()), |fault| Err(refused(fault)))?;
            journals.iter().try_for_each(Journal::cut).map_err(unwritable)?;
        } else if !engine.join("version").exists() {
            // Whoever began to make it was killed; fjall would trip over its half.
            std::fs::remove_dir_all(&engine).map_err(unwritable)?;
        }
        Self::start(directory, places, engine, WORKERS, position)
    }

    /// Opens a shadow of the directory's engine. Nothing runs in the background.
    pub(super) fn shadow(directory: Directory, places: Places, shadow: &Shadow) -> Result<Self, OpenError> {
        Self::start(directory, places, shadow.engine(), 0, None)
    }

    fn start(
        directory: Directory,
        places: Places,
        engine: PathBuf,
        workers: usize,
        position: Option<(u64, u64)>,
    ) -> Result<Self, OpenError> {
        let refused = |error: fjall::Error| refused(&directory, &error);
        let db = Database::builder(engine)
            .cache_size(CACHE_BYTES)
            .journal_compression(CompressionType::None)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads_unchecked(workers)
            .max_cached_files(Some(FILES_MAX))
            .open()
            .map_err(refused)?;
        let tree = |name, buffer_bytes| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(buffer_bytes);
            db.keyspace(name, options).map_err(refused)
        };
        let (records, heads) = (tree("records", 8 * MIB)?, tree("heads", 2 * MIB)?);
        let (due, meta) = (tree("due", MIB)?, tree("meta", MIB)?);
        Ok(Self { directory, places, db, position, records, heads, due, meta, failure: Mutex::new(None) })
    }

    pub(super) fn head(&self, place: &Place) -> Result<Option<Head>, StoreError> {
        let key = codec::place_key(place);
        let found = self.heads.get(&key).map_err(|error| self.unreadable(&self.heads, &place.key, &error))?;
        found.map(|bytes| self.decode(&self.heads, place, &key, &bytes.into()).map(|(head, _)| head)).transpose()
    }

    pub(super) fn record(&self, place: Place) -> Result<Option<Record>, StoreError> {
        let key = codec::place_key(&place);
        let found = self.records.get(&key).map_err(|error| self.unreadable(&self.records, &place.key, &error))?;
        let Some(bytes) = found else { return Ok(None) };
        let (head, value) = self.decode(&self.records, &place, &key, &bytes.into())?;
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
            let (key, place, bytes) = self.entry(&self.heads, entry, &last_seen)?;
            if place.id > span.last {
                break;
            }
            let (head, _) = self.decode(&self.heads, &place, &key, &bytes)?;
            last_seen = place.key.clone();
            if !each(place, head) {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn entry(
        &self,
        tree: &Keyspace,
        entry: Guard,
        last_seen: &[u8],
    ) -> Result<(Bytes, Place, Bytes), StoreError> {
        let (key, bytes) = entry.into_inner().map_err(|error| {
            match self.unreadable(tree, last_seen, &error) {
                // A damaged block does not tell its keys.
                StoreError::Corrupt { key, file, reason } => {
                    StoreError::Corrupt { key, file, reason: format!("the one after it: {reason}") }
                }
                other => other,
            }
        })?;
        let key = Bytes::from(key);
        match codec::place_of(self.places.space(), &key) {
            Some(place) => Ok((key, place, bytes.into())),
            None => Err(self.corrupt(tree, &key, "it lies under an impossible identifier")),
        }
    }

    /// Up to `limit` entries of the index by expiry, from `from_ms` up to and with `upto_ms`.
    pub(super) fn due(&self, from_ms: u64, upto_ms: u64, limit: usize) -> Result<Vec<(u64, Place)>, StoreError> {
        let mut found = Vec::new();
        for entry in self.due.range(from_ms.to_be_bytes()..).take(limit) {
            let key = Bytes::from(entry.key().map_err(|error| self.unreadable(&self.due, b"", &error))?);
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
        let found = self.meta.get(key).map_err(|error| self.unreadable(&self.meta, name, &error))?;
        let decoded = found.map(|bytes| codec::decode_blob(key, &bytes.into()));
        decoded.transpose().map_err(|reason| self.corrupt(&self.meta, name, reason))
    }

    pub(super) fn set_blob(&self, key: &[u8], blob: &[u8]) -> Result<(), StoreError> {
        self.health()?;
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.meta, key, codec::encode_blob(key, blob));
        batch.commit().map_err(|error| self.write_failed(&error))
    }

    pub(super) fn health(&self) -> Result<(), StoreError> {
        match &*self.failure.lock() {
            None => Ok(()),
            Some(reason) => Err(StoreError::Failed { dir: self.directory.path().to_owned(), reason: reason.clone() }),
        }
    }

    /// Refuses writes from now on. The first reason is the one that is told.
    pub(super) fn write_failed(&self, error: &fjall::Error) -> StoreError {
        self.failed(|| match error {
            // The engine keeps to itself what went wrong with a table, and refuses the next write.
            fjall::Error::Poisoned => match probe(self.directory.path()) {
                Err(error) => error.to_string(),
                Ok(()) => {
                    "the engine could not write a table in the background; RUST_LOG=info,fjall=error lets it say more"
                        .to_owned()
                }
            },
            _ => words(error),
        })
    }

    pub(super) fn failed(&self, reason: impl FnOnce() -> String) -> StoreError {
        let mut failure = self.failure.lock();
        let reason = failure.get_or_insert_with(reason).clone();
        StoreError::Failed { dir: self.directory.path().to_owned(), reason }
    }

    /// A block that fails the engine's own checksum is a damaged record; anything else may be the disk's passing trouble.
    pub(super) fn unreadable(&self, tree: &Keyspace, near: &[u8], error: &fjall::Error) -> StoreError {
        use fjall::{Error, LsmError};
        match error {
            Error::Storage(LsmError::Io(_)) | Error::Io(_) => {
                StoreError::Unreadable { file: self.place_of(tree), reason: words(error) }
            }
            _ => self.corrupt(tree, near, words(error)),
        }
    }

    pub(super) fn corrupt(&self, tree: &Keyspace, key: &[u8], reason: impl Into<String>) -> StoreError {
        StoreError::Corrupt { key: Bytes::copy_from_slice(key), file: self.place_of(tree), reason: reason.into() }
    }

    /// Where the tree's files are in the store's directory, of which this may be a shadow.
    fn place_of(&self, tree: &Keyspace) -> PathBuf {
        let keyspaces = self.directory.engine().join("keyspaces");
        tree.path().file_name().map_or(keyspaces.clone(), |number| keyspaces.join(number))
    }

    fn decode(
        &self,
        tree: &Keyspace,
        place: &Place,
        place_key: &[u8],
        bytes: &Bytes,
    ) -> Result<(Head, Bytes), StoreError> {
        codec::decode(place_key, bytes).map_err(|reason| self.corrupt(tree, &place.key, reason))
    }
}

/// What the disk says to a write.
fn probe(dir: &Path) -> std::io::Result<()> {
    let path = dir.join("PROBE");
    let mut file = File::create(&path)?;
    let written = file.write_all(&vec![1; PROBE_BYTES]).and_then(|()| file.sync_all());
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

/// The engine does not say which file it stumbled on: whatever is not as it was written is looked for.
fn refused(directory: &Directory, error: &fjall::Error) -> OpenError {
    let engine = directory.engine();
    let faults = journal::read_all(&engine).map(|journals| layout::faults(&engine, &journals, Depth::Bytes));
    match (faults, error) {
        (Err(fault), _) => directory.refused(fault),
        (Ok(faults), _) if !faults.is_empty() => {
            directory.damaged(faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; "))
        }
        (Ok(_), fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source))) => {
            let source = std::io::Error::new(source.kind(), source.to_string());
            OpenError::Unwritable { dir: directory.path().to_owned(), source }
        }
        (Ok(_), error) => directory.damaged(format!("`{}`: {}", engine.display(), words(error))),
    }
}
