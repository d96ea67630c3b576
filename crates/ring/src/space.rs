use sha1::{Digest, Sha1};

use crate::Id;

/// The identifier space: how many bits an identifier has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct Space {
    bits: u8,
}

/// Why something is not an identifier of this space.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdError {
    /// The width itself is out of range.
    #[error("identifiers have 3 to 160 bits, not {0}")]
    Bits(u32),
    /// The identifiers can't be divided into that many groups.
    #[error("identifiers of {bits} bits can't be divided into {groups} groups")]
    Groups {
        /// Groups wanted.
        groups: u32,
        /// Bits of the space.
        bits: u32,
    },
    /// The text is not hexadecimal.
    #[error("`{0}` is not a hexadecimal identifier")]
    NotHex(String),
    /// The bytes on the wire have the wrong length for this space.
    #[error("an identifier of {bits} bits is {expected} bytes long, not {found}")]
    Length {
        /// Bits of the space.
        bits: u8,
        /// Bytes an identifier of the space takes.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// The number does not fit.
    #[error("`{text}` does not fit in {bits} bits")]
    TooLarge {
        /// The number, in hexadecimal.
        text: String,
        /// Bits of the space.
        bits: u8,
    },
}

impl Space {
    /// SHA-1 whole: the widest space, and the default.
    pub const SHA1: Space = Space { bits: 160 };

    /// A space of `bits` bits, 3 to 160.
    pub fn new(bits: u32) -> Result<Self, IdError> {
        match u8::try_from(bits) {
            Ok(bits @ 3..=160) => Ok(Self { bits }),
            _ => Err(IdError::Bits(bits)),
        }
    }

    /// The width *m*.
    pub fn bits(self) -> u32 {
        u32::from(self.bits)
    }

    /// Bytes of an identifier on the wire: ⌈m/8⌉, big-endian.
    pub fn byte_len(self) -> usize {
        usize::from(self.bits).div_ceil(8)
    }

    /// The identifier zero.
    pub fn zero(self) -> Id {
        Id::from_parts(self.bits, [0; 20])
    }

    /// The greatest identifier, 2^m − 1.
    pub fn max(self) -> Id {
        self.truncate([0xff; 20])
    }

    /// A small number as an identifier.
    pub fn id(self, number: u64) -> Result<Id, IdError> {
        let mut bytes = [0; 20];
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        self.checked(bytes)
    }

    /// SHA-1 of `bytes`, truncated to the leading *m* bits: how keys and addresses become identifiers.
    pub fn hash(self, bytes: &[u8]) -> Id {
        self.truncate(Sha1::digest(bytes).into())
    }

    /// The leading *m* bits of a 160-bit big-endian number.
    pub fn truncate(self, digest: [u8; 20]) -> Id {
        Id::from_parts(self.bits, digest).shifted_right(160 - self.bits())
    }

    /// Parses hexadecimal digits (leading zeros optional), as printed by [`Id`]'s `Display`.
    pub fn parse(self, text: &str) -> Result<Id, IdError> {
        let not_hex = || IdError::NotHex(text.to_owned());
        if text.is_empty() {
            return Err(not_hex());
        }
        let mut bytes = [0u8; 20];
        for (place, digit) in text.bytes().rev().enumerate() {
            let digit = char::from(digit).to_digit(16).ok_or_else(not_hex)? as u8;
            match bytes.len().checked_sub(1 + place / 2) {
                Some(index) => bytes[index] |= digit << (4 * (place % 2)),
                None if digit == 0 => {}
                None => return Err(self.too_large(text)),
            }
        }
        self.checked(bytes)
    }

    /// Reads an identifier off the wire: exactly [`Space::byte_len`] bytes, big-endian, in range.
    pub fn from_bytes(self, wire: &[u8]) -> Result<Id, IdError> {
        let expected = self.byte_len();
        if wire.len() != expected {
            return Err(IdError::Length { bits: self.bits, expected, found: wire.len() });
        }
        let mut bytes = [0; 20];
        bytes[20 - expected..].copy_from_slice(wire);
        self.checked(bytes)
    }

    fn checked(self, bytes: [u8; 20]) -> Result<Id, IdError> {
        let id = Id::from_parts(self.bits, bytes);
        if id.wrapped() == id {
            return Ok(id);
        }
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Err(self.too_large(text.trim_start_matches('0')))
    }

    fn too_large(self, text: &str) -> IdError {
        IdError::TooLarge { text: text.to_owned(), bits: self.bits }
    }
}
