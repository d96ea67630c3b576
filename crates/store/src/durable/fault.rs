use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A file of a store that is not as it was left, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) file: PathBuf,
    what: String,
    /// The system would not give it: it may be whole all the same.
    pub(super) source: Option<io::Error>,
}

impl Fault {
    pub(super) fn new(file: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self { file: file.into(), what: what.into(), source: None }
    }

    /// A file that cannot be read.
    pub(super) fn unread(file: &Path, source: io::Error) -> Self {
        Self { file: file.to_owned(), what: format!("cannot be read: {source}"), source: Some(source) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.file.display(), self.what)
    }
}
