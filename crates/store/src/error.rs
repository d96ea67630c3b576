use std::io;
use std::path::PathBuf;

use bytes::Bytes;

/// Why a directory could not be opened as a store. Each names the directory.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be made or written in.
    #[error("cannot write in the data directory `{}`: {source}; see to the disk and to who may write there, or name another directory", dir.display())]
    Unwritable {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One of its files cannot be read.
    #[error("cannot read `{}`: {source}; see to the disk, and to who may read the file", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room to look at it without touching it.
    #[error("cannot copy {bytes} bytes of journals to `{}`, so as to look at them and not to touch them: {source}; make room there, or name another directory in the environment variable TMPDIR", dir.display())]
    NoScratch {
        /// The directory for temporary files.
        dir: PathBuf,
        /// Bytes that it needs.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// There is no store in it.
    #[error("there is no store in `{}`: name the directory that the node has as its data_dir", dir.display())]
    Absent {
        /// The directory.
        dir: PathBuf,
    },
    /// Another process has it open.
    #[error("the data directory `{}` is in use by another process: stop that one, or give this one a directory of its own", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// It was written in another format.
    #[error("the data directory `{}` is in format {found}, this program reads and writes format {expected}: start the program that wrote it, or this one with an empty directory", dir.display())]
    Format {
        /// The directory.
        dir: PathBuf,
        /// The format that it is in.
        found: u32,
        /// The format of this program.
        expected: u32,
    },
    /// It belongs to a cluster with identifiers of another width, and is ordered by them.
    #[error("the data directory `{}` holds identifiers of {found} bits, this node uses {expected}: start it with id_bits = {found}, or with another directory", dir.display())]
    Bits {
        /// The directory.
        dir: PathBuf,
        /// The width that it was made with.
        found: u32,
        /// The width that was asked for.
        expected: u32,
    },
    /// It belongs to a cluster whose keys lie in another number of affinity groups, and is ordered by them.
    #[error("the data directory `{}` was made for {found} groups, this node has {expected} (without Kelips it is 1): start it with the protocol and the number of groups that the directory was made with, or with another directory", dir.display())]
    Groups {
        /// The directory.
        dir: PathBuf,
        /// As it was made.
        found: u32,
        /// As asked for.
        expected: u32,
    },
    /// Something is there, but not a whole store.
    #[error("the data directory `{}` is damaged: {reason}; move it away and start empty, the copies on other nodes fill it again", dir.display())]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a store did not do what it was asked to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// What is on the disk is not what was written. Nothing was changed.
    #[error("the record of key `{}` in `{}` is damaged: {reason}", shown(key), file.display())]
    Corrupt {
        /// The key of the record; the name of the blob for [`Store::meta`](crate::Store::meta).
        key: Bytes,
        /// Where it lies: a directory of the engine's.
        file: PathBuf,
        /// What gave it away.
        reason: String,
    },
    /// The disk could not be read. Nothing was changed.
    #[error("cannot read `{}`: {reason}: see to the disk", file.display())]
    Unreadable {
        /// Where: a directory of the engine's.
        file: PathBuf,
        /// What the engine said.
        reason: String,
    },
    /// A file beside the engine could not be written. Nothing was changed.
    #[error("cannot write `{}`: {reason}: see to the disk", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A write failed, this one or one before. What of it is on the disk is unknown, so the store
    /// takes no more until it is opened again; it goes on answering reads with what was acknowledged.
    #[error("the data directory `{}` is read-only since a write failed ({reason}): make room or see to the disk, then restart the node", dir.display())]
    Failed {
        /// The directory.
        dir: PathBuf,
        /// What the engine said when it failed.
        reason: String,
    },
    /// The key is longer than any engine takes. Nothing was changed.
    #[error("a key of {bytes} bytes is longer than the {max} that a store takes")]
    KeyTooLong {
        /// Bytes of the key.
        bytes: usize,
        /// Bytes that a key may have.
        max: usize,
    },
    /// The value is longer than any engine takes. Nothing was changed.
    #[error("a value of {bytes} bytes is longer than the {max} that a store takes")]
    ValueTooLong {
        /// Bytes of the value.
        bytes: usize,
        /// Bytes that a value may have.
        max: usize,
    },
}

/// Keys are bytes: printable ones as they are, the others escaped, long ones cut.
fn shown(key: &[u8]) -> String {
    const SHOWN: usize = 64;
    let (head, cut) = match key.get(..SHOWN) {
        Some(head) if key.len() > SHOWN => (head, "…"),
        _ => (key, ""),
    };
    format!("{}{cut}", head.escape_ascii())
}
