//! `CLOSED`, which a store leaves beside its engine when it is closed in order, and takes away when it is opened again: up to where its
//! last journal went, and what its records came to. A store that has less when it is looked at next has lost
//! something while nobody had it open, whatever that was.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::fault::Fault;
use super::journal::Journal;
use crate::Digest;

const TITLE: &str = "dht-store closed";

/// What `CLOSED` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Note {
    /// The last journal's number, and where its finished batches end.
    pub(super) position: (u64, u64),
    /// Of all records.
    pub(super) digest: Digest,
}

/// Where a store's last journal ends, if it has one.
pub(super) fn position(journals: &[Journal]) -> Option<(u64, u64)> {
    journals.last().map(|journal| (journal.id, journal.end))
}

impl Note {
    /// None if there is none: after a crash, or from a program that leaves none.
    pub(super) fn read(dir: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(dir.join("CLOSED")) {
            Ok(text) => Self::parse(&text).map(Some).ok_or_else(|| ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next().filter(|title| *title == TITLE)?;
        let mut field = |name| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let position = (field("journal")?.parse().ok()?, field("end")?.parse().ok()?);
        let count = field("entries")?.parse().ok()?;
        let sum = u128::from_str_radix(field("sum")?, 16).ok()?;
        Some(Self { position, digest: Digest { count, sum } })
    }

    /// Under another name first: there is a whole note or none.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let (unfinished, (journal, end)) = (dir.join("CLOSED.new"), self.position);
        let Digest { count, sum } = self.digest;
        let mut file = File::create(&unfinished)?;
        write!(file, "{TITLE}\njournal {journal}\nend {end}\nentries {count}\nsum {sum:032x}\n")?;
        file.sync_all()?;
        fs::rename(&unfinished, dir.join("CLOSED"))?;
        File::open(dir)?.sync_all()
    }

    /// From here on the store may have more than the note says. On the disk when it returns.
    pub(super) fn remove(dir: &Path) -> io::Result<()> {
        match fs::remove_file(dir.join("CLOSED")) {
            Ok(()) => File::open(dir)?.sync_all(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The last journal, if it went further than it does now.
    pub(super) fn cut(&self, engine: &Path, position: Option<(u64, u64)>) -> Option<Fault> {
        let ((journal, end), (last, now)) = (self.position, position.unwrap_or_default());
        let file = engine.join(format!("{journal}.jnl"));
        match journal == last {
            // From one that is later a program has written that does not know the note.
            _ if (last, now) >= (journal, end) => None,
            true => Some(Fault::new(
                file,
                format!("has writes up to byte {now}, and had them up to byte {end} when the store was closed"),
            )),
            false => Some(Fault::new(file, "is missing: it was the last journal when the store was closed")),
        }
    }

    /// What is missing of a store whose last journal ends there, and whose records come to that.
    pub(super) fn missing(&self, position: Option<(u64, u64)>, digest: Digest) -> Option<String> {
        let (has, had) = (digest.count, self.digest.count);
        // One that went on may have anything.
        (position == Some(self.position) && digest != self.digest).then(|| match has == had {
            true => format!("it has {has} records and deletions, as when it was closed, but not the same ones"),
            false => format!("it had {had} records and deletions when it was closed, and has {has}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written_and_half_of_one_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(Note::read(dir.path()).expect("none"), None);
        let note = Note { position: (3, 77), digest: Digest { count: 5, sum: u128::MAX - 1 } };
        note.write(dir.path()).expect("written");
        assert_eq!(Note::read(dir.path()).expect("read"), Some(note));
        let text = fs::read_to_string(dir.path().join("CLOSED")).expect("text");
        fs::write(dir.path().join("CLOSED"), &text[..text.len() / 2]).expect("cut");
        assert!(Note::read(dir.path()).is_err());
        Note::remove(dir.path()).expect("removed");
        Note::remove(dir.path()).expect("nothing to remove");
        assert_eq!(Note::read(dir.path()).expect("none"), None);
    }

    #[test]
    fn less_than_the_note_says_is_a_loss_and_more_is_another_program() {
        let digest = Digest { count: 5, sum: 9 };
        let note = Note { position: (3, 77), digest };
        let cut = |position| note.cut(Path::new("engine"), position).map(|fault| fault.to_string());
        let missing = |position, count, sum| note.missing(Some(position), Digest { count, sum });
        assert_eq!((cut(Some((3, 77))), missing((3, 77), 5, 9)), (None, None));
        for later in [(3, 78), (4, 0)] {
            assert_eq!((cut(Some(later)), missing(later, 4, 1)), (None, None));
        }
        assert!(cut(Some((3, 76))).is_some_and(|what| what.contains("engine/3.jnl` has writes up to byte 76")));
        assert!(cut(Some((2, 90))).is_some_and(|what| what.contains("engine/3.jnl` is missing")));
        assert!(cut(None).is_some());
        assert!(missing((3, 77), 4, 9).is_some_and(|what| what.contains("has 4")));
        assert!(missing((3, 77), 5, 8).is_some_and(|what| what.contains("not the same")));
    }
}
