//! The load itself: clients with a connection each, a number of operations in flight on each, every latency in a histogram.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::{Client, Error, PutOptions};
use futures::future::{join_all, try_join_all};
use hdrhistogram::Histogram;
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use super::Bench;
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::progress;

/// What was measured.
#[derive(Debug)]
pub(super) struct Tally {
    latency_us: Histogram<u64>,
    /// How often each error came.
    errors: BTreeMap<String, u64>,
    elapsed: Duration,
}

impl Tally {
    fn new() -> Self {
        // Up to an hour, three significant digits: bounds that the constructor takes.
        let latency_us =
            Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap_or_else(|_| unreachable!("constant bounds"));
        Self { latency_us, errors: BTreeMap::new(), elapsed: Duration::ZERO }
    }

    fn add(&mut self, taken: Duration, result: std::result::Result<(), Error>) {
        match result {
            Ok(()) => self.latency_us.saturating_record(u64::try_from(taken.as_micros()).unwrap_or(u64::MAX)),
            Err(error) => *self.errors.entry(error.to_string()).or_default() += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so everything fits.
        let _ = self.latency_us.add(&other.latency_us);
        for (message, times) in &other.errors {
            *self.errors.entry(message.clone()).or_default() += times;
        }
    }

    /// Operations that succeeded.
    pub(super) fn ops(&self) -> u64 {
        self.latency_us.len()
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.values().sum()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Of the operations that succeeded.
    pub(super) fn latency_us(&self) -> &Histogram<u64> {
        &self.latency_us
    }

    /// The errors that came, the most frequent ones first, a few of them.
    pub(super) fn messages(&self) -> Vec<(&str, u64)> {
        let mut messages: Vec<(&str, u64)> = self.errors.iter().map(|(text, times)| (text.as_str(), *times)).collect();
        messages.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        messages.truncate(5);
        messages
    }
}

/// One client for each connection; each begins at another endpoint.
pub(super) fn connect(bench: Bench, context: &Context) -> Result<Vec<Client>> {
    let endpoints: Vec<&str> = context.global.endpoints.iter().map(|endpoint| endpoint.as_str()).collect();
    let connect = |number: u16| {
        let mut endpoints = endpoints.clone();
        let first = usize::from(number) % endpoints.len().max(1);
        endpoints.rotate_left(first);
        Ok(Client::with_config(endpoints, context.config())?)
    };
    (0..bench.clients).map(connect).collect()
}

fn key(number: u64) -> Bytes {
    Bytes::from(format!("bench-{number:012}"))
}

/// Noise, so that nothing on the way can shrink it.
fn value(size: usize) -> Bytes {
    let mut bytes = vec![0; size];
    SmallRng::seed_from_u64(7).fill_bytes(&mut bytes);
    Bytes::from(bytes)
}

/// Puts every key once.
///
/// # Errors
/// When a key can't be put after a few attempts: there would be nothing to read.
pub(super) async fn fill(bench: Bench, clients: &[Client]) -> Result {
    let bar = progress::counting(bench.keys, "putting the keys to be read");
    let (next, value) = (Arc::new(AtomicU64::new(0)), value(bench.value_size));
    let workers = workers(bench, clients).map(|client| {
        let (next, bar, value) = (Arc::clone(&next), bar.clone(), value.clone());
        tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= bench.keys {
                    return Ok(());
                }
                put_surely(&client, key(number), &value).await?;
                bar.inc(1);
            }
        })
    });
    let filled = try_join_all(workers).await.map_err(|error| Failure::other(error.to_string()))?;
    bar.finish_and_clear();
    filled.into_iter().collect()
}

async fn put_surely(client: &Client, key: Bytes, value: &Bytes) -> Result {
    const ATTEMPTS: u32 = 5;
    for attempt in 1.. {
        match client.put(key.clone(), value.clone(), PutOptions::default()).await {
            Ok(_) => break,
            Err(error @ Error::InvalidArgument(_)) => return Err(error.into()),
            Err(error) if attempt == ATTEMPTS => return Err(error.into()),
            Err(_) => tokio::time::sleep(Duration::from_millis(100) * attempt).await,
        }
    }
    Ok(())
}

/// Puts and gets at random for as long as was asked.
pub(super) async fn measure(bench: Bench, clients: &[Client]) -> Tally {
    let bar = progress::timing(bench.duration, "measuring");
    let start = Instant::now();
    let value = value(bench.value_size);
    let workers = workers(bench, clients).map(|client| {
        let value = value.clone();
        tokio::spawn(async move {
            let mut rng = SmallRng::from_rng(&mut rand::rng());
            let mut tally = Tally::new();
            while start.elapsed() < bench.duration {
                let key = key(rng.random_range(0..bench.keys));
                let before = Instant::now();
                let result = if rng.random_bool(bench.read_ratio) {
                    client.get(key).await.map(|_| ())
                } else {
                    client.put(key, value.clone(), PutOptions::default()).await.map(|_| ())
                };
                let failed = result.is_err();
                tally.add(before.elapsed(), result);
                if failed {
                    // A node that refuses at once is not to be asked a hundred thousand times a second.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            tally
        })
    });
    let workers: Vec<_> = workers.collect();
    let clock = {
        let bar = bar.clone();
        tokio::spawn(async move {
            loop {
                bar.set_position(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    };
    let mut total = Tally::new();
    for tally in join_all(workers).await.iter().flatten() {
        total.merge(tally);
    }
    total.elapsed = start.elapsed();
    clock.abort();
    bar.finish_and_clear();
    total
}

/// The clients, each as often as it keeps operations in flight.
fn workers(bench: Bench, clients: &[Client]) -> impl Iterator<Item = Client> {
    clients.iter().flat_map(move |client| std::iter::repeat_n(client.clone(), usize::from(bench.pipeline)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up_and_name_the_most_frequent_error_first() {
        let (mut one, mut other) = (Tally::new(), Tally::new());
        one.add(Duration::from_micros(100), Ok(()));
        other.add(Duration::from_micros(300), Ok(()));
        other.add(Duration::ZERO, Err(Error::Other("rare".into())));
        for _ in 0..2 {
            other.add(Duration::ZERO, Err(Error::NotFound));
        }
        one.merge(&other);
        assert_eq!((one.ops(), one.errors()), (2, 3));
        assert_eq!(one.messages(), [("not found", 2), ("rare", 1)]);
        assert_eq!(one.latency_us().value_at_quantile(0.5), 100);
    }

    #[tokio::test]
    async fn each_client_begins_at_another_endpoint() {
        let cli = <crate::args::Cli as clap::Parser>::parse_from([
            "dht",
            "--endpoints",
            "a:1,b:2",
            "bench",
            "--clients",
            "3",
        ]);
        let crate::args::Command::Bench(bench) = cli.command else { panic!("not a bench") };
        let clients = connect(bench, &Context::new(cli.global)).unwrap();
        let first: Vec<String> =
            clients.iter().filter_map(|client| client.endpoints().next().map(ToString::to_string)).collect();
        assert_eq!(first, ["a:1", "b:2", "a:1"]);
    }
}
