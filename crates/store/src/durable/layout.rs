//! What has to be in an engine's directory, looked at before fjall opens it.
//!
//! fjall makes anew what it does not find, and deletes what it cannot place: without a journal it begins an empty one, a
//! tree without its file `current` it removes. A store that lost something that way would count as one that has
//! it, so whatever is missing is told here first. Nothing is written.
//!
//! `version` marks an engine that was made whole, `N.jnl` are its journals, the highest being written to, and `keyspaces/N`
//! its trees: 0 says which there are, the others are ours. The journals' numbers have no gaps, since the oldest goes first.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::fault::Fault;
use super::journal::Journal;
use super::tables;

/// Trees of ours: records, heads, due and meta.
const TREES: usize = 4;

/// How closely the tables are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Depth {
    /// Whether they are there.
    Names,
    /// Every byte of them.
    Bytes,
}

/// Whatever is missing or damaged outside the journals' batches, of an engine that was made whole.
pub(super) fn faults(engine: &Path, journals: &[Journal], depth: Depth) -> Vec<Fault> {
    if !engine.exists() {
        return vec![Fault::new(engine, "is missing: all records were in it")];
    }
    let trees = match trees(engine) {
        Ok(trees) => trees,
        Err(fault) => return vec![fault],
    };
    let mut faults = Vec::new();
    let marker = engine.join("version");
    if !marker.exists() {
        faults.push(Fault::new(marker, "is missing: without it the engine takes its other files for none"));
    }
    faults.extend(missing_journals(engine, journals));
    faults.extend(missing_trees(engine, &trees));
    for tree in trees {
        faults.extend(tables::faults(&engine.join("keyspaces").join(tree.to_string()), depth));
    }
    faults
}

/// Whether anything was ever written to it. Making an engine takes several steps, and the first write comes after all of
/// them: before it, whatever is missing was not made yet. The first journal is made before `version`, so one without the
/// other has lost it.
pub(super) fn is_written_to(engine: &Path, journals: &[Journal]) -> Result<bool, Fault> {
    if journals.is_empty() && engine.join("version").exists() {
        return Ok(true);
    }
    let trees = trees(engine)?;
    let has_tables = |tree: &u64| {
        let tables = engine.join("keyspaces").join(tree.to_string()).join("tables");
        fs::read_dir(tables).is_ok_and(|mut tables| tables.next().is_some())
    };
    // Tree 0 has one as soon as there is another tree.
    Ok(journals.iter().any(|journal| journal.end > 0) || trees.iter().filter(|tree| **tree > 0).any(has_tables))
}

fn missing_journals(engine: &Path, journals: &[Journal]) -> Vec<Fault> {
    if journals.is_empty() {
        return vec![Fault::new(engine, "has no journal (a file `N.jnl`): the last writes were in it")];
    }
    let missing = journals.windows(2).flat_map(|pair| pair[0].id + 1..pair[1].id);
    let gap = |id| Fault::new(engine.join(format!("{id}.jnl")), "is missing: there are journals before and after it");
    missing.map(gap).collect()
}

fn missing_trees(engine: &Path, trees: &[u64]) -> Vec<Fault> {
    let keyspaces = engine.join("keyspaces");
    let ours = trees.iter().filter(|tree| **tree > 0).count();
    let highest = trees.last().copied().unwrap_or(0).max(TREES as u64);
    let missing = (0..=highest).filter(|tree| !trees.contains(tree)).filter(|tree| *tree == 0 || ours < TREES);
    missing
        .map(|tree| Fault::new(keyspaces.join(tree.to_string()), "is missing: a tree of the engine was in it"))
        .collect()
}

/// Their numbers, in order. None is not an error: the engine may not have got so far.
fn trees(engine: &Path) -> Result<Vec<u64>, Fault> {
    let keyspaces = engine.join("keyspaces");
    let unread = |error| Fault::unread(&keyspaces, error);
    let entries = match fs::read_dir(&keyspaces) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unread(error)),
    };
    let mut trees = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unread)?;
        if !entry.file_type().map_err(unread)?.is_dir() {
            continue;
        }
        match entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            Some(tree) => trees.push(tree),
            None => return Err(Fault::new(entry.path(), "is none of the engine's directories: move it elsewhere")),
        }
    }
    trees.sort_unstable();
    Ok(trees)
}
