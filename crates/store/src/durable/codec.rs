//! How records lie on the disk. Each value in the engine opens with a checksum over itself and the key
//! that it belongs to, so that a rotten or misplaced one is told from what was written. Numbers are big-endian.

use bytes::{Buf, BufMut, Bytes};
use ring::Space;
use xxhash_rust::xxh3::Xxh3;

use crate::Version;
use crate::head::Head;
use crate::place::Place;

/// Bytes of an identifier in front of each key, whatever the width of the space.
const ID_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 8;
/// Checksum, version, flags, expiry, length of the value.
const HEAD_BYTES: usize = CHECKSUM_BYTES + 24 + 1 + 8 + 4;

const HAS_VALUE: u8 = 1;
const HAS_EXPIRY: u8 = 2;

/// The key of a place: sorts as the place does.
pub(super) fn place_key(place: &Place) -> Vec<u8> {
    [&place.id.to_array()[..], &place.key].concat()
}

/// The place of a key; none if that is not one.
pub(super) fn place_of(space: Space, key: &Bytes) -> Option<Place> {
    let id = key.get(ID_BYTES - space.byte_len()..ID_BYTES)?;
    Some(Place { id: space.from_bytes(id).ok()?, key: key.slice(ID_BYTES..) })
}

/// The key of an entry in the index by expiry.
pub(super) fn due_key(at_ms: u64, place: &Place) -> Vec<u8> {
    [&at_ms.to_be_bytes()[..], &place_key(place)].concat()
}

/// Reads a key of the index by expiry.
pub(super) fn due_of(space: Space, key: &Bytes) -> Option<(u64, Place)> {
    let (at_ms, _) = key.split_first_chunk()?;
    Some((u64::from_be_bytes(*at_ms), place_of(space, &key.slice(size_of::<u64>()..))?))
}

/// A head on its own, or with the value that follows it.
pub(super) fn encode(key: &[u8], head: &Head, value: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(HEAD_BYTES + value.len());
    encoded.put_u64(0);
    encoded.put_u64(head.version.term);
    encoded.put_u64(head.version.clock);
    encoded.put_u64(head.version.store);
    let value_flag = if head.value_len.is_some() { HAS_VALUE } else { 0 };
    let expiry_flag = if head.expires_at_ms.is_some() { HAS_EXPIRY } else { 0 };
    encoded.put_u8(value_flag | expiry_flag);
    encoded.put_u64(head.expires_at_ms.unwrap_or(0));
    encoded.put_u32(head.value_len.unwrap_or(0));
    encoded.put_slice(value);
    seal(key, encoded)
}

/// Reads a head and what follows it.
pub(super) fn decode(key: &[u8], encoded: &Bytes) -> Result<(Head, Bytes), &'static str> {
    let mut body = open(key, encoded)?;
    let short = |_| "it is too short";
    let mut number = || body.try_get_u64().map_err(short);
    let version = Version { term: number()?, clock: number()?, store: number()? };
    let flags = body.try_get_u8().map_err(short)?;
    let expires_at_ms = body.try_get_u64().map_err(short)?;
    let value_len = body.try_get_u32().map_err(short)?;
    let head = Head {
        version,
        expires_at_ms: (flags & HAS_EXPIRY != 0).then_some(expires_at_ms),
        value_len: (flags & HAS_VALUE != 0).then_some(value_len),
    };
    Ok((head, body))
}

/// A blob with its checksum.
pub(super) fn encode_blob(key: &[u8], blob: &[u8]) -> Vec<u8> {
    seal(key, [&[0; CHECKSUM_BYTES], blob].concat())
}

/// Reads a blob.
pub(super) fn decode_blob(key: &[u8], encoded: &Bytes) -> Result<Bytes, &'static str> {
    open(key, encoded)
}

/// Puts the checksum into the room left for it.
fn seal(key: &[u8], mut encoded: Vec<u8>) -> Vec<u8> {
    if let Some((room, body)) = encoded.split_first_chunk_mut() {
        *room = checksum(key, body).to_be_bytes();
    }
    encoded
}

fn open(key: &[u8], encoded: &Bytes) -> Result<Bytes, &'static str> {
    let (stored, body) = encoded.split_first_chunk().ok_or("it is too short")?;
    match checksum(key, body) == u64::from_be_bytes(*stored) {
        true => Ok(encoded.slice(CHECKSUM_BYTES..)),
        false => Err("its checksum does not match"),
    }
}

fn checksum(key: &[u8], body: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(key);
    hash.update(body);
    hash.digest()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heads() -> impl Strategy<Value = Head> {
        let values = proptest::option::of(any::<u32>());
        (any::<(u64, u64, u64)>(), proptest::option::of(any::<u64>()), values).prop_map(
            |(version, expires_at_ms, value_len)| Head {
                version: Version { term: version.0, clock: version.1, store: version.2 },
                expires_at_ms,
                value_len,
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(key: Vec<u8>, head in heads(), value: Vec<u8>) {
            let encoded = Bytes::from(encode(&key, &head, &value));
            prop_assert_eq!(decode(&key, &encoded), Ok((head, Bytes::from(value))));
        }

        #[test]
        fn any_flipped_bit_and_any_cut_is_noticed(key: Vec<u8>, head in heads(), value: Vec<u8>, at: prop::sample::Index, bit in 0..8) {
            let encoded = encode(&key, &head, &value);
            let at = at.index(encoded.len());
            let mut flipped = encoded.clone();
            flipped[at] ^= 1u8 << bit;
            prop_assert!(decode(&key, &Bytes::from(flipped)).is_err());
            prop_assert!(decode(&key, &Bytes::from(encoded[..at].to_vec())).is_err());
        }

        #[test]
        fn a_record_under_another_key_is_noticed(key: Vec<u8>, other: Vec<u8>, head in heads()) {
            prop_assume!(key != other);
            prop_assert!(decode(&other, &Bytes::from(encode(&key, &head, b"value"))).is_err());
        }

        #[test]
        fn places_and_their_keys_are_the_same_order(a: Vec<u8>, b: Vec<u8>, bits in 3u32..=160, at_ms: u64) {
            let space = Space::new(bits).expect("a width");
            let (a, b) = (Place::copied(space.into(), &a), Place::copied(space.into(), &b));
            prop_assert_eq!(a.cmp(&b), place_key(&a).cmp(&place_key(&b)));
            let due = Bytes::from(due_key(at_ms, &a));
            prop_assert_eq!(due_of(space, &due), Some((at_ms, a)));
        }
    }
}
