//! Records that their owners would not take back: they may have been deleted while this store was away for longer than
//! deletions are remembered. They are set aside, where nothing reads them but people.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use overlay::Peer;
use parking_lot::Mutex;
use serde::de::IgnoredAny;
use store::{Record, Store, StoreError, Version};

use crate::shared::Shared;
use crate::time::wall_ms;

/// In the data directory: one JSON object a line.
const FILE: &str = "quarantine.jsonl";

/// Lines are added by one hand at a time.
static ADDING: Mutex<()> = Mutex::new(());

/// Counts what was set aside in former lives.
pub(crate) async fn recall(shared: &Shared) {
    let Some(dir) = shared.config.data_dir.clone() else { return };
    let file = dir.join(FILE);
    let counted = tokio::task::spawn_blocking(move || count(&dir)).await;
    match counted.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(count) => drop(shared.counters.quarantined.fetch_add(count, Ordering::Relaxed)),
        Err(error) => tracing::warn!(%error, file = %file.display(), "records that were set aside cannot be counted"),
    }
}

/// Records in the file. A line that was torn by a crash is none: what it was to hold is still in the store.
fn count(dir: &Path) -> io::Result<u64> {
    let file = match File::open(dir.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut records = 0;
    for line in BufReader::new(file).split(b'\n') {
        records += u64::from(serde_json::from_slice::<IgnoredAny>(&line?).is_ok());
    }
    Ok(records)
}

/// Sets aside those of `records` that `by` has refused, and erases them here.
pub(crate) async fn set_aside(
    shared: &Shared,
    by: &Peer,
    records: &[Record],
    refused: &[u32],
) -> Result<u64, StoreError> {
    let refused: Vec<Record> = refused.iter().filter_map(|index| records.get(*index as usize).cloned()).collect();
    if refused.is_empty() {
        return Ok(0);
    }
    let count = refused.len() as u64;
    let dir = shared.config.data_dir.as_deref();
    let erased = move_out(&shared.store, dir, by, refused).await?;
    match dir {
        Some(dir) => tracing::warn!(
            count,
            by = %by.addr,
            file = %dir.join(FILE).display(),
            "records that may have been deleted while this store was away were refused by their owner and set aside"
        ),
        None => tracing::warn!(
            count,
            by = %by.addr,
            "records that may have been deleted while this store was away were refused by their owner and dropped"
        ),
    }
    shared.counters.quarantined.fetch_add(count, Ordering::Relaxed);
    Ok(erased)
}

/// Erases the records once they are on the disk in the file, if there is a directory for one; how many were still there.
async fn move_out(store: &Store, dir: Option<&Path>, by: &Peer, records: Vec<Record>) -> Result<u64, StoreError> {
    // What can't be erased would be set aside again and again.
    store.health()?;
    let gone: Vec<(Bytes, Version)> = records.iter().map(|record| (record.key.clone(), record.version)).collect();
    if let Some(dir) = dir {
        let (to, from) = (dir.to_owned(), by.clone());
        let written = tokio::task::spawn_blocking(move || append(&to, &from, &records)).await;
        let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
        written.map_err(|error| StoreError::Unwritable { file: dir.join(FILE), reason: error.to_string() })?;
    }
    store.erase(gone).await
}

/// On the disk when it returns, the file's name too; after an error the file is as it was, as far as the disk lets it.
fn append(dir: &Path, by: &Peer, records: &[Record]) -> io::Result<()> {
    let _adding = ADDING.lock();
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(dir.join(FILE))?;
    let len = file.metadata()?.len();
    let mut lines = Vec::new();
    if !ends_a_line(&mut file, len)? {
        lines.push(b'\n');
    }
    for record in records {
        let line = serde_json::json!({
            "key": STANDARD.encode(&record.key),
            "value": record.value.as_ref().map(|value| STANDARD.encode(value)),
            "version": record.version.to_string(),
            "expires_at_ms": record.expires_at_ms,
            "refused_by": by.addr.as_str(),
            "set_aside_at_ms": wall_ms(),
        });
        writeln!(lines, "{line}")?;
    }
    let written = file.write_all(&lines).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a line is nobody's, and its record comes again. If that fails as well, the next line begins on its own.
        let _ = file.set_len(len);
    }
    written?;
    File::open(dir)?.sync_all()
}

/// Whether what is added begins a line.
fn ends_a_line(file: &mut File, len: u64) -> io::Result<bool> {
    if len == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::Start(len - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use overlay::Addr;
    use ring::Space;

    use super::*;

    fn owner() -> Peer {
        Peer { id: Space::SHA1.zero(), addr: Addr::new("10.0.0.1:7160").expect("an address"), incarnation: 1 }
    }

    fn record(key: &str) -> Record {
        Record::new(key.to_owned(), Version { term: 0, clock: 7, store: 1 }, "value")
    }

    async fn store_with(dir: &Path, keys: &[&str]) -> Store {
        let store = Store::open(dir, Space::SHA1).expect("opens");
        for key in keys {
            store.put(record(key)).await.expect("put");
        }
        store
    }

    #[tokio::test]
    async fn a_record_that_is_set_aside_leaves_the_store_for_the_file_and_is_counted_from_then_on() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(count(dir.path()).expect("no file"), 0);
        let store = store_with(dir.path(), &["one", "two", "three"]).await;
        let moved = move_out(&store, Some(dir.path()), &owner(), vec![record("one"), record("two")]).await;
        assert_eq!((moved, store.get(b"one"), store.get(b"two")), (Ok(2), Ok(None), Ok(None)));
        assert_eq!(count(dir.path()).expect("counted"), 2);
        // A crash tore a line; the next one is whole all the same.
        let file = dir.path().join(FILE);
        let torn = [fs::read(&file).expect("read"), b"{\"key\":\"dHdv".to_vec()].concat();
        fs::write(&file, torn).expect("written");
        assert_eq!(count(dir.path()).expect("counted"), 2);
        assert_eq!(move_out(&store, Some(dir.path()), &owner(), vec![record("three")]).await, Ok(1));
        assert_eq!(count(dir.path()).expect("counted"), 3);
        let text = fs::read_to_string(&file).expect("text");
        let last: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        assert_eq!((last["key"].as_str(), last["value"].as_str()), (Some("dGhyZWU="), Some("dmFsdWU=")));
    }

    /// What takes writes and no fsync stands for a disk that fails at it; what takes none, for a full one.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_record_stays_in_the_store_until_the_file_is_past_its_fsync() {
        for device in ["/dev/null", "/dev/full"] {
            let dir = tempfile::tempdir().expect("a directory");
            std::os::unix::fs::symlink(device, dir.path().join(FILE)).expect("a link");
            let store = store_with(dir.path(), &["one"]).await;
            let moved = move_out(&store, Some(dir.path()), &owner(), vec![record("one")]).await;
            let refused = moved.expect_err("nothing is on the disk").to_string();
            assert!(refused.contains(FILE) && !refused.contains("Error"), "{refused}");
            assert_eq!(store.get(b"one"), Ok(Some(record("one"))), "{device}");
        }
    }
}
