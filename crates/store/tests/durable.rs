//! The durable engine: what it keeps, how it shares fsyncs, and whom it refuses.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ring::{Range, Space};
use store::{OpenError, Put, Record, Stats, Store, StoreError, Version};

const SPACE: Space = Space::SHA1;

fn version(clock: u64) -> Version {
    Version { term: 0, clock, store: 1 }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, SPACE).expect("the store opens")
}

#[tokio::test]
async fn what_was_put_is_there_after_a_reopen() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let number = store.number();
    store.set_meta("ring", b"one").expect("set");
    store.set_meta("ring", b"two").expect("set");
    let records = [
        Record::new("plain", version(1), vec![7; 100_000]),
        Record::new("empty", version(2), ""),
        Record::new("short-lived", version(3), "v").expiring(1_000),
        Record::tombstone("gone", version(4)),
    ];
    for record in &records {
        assert_eq!(store.put(record.clone()).await, Ok(Put::Stored { durable: true }));
    }
    let stats = store.stats();
    assert_eq!(stats, Stats { keys: 3, bytes: 5 + 100_000 + 5 + 11 + 1, tombstones: 1 });
    drop(store);

    let store = open(dir.path());
    assert_eq!(store.number(), number);
    assert_eq!(store.meta("ring"), Ok(Some(b"two".to_vec())));
    assert_eq!(store.meta("peers"), Ok(None));
    for record in &records {
        assert_eq!(store.get(&record.key), Ok(Some(record.clone())));
    }
    assert_eq!(store.stats(), stats);
    assert_eq!(store.expire(999, 10).await, Ok(0));
    assert_eq!(store.expire(1_000, 10).await, Ok(1), "the index by expiry came back too");
    assert_eq!(store.get(b"short-lived"), Ok(Some(Record::tombstone("short-lived", version(3)))));
}

#[tokio::test]
async fn an_expired_record_stays_out_when_a_copy_of_it_comes_back() {
    for store in [Store::memory(SPACE), open(tempfile::tempdir().expect("a directory").path())] {
        let record = Record::new("k", version(5), "v").expiring(100);
        store.put(record.clone()).await.expect("put");
        assert_eq!(store.expire(100, 1).await, Ok(1));
        let again = store.put(record).await.expect("put");
        assert_eq!(again, Put::Stored { durable: store.is_durable() });
        assert_eq!(store.get(b"k"), Ok(Some(Record::tombstone("k", version(5)))));
        store.put(Record::new("k", version(6), "new")).await.expect("put");
        assert_eq!(store.stats().keys, 1, "a later write is a later write");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_puts_of_one_key_the_newest_wins() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in [Store::memory(SPACE), open(dir.path())] {
        let newest = 300;
        let puts: Vec<_> = (1..=newest)
            .map(|clock| {
                // Not in order: 211 and 301 have no common divisor, so every clock comes once.
                let clock = clock * 211 % 301;
                let store = store.clone();
                tokio::spawn(
                    async move { (clock, store.put(Record::new("k", version(clock), clock.to_string())).await) },
                )
            })
            .collect();
        for put in puts {
            let (clock, outcome) = put.await.expect("no panic");
            match outcome.expect("no error") {
                Put::Stored { .. } => {}
                Put::Superseded(by) => assert!(by > version(clock), "{clock} gave way to {by}"),
            }
        }
        assert_eq!(store.get(b"k"), Ok(Some(Record::new("k", version(newest), newest.to_string()))));
        assert_eq!(store.stats().keys, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_concurrent_puts_share_their_fsyncs() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let puts: Vec<_> = (0..1_000u64)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(
                async move { store.put(Record::new(format!("key {number}"), version(1), vec![1; 1_024])).await },
            )
        })
        .collect();
    for put in puts {
        assert_eq!(put.await.expect("no panic"), Ok(Put::Stored { durable: true }));
    }
    let commits = store.commits();
    assert!((1..500).contains(&commits), "{commits} commits for 1,000 puts");
    assert_eq!(store.stats().keys, 1_000);
}

#[tokio::test]
async fn what_changes_nothing_costs_no_commit() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    store.put(Record::new("k", version(2), "v")).await.expect("put");
    let commits = store.commits();
    assert_eq!(store.put(Record::new("k", version(2), "v")).await, Ok(Put::Stored { durable: true }));
    assert_eq!(store.put(Record::new("k", version(1), "old")).await, Ok(Put::Superseded(version(2))));
    assert_eq!(store.erase(vec![(Bytes::from("k"), version(1)), (Bytes::from("none"), version(9))]).await, Ok(0));
    assert_eq!(store.expire(u64::MAX, 100).await, Ok(0));
    store.flush().await.expect("flushed");
    assert_eq!(store.commits(), commits);
}

#[tokio::test]
async fn a_write_larger_than_the_queue_goes_through_and_one_that_nothing_takes_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    for store in [Store::memory(SPACE), open(dir.path())] {
        let large = Record::new("large", version(1), vec![9; 40 << 20]);
        store.put(large.clone()).await.expect("put");
        assert_eq!(store.get(b"large"), Ok(Some(large)));
        let refused = store.put(Record::new(vec![1; Store::KEY_BYTES_MAX + 1], version(1), "v")).await;
        assert!(matches!(refused, Err(StoreError::KeyTooLong { .. })), "{refused:?}");
        store
            .put(Record::new(vec![1; Store::KEY_BYTES_MAX], version(1), "v").expiring(7))
            .await
            .expect("the limit itself passes");
        assert_eq!(store.expire(7, 1).await, Ok(1));
    }
}

#[tokio::test]
async fn fetch_stops_at_its_limit_but_never_before_the_first_record() {
    let store = Store::memory(SPACE);
    let keys: Vec<Bytes> = ["a", "none", "b", "c"].map(Bytes::from).to_vec();
    for key in ["a", "b", "c"] {
        store.put(Record::new(key, version(1), vec![0; 99])).await.expect("put");
    }
    let fetched = |from: usize, max_bytes| {
        let (records, dealt_with) = store.fetch(&keys[from..], max_bytes).expect("fetched");
        let keys: Vec<_> = records.into_iter().map(|record| record.key).collect();
        (keys, dealt_with)
    };
    assert_eq!(fetched(0, 1), (vec![Bytes::from("a")], 2));
    assert_eq!(fetched(0, 200), (vec![Bytes::from("a"), Bytes::from("b")], 3));
    assert_eq!(fetched(2, usize::MAX), (vec![Bytes::from("b"), Bytes::from("c")], 2));
    assert_eq!(fetched(4, 10), (vec![], 0));
}

#[tokio::test]
async fn a_write_whose_caller_went_away_is_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let records = |clock| (0..200).map(|n| Record::new(format!("{n}"), version(clock), vec![0; 500])).collect();
    for clock in 1..20u64 {
        let write = store.put_many(records(clock));
        // Polled once, then dropped: in the queue or not begun, never half.
        let _ = tokio::time::timeout(std::time::Duration::ZERO, write).await;
        store.flush().await.expect("flushed");
        let page = store.list(Range::full(SPACE.zero()), None, 1_000).expect("listed");
        let mut versions: Vec<Version> = page.entries.iter().map(|listed| listed.version).collect();
        versions.dedup();
        assert!(versions.len() <= 1, "{versions:?}");
    }
    assert_eq!(store.stats().keys, 200, "some of them were done");
}

#[test]
fn a_directory_that_is_open_is_refused_until_it_is_closed() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, second) = (open(dir.path()), Arc::new(dir.path().to_owned()));
    let refused = Store::open(&second, SPACE).expect_err("in use");
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains(&second.display().to_string()), "{refused}");
    let clone = store.clone();
    drop(store);
    assert!(Store::open(&second, SPACE).is_err(), "a clone still has it");
    drop(clone);
    open(&second);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").expect("written");
    for path in [file.clone(), file.join("below")] {
        let refused = Store::open(&path, SPACE).expect_err("no directory");
        assert!(matches!(refused, OpenError::Unwritable { .. }), "{refused}");
        assert!(refused.to_string().contains(&path.display().to_string()), "{refused}");
    }
}

#[test]
fn another_format_another_width_and_half_a_store_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(open(dir.path()));
    let refused = |space| Store::open(dir.path(), space).expect_err("refused").to_string();
    let narrow = refused(Space::new(7).expect("a width"));
    assert!(narrow.contains("160 bits") && narrow.contains("uses 7"), "{narrow}");

    let format = dir.path().join("FORMAT");
    let text = fs::read_to_string(&format).expect("a header");
    fs::write(&format, text.replace("format 2", "format 3")).expect("written");
    let future = refused(SPACE);
    assert!(future.contains("format 3") && future.contains("format 2"), "{future}");
    for garbled in
        ["", "dht-store", "something\nformat 2\nid-bits 160\n", "dht-store\nformat x\n", "dht-store\nformat 2\n"]
    {
        fs::write(&format, garbled).expect("written");
        assert!(refused(SPACE).contains("FORMAT"), "{garbled:?}");
    }
    fs::remove_file(&format).expect("removed");
    assert!(refused(SPACE).contains("damaged"));

    fs::write(&format, text).expect("written");
    open(dir.path());
}

#[test]
fn a_store_whose_records_were_deleted_is_another_store() {
    let dir = tempfile::tempdir().expect("a directory");
    let number = open(dir.path()).number();
    assert_eq!(open(dir.path()).number(), number);
    fs::remove_dir_all(dir.path().join("engine")).expect("removed");
    assert_ne!(open(dir.path()).number(), number);
}
