//! A process that is killed, and a disk that stops taking writes: what was acknowledged stays.
//!
//! The victims are this test binary again: [`victim`] does nothing unless it is told to by the environment.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use ring::Space;
use store::{Put, Record, Store, StoreError, Version};

const SPACE: Space = Space::SHA1;
const DIR: &str = "STORE_VICTIM_DIR";
const ROLE: &str = "STORE_VICTIM_ROLE";

fn record(number: u64) -> Record {
    let value = number.to_be_bytes().repeat(1 + number as usize % 200);
    Record::new(format!("key {number}"), Version { term: 0, clock: number, store: 1 }, value)
}

/// The command that runs [`victim`], through a shell that may first limit it.
fn victim_command(dir: &Path, role: &str, limits: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limits} exec \"$0\" victim --exact --nocapture --include-ignored")])
        .arg(env::current_exe().expect("this binary"))
        .env(DIR, dir)
        .env(ROLE, role);
    command
}

#[test]
#[ignore = "the other side of the tests below"]
fn victim() {
    let (Ok(dir), Ok(role)) = (env::var(DIR), env::var(ROLE)) else {
        return;
    };
    let store = Store::open(Path::new(&dir), SPACE).expect("opens");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    match role.as_str() {
        "writer" => runtime.block_on(write_for_ever(store)),
        "filler" => runtime.block_on(fill(store)),
        other => panic!("{other}?"),
    }
}

/// Many writers, each telling what was acknowledged, until somebody kills them.
async fn write_for_ever(store: Store) {
    let writers = (0..16u64).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in (writer..).step_by(16) {
                assert_eq!(store.put(record(number)).await, Ok(Put::Stored { durable: true }));
                let mut out = std::io::stdout().lock();
                writeln!(out, "acknowledged {number}").expect("the parent listens");
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic");
    }
}

/// Writes until the disk takes no more, then tells how the store bears it.
async fn fill(store: Store) {
    for number in 0u64.. {
        match store.put(record(number)).await {
            Ok(_) => println!("acknowledged {number}"),
            Err(error) => {
                assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
                assert_eq!(store.put(record(number + 1)).await, Err(error.clone()), "and stays so");
                assert_eq!(store.set_meta("name", b"blob"), Err(error.clone()));
                assert_eq!(store.health(), Err(error));
                assert_eq!(store.get(&record(0).key), Ok(Some(record(0))), "reads go on");
                assert_eq!(store.get(&record(number).key), Ok(None), "and show nothing that was not acknowledged");
                println!("failed {number}");
                return;
            }
        }
    }
}

fn numbers(line: &str, word: &str) -> Option<u64> {
    line.strip_prefix(word)?.trim().parse().ok()
}

#[test]
fn a_killed_process_leaves_every_put_that_it_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut acknowledged = Vec::new();
    for round in 1..=3 {
        let mut victim = victim_command(dir.path(), "writer", "").stdout(Stdio::piped()).spawn().expect("started");
        let lines = BufReader::new(victim.stdout.take().expect("piped")).lines();
        let mut heard = 0;
        for line in lines.map_while(Result::ok) {
            let Some(number) = numbers(&line, "acknowledged ") else {
                continue;
            };
            acknowledged.push(number);
            heard += 1;
            if heard == 1_000 * round {
                victim.kill().expect("killed");
            }
        }
        victim.wait().expect("gone");
        assert!(heard >= 1_000 * round, "killed while writing, not before: {heard}");

        let store = Store::open(dir.path(), SPACE).expect("opens after a kill");
        for number in &acknowledged {
            assert_eq!(store.get(&record(*number).key), Ok(Some(record(*number))), "round {round}");
        }
    }
}

#[tokio::test]
async fn a_copy_of_the_directory_taken_while_it_is_open_has_every_acknowledged_put() {
    let (dir, copy) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = Store::open(dir.path(), SPACE).expect("opens");
    for number in 0..100 {
        store.put(record(number)).await.expect("put");
    }
    copy_tree(dir.path(), copy.path());
    store.put(record(100)).await.expect("put");

    let restored = Store::open(copy.path(), SPACE).expect("the copy opens");
    assert_eq!(restored.number(), store.number());
    assert_eq!(restored.stats().keys, 100);
    for number in 0..100 {
        assert_eq!(restored.get(&record(number).key), Ok(Some(record(number))));
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("read") {
        let entry = entry.expect("an entry");
        match entry.file_type().expect("a type").is_dir() {
            true => copy_tree(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).expect("copied")),
        }
    }
}

/// A limit on the size of files stands in for a full disk: the journal cannot grow.
#[test]
fn a_store_that_cannot_write_says_so_and_has_what_it_acknowledged() {
    let dir = tempfile::tempdir().expect("a directory");
    // Made without the limit, which the journal's first size is beyond, and closed, which cuts it.
    drop(Store::open(dir.path(), SPACE).expect("opens"));
    drop(Store::open(dir.path(), SPACE).expect("opens"));

    let limits = "trap '' XFSZ; ulimit -f 512;";
    let output = victim_command(dir.path(), "filler", limits).output().expect("ran");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let failed = said.lines().find_map(|line| numbers(line, "failed ")).expect("it failed in the end");

    let store = Store::open(dir.path(), SPACE).expect("opens once there is room");
    assert_eq!(said.lines().filter(|line| line.starts_with("acknowledged ")).count() as u64, failed);
    for number in 0..failed {
        assert_eq!(store.get(&record(number).key), Ok(Some(record(number))));
    }
}
