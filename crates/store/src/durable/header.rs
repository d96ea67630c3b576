//! The outside of a store directory: `LOCK`, held while the store is open; `FORMAT`, a few lines of
//! text that say what is inside; `engine/`, which belongs to fjall; and while the store is closed `CLOSED`, see [`note`](super::note).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use ring::{Places, Space};

use super::fault::Fault;
use super::journal;
use super::note::{self, Note};
use crate::{Digest, OpenError};

/// Of everything in `engine/`. Raise it when a store of the last release would be misread.
const FORMAT: u32 = 2;
const TITLE: &str = "dht-store";

/// A directory that is ours: of our format and width, and locked until this is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    dir: PathBuf,
    _lock: Option<File>,
    /// What the records come to when it is dropped, if it is closed in order.
    closed_with: Mutex<Option<Digest>>,
}

/// What `FORMAT` says beside the format.
struct Header {
    id_bits: u32,
    groups: u32,
}

impl Directory {
    /// Makes the directory if need be, locks it and checks what it says of itself.
    pub(super) fn open(dir: &Path, places: Places) -> Result<Self, OpenError> {
        let unwritable = |source| OpenError::Unwritable { dir: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(unwritable)?;
        let directory = Self::locked(dir)?;
        match fs::read_to_string(dir.join("FORMAT")) {
            Ok(text) => directory.check(&text, places)?,
            // The header is written before anything else, so without it there is no store yet, or only half of one.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !directory.engine().exists() => {
                directory.write(places).map_err(unwritable)?;
            }
            Err(error) => {
                return Err(directory.damaged(format!("its file FORMAT cannot be read: {error}")));
            }
        }
        Ok(directory)
    }

    /// A directory that has a store, whatever the store is for: its format, and where its keys lie. Nothing is written to
    /// it, and nobody opens it until this is dropped.
    pub(super) fn existing(dir: &Path) -> Result<(Self, u32, Places), OpenError> {
        if !dir.join("FORMAT").exists() && !dir.join("engine").exists() {
            return Err(OpenError::Absent { dir: dir.to_owned() });
        }
        let directory = Self::locked_to_read(dir)?;
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => directory.damaged("its file FORMAT is missing, though it has an engine"),
            io::ErrorKind::InvalidData => directory.damaged("its file FORMAT is not one"),
            _ => OpenError::Unreadable { file: dir.join("FORMAT"), source: error },
        };
        let text = fs::read_to_string(dir.join("FORMAT")).map_err(unreadable)?;
        let header = directory.read(&text)?;
        let impossible = |error: ring::IdError| directory.damaged(format!("its file FORMAT says so: {error}"));
        let space = Space::new(header.id_bits).map_err(impossible)?;
        let places = Places::grouped(space, header.groups).map_err(impossible)?;
        Ok((directory, FORMAT, places))
    }

    fn locked(dir: &Path) -> Result<Self, OpenError> {
        let unwritable = |source| OpenError::Unwritable { dir: dir.to_owned(), source };
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("LOCK")).map_err(unwritable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked { dir: dir.to_owned() },
            TryLockError::Error(source) => unwritable(source),
        })?;
        Ok(Self { dir: dir.to_owned(), _lock: Some(lock), closed_with: Mutex::default() })
    }

    fn locked_to_read(dir: &Path) -> Result<Self, OpenError> {
        let file = dir.join("LOCK");
        let unreadable = |source| OpenError::Unreadable { file: file.clone(), source };
        let lock = match File::open(&file) {
            Ok(lock) => Some(lock),
            // Whoever has it open has made that file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unreadable(error)),
        };
        match lock.as_ref().map_or(Ok(()), File::try_lock_shared) {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock, closed_with: Mutex::default() }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unreadable(source)),
        }
    }

    /// To be called when nothing will be written any more: what the records come to is noted once the engine is closed.
    pub(super) fn close_with(&self, digest: Digest) {
        *self.closed_with.lock() = Some(digest);
    }

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    pub(super) fn engine(&self) -> PathBuf {
        self.dir.join("engine")
    }

    pub(super) fn damaged(&self, reason: impl Into<String>) -> OpenError {
        OpenError::Damaged { dir: self.dir.clone(), reason: reason.into() }
    }

    /// A file that is not as it should be stands for the whole directory.
    pub(super) fn refused(&self, fault: Fault) -> OpenError {
        match fault.source {
            Some(source) => OpenError::Unreadable { file: fault.file, source },
            None => self.damaged(fault.to_string()),
        }
    }

    fn check(&self, text: &str, places: Places) -> Result<(), OpenError> {
        let Header { id_bits: found, groups } = self.read(text)?;
        let expected = places.space().bits();
        if found != expected {
            return Err(OpenError::Bits { dir: self.dir.clone(), found, expected });
        }
        if groups != places.groups() {
            return Err(OpenError::Groups { dir: self.dir.clone(), found: groups, expected: places.groups() });
        }
        Ok(())
    }

    fn read(&self, text: &str) -> Result<Header, OpenError> {
        let mut lines = text.lines();
        let ours = lines.next() == Some(TITLE);
        let mut number = |name| lines.next()?.strip_prefix(name)?.trim().parse::<u32>().ok();
        // The width is part of this format and may not be of others: the format comes first.
        let format = number("format ").filter(|_| ours);
        let found = format.ok_or_else(|| self.damaged("its file FORMAT is not one"))?;
        if found != FORMAT {
            return Err(OpenError::Format { dir: self.dir.clone(), found, expected: FORMAT });
        }
        let id_bits = number("id-bits ").ok_or_else(|| self.damaged("its file FORMAT names no id-bits"))?;
        // Left out on a plain circle.
        Ok(Header { id_bits, groups: number("groups ").unwrap_or(1) })
    }

    /// Under another name first: after a crash there is a whole header or none.
    fn write(&self, places: Places) -> io::Result<()> {
        let unfinished = self.dir.join("FORMAT.new");
        let mut file = File::create(&unfinished)?;
        write!(file, "{TITLE}\nformat {FORMAT}\nid-bits {}\n", places.space().bits())?;
        if places.groups() > 1 {
            writeln!(file, "groups {}", places.groups())?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, self.dir.join("FORMAT"))?;
        File::open(&self.dir)?.sync_all()
    }
}

/// The engine is closed before, and the directory is unlocked after.
impl Drop for Directory {
    fn drop(&mut self) {
        let Some(digest) = self.closed_with.lock().take() else { return };
        let Ok(journals) = journal::read_all(&self.engine()) else { return };
        let Some(position) = note::position(&journals) else { return };
        if let Err(error) = (Note { position, digest }).write(&self.dir) {
            let file = self.dir.join("CLOSED");
            tracing::warn!(%error, file = %file.display(), "what the store holds could not be noted: a loss while it is closed may go unseen");
        }
    }
}
