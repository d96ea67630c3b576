use std::fmt;
use std::str::FromStr;

/// A record's version. Newer is greater; beyond that it is opaque, and is only handed back to a node in a condition.
///
/// Its text is what `dht` prints and takes:
///
/// ```
/// let version: client::Version = "0000000000000003-019aa5c1f2d30000-00000000000000a7".parse()?;
/// assert_eq!(version.to_string(), "0000000000000003-019aa5c1f2d30000-00000000000000a7");
/// # Ok::<(), client::VersionError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Version {
    term: u64,
    clock: u64,
    store: u64,
}

/// The text is not a version.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is not a version: three numbers of 16 hexadecimal digits with dashes between them, as `put` and `get --meta` print it"
)]
pub struct VersionError(String);

impl From<wire::v1::Version> for Version {
    fn from(wire: wire::v1::Version) -> Self {
        Self { term: wire.term, clock: wire.clock, store: wire.store }
    }
}

impl From<Version> for wire::v1::Version {
    fn from(version: Version) -> Self {
        Self { term: version.term, clock: version.clock, store: version.store }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}-{:016x}", self.term, self.clock, self.store)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.to_owned());
        let number = |digits: &str| {
            let plain = digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            if plain { u64::from_str_radix(digits, 16).map_err(|_| error()) } else { Err(error()) }
        };
        let numbers: Vec<u64> = text.split('-').map(number).collect::<Result<_, _>>()?;
        let [term, clock, store] = numbers[..] else { return Err(error()) };
        Ok(Self { term, clock, store })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_term_then_by_clock_and_then_by_store() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        let last = "ffffffffffffffff";
        let (one, two) = ("0000000000000001", "0000000000000002");
        assert!(version(&format!("{two}-{one}-{one}")) > version(&format!("{one}-{last}-{last}")));
        assert!(version(&format!("{one}-{two}-{one}")) > version(&format!("{one}-{one}-{last}")));
        assert!(version(&format!("{one}-{one}-{two}")) > version(&format!("{one}-{one}-{one}")));
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in [
            "",
            "-",
            "1-2",
            "+00000000000000f-0000000000000001-0000000000000001",
            "0000000000000001-0000000000000001",
            "0000000000000001-000000000000000g-0000000000000001",
        ] {
            assert!(text.parse::<Version>().is_err(), "`{text}` was taken for a version");
        }
    }
}
