use bytes::Bytes;
use ring::{Id, Space};

/// Where a record lies in a store's order: by the identifier of its key, then by the key, since
/// with few bits many keys share one identifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Place {
    pub(crate) id: Id,
    pub(crate) key: Bytes,
}

impl Place {
    pub(crate) fn of(space: Space, key: Bytes) -> Self {
        Self { id: space.hash(&key), key }
    }

    /// Copies the key, so that what is kept does not hold on to the network buffer that it came in.
    pub(crate) fn copied(space: Space, key: &[u8]) -> Self {
        Self::of(space, Bytes::copy_from_slice(key))
    }
}
