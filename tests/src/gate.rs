//! How many clusters run at a time, over all test processes on this machine.
//!
//! A cluster of a few daemons may run beside others; one of dozens, or one whose test measures time, runs alone. The
//! gate is a lock on a file in the target directory: shared for the small, exclusive for the large. It opens by
//! itself when a test process dies.

use std::fs::{File, OpenOptions};
use std::path::Path;

/// Held while a cluster runs.
#[derive(Debug)]
pub struct Gate {
    _file: File,
}

impl Gate {
    /// Passes together with other small clusters.
    ///
    /// # Panics
    /// When the lock file cannot be made.
    #[must_use]
    pub fn shared(target_dir: &Path) -> Self {
        let file = open(target_dir);
        file.lock_shared().expect("a lock on the gate");
        Self { _file: file }
    }

    /// Passes alone.
    ///
    /// # Panics
    /// When the lock file cannot be made.
    #[must_use]
    pub fn exclusive(target_dir: &Path) -> Self {
        let file = open(target_dir);
        file.lock().expect("a lock on the gate");
        Self { _file: file }
    }
}

fn open(target_dir: &Path) -> File {
    let path = target_dir.join("dht-tests.gate");
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
