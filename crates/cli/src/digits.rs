//! Identifiers as text.
//!
//! The wire carries an identifier of *m* bits in ⌈m/8⌉ bytes; people and programs see it in ⌈m/4⌉ digits. The two differ
//! by a leading zero when *m* modulo 8 is 1 to 4, so now and then a node has to be asked for its *m*.

use client::Client;

/// How many digits identifiers have in this cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Digits(usize);

impl Digits {
    pub(crate) fn of_bits(id_bits: u32) -> Self {
        Self(id_bits.div_ceil(4) as usize)
    }

    /// Reads the width off some identifiers, and asks a node only if they leave it open: when all of them begin with a
    /// zero digit. What was done must not fail for a digit: without an answer, all of them are shown.
    pub(crate) async fn of<'a>(client: &Client, ids: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut bytes = 0;
        for id in ids {
            bytes = bytes.max(id.len());
            if id.first().is_some_and(|byte| *byte > 0x0f) {
                return Self(id.len() * 2);
            }
        }
        match client.status().await {
            Ok(status) => Self::of_bits(status.id_bits),
            Err(_) => Self(bytes * 2),
        }
    }

    /// An identifier off the wire, in lower-case digits.
    pub(crate) fn show(self, id: &[u8]) -> String {
        let hex = hex(id);
        // Only a zero is ever cut off: anything else would be an identifier of another width, shown whole.
        let surplus = hex.len().saturating_sub(self.0);
        match hex.get(..surplus) {
            Some(lead) if lead.bytes().all(|digit| digit == b'0') => hex[surplus..].to_owned(),
            _ => hex,
        }
    }
}

/// Two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that pairs of digits stand for.
pub(crate) fn bytes_from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

pub(crate) use overlay::inspect::shortened as short;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_a_digit_for_every_four_bits() {
        assert_eq!(Digits::of_bits(6).show(&[0x08]), "08");
        assert_eq!(Digits::of_bits(4).show(&[0x08]), "8");
        assert_eq!(Digits::of_bits(3).show(&[0x00]), "0");
        assert_eq!(Digits::of_bits(10).show(&[0x03, 0xff]), "3ff");
        assert_eq!(Digits::of_bits(160).show(&[0; 20]), "0".repeat(40));
    }

    #[test]
    fn an_identifier_too_wide_for_the_cluster_is_shown_whole() {
        assert_eq!(Digits::of_bits(4).show(&[0xab]), "ab");
    }

    #[test]
    fn hexadecimal_goes_both_ways() {
        assert_eq!(bytes_from_hex("00aBff"), Some(vec![0, 0xab, 0xff]));
        assert_eq!(hex(&[0, 0xab, 0xff]), "00abff");
        assert_eq!(bytes_from_hex("abc"), None);
        assert_eq!(bytes_from_hex("0é"), None);
    }
}
