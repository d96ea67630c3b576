//! Keys whose records a forced set may have lost, by what the daemons logged.

use std::collections::HashSet;

use crate::cluster::Cluster;
use crate::history::key_name;
use crate::ids::{self, BITS_MAX};
use crate::truth::Protocol;

/// What a daemon logs when it goes on without a majority.
const SAYINGS: [&str; 2] = ["going on without the majority of a set", "nobody alive held this range: begun empty"];

/// All keys in ranges that had a forced set. In Kelips, where a key's place is not its identifier, all keys if there
/// was any.
pub(super) fn keys(cluster: &Cluster, keys: u32) -> HashSet<u32> {
    let logs: Vec<String> = cluster.nodes.iter().map(crate::daemon::Daemon::log).collect();
    let ranges: Vec<(String, String)> = logs.iter().flat_map(|log| log.lines()).filter_map(range).collect();
    let somewhere = matches!(cluster.settings.protocol, Protocol::Kelips { .. });
    let forced = |key: &u32| {
        let id = ids::hash(key_name(*key).as_bytes(), BITS_MAX);
        ranges.iter().any(|(after, upto)| somewhere || within(&id, after, upto))
    };
    (0..keys).filter(forced).collect()
}

fn range(line: &str) -> Option<(String, String)> {
    if !SAYINGS.iter().any(|saying| line.contains(saying)) {
        return None;
    }
    let (_, range) = line.split_once("range=(")?;
    let (range, _) = range.split_once(']')?;
    let (after, upto) = range.split_once(", ")?;
    Some((after.to_owned(), upto.to_owned()))
}

/// Whether an identifier is in a range, around the circle.
fn within(id: &str, after: &str, upto: &str) -> bool {
    if after < upto { after < id && id <= upto } else { after < id || id <= upto }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_from_the_log() {
        let line = "2026-01-01T00:00:00Z  WARN nobody alive held this range: begun empty range=(00ff, 10ff] x=1";
        assert_eq!(range(line), Some(("00ff".to_owned(), "10ff".to_owned())));
        assert_eq!(range("INFO set accepted range=(00ff, 10ff]"), None);
    }

    #[test]
    fn a_range_goes_around_the_circle() {
        assert!(within("05", "00", "10") && within("10", "00", "10") && !within("00", "00", "10"));
        assert!(within("ff", "f0", "10") && within("05", "f0", "10") && !within("80", "f0", "10"));
        assert!(within("80", "10", "10"));
    }
}
