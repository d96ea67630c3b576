use std::fmt;
use std::str::FromStr;

/// A record's version. Newer is greater; beyond that it is opaque, and is only handed back to a node in a condition.
///
/// Its text is what `dht` prints and takes:
///
/// ```
/// let version: client::Version = "019aa5c1f2d30000-00000000000000a7".parse()?;
/// assert_eq!(version.to_string(), "019aa5c1f2d30000-00000000000000a7");
/// # Ok::<(), client::VersionError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Version {
    clock: u64,
    store: u64,
}

/// The text is not a version.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{0}` is not a version: two numbers of 16 hexadecimal digits with a dash between them, as `put` and `get --meta` print it"
)]
pub struct VersionError(String);

impl From<wire::v1::Version> for Version {
    fn from(wire: wire::v1::Version) -> Self {
        Self { clock: wire.clock, store: wire.store }
    }
}

impl From<Version> for wire::v1::Version {
    fn from(version: Version) -> Self {
        Self { clock: version.clock, store: version.store }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}", self.clock, self.store)
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
        let (clock, store) = text.split_once('-').ok_or_else(error)?;
        Ok(Self { clock: number(clock)?, store: number(store)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_clock_and_then_by_store() {
        let version = |text: &str| text.parse::<Version>().unwrap();
        assert!(version("0000000000000002-0000000000000000") > version("0000000000000001-ffffffffffffffff"));
        assert!(version("0000000000000001-0000000000000002") > version("0000000000000001-0000000000000001"));
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in [
            "",
            "-",
            "1-2",
            "+00000000000000f-0000000000000001",
            "0000000000000001",
            "000000000000000g-0000000000000001",
        ] {
            assert!(text.parse::<Version>().is_err(), "`{text}` was taken for a version");
        }
    }
}
