use crate::Version;

/// What became of a put.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Put {
    /// The record is here, now or already: the version that was put is the newest that this store knows.
    Stored {
        /// Whether it is on the disk, past an fsync, and not in memory only.
        durable: bool,
    },
    /// A newer version, this one, is here; the record was not taken. That is no acknowledgement of the write.
    Superseded(Version),
}
