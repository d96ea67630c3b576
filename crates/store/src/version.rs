use std::fmt;
use std::str::FromStr;

/// Which of two writes to one key is the newer: the number of the set that it was ordered under, a moment of a hybrid
/// logical clock (Kulkarni et al., "Logical Physical Clocks", OPODIS 2014) and, to break ties, the store of the node
/// that gave it.
///
/// Totally ordered, and the same everywhere: by `term`, then by `clock`, then by `store`. The term comes first because a
/// primary that was replaced while it was paused does not know so yet when it wakes: what it then orders must not
/// win over what was ordered by the next one, whatever its clock says (as a term does in Raft, or a view in viewstamps).
///
/// ```
/// use store::Version;
///
/// let version = Version::at(1_700_000_000_000, 3, 42).under(7);
/// assert_eq!(version.to_string(), "0000000000000007-018bcfe568000003-000000000000002a");
/// assert_eq!(version.to_string().parse(), Ok(version));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Version {
    /// The number of the set that its primary acted for.
    pub term: u64,
    /// Wall-clock milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
    pub clock: u64,
    /// The number of the store whose node gave the version.
    pub store: u64,
}

/// The text is not a [`Version`] as `Display` prints it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is not a version: three numbers of 16 lower-case hexadecimal digits with `-` between them")]
pub struct ParseVersionError {
    /// What was given, cut to the first 64 characters.
    pub text: String,
}

/// Bits of the counter in [`Version::clock`].
const COUNTER_BITS: u32 = 16;
/// Hexadecimal digits of each part.
const DIGITS: usize = 16;

impl Version {
    /// The version at `wall_ms` and `counter`, under no set yet. Milliseconds past 48 bits (the year 10889) count as the last that fit.
    pub fn at(wall_ms: u64, counter: u16, store: u64) -> Self {
        let wall_ms = wall_ms.min(u64::MAX >> COUNTER_BITS);
        Self { term: 0, clock: wall_ms << COUNTER_BITS | u64::from(counter), store }
    }

    /// The same, ordered under set number `term`.
    #[must_use]
    pub fn under(self, term: u64) -> Self {
        Self { term, ..self }
    }

    /// The wall-clock part, in milliseconds since 1970: how far ahead of its own clock a node may let
    /// a peer's version be is for the caller to decide.
    pub fn wall_ms(self) -> u64 {
        self.clock >> COUNTER_BITS
    }
}

/// Fixed width, so that the text sorts as the version does.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}-{:016x}", self.term, self.clock, self.store)
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-').map(part);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(term)), Some(Some(clock)), Some(Some(store)), None) => Ok(Self { term, clock, store }),
            _ => Err(ParseVersionError { text: text.chars().take(64).collect() }),
        }
    }
}

/// `from_str_radix` alone would take signs, capitals and any width: one version, one text.
fn part(text: &str) -> Option<u64> {
    let canonical = text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    canonical.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_that_is_not_exactly_a_version_is_refused() {
        let good = "0000000000000007-018bcfe568000003-000000000000002a";
        assert!(good.parse::<Version>().is_ok());
        for bad in [
            "",
            "-",
            "1-2",
            "0000000000000007-018bcfe568000003",
            "0000000000000007-018bcfe568000003-000000000000002A",
            "0000000000000007-+18bcfe568000003-000000000000002a",
            "0000000000000007-018bcfe568000003-000000000000002a-",
            "0000000000000007-018bcfe568000003-000000000000002aé",
            "0000000000000007-018bcfe568000003_000000000000002a",
        ] {
            let refused = bad.parse::<Version>();
            assert_eq!(refused, Err(ParseVersionError { text: bad.to_owned() }));
        }
    }

    #[test]
    fn what_was_ordered_under_a_later_set_is_newer_whatever_the_clocks_say() {
        assert!(Version::at(1, 0, 1).under(8) > Version::at(2, 0, 2).under(7));
        assert!(Version::at(2, 0, 1).under(7) > Version::at(1, 0, 2).under(7));
    }

    proptest! {
        #[test]
        fn text_and_version_are_the_same_order(a: (u64, u64, u64), b: (u64, u64, u64)) {
            let version = |(term, clock, store)| Version { term, clock, store };
            let (a, b) = (version(a), version(b));
            prop_assert_eq!(a.to_string().parse(), Ok(a));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
