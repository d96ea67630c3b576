//! A store's engine to look at without touching it.
//!
//! fjall writes when it opens a directory: it cuts journals, deletes old versions and flushes what it replayed. So it is given another
//! one, in the system's directory for temporary files: the journals' finished batches and the small files are copied,
//! the tables, which nobody ever changes, are links to those of the store.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::journal::Journal;
use crate::OpenError;

/// Deleted when it is dropped: close what was opened in it before.
#[derive(Debug)]
pub(super) struct Shadow(TempDir);

impl Shadow {
    pub(super) fn of(engine: &Path, journals: &[Journal]) -> Result<Self, OpenError> {
        let at = std::env::temp_dir();
        let bytes = journals.iter().map(|journal| journal.end).sum();
        let make = || -> io::Result<Self> {
            let shadow = Self(tempfile::Builder::new().prefix("dht-store-").tempdir_in(&at)?);
            shadow.fill(engine, journals)?;
            Ok(shadow)
        };
        make().map_err(|source| OpenError::NoScratch { dir: at, bytes, source })
    }

    pub(super) fn engine(&self) -> PathBuf {
        self.0.path().join("engine")
    }

    fn fill(&self, engine: &Path, journals: &[Journal]) -> io::Result<()> {
        let (from, to) = (engine.canonicalize()?, self.engine());
        fs::create_dir(&to)?;
        File::create(to.join("lock"))?;
        fs::copy(from.join("version"), to.join("version"))?;
        for journal in journals {
            let mut finished = File::open(&journal.path)?.take(journal.end);
            io::copy(&mut finished, &mut File::create(to.join(format!("{}.jnl", journal.id)))?)?;
        }
        for tree in fs::read_dir(from.join("keyspaces"))? {
            let tree = tree?;
            if tree.file_type()?.is_dir() {
                shadow_tree(&tree.path(), &to.join("keyspaces").join(tree.file_name()))?;
            }
        }
        Ok(())
    }
}

fn shadow_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.join("tables"))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    let tables = from.join("tables");
    if tables.exists() {
        for table in fs::read_dir(tables)? {
            let table = table?;
            std::os::unix::fs::symlink(table.path(), to.join("tables").join(table.file_name()))?;
        }
    }
    Ok(())
}
