//! The outside of a store directory: `LOCK`, held while the store is open; `FORMAT`, a few lines of
//! text that say what is inside; `engine/`, which belongs to fjall.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ring::Places;

use crate::OpenError;

/// Of everything in `engine/`. Raise it when a store of the last release would be misread.
const FORMAT: u32 = 1;
const TITLE: &str = "dht-store";

/// A directory that is ours: of our format and width, and locked until this is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    dir: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory if need be, locks it and checks what it says of itself.
    pub(super) fn open(dir: &Path, places: Places) -> Result<Self, OpenError> {
        let unwritable = |source| OpenError::Unwritable { dir: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(unwritable)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("LOCK")).map_err(unwritable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked { dir: dir.to_owned() },
            TryLockError::Error(source) => unwritable(source),
        })?;
        let directory = Self { dir: dir.to_owned(), _lock: lock };
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

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    pub(super) fn engine(&self) -> PathBuf {
        self.dir.join("engine")
    }

    pub(super) fn damaged(&self, reason: impl Into<String>) -> OpenError {
        OpenError::Damaged { dir: self.dir.clone(), reason: reason.into() }
    }

    fn check(&self, text: &str, places: Places) -> Result<(), OpenError> {
        let mut lines = text.lines();
        let ours = lines.next() == Some(TITLE);
        let mut number = |name| lines.next()?.strip_prefix(name)?.trim().parse::<u32>().ok();
        // The width is part of format 1 and may not be of others: the format comes first.
        let format = number("format ").filter(|_| ours);
        let found = format.ok_or_else(|| self.damaged("its file FORMAT is not one"))?;
        if found != FORMAT {
            return Err(OpenError::Format { dir: self.dir.clone(), found, expected: FORMAT });
        }
        let found = number("id-bits ").ok_or_else(|| self.damaged("its file FORMAT names no id-bits"))?;
        let expected = places.space().bits();
        if found != expected {
            return Err(OpenError::Bits { dir: self.dir.clone(), found, expected });
        }
        // Left out on a plain circle.
        let found = number("groups ").unwrap_or(1);
        if found != places.groups() {
            return Err(OpenError::Groups { dir: self.dir.clone(), found, expected: places.groups() });
        }
        Ok(())
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
