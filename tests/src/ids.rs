//! Identifiers worked out from first principles: a plain SHA-1, its leading bits, and the first node at or after
//! them in a sorted list; or the nodes closest to them, or those of their group. None of the project's own arithmetic, so
//! that the two can disagree.

use sha1::{Digest, Sha1};

/// Most bits that an identifier has here, as everywhere.
pub const BITS_MAX: u32 = 160;

/// SHA-1 of `bytes` cut to its leading `bits`, in the ⌈m/4⌉ lower-case digits that everything prints.
#[must_use]
pub fn hash(bytes: &[u8], bits: u32) -> String {
    let digest = Sha1::digest(bytes);
    let binary: String = digest.iter().map(|byte| format!("{byte:08b}")).collect();
    let kept = &binary[..bits as usize];
    let width = (bits as usize).div_ceil(4) * 4;
    let padded = format!("{kept:0>width$}");
    padded
        .as_bytes()
        .chunks(4)
        .map(|digit| {
            let value = digit.iter().fold(0, |sum, bit| 2 * sum + u32::from(bit - b'0'));
            char::from_digit(value, 16).expect("four bits are one digit")
        })
        .collect()
}

/// A small number as an identifier of `bits` bits.
#[must_use]
pub fn number(value: u64, bits: u32) -> String {
    let digits = (bits as usize).div_ceil(4);
    format!("{value:0digits$x}")
}

/// The node that an identifier belongs to: the first at or after it, around the circle. Identifiers of equal
/// width compare as text just as they do as numbers.
///
/// # Panics
/// When there is no node.
#[must_use]
pub fn owner<'a>(nodes: &[&'a str], id: &str) -> &'a str {
    holders(nodes, id, 1)[0]
}

/// The owner and the nodes after it, `replicas` in all or as many as there are.
///
/// # Panics
/// When there is no node.
#[must_use]
pub fn holders<'a>(nodes: &[&'a str], id: &str, replicas: usize) -> Vec<&'a str> {
    assert!(!nodes.is_empty(), "no node, no owner");
    let mut sorted = nodes.to_vec();
    sorted.sort_unstable();
    let first = sorted.partition_point(|node| *node < id);
    (0..replicas.min(sorted.len())).map(|step| sorted[(first + step) % sorted.len()]).collect()
}

/// The nodes numerically closest to an identifier of `bits` bits on the circle, `count` in all or as many as there are,
/// the closest first; of two as close the lower one.
///
/// # Panics
/// When there is no node.
#[must_use]
pub fn closest<'a>(nodes: &[&'a str], id: &str, count: usize, bits: u32) -> Vec<&'a str> {
    assert!(!nodes.is_empty(), "no node, no owner");
    let mut sorted = nodes.to_vec();
    sorted.sort_by_key(|node| (gap(node, id, bits), *node));
    sorted.truncate(count);
    sorted
}

/// How far two identifiers are apart the shorter way around the circle, as the bytes of a number.
fn gap(one: &str, other: &str, bits: u32) -> [u8; 20] {
    let (one, other) = (bytes(one), bytes(other));
    minus(one, other, bits).min(minus(other, one, bits))
}

/// `one - other` modulo 2^bits.
fn minus(one: [u8; 20], other: [u8; 20], bits: u32) -> [u8; 20] {
    let mut difference = [0; 20];
    let mut borrow = false;
    for at in (0..20).rev() {
        let (byte, below) = one[at].overflowing_sub(other[at]);
        let (byte, below_too) = byte.overflowing_sub(u8::from(borrow));
        difference[at] = byte;
        borrow = below || below_too;
    }
    for bit in bits..BITS_MAX {
        difference[19 - (bit / 8) as usize] &= !(1 << (bit % 8));
    }
    difference
}

/// An identifier's digits as a number of 160 bits.
fn bytes(id: &str) -> [u8; 20] {
    let padded = format!("{id:0>40}");
    let mut bytes = [0; 20];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&padded[2 * at..2 * at + 2], 16).expect("hexadecimal digits");
    }
    bytes
}

/// The affinity group of an identifier: its remainder.
///
/// # Panics
/// When it is not written in hexadecimal digits.
#[must_use]
pub fn group(id: &str, groups: u32) -> u32 {
    id.chars().fold(0, |rest, digit| (rest * 16 + digit.to_digit(16).expect("hexadecimal digits")) % groups)
}

/// The group that serves an identifier: its own or, if nobody is in that, the next one that has members. None without
/// nodes.
#[must_use]
pub fn serving_group(nodes: &[&str], id: &str, groups: u32) -> Option<u32> {
    let own = group(id, groups);
    (0..groups)
        .map(|step| (own + step) % groups)
        .find(|candidate| nodes.iter().any(|node| group(node, groups) == *candidate))
}

/// The first key of a series that begins with `prefix` whose identifier is wanted.
///
/// # Panics
/// When none of a million is.
#[must_use]
pub fn key_whose_id(prefix: &str, bits: u32, wanted: impl Fn(&str) -> bool) -> String {
    (0..1_000_000)
        .map(|index| format!("{prefix}-{index}"))
        .find(|key| wanted(&hash(key.as_bytes(), bits)))
        .expect("a key in a million")
}

/// An identifier off the wire, as it is printed.
#[must_use]
pub fn from_wire(bytes: &[u8], bits: u32) -> String {
    let all: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let digits = (bits as usize).div_ceil(4);
    all[all.len().saturating_sub(digits)..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_hash_as_published() {
        let abc = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(hash(b"abc", BITS_MAX), abc);
        assert_eq!(hash(b"abc", 8), "a9");
        // 1010 100|1 …: the leading seven bits are 0x54, the leading six 0x2a, the leading three 5.
        assert_eq!(hash(b"abc", 7), "54");
        assert_eq!(hash(b"abc", 6), "2a");
        assert_eq!(hash(b"abc", 3), "5");
    }

    #[test]
    fn the_owner_is_the_first_node_at_or_after_a_key_around_the_circle() {
        let nodes = ["50", "10", "70"];
        assert_eq!(owner(&nodes, "10"), "10");
        assert_eq!(owner(&nodes, "11"), "50");
        assert_eq!(owner(&nodes, "71"), "10");
        assert_eq!(owner(&nodes, "00"), "10");
        assert_eq!(holders(&nodes, "60", 2), ["70", "10"]);
        assert_eq!(holders(&nodes, "60", 5), ["70", "10", "50"]);
    }

    #[test]
    fn the_closest_nodes_are_counted_both_ways_around_the_circle() {
        // 16, 45, 112 of 128.
        let nodes = ["10", "2d", "70"];
        assert_eq!(closest(&nodes, "10", 1, 7), ["10"]);
        assert_eq!(closest(&nodes, "1f", 3, 7), ["2d", "10", "70"]);
        // 0 is as far from 16 as from 112: the lower one has it.
        assert_eq!(closest(&nodes, "00", 3, 7), ["10", "70", "2d"]);
        assert_eq!(closest(&nodes, "7f", 2, 7), ["70", "10"]);
        let far = hash(b"far", BITS_MAX);
        let near = format!("{}{}", &far[..39], if far.ends_with('0') { '1' } else { '0' });
        let zero = "0".repeat(40);
        assert_eq!(closest(&[&zero, &near, &far], &far, 2, BITS_MAX), [&far, &near]);
        assert_eq!(closest(&[&zero, &"8".repeat(40)], &"f".repeat(40), 1, BITS_MAX), [&zero]);
    }

    #[test]
    fn an_empty_groups_keys_are_served_by_the_next_one_with_members() {
        assert_eq!(group("2d", 4), 1);
        // abc… mod 16 is its last digit.
        assert_eq!(group("a9993e364706816aba3e25717850c26c9cd0d89d", 16), 13);
        assert_eq!(group("a9993e364706816aba3e25717850c26c9cd0d89d", 10), 7);
        let nodes = ["10", "2d", "70"];
        let served: Vec<_> = ["00", "01", "02", "03"].iter().map(|id| serving_group(&nodes, id, 4)).collect();
        assert_eq!(served, [Some(0), Some(1), Some(0), Some(0)]);
        assert_eq!(serving_group(&[], "00", 4), None);
    }

    #[test]
    fn numbers_are_printed_as_wide_as_the_circle_needs() {
        assert_eq!(number(16, 7), "10");
        assert_eq!(number(5, 6), "05");
        assert_eq!(number(1, 3), "1");
    }
}
