//! What is acknowledged has been waited for: a store that is written to is seen in fsyncs. A kill does not tell, since what
//! a process has handed to the kernel outlives it.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

use std::fs::{self, File};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use ring::Space;
use store::{Put, Record, Store, Version};

/// The system calls' numbers: fsync and fdatasync.
const FSYNCS: [&str; 2] = if cfg!(target_arch = "x86_64") { ["74", "75"] } else { ["82", "83"] };
/// Looks at bare fsyncs, and how many of them have to catch one for this machine to be able to tell.
const LOOKS: u64 = 2_000;
const CAUGHT_MIN: u64 = 20;
/// Looks at puts, and puts, without an fsync caught among them: so many times the looks that it takes are no bad luck, however busy
/// the machine is, since it is counted in what was done and not in time.
const LOOKS_AT_PUTS: u64 = 20 * LOOKS;
const PUTS_MIN: u64 = 2_000;

/// Whether any thread of this process is in an fsync just now; none where the kernel does not tell.
fn is_in_fsync() -> Option<bool> {
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let calls: Vec<String> =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("syscall")).ok()).collect();
    let in_fsync = |call: &String| call.split(' ').next().is_some_and(|number| FSYNCS.contains(&number));
    (!calls.is_empty()).then(|| calls.iter().any(in_fsync))
}

/// Looks for a thread in an fsync while `work` is done over and over, until `enough` of the looks, those that caught one and the
/// works done: how many caught one. None where the kernel does not tell.
fn caught(work: impl Fn() + Sync, enough: impl Fn(u64, u64, u64) -> bool) -> Option<u64> {
    let (over, works) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                work();
                works.fetch_add(1, Ordering::Relaxed);
            }
        });
        let (mut looks, mut caught) = (0, Some(0));
        while let Some(before) = caught
            && !enough(looks, before, works.load(Ordering::Relaxed))
            && !working.is_finished()
        {
            caught = is_in_fsync().map(|is| before + u64::from(is));
            looks += 1;
        }
        over.store(true, Ordering::Relaxed);
        caught
    })
}

#[test]
fn an_acknowledged_put_was_waited_for() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let file = File::create(dir.path().join("file")).expect("made");
    let one_fsync = || {
        (&file).write_all(b"x").expect("written");
        file.sync_data().expect("on the disk");
    };
    if caught(one_fsync, |looks, caught, _| looks >= LOOKS || caught >= CAUGHT_MIN)
        .is_none_or(|caught| caught < CAUGHT_MIN)
    {
        eprintln!("skipped: here an fsync takes no time, or the kernel does not tell");
        return;
    }
    let store = Store::open(&dir.path().join("store"), Space::SHA1).expect("opens");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let clock = AtomicU64::new(0);
    let one_put = || {
        let version = Version { term: 0, clock: clock.fetch_add(1, Ordering::Relaxed), store: 1 };
        let put = runtime.block_on(store.put(Record::new("key", version, "value")));
        assert_eq!(put, Ok(Put::Stored { durable: true }));
    };
    let enough = |looks, caught, puts| caught > 0 || (looks >= LOOKS_AT_PUTS && puts >= PUTS_MIN);
    assert_ne!(caught(one_put, enough), Some(0), "nobody waits for the disk");
}
