//! Rot: bytes on the disk that are not those that were written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ring::Space;

use super::*;

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

fn place_key(key: &Bytes) -> Vec<u8> {
    codec::place_key(&Place::of(SPACE.into(), key.clone()))
}

fn is_corrupt<T>(outcome: &Result<T, StoreError>, named: &Bytes) -> bool {
    matches!(outcome, Err(StoreError::Corrupt { key, .. }) if key == named)
}

#[tokio::test]
async fn a_rotten_record_is_told_by_its_key_and_harms_no_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Durable::open(dir.path(), SPACE.into()).expect("opens");
    store.put((0..3).map(record).collect()).await.expect("put");
    let rotten = record(1).key;
    rot(&store.trees().records, &place_key(&rotten));

    assert!(is_corrupt(&store.get(&rotten), &rotten));
    assert_eq!(store.get(&record(2).key), Ok(Some(record(2))));
    // A newer version takes its place.
    store.put(vec![Record { version: Version { term: 0, clock: 9, store: 1 }, ..record(1) }]).await.expect("put");
    assert!(store.get(&rotten).is_ok());
}

#[tokio::test]
async fn a_rotten_head_is_told_by_its_key_and_writes_to_it_change_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Durable::open(dir.path(), SPACE.into()).expect("opens");
    store.put((0..3).map(|number| record(number).expiring(5)).collect()).await.expect("put");
    let rotten = record(1).key;
    rot(&store.trees().heads, &place_key(&rotten));

    let newer = |number| Record { version: Version { term: 0, clock: 9, store: 1 }, ..record(number) };
    let all_or_none = store.put(vec![newer(0), newer(1)]).await;
    assert!(is_corrupt(&all_or_none, &rotten), "{all_or_none:?}");
    assert_eq!(store.get(&record(0).key), Ok(Some(record(0).expiring(5))));
    for span in Span::of(Range::full(SPACE.max()), None) {
        assert!(is_corrupt(&store.scan(&span, &mut |_, _| true), &rotten));
    }
    assert_eq!(store.expire(5, 10).await, Ok(2), "the others expire all the same");
    assert_eq!(store.expire(5, 10).await, Ok(0));
    store.health().expect("it takes writes");
    drop(store);
    let refused = Durable::open(dir.path(), SPACE.into()).err().expect("nothing is lost in silence").to_string();
    assert!(refused.contains("key 1"), "{refused}");
}

#[test]
fn a_rotten_blob_is_told_by_its_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Durable::open(dir.path(), SPACE.into()).expect("opens");
    store.set_meta("ring", b"blob").expect("set");
    rot(&store.trees().meta, b"m/ring");
    assert!(is_corrupt(&store.meta("ring"), &Bytes::from("ring")));
}

/// Bytes of the engine's own files, one flipped at a time.
#[tokio::test]
async fn a_flipped_byte_on_the_disk_is_never_a_wrong_answer_nor_a_panic() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Durable::open(dir.path(), SPACE.into()).expect("opens");
    store.put((0..200).map(record).collect()).await.expect("put");
    store.trees().records.rotate_memtable_and_wait().expect("a table on the disk");
    let tables = store.trees().records.path().join("tables");
    drop(store);
    let table = only_file(&tables);
    let whole = fs::read(&table).expect("read");

    let (mut told, mut refused) = (0, 0);
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut rotten = whole.clone();
        rotten[at] ^= 0x10;
        fs::write(&table, &rotten).expect("written");
        let Ok(store) = Durable::open(dir.path(), SPACE.into()) else {
            refused += 1;
            continue;
        };
        for number in 0..200 {
            let key = record(number).key;
            let got = store.get(&key);
            match is_corrupt(&got, &key) {
                true => told += 1,
                false => assert_eq!(got, Ok(Some(record(number))), "byte {at}"),
            }
        }
    }
    assert!(told > 0, "{refused} refused, none told");
    fs::write(&table, &whole).expect("written");
    assert_eq!(Durable::open(dir.path(), SPACE.into()).expect("whole again").stats().keys, 200);
}

/// As if the process had not come to closing it.
fn crashed(dir: &Path) {
    fs::remove_file(dir.join("CLOSED")).expect("it was closed");
}

/// A directory with a put of its own for each of the first records, and its journal without the zeros at the end.
async fn with_journal(records: u64) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Durable::open(dir.path(), SPACE.into()).expect("opens");
    for number in 0..records {
        store.put(vec![record(number)]).await.expect("put");
    }
    drop(store);
    crashed(dir.path());
    let journal = dir.path().join("engine/0.jnl");
    let whole = fs::read(&journal).expect("read");
    let used = whole.iter().rposition(|byte| *byte != 0).expect("something") + 1;
    (dir, journal, whole[..used].to_vec())
}

#[tokio::test]
async fn a_flipped_byte_in_the_journal_loses_nothing_in_silence() {
    let (dir, journal, whole) = with_journal(20).await;
    let mut refused = 0;
    for at in (0..whole.len()).step_by(19) {
        let mut rotten = whole.clone();
        rotten[at] ^= 0x10;
        fs::write(&journal, &rotten).expect("written");
        match Durable::open(dir.path(), SPACE.into()) {
            Err(error) => {
                refused += 1;
                assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
                assert_eq!(fs::read(&journal).expect("read"), rotten, "and nothing is cut off");
            }
            // Sequence numbers may be off and still rise. The very last end is told from a torn one by nothing.
            Ok(store) => {
                let kept = if at + 13 < whole.len() { 20 } else { 19 };
                (0..kept).for_each(|number| {
                    assert_eq!(store.get(&record(number).key), Ok(Some(record(number))), "byte {at}")
                });
                drop(store);
                crashed(dir.path());
            }
        }
    }
    assert!(refused > whole.len() / 19 * 9 / 10, "{refused} refused");
}

#[tokio::test]
async fn a_torn_end_of_the_journal_is_cut_off_and_nothing_else_is() {
    let (dir, journal, whole) = with_journal(6).await;
    let ends: Vec<usize> = (4..=whole.len()).filter(|end| whole[..*end].ends_with(b"FJL\x03")).collect();
    for cut in (1..whole.len()).step_by(23) {
        for zeros in [0, 5_000] {
            let torn = [&whole[..cut], &vec![0; zeros]].concat();
            fs::write(&journal, torn).expect("written");
            let store = Durable::open(dir.path(), SPACE.into()).expect("a crash is no damage");
            // The first batch is the store's number.
            let finished = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1) as u64;
            assert_eq!(store.stats().keys, finished, "cut at {cut}");
            (0..finished).for_each(|number| assert_eq!(store.get(&record(number).key), Ok(Some(record(number)))));
            drop(store);
            crashed(dir.path());
        }
    }
}

/// What is gone while nobody has the store open is not made anew in silence.
#[tokio::test]
async fn a_store_that_lacks_a_file_or_a_record_is_refused_and_left_as_it_is() {
    let (dir, journal, _) = with_journal(20).await;
    let whole = fs::read(&journal).expect("read");
    let store = Durable::open(dir.path(), SPACE.into()).expect("opens");
    store.trees().heads.rotate_memtable_and_wait().expect("a table on the disk");
    let tables = store.trees().heads.path().join("tables");
    drop(store);
    let refused = |what: &str| {
        let before = files(dir.path());
        let error = Durable::open(dir.path(), SPACE.into()).err().expect("it lacks something").to_string();
        assert!(error.contains(what) && error.contains("move it away"), "{what}: {error}");
        assert_eq!(files(dir.path()), before, "{what}");
    };
    let engine = dir.path().join("engine");
    for (gone, named) in [
        (journal.clone(), "has no journal"),
        (engine.join("version"), "engine/version"),
        (engine.join("keyspaces/0"), "keyspaces/0"),
        (engine.join("keyspaces/1"), "keyspaces/1"),
        (engine.join("keyspaces/2/current"), "keyspaces/2/current"),
        (only_file(&tables), "keyspaces/2/tables"),
    ] {
        let aside = dir.path().join("aside");
        fs::rename(&gone, &aside).expect("taken away");
        refused(named);
        fs::rename(&aside, &gone).expect("put back");
    }
    // After a crash, too, when nothing says what was there.
    crashed_copy_is_refused(dir.path(), &journal);
    // The last put, though what is left looks like a journal that ends there.
    let ends: Vec<usize> = (4..=whole.len()).filter(|end| whole[..*end].ends_with(b"FJL\x03")).collect();
    let closed = fs::read(&journal).expect("read");
    fs::write(&journal, &closed[..ends[ends.len() - 2]]).expect("cut");
    refused("when the store was closed");
    fs::write(&journal, &closed).expect("whole");
    assert_eq!(Durable::open(dir.path(), SPACE.into()).expect("whole again").stats().keys, 20);
}

fn crashed_copy_is_refused(dir: &Path, journal: &Path) {
    let (note, aside) = (fs::read(dir.join("CLOSED")).expect("read"), dir.join("aside"));
    crashed(dir);
    fs::rename(journal, &aside).expect("taken away");
    let error = Durable::open(dir, SPACE.into()).err().expect("it lacks its journal").to_string();
    assert!(error.contains("has no journal"), "{error}");
    fs::rename(&aside, journal).expect("put back");
    fs::write(dir.join("CLOSED"), note).expect("written");
}

#[tokio::test]
async fn a_store_whose_making_was_killed_is_made_again() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(Durable::open(dir.path(), SPACE.into()).expect("opens"));
    crashed(dir.path());
    fs::remove_dir_all(dir.path().join("engine")).expect("removed");
    fs::create_dir(dir.path().join("engine")).expect("made");
    fs::write(dir.path().join("engine/0.jnl"), [0; 5_000]).expect("written");
    let store = Durable::open(dir.path(), SPACE.into()).expect("nothing was ever in it");
    store.put(vec![record(1)]).await.expect("put");
}

/// Every file below a directory, and what is in it.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).expect("read"))),
        }
    }
    found
}

fn only_file(dir: &Path) -> PathBuf {
    let mut files = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let file = files.next().expect("a table");
    assert!(files.next().is_none(), "one table");
    file
}
