use bytes::Bytes;
use ring::{Id, Places};

/// Where a record lies in a store's order: by the place of its key on the circle, then by the key, since
/// with few bits many keys share one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Place {
    pub(crate) id: Id,
    pub(crate) key: Bytes,
}

impl Place {
    pub(crate) fn of(places: Places, key: Bytes) -> Self {
        Self { id: places.of_key(&key), key }
    }

    /// Copies the key, so that what is kept does not hold on to the network buffer that it came in.
    pub(crate) fn copied(places: Places, key: &[u8]) -> Self {
        Self::of(places, Bytes::copy_from_slice(key))
    }
}
