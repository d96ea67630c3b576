//! A look at fjall's journals before fjall opens them.
//!
//! At the first batch of a journal that it cannot read, fjall takes the rest for the torn end of the
//! last write and cuts it off. After a crash that is right. After rot it would lose acknowledged
//! writes without a word, and a copy that lost writes must not count as one that has them. The
//! difference: behind a torn write there is no finished batch. So rot is refused here, and a torn end is
//! cut off here too: fjall built with debug assertions trips over some.
//!
//! A batch is `1 count:u32 seqno:u64`, `count` entries (an item `2 type:u8 compression:u8 tree:u64 key_len:u16 value_len:u32
//! stored_len:u32 key value`, or a clearing `4 tree:u64`), and `3 checksum:u64 "FJL\x03"`: little-endian, the checksum XXH3 of
//! the entries. A journal is batches, then zeros.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::fault::Fault;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: [u8; 4] = *b"FJL\x03";
/// Bytes of a batch's end: tag, checksum, trailer.
const END_BYTES: usize = 1 + 8 + TRAILER.len();

/// A journal of an engine.
#[derive(Debug)]
pub(super) struct Journal {
    /// fjall numbers them in the order of their writing; the last is written to.
    pub(super) id: u64,
    pub(super) path: PathBuf,
    /// Where its finished batches end.
    pub(super) end: u64,
    len: u64,
    rotten: bool,
}

/// Looks through the journals of an engine's directory, which may not be there, in order. Nothing is written.
pub(super) fn read_all(engine: &Path) -> Result<Vec<Journal>, Fault> {
    let unread = |error| Fault::unread(engine, error);
    let entries = match fs::read_dir(engine) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unread(error)),
    };
    let mut journals = Vec::new();
    for entry in entries {
        let path = entry.map_err(unread)?.path();
        if path.extension().is_some_and(|extension| extension == "jnl") {
            journals.push(Journal::read(path)?);
        }
    }
    journals.sort_unstable_by_key(|journal| journal.id);
    Ok(journals)
}

impl Journal {
    fn read(path: PathBuf) -> Result<Self, Fault> {
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let id = number.ok_or_else(|| Fault::new(&path, "is no journal of the engine: move it elsewhere"))?;
        let looked = || -> io::Result<(u64, u64, bool)> {
            let file = File::open(&path)?;
            let (end, rotten) = end_of_batches(&file)?;
            Ok((end, file.metadata()?.len(), rotten))
        };
        let (end, len, rotten) = looked().map_err(|error| Fault::unread(&path, error))?;
        Ok(Self { id, path, end, len, rotten })
    }

    /// A batch that cannot be read, though it was finished.
    pub(super) fn fault(&self) -> Option<Fault> {
        let what =
            || format!("is damaged: the batch of writes at byte {} cannot be read, though it was finished", self.end);
        self.rotten.then(|| Fault::new(&self.path, what()))
    }

    /// Cuts off what is behind its last finished batch.
    pub(super) fn cut(&self) -> io::Result<()> {
        if self.end < self.len {
            tracing::debug!(journal = %self.path.display(), at = self.end, "cut to its last finished batch");
            let file = OpenOptions::new().write(true).open(&self.path)?;
            file.set_len(self.end)?;
            file.sync_all()?;
        }
        Ok(())
    }
}

/// Where the first batch starts that cannot be read, and whether that is rot and not a torn end.
fn end_of_batches(journal: &File) -> io::Result<(u64, bool)> {
    let mut journal = BufReader::with_capacity(1 << 16, journal);
    let (mut at, mut last_seqno) = (0, None);
    loop {
        match batch(&mut journal) {
            // Sequence numbers rise; they are not under the checksum.
            Ok(seqno) if last_seqno.is_none_or(|last| last < seqno) => {
                last_seqno = Some(seqno);
                at = journal.stream_position()?;
            }
            Ok(_) => return Ok((at, true)),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
                journal.seek(SeekFrom::Start(at))?;
                return Ok((at, has_end(&mut journal)?));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads one batch: its sequence number.
fn batch(journal: &mut impl BufRead) -> io::Result<u64> {
    expect(number(journal)? == [START])?;
    let (count, seqno) = (u32::from_le_bytes(number(journal)?), u64::from_le_bytes(number(journal)?));
    let mut entries = Xxh3::new();
    for _ in 0..count {
        entry(journal, &mut entries)?;
    }
    expect(number(journal)? == [END])?;
    expect(u64::from_le_bytes(number(journal)?) == entries.digest())?;
    expect(number(journal)? == TRAILER)?;
    Ok(seqno)
}

fn entry(journal: &mut impl BufRead, entries: &mut Xxh3) -> io::Result<()> {
    let tag: [u8; 1] = hashed(journal, entries)?;
    match tag {
        [CLEAR] => hashed::<8>(journal, entries).map(drop),
        [ITEM] => {
            let [_, compression]: [u8; 2] = hashed(journal, entries)?;
            let _tree: [u8; 8] = hashed(journal, entries)?;
            let key_len = u16::from_le_bytes(hashed(journal, entries)?);
            let value_len = u32::from_le_bytes(hashed(journal, entries)?);
            let stored_len = u32::from_le_bytes(hashed(journal, entries)?);
            expect(compression != 0 || value_len == stored_len)?;
            hash(journal, entries, u64::from(key_len) + u64::from(stored_len))
        }
        _ => expect(false),
    }
}

/// Whether there is the end of a finished batch anywhere in the rest.
fn has_end(journal: &mut impl Read) -> io::Result<bool> {
    const CHUNK: usize = 1 << 16;
    static ZEROS: [u8; CHUNK] = [0; CHUNK];
    let (mut window, mut kept) = (vec![0; CHUNK], 0);
    loop {
        let read = journal.read(&mut window[kept..])?;
        if read == 0 {
            return Ok(false);
        }
        let filled = &window[..kept + read];
        let is_end = |bytes: &[u8]| bytes.first() == Some(&END) && bytes.ends_with(&TRAILER);
        // Most of it is zeros that fjall laid out beforehand: worth skipping.
        if filled != &ZEROS[..filled.len()] && filled.windows(END_BYTES).any(is_end) {
            return Ok(true);
        }
        let keep = filled.len().min(END_BYTES - 1);
        let from = filled.len() - keep;
        window.copy_within(from..from + keep, 0);
        kept = keep;
    }
}

fn number<const N: usize>(journal: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    journal.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn hashed<const N: usize>(journal: &mut impl Read, entries: &mut Xxh3) -> io::Result<[u8; N]> {
    let bytes = number(journal)?;
    entries.update(&bytes);
    Ok(bytes)
}

fn hash(journal: &mut impl BufRead, entries: &mut Xxh3, mut len: u64) -> io::Result<()> {
    while len > 0 {
        let buffered = journal.fill_buf()?;
        let part = buffered.len().min(usize::try_from(len).unwrap_or(usize::MAX));
        if part == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        entries.update(&buffered[..part]);
        journal.consume(part);
        len -= part as u64;
    }
    Ok(())
}

fn expect(holds: bool) -> io::Result<()> {
    if holds { Ok(()) } else { Err(ErrorKind::InvalidData.into()) }
}
