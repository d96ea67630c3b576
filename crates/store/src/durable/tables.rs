//! A look at the files of one of the engine's trees.
//!
//! `current` names the tree's version, `vN`, and has its checksum; that names the tables and has theirs: so each is
//! known to be there, and as it was written, byte by byte. `current` is `version:u64 checksum:u128 type:u8`. In `vN`, an archive, the section
//! `tables` is `levels:u8`, for each `runs:u8`, for each `tables:u32`, for each `table:u64 type:u8 checksum:u128 seqno:u64`:
//! little-endian, the checksums XXH3.

use std::fs::{self, File};
use std::io::{self, BufRead, ErrorKind, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::fault::Fault;
use super::layout::Depth;

/// A table by its number, and the checksum of its file.
struct Table {
    id: u64,
    checksum: u128,
}

/// What is missing or damaged in the directory of a tree.
pub(super) fn faults(tree: &Path, depth: Depth) -> Vec<Fault> {
    let tables = match manifest(tree) {
        Ok(tables) => tables,
        Err(fault) => return vec![fault],
    };
    let path = |table: &Table| tree.join("tables").join(table.id.to_string());
    let fault = |table: &Table| match depth {
        Depth::Names => (!path(table).exists()).then(|| Fault::new(path(table), MISSING)),
        Depth::Bytes => checked(&path(table), table.checksum, "is damaged: its checksum does not match").err(),
    };
    tables.iter().filter_map(fault).collect()
}

const MISSING: &str = "is missing: records were in it";

/// The tables that the tree has.
fn manifest(tree: &Path) -> Result<Vec<Table>, Fault> {
    let current = tree.join("current");
    let bytes =
        fs::read(&current).map_err(|error| unread(&current, error, "is missing: it names the tree's tables"))?;
    let pointed = || -> io::Result<(u64, u128)> {
        let mut bytes = bytes.as_slice();
        Ok((u64::from_le_bytes(number(&mut bytes)?), u128::from_le_bytes(number(&mut bytes)?)))
    };
    let (version, checksum) =
        pointed().map_err(|_| Fault::new(&current, "is damaged: it names no version of the tree"))?;
    let path = tree.join(format!("v{version}"));
    let damaged = format!("is damaged, or `{}` is, which has another checksum for it", current.display());
    checked(&path, checksum, &damaged)?;
    listed(&path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            Fault::new(&path, "is damaged: it does not list the tables")
        }
        _ => Fault::unread(&path, error),
    })
}

fn listed(path: &Path) -> io::Result<Vec<Table>> {
    let archive = sfa::Reader::new(path).map_err(|error| match error {
        sfa::Error::Io(error) => error,
        _ => ErrorKind::InvalidData.into(),
    })?;
    let section = archive.toc().section(b"tables").ok_or(ErrorKind::InvalidData)?;
    let mut bytes = Vec::new();
    section.reader(path)?.read_to_end(&mut bytes)?;
    let (mut bytes, mut tables) = (bytes.as_slice(), Vec::new());
    let [levels] = number(&mut bytes)?;
    for _ in 0..levels {
        let [runs] = number(&mut bytes)?;
        for _ in 0..runs {
            for _ in 0..u32::from_le_bytes(number(&mut bytes)?) {
                let id = u64::from_le_bytes(number(&mut bytes)?);
                let [_type] = number(&mut bytes)?;
                let checksum = u128::from_le_bytes(number(&mut bytes)?);
                let _seqno: [u8; 8] = number(&mut bytes)?;
                tables.push(Table { id, checksum });
            }
        }
    }
    Ok(tables)
}

/// An error unless the file has that checksum.
fn checked(path: &Path, checksum: u128, damaged: &str) -> Result<(), Fault> {
    let unread = |error| unread(path, error, MISSING);
    let mut file = io::BufReader::with_capacity(1 << 16, File::open(path).map_err(unread)?);
    let mut hash = Xxh3::new();
    loop {
        let bytes = file.fill_buf().map_err(unread)?;
        if bytes.is_empty() {
            break;
        }
        hash.update(bytes);
        let read = bytes.len();
        file.consume(read);
    }
    match hash.digest128() == checksum {
        true => Ok(()),
        false => Err(Fault::new(path, damaged)),
    }
}

fn unread(path: &Path, error: io::Error, missing: &str) -> Fault {
    match error.kind() {
        ErrorKind::NotFound => Fault::new(PathBuf::from(path), missing),
        _ => Fault::unread(path, error),
    }
}

fn number<const N: usize>(bytes: &mut &[u8]) -> io::Result<[u8; N]> {
    let mut number = [0; N];
    bytes.read_exact(&mut number)?;
    Ok(number)
}
