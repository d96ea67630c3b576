//! What the durable engine costs here: `cargo run --release -p dht-store --example measure [DIR]`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ring::{Range, Space};
use store::{Record, Store, Version};

const SPACE: Space = Space::SHA1;
const VALUE: [u8; 1_024] = [7; 1_024];
const RECORDS: u64 = 1_000_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("store-measure-{}", std::process::id()));
    let before = resident_kib()?;
    let store = Store::open(&dir, SPACE)?;
    println!("resident: {before} KiB before, {} KiB after opening an empty store", resident_kib()?);

    for writers in [1, 16, 64, 256] {
        println!("{writers:>4} writers: {}", puts(&store, writers, Duration::from_secs(4)).await?);
    }
    println!("resident after that: {} KiB", resident_kib()?);
    fill(&store).await?;
    println!("resident with {RECORDS} more records: {} KiB", resident_kib()?);
    read(&store)?;
    drop(store);
    reopen(&dir)?;
    Ok(std::fs::remove_dir_all(&dir)?)
}

/// Durable puts of 1 KiB under new keys, each writer waiting for its answer before the next.
async fn puts(store: &Store, writers: u64, time: Duration) -> Result<String, Box<dyn Error>> {
    let (start, commits) = (Instant::now(), store.commits());
    let tasks = (0..writers).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut waits_us = Vec::new();
            while start.elapsed() < time {
                let (asked, key) = (Instant::now(), format!("{writers:010}-{writer:010}-{:010}", waits_us.len()));
                store.put(Record::new(key, Version { term: 0, clock: 1, store: 1 }, &VALUE[..])).await?;
                waits_us.push(asked.elapsed().as_micros());
            }
            Ok::<_, store::StoreError>(waits_us)
        })
    });
    let mut waits_us = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        waits_us.extend(task.await??);
    }
    let per_second = waits_us.len() as f64 / start.elapsed().as_secs_f64();
    waits_us.sort_unstable();
    let percentile = |percent: usize| waits_us.get(waits_us.len() * percent / 100).copied().unwrap_or(0);
    let per_commit = waits_us.len() as f64 / (store.commits() - commits).max(1) as f64;
    let (p50, p99) = (percentile(50), percentile(99));
    Ok(format!("{per_second:>9.0} puts/s, {per_commit:.1} a commit, p50 {p50} µs, p99 {p99} µs"))
}

async fn fill(store: &Store) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    for first in (0..RECORDS).step_by(1_000) {
        let records = (first..first + 1_000)
            .map(|n| Record::new(format!("{n:036}"), Version { term: 0, clock: 1, store: 1 }, &VALUE[..256]));
        store.put_many(records.collect()).await?;
    }
    println!("{RECORDS} records of 256 bytes in commits of 1,000: {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn read(store: &Store) -> Result<(), Box<dyn Error>> {
    let (start, gets) = (Instant::now(), 100_000);
    for n in 0..gets {
        let number = n * 7_919 % RECORDS;
        assert!(store.get(format!("{number:036}").as_bytes())?.is_some());
    }
    println!("random gets, one thread: {:.0}/s", gets as f64 / start.elapsed().as_secs_f64());
    let (start, mut listed, mut after) = (Instant::now(), 0, None);
    loop {
        let page = store.list(Range::full(SPACE.zero()), after.as_ref(), 1_000)?;
        listed += page.entries.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    println!("listing {listed} keys in pages of 1,000: {:.2} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn reopen(dir: &Path) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let store = Store::open(dir, SPACE)?;
    println!(
        "opening {} records: {:.2} s, resident {} KiB",
        store.stats().keys,
        start.elapsed().as_secs_f64(),
        resident_kib()?
    );
    Ok(())
}

fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
