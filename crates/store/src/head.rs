use crate::listing::Listed;
use crate::place::Place;
use crate::{Put, Version};

/// A record without its value: all that comparing versions, listing and counting need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) version: Version,
    /// Never with a tombstone.
    pub(crate) expires_at_ms: Option<u64>,
    /// Bytes of the value; none for a tombstone.
    pub(crate) value_len: Option<u32>,
}

impl Head {
    /// The tombstone that an expired record becomes. It keeps the version: a copy of the record
    /// that comes back by repair is not newer, so it stays out; a later write is.
    pub(crate) fn expired(self) -> Self {
        Self { expires_at_ms: None, value_len: None, ..self }
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.value_len.is_none()
    }

    pub(crate) fn listed(&self, place: Place) -> Listed {
        let bytes = u32::try_from(place.key.len()).unwrap_or(u32::MAX).saturating_add(self.value_len.unwrap_or(0));
        Listed { id: place.id, key: place.key, version: self.version, tombstone: self.is_tombstone(), bytes }
    }

    /// Whether a deletion of exactly this version may be forgotten here.
    pub(crate) fn is_deletion_of(&self, version: Version) -> bool {
        self.is_tombstone() && self.version == version
    }

    /// What becomes of a put of `version` where `present` is: the answer, and whether there is anything to write.
    pub(crate) fn judge(present: Option<&Head>, version: Version, durable: bool) -> (Put, bool) {
        match present {
            Some(present) if present.version > version => (Put::Superseded(present.version), false),
            // The same write once more. What is there stays: it may have expired into a tombstone meanwhile.
            Some(present) if present.version == version => (Put::Stored { durable }, false),
            _ => (Put::Stored { durable }, true),
        }
    }
}
