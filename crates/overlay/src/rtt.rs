//! Smoothed round trip of one peer, after RFC 6298 §2, in whole microseconds.
//!
//! Karn's rule (no sample from a call that was retried) is the caller's: it hands in only round
//! trips that are unambiguous and did not pay for opening a connection.

use std::time::Duration;

/// Clock granularity *G* of RFC 6298: a time-out is never closer to the smoothed RTT than this.
const GRANULARITY_US: u64 = 1_000;

/// One peer's round trip: smoothed value and variation, none before the first sample.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Rtt {
    estimate: Option<Estimate>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Estimate {
    smoothed_us: u64,
    variation_us: u64,
}

impl Rtt {
    /// Takes in one round trip.
    pub(crate) fn sample(&mut self, rtt: Duration) {
        // An hour is longer than any call lives; the bound keeps the sums far from overflow.
        let rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).min(3_600_000_000);
        self.estimate = Some(match self.estimate {
            None => Estimate { smoothed_us: rtt_us, variation_us: rtt_us / 2 },
            Some(old) => Estimate {
                smoothed_us: (7 * old.smoothed_us + rtt_us) / 8,
                variation_us: (3 * old.variation_us + old.smoothed_us.abs_diff(rtt_us)) / 4,
            },
        });
    }

    /// SRTT.
    pub(crate) fn smoothed(self) -> Option<Duration> {
        self.estimate.map(|estimate| Duration::from_micros(estimate.smoothed_us))
    }

    /// RTO = SRTT + max(G, 4·RTTVAR), not yet clamped.
    pub(crate) fn timeout(self) -> Option<Duration> {
        let Estimate { smoothed_us, variation_us } = self.estimate?;
        Some(Duration::from_micros(smoothed_us + (4 * variation_us).max(GRANULARITY_US)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples_us: &[u64]) -> Rtt {
        let mut rtt = Rtt::default();
        samples_us.iter().for_each(|&us| rtt.sample(Duration::from_micros(us)));
        rtt
    }

    #[test]
    fn nothing_is_known_before_the_first_sample() {
        assert_eq!((after(&[]).smoothed(), after(&[]).timeout()), (None, None));
    }

    #[test]
    fn the_first_samples_follow_rfc_6298_by_hand() {
        assert_eq!(after(&[8_000]).timeout(), Some(Duration::from_micros(8_000 + 4 * 4_000)));
        // RTTVAR = 3/4·4000 + 1/4·|8000−16000| = 5000; SRTT = 7/8·8000 + 1/8·16000 = 9000.
        let two = after(&[8_000, 16_000]);
        assert_eq!(two.smoothed(), Some(Duration::from_micros(9_000)));
        assert_eq!(two.timeout(), Some(Duration::from_micros(9_000 + 4 * 5_000)));
    }

    #[test]
    fn a_steady_peer_ends_with_its_rtt_and_the_clock_granularity() {
        let steady = after(&[5_000; 100]);
        assert_eq!(steady.smoothed(), Some(Duration::from_micros(5_000)));
        assert_eq!(steady.timeout(), Some(Duration::from_micros(6_000)));
    }

    #[test]
    fn one_outlier_moves_the_estimate_by_an_eighth_and_absurd_ones_are_bounded() {
        let outlier = after(&[[8_000; 50].as_slice(), &[88_000]].concat());
        assert_eq!(outlier.smoothed(), Some(Duration::from_micros(18_000)));
        let mut absurd = Rtt::default();
        absurd.sample(Duration::MAX);
        assert_eq!(absurd.smoothed(), Some(Duration::from_secs(3_600)));
    }
}
