use bytes::Bytes;

use crate::Version;
use crate::head::Head;

/// What is known of a key: its newest version, and the value, or that it was deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The key, as the client gave it.
    pub key: Bytes,
    /// Which write this is.
    pub version: Version,
    /// When the value ceases to be, in wall-clock milliseconds since 1970; none for never. A
    /// tombstone has none: a store drops one that it is given.
    pub expires_at_ms: Option<u64>,
    /// The value; none for a tombstone.
    pub value: Option<Bytes>,
}

impl Record {
    /// A value that stays.
    pub fn new(key: impl Into<Bytes>, version: Version, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), version, expires_at_ms: None, value: Some(value.into()) }
    }

    /// The note that the key was deleted.
    pub fn tombstone(key: impl Into<Bytes>, version: Version) -> Self {
        Self { key: key.into(), version, expires_at_ms: None, value: None }
    }

    /// The same record, gone at `expires_at_ms`, wall-clock milliseconds since 1970.
    #[must_use]
    pub fn expiring(self, expires_at_ms: u64) -> Self {
        Self { expires_at_ms: Some(expires_at_ms), ..self }
    }

    /// Whether a reader at `now_ms` gets the value: it is neither deleted nor past its time.
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.value.is_some() && self.expires_at_ms.is_none_or(|expires_at_ms| now_ms < expires_at_ms)
    }

    /// Whether this is the note that the key was deleted.
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// Bytes of key and value.
    pub fn byte_len(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }

    pub(crate) fn head(&self) -> Head {
        // A value fits in 32 bits: the store refuses longer ones before it comes to this.
        let value_len = self.value.as_ref().map(|value| u32::try_from(value.len()).unwrap_or(u32::MAX));
        Head { version: self.version, expires_at_ms: self.expires_at_ms.filter(|_| value_len.is_some()), value_len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_lives_until_the_moment_that_it_expires() {
        let record = Record::new("k", Version::at(1, 0, 1), "v");
        assert!(record.is_live(u64::MAX));
        let record = record.expiring(100);
        assert!(record.is_live(99));
        assert!(!record.is_live(100));
        assert!(!Record::tombstone("k", Version::at(1, 0, 1)).is_live(0));
    }
}
