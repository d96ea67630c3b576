use bytes::Bytes;
use ring::Id;

use crate::Version;

/// Where a listing stopped: the identifier and key of its last entry.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Cursor {
    /// Where the key lies.
    pub id: Id,
    /// The key.
    pub key: Bytes,
}

/// A record in a listing, without its value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Where the key lies.
    pub id: Id,
    /// The key.
    pub key: Bytes,
    /// The newest version that the store has.
    pub version: Version,
    /// Whether that is a deletion.
    pub tombstone: bool,
    /// Bytes of key and value: what fetching it will cost.
    pub bytes: u32,
}

/// A part of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// In clockwise order from the start of the range, keys of one identifier in byte order.
    pub entries: Vec<Listed>,
    /// Where to go on; none when the range has been listed to its end.
    pub next: Option<Cursor>,
}
