//! The engine's errors in words: its own texts are those of its types, and name no file.

use fjall::{Error, LsmError};

/// What went wrong, without where.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::Io(source) | Error::Storage(LsmError::Io(source)) => source.to_string(),
        Error::Storage(LsmError::ChecksumMismatch { .. }) => "the checksum of a block does not match".to_owned(),
        Error::Decompress(_) | Error::Storage(LsmError::Decompress(_)) => "a block cannot be decompressed".to_owned(),
        Error::Storage(LsmError::InvalidVersion(_)) | Error::InvalidVersion(_) => {
            "it is in a format that the engine does not know".to_owned()
        }
        Error::Storage(LsmError::InvalidTag((what, _))) | Error::InvalidTag((what, _)) => {
            format!("a block has an impossible {what}")
        }
        Error::Storage(LsmError::InvalidTrailer) | Error::InvalidTrailer => "the end of a block is missing".to_owned(),
        Error::Storage(LsmError::InvalidHeader(what)) => format!("a block has an impossible header ({what})"),
        Error::Storage(LsmError::Utf8(_)) => "a name is no text".to_owned(),
        Error::JournalRecovery(_) => "a journal cannot be read".to_owned(),
        Error::Poisoned => "a write in the background failed before".to_owned(),
        Error::Locked => "another process has its files open".to_owned(),
        Error::KeyspaceDeleted | Error::Unrecoverable | Error::Storage(_) => {
            "a file of the engine is missing or damaged".to_owned()
        }
        _ => "the engine failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn no_type_shows_in_the_words() {
        let disk_full = || io::Error::from_raw_os_error(28);
        let errors = [
            Error::Io(disk_full()),
            Error::Storage(LsmError::Io(disk_full())),
            Error::Storage(LsmError::Unrecoverable),
            Error::Storage(LsmError::InvalidTag(("BlockType", 9))),
            Error::Poisoned,
            Error::Unrecoverable,
            Error::InvalidVersion(None),
        ];
        for error in errors {
            let said = words(&error);
            let shows_type =
                ["Error", "Io(", "Os {", "Storage", "Unrecoverable"].iter().any(|name| said.contains(name));
            assert!(!shows_type, "{said}");
        }
        assert!(words(&Error::Io(disk_full())).contains("No space left"));
    }
}
