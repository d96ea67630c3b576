//! What the log says of a store that fails: each trouble once when it begins, then at most a line a minute that counts it.
//! A full disk refuses every write, and what its log has to say of that is one line.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often a trouble that goes on is said again.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Troubles told apart: a damaged table may have as many as it has records.
const TOLD_APART_MAX: usize = 16;
/// Stands for all beyond these.
const OTHERS: &str = "more troubles of this store than are told apart; `dhtd verify-store` lists the damage";

/// The log is the process's, and so is what it has said.
static SAID: Mutex<Said> = Mutex::new(Said { troubles: BTreeMap::new() });

/// Something was not done because of this, on this node's own disk.
pub(crate) fn of_store(why: &str) {
    if let Some((why, times)) = SAID.lock().say(Instant::now(), why) {
        match times {
            0 => tracing::error!(why, "this node's store failed"),
            _ => tracing::error!(why, times, "this node's store goes on failing"),
        }
    }
}

struct Said {
    /// When each was said last, and how often it has come since.
    troubles: BTreeMap<String, (Instant, u64)>,
}

impl Said {
    /// What to say of it now, if anything, and how often it has come since it was said last.
    fn say<'a>(&mut self, now: Instant, why: &'a str) -> Option<(&'a str, u64)> {
        let is_over = |said: &Instant| now.saturating_duration_since(*said) >= SAY_EVERY;
        // Those that have not come again.
        self.troubles.retain(|_, (said, times)| *times > 0 || !is_over(said));
        let is_told_apart = self.troubles.contains_key(why) || self.troubles.len() < TOLD_APART_MAX;
        let why = if is_told_apart { why } else { OTHERS };
        match self.troubles.get_mut(why) {
            None => {
                self.troubles.insert(why.to_owned(), (now, 0));
                Some((why, 0))
            }
            Some((said, times)) => {
                *times += 1;
                is_over(said).then(|| {
                    *said = now;
                    (why, std::mem::take(times))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_said_once_and_then_counted_every_minute() {
        let (mut said, begun) = (Said { troubles: BTreeMap::new() }, Instant::now());
        assert_eq!(said.say(begun, "full"), Some(("full", 0)));
        for ms in 1..1_000 {
            assert_eq!(said.say(begun + Duration::from_millis(ms), "full"), None);
        }
        assert_eq!(said.say(begun + Duration::from_secs(1), "rotten"), Some(("rotten", 0)), "another is another");
        assert_eq!(said.say(begun + SAY_EVERY, "full"), Some(("full", 1_000)));
        assert_eq!(said.say(begun + SAY_EVERY, "full"), None);
        assert_eq!(said.say(begun + 2 * SAY_EVERY, "full"), Some(("full", 2)));
        assert_eq!(said.say(begun + 2 * SAY_EVERY, "rotten"), Some(("rotten", 0)), "it was over");
    }

    #[test]
    fn a_flood_of_different_troubles_is_bounded() {
        let (mut said, begun) = (Said { troubles: BTreeMap::new() }, Instant::now());
        let lines =
            |said: &mut Said, at| (0..1_000).filter(|key| said.say(at, &format!("key {key}")).is_some()).count();
        assert_eq!(lines(&mut said, begun), TOLD_APART_MAX + 1);
        assert_eq!(lines(&mut said, begun + Duration::from_secs(1)), 0);
        assert!(said.troubles.len() <= TOLD_APART_MAX + 1);
        assert!(lines(&mut said, begun + SAY_EVERY) <= TOLD_APART_MAX + 1);
    }
}
