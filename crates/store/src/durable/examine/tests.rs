//! Stores that lack something or hold what was not written: all of it is told, and nothing is touched.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use ring::{Places, Space};
use xxhash_rust::xxh3::xxh3_64;

use super::Examined;
use crate::durable::{Durable, codec};
use crate::engine::Engine;
use crate::place::Place;
use crate::{OpenError, Record, Version};

const SPACE: Space = Space::SHA1;

fn record(number: u64) -> Record {
    Record::new(format!("key {number}"), Version { term: 0, clock: number, store: 1 }, number.to_string().repeat(50))
}

/// Flips a bit in a stored value.
fn rot(tree: &fjall::Keyspace, key: &[u8]) {
    let mut bytes = tree.get(key).expect("read").expect("there").to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    tree.insert(key, bytes).expect("written");
}

/// Every file and directory: when it changed last, and for files what is in it.
fn state(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, Option<(usize, u64)>)> {
    let modified = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).expect("a time");
    let mut found = BTreeMap::from([(dir.to_owned(), (modified(dir), None))]);
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(state(&path));
        } else {
            let bytes = fs::read(&path).expect("read");
            found.insert(path.clone(), (modified(&path), Some((bytes.len(), xxh3_64(&bytes)))));
        }
    }
    found
}

/// Examines the store, which has to leave it as it is.
#[track_caller]
fn examined(dir: &Path) -> Examined {
    let before = state(dir);
    let examined = Examined::of(dir).expect("a store");
    assert_eq!(state(dir), before, "it was touched");
    examined
}

/// What is told of the store names each of these.
#[track_caller]
fn expect_damage(dir: &Path, named: &[&str]) {
    let examined = examined(dir);
    let told = examined.damage.join("\n");
    assert!(examined.damaged > 0 && named.iter().all(|what| told.contains(what)), "{named:?}: {told}");
    let types = ["Error", "Io(", "Os {", "Mismatch"];
    assert!(!types.iter().any(|name| told.contains(name)), "{told}");
}

/// A store with tables of every tree, a journal with a few records more, and records in both.
async fn with_tables() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Durable::open(dir.path(), SPACE.into()).expect("opens");
    store.put((0..50).map(|number| record(number).expiring(9)).collect()).await.expect("put");
    for tree in [&store.trees().records, &store.trees().heads, &store.trees().due, &store.trees().meta] {
        tree.rotate_memtable_and_wait().expect("a table on the disk");
    }
    store.put((50..60).map(record).collect()).await.expect("put");
    drop(store);
    let engine = dir.path().join("engine");
    (dir, engine)
}

fn only_file(dir: &Path) -> PathBuf {
    let mut files = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let file = files.next().expect("a file");
    assert!(files.next().is_none(), "one file");
    file
}

#[tokio::test]
async fn a_sound_store_is_read_from_its_tables_and_its_journal() {
    let (dir, _) = with_tables().await;
    let examined = examined(dir.path());
    assert_eq!((examined.damaged, examined.damage.as_slice()), (0, [].as_slice()));
    assert!(examined.read);
    assert_eq!(examined.records, 60);
    // And so is one that was copied without its lock.
    fs::remove_file(dir.path().join("LOCK")).expect("removed");
    assert_eq!(self::examined(dir.path()).damaged, 0);
}

#[tokio::test]
async fn whatever_is_missing_is_named() {
    let (dir, engine) = with_tables().await;
    let table = only_file(&engine.join("keyspaces/1/tables"));
    let journal = engine.join("0.jnl");
    for gone in [
        engine.clone(),
        engine.join("version"),
        engine.join("keyspaces"),
        engine.join("keyspaces/0"),
        engine.join("keyspaces/3"),
        engine.join("keyspaces/4/current"),
        table,
        dir.path().join("FORMAT"),
        journal.clone(),
    ] {
        let aside = tempfile::tempdir_in(dir.path().parent().expect("a parent")).expect("a directory");
        let aside = aside.path().join("aside");
        fs::rename(&gone, &aside).expect("taken away");
        let name = gone.display().to_string();
        match gone.ends_with("FORMAT") {
            true => {
                let before = state(dir.path());
                let refused = Examined::of(dir.path()).expect_err("no header").to_string();
                assert!(refused.contains("FORMAT is missing"), "{refused}");
                assert_eq!(state(dir.path()), before);
            }
            false if gone == journal => expect_damage(dir.path(), &["engine` has no journal"]),
            false if gone.ends_with("keyspaces") => expect_damage(dir.path(), &["keyspaces/0` is missing"]),
            false => expect_damage(dir.path(), &[&name, "is missing"]),
        }
        fs::rename(&aside, &gone).expect("put back");
    }
    assert_eq!(examined(dir.path()).damaged, 0, "whole again");
}

#[tokio::test]
async fn a_file_that_is_not_as_it_was_written_is_named() {
    let (dir, engine) = with_tables().await;
    let tables = ["0", "1", "2", "3", "4"].map(|tree| engine.join("keyspaces").join(tree));
    let mut files: Vec<PathBuf> = tables.iter().map(|tree| tree.join("current")).collect();
    for tree in &tables {
        files.extend(fs::read_dir(tree.join("tables")).expect("a directory").map(|entry| entry.expect("one").path()));
    }
    files.push(engine.join("0.jnl"));
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let whole = fs::read(&file).expect("read");
        let mut rotten = whole.clone();
        // In the journal that is the first batch, behind which there are others.
        let at = if file.ends_with("0.jnl") { 40 } else { rotten.len() / 2 };
        rotten[at] ^= 0x10;
        fs::write(&file, &rotten).expect("written");
        expect_damage(dir.path(), &[&format!("`{}`", file.display())]);
        fs::write(&file, &whole).expect("written");
    }
    assert_eq!(examined(dir.path()).damaged, 0, "whole again");
}

#[tokio::test]
async fn a_record_that_was_there_when_the_store_was_closed_is_missed() {
    let (dir, engine) = with_tables().await;
    let journal = engine.join("0.jnl");
    let whole = fs::read(&journal).expect("read");
    let ends: Vec<usize> = (4..=whole.len()).filter(|end| whole[..*end].ends_with(b"FJL\x03")).collect();
    // Cut between two batches: what is left is sound in itself. Torn, it looks like the end of a process that was killed.
    for cut in [ends[ends.len() - 2], ends[ends.len() - 1] - 9] {
        fs::write(&journal, &whole[..cut]).expect("cut");
        expect_damage(dir.path(), &["0.jnl` has writes up to byte", "when the store was closed"]);
    }
    fs::remove_file(dir.path().join("CLOSED")).expect("removed");
    assert_eq!(examined(dir.path()).damaged, 0, "a write that was torn by a crash is no damage");
    fs::write(dir.path().join("CLOSED"), "dht-store clo").expect("written");
    expect_damage(dir.path(), &["CLOSED"]);
}

#[tokio::test]
async fn an_examination_finds_what_is_there_and_whatever_is_rotten() {
    let dir = tempfile::tempdir().expect("a directory");
    let places = Places::grouped(SPACE, 3).expect("three groups");
    let place_key = |key: &Bytes| codec::place_key(&Place::of(places, key.clone()));
    let store = Durable::open(dir.path(), places).expect("opens");
    store.put((0..20).map(record).chain([record(30).expiring(7)]).collect()).await.expect("put");
    store.put(vec![Record::tombstone(record(31).key, Version { term: 0, clock: 1, store: 1 })]).await.expect("put");
    store.set_meta("ring", b"blob").expect("set");
    assert!(matches!(Examined::of(dir.path()), Err(OpenError::Locked { .. })));
    let number = store.number;
    drop(store);

    let examined = self::examined(dir.path());
    assert_eq!((examined.damaged, examined.damage.as_slice()), (0, [].as_slice()));
    assert_eq!((examined.records, examined.tombstones, examined.number), (21, 1, Some(number)));
    assert_eq!((examined.format, examined.id_bits, examined.groups), (2, 160, 3));

    // A value, a head, a head that is missing, a time to live that nobody watches, and a blob.
    let store = Durable::open(dir.path(), places).expect("opens");
    let trees = store.trees();
    rot(&trees.records, &place_key(&record(2).key));
    rot(&trees.heads, &place_key(&record(4).key));
    trees.heads.remove(place_key(&record(6).key)).expect("removed");
    let due = trees.due(0, u64::MAX, 9).expect("read");
    trees.due.remove(codec::due_key(due[0].0, &due[0].1)).expect("removed");
    rot(&trees.meta, b"m/ring");
    drop(store);
    let examined = self::examined(dir.path());
    assert_eq!(examined.damaged, 5, "{:#?}", examined.damage);
    for key in ["key 2", "key 4", "key 6", "key 30", "ring"] {
        assert!(examined.damage.iter().any(|what| what.contains(&format!("`{key}`"))), "{key}: {:#?}", examined.damage);
    }
    let nowhere = dir.path().join("nowhere");
    assert!(matches!(Examined::of(&nowhere), Err(OpenError::Absent { .. })) && !nowhere.exists());
}
