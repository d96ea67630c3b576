//! Rot: bytes on the disk that are not those that were written.

use std::fs;
use std::path::{Path, PathBuf};

use ring::Space;

use super::*;

const SPACE: Space = Space::SHA1;

fn record(number: u64) -> Record {
    Record::new(format!("key {number}"), Version { clock: number, store: 1 }, number.to_string().repeat(50))
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
    store.put(vec![Record { version: Version { clock: 9, store: 1 }, ..record(1) }]).await.expect("put");
    assert!(store.get(&rotten).is_ok());
}

#[tokio::test]
async fn a_rotten_head_is_told_by_its_key_and_writes_to_it_change_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Durable::open(dir.path(), SPACE.into()).expect("opens");
    store.put((0..3).map(|number| record(number).expiring(5)).collect()).await.expect("put");
    let rotten = record(1).key;
    rot(&store.trees().heads, &place_key(&rotten));

    let newer = |number| Record { version: Version { clock: 9, store: 1 }, ..record(number) };
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

/// A directory with a put of its own for each of the first records, and its journal without the zeros at the end.
async fn with_journal(records: u64) -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Durable::open(dir.path(), SPACE.into()).expect("opens");
    for number in 0..records {
        store.put(vec![record(number)]).await.expect("put");
    }
    drop(store);
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
        }
    }
}

fn only_file(dir: &Path) -> PathBuf {
    let mut files = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let file = files.next().expect("a table");
    assert!(files.next().is_none(), "one table");
    file
}

#[tokio::test]
async fn an_examination_finds_what_is_there_and_whatever_is_rotten() {
    let dir = tempfile::tempdir().expect("a directory");
    let places = Places::grouped(SPACE, 3).expect("three groups");
    let place_key = |key: &Bytes| codec::place_key(&Place::of(places, key.clone()));
    let store = Durable::open(dir.path(), places).expect("opens");
    store.put((0..20).map(record).chain([record(30).expiring(7)]).collect()).await.expect("put");
    store.put(vec![Record::tombstone(record(31).key, Version { clock: 1, store: 1 })]).await.expect("put");
    store.set_meta("ring", b"blob").expect("set");
    assert!(matches!(Examined::of(dir.path()), Err(OpenError::Locked { .. })));
    let number = store.number;
    drop(store);

    let examined = Examined::of(dir.path()).expect("a store");
    assert_eq!((examined.damaged, examined.damage.as_slice()), (0, [].as_slice()));
    assert_eq!((examined.records, examined.tombstones, examined.number), (21, 1, Some(number)));
    assert_eq!((examined.format, examined.id_bits, examined.groups), (1, 160, 3));

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
    let examined = Examined::of(dir.path()).expect("a store");
    assert_eq!(examined.damaged, 5, "{:#?}", examined.damage);
    for key in ["key 2", "key 4", "key 6", "key 30", "ring"] {
        assert!(examined.damage.iter().any(|what| what.contains(&format!("`{key}`"))), "{key}: {:#?}", examined.damage);
    }
    let nowhere = dir.path().join("nowhere");
    assert!(matches!(Examined::of(&nowhere), Err(OpenError::Absent { .. })) && !nowhere.exists());
}
