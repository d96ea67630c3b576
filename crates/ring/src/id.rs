use std::fmt;

use crate::Space;

/// A number modulo 2^m: the place of a node or a key on the circle.
///
/// Holds its own width, so two identifiers of one space can be added, compared and printed
/// without naming the space again. Identifiers of different spaces never meet: the wire refuses them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    bits: u8,
    value: [u8; 20],
}

impl Id {
    /// The caller sees to it that `value` is below 2^bits, or calls [`Id::wrapped`].
    pub(crate) fn from_parts(bits: u8, value: [u8; 20]) -> Self {
        Self { bits, value }
    }

    /// The space that this identifier lives in.
    pub fn space(self) -> Space {
        Space::new(u32::from(self.bits)).unwrap_or(Space::SHA1)
    }

    /// self + other, modulo 2^m.
    #[must_use]
    pub fn plus(self, other: Id) -> Id {
        debug_assert_eq!(self.bits, other.bits, "identifiers of one space");
        let ((a_high, a_low), (b_high, b_low)) = (self.limbs(), other.limbs());
        let (low, carry) = a_low.overflowing_add(b_low);
        let high = a_high.wrapping_add(b_high).wrapping_add(u32::from(carry));
        self.with_limbs(high, low).wrapped()
    }

    /// self − other, modulo 2^m.
    #[must_use]
    pub fn minus(self, other: Id) -> Id {
        debug_assert_eq!(self.bits, other.bits, "identifiers of one space");
        let ((a_high, a_low), (b_high, b_low)) = (self.limbs(), other.limbs());
        let (low, borrow) = a_low.overflowing_sub(b_low);
        let high = a_high.wrapping_sub(b_high).wrapping_sub(u32::from(borrow));
        self.with_limbs(high, low).wrapped()
    }

    /// How far it is clockwise from here to `other`: 0 to itself.
    #[must_use]
    pub fn distance_to(self, other: Id) -> Id {
        other.minus(self)
    }

    /// self + 2^exponent, modulo 2^m: the start of finger `exponent + 1`. `exponent` is below *m*.
    #[must_use]
    pub fn plus_power(self, exponent: u32) -> Id {
        debug_assert!(exponent < u32::from(self.bits), "2^{exponent} in {} bits", self.bits);
        let power = match exponent {
            0..128 => self.with_limbs(0, 1 << exponent),
            _ => self.with_limbs(1 << (exponent - 128), 0),
        };
        self.plus(power)
    }

    /// The number divided by `by`, which is not 0, and the remainder.
    #[must_use]
    pub fn div_rem(self, by: u32) -> (Id, u32) {
        let (mut quotient, mut rest) = ([0; 20], 0u64);
        for (digit, place) in self.value.iter().zip(&mut quotient) {
            rest = rest << 8 | u64::from(*digit);
            // The rest is below `by` before each step, so the quotient's digit fits.
            *place = (rest / u64::from(by)) as u8;
            rest %= u64::from(by);
        }
        (Id { bits: self.bits, value: quotient }, rest as u32)
    }

    /// self · factor, modulo 2^m.
    #[must_use]
    pub fn times(self, factor: u32) -> Id {
        let (mut product, mut carry) = ([0; 20], 0u64);
        for (digit, place) in self.value.iter().zip(&mut product).rev() {
            carry += u64::from(*digit) * u64::from(factor);
            *place = carry as u8;
            carry >>= 8;
        }
        Id { bits: self.bits, value: product }.wrapped()
    }

    /// Digit number `place` from the left, 0 for the most significant, of ⌈m / digit_bits⌉ digits of so many bits (1 to 16). Where *m*
    /// is no multiple the number is read as if zeros followed it.
    pub fn digit(self, place: u32, digit_bits: u32) -> u32 {
        let from = place * digit_bits;
        let bit = |at: u32| {
            let at = u32::from(self.bits).checked_sub(at + 1)?;
            Some(u32::from(self.value[19 - (at / 8) as usize] >> (at % 8) & 1))
        };
        (from..from + digit_bits).fold(0, |digit, at| digit << 1 | bit(at).unwrap_or(0))
    }

    /// The leading bits as a number, `limit` of them (up to 32) or all there are: which of 2^limit equal parts of the circle it lies in.
    pub fn leading_bits(self, limit: u32) -> usize {
        let bits = u32::from(self.bits);
        let (_, low) = self.shifted_right(bits - bits.min(limit)).limbs();
        // At most 32 bits are left.
        low as usize
    }

    /// How many leading digits of so many bits both have in common; all ⌈m / digit_bits⌉ with itself.
    pub fn shared_digits(self, other: Id, digit_bits: u32) -> u32 {
        let leading = match self.differing(other).log2() {
            Some(highest) => u32::from(self.bits) - 1 - highest,
            None => return u32::from(self.bits).div_ceil(digit_bits),
        };
        leading / digit_bits
    }

    fn differing(self, other: Id) -> Id {
        let ((a_high, a_low), (b_high, b_low)) = (self.limbs(), other.limbs());
        self.with_limbs(a_high ^ b_high, a_low ^ b_low)
    }

    /// How far apart both are, the shorter way round: symmetric.
    #[must_use]
    pub fn gap(self, other: Id) -> Id {
        self.distance_to(other).min(other.distance_to(self))
    }

    /// Half the number, rounded down.
    #[must_use]
    pub fn half(self) -> Id {
        self.shifted_right(1)
    }

    /// ⌊log2⌋ of the number, none for zero.
    pub fn log2(self) -> Option<u32> {
        let (high, low) = self.limbs();
        match high {
            0 => low.checked_ilog2(),
            _ => Some(128 + high.ilog2()),
        }
    }

    /// The number as a fraction of the circle, 0 up to 1: for showing, never for deciding.
    pub fn fraction(self) -> f64 {
        let (high, low) = self.limbs();
        let number = f64::from(high) * 2f64.powi(128) + low as f64;
        number / 2f64.powi(i32::from(self.bits))
    }

    /// ⌈m/8⌉ bytes, big-endian: the form on the wire.
    pub fn to_bytes(self) -> Vec<u8> {
        self.value[20 - self.space().byte_len()..].to_vec()
    }

    /// The number in 160 bits, big-endian: sorts as the identifier does.
    pub fn to_array(self) -> [u8; 20] {
        self.value
    }

    pub(crate) fn shifted_right(self, by: u32) -> Id {
        let (high, low) = self.limbs();
        match by {
            0 => self,
            1..32 => self.with_limbs(high >> by, low >> by | u128::from(high) << (128 - by)),
            32..128 => self.with_limbs(0, low >> by | u128::from(high) << (128 - by)),
            _ => self.with_limbs(0, u128::from(high >> (by - 128))),
        }
    }

    pub(crate) fn wrapped(self) -> Id {
        let (high, low) = self.limbs();
        match u32::from(self.bits) {
            160.. => self,
            bits @ 128..160 => self.with_limbs(high & ((1 << (bits - 128)) - 1), low),
            bits => self.with_limbs(0, low & ((1 << bits) - 1)),
        }
    }

    fn limbs(self) -> (u32, u128) {
        let (mut high, mut low) = ([0; 4], [0; 16]);
        high.copy_from_slice(&self.value[..4]);
        low.copy_from_slice(&self.value[4..]);
        (u32::from_be_bytes(high), u128::from_be_bytes(low))
    }

    fn with_limbs(self, high: u32, low: u128) -> Id {
        let mut value = [0; 20];
        value[..4].copy_from_slice(&high.to_be_bytes());
        value[4..].copy_from_slice(&low.to_be_bytes());
        Id { bits: self.bits, value }
    }
}

/// ⌈m/4⌉ lower-case hexadecimal digits.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits: String = self.value.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = usize::from(self.bits).div_ceil(4);
        f.write_str(&digits[digits.len() - shown..])
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
