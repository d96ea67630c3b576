//! Identifiers worked out from first principles: a plain SHA-1, its leading bits, and the first node at or after
//! them in a sorted list. None of the project's own arithmetic, so that the two can disagree.

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
    fn numbers_are_printed_as_wide_as_the_circle_needs() {
        assert_eq!(number(16, 7), "10");
        assert_eq!(number(5, 6), "05");
        assert_eq!(number(1, 3), "1");
    }
}
