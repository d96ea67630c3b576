mod load;

use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;

use self::load::Tally;
use crate::args::positive_time;
use crate::columns::Columns;
use crate::context::Context;
use crate::exit::Result;
use crate::output::{Paint, counted, duration_us};

/// Put load on the endpoints and measure: throughput and latency
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Bench {
    /// How many different keys
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Bytes in each value
    #[arg(long, value_name = "B", default_value_t = 1024)]
    value_size: usize,
    /// Clients, each with a connection of its own, spread over the endpoints
    #[arg(long, value_name = "C", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Operations that each client keeps in flight
    #[arg(long, value_name = "D", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pipeline: u16,
    /// How long to measure; keys to be read are put before that
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_time)]
    duration: Duration,
    /// 0: only puts; 1: only gets; between: that part of the operations are gets
    #[arg(long, value_name = "R", default_value_t = 0.5, value_parser = ratio)]
    read_ratio: f64,
}

#[derive(Serialize, Debug)]
struct Measured {
    ops: u64,
    errors: u64,
    ops_per_s: f64,
    latency_us: Latency,
}

#[derive(Serialize, Debug)]
struct Latency {
    p50: u64,
    p95: u64,
    p99: u64,
    p99_9: u64,
}

impl Bench {
    pub(crate) async fn run(self, context: &Context) -> Result {
        let clients = load::connect(self, context)?;
        if self.read_ratio > 0.0 {
            load::fill(self, &clients).await?;
        }
        let tally = load::measure(self, &clients).await;
        for (message, times) in tally.messages() {
            crate::output::note(&format!("{}: {message}", counted(times, "error")));
        }
        context.out.show(&Measured::new(&tally), text)
    }
}

impl Measured {
    fn new(tally: &Tally) -> Self {
        Self {
            ops: tally.ops(),
            errors: tally.errors(),
            ops_per_s: (tally.ops() as f64 / tally.elapsed().as_secs_f64().max(1e-9) * 10.0).round() / 10.0,
            latency_us: Latency::new(tally.latency_us()),
        }
    }
}

impl Latency {
    fn new(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile);
        Self { p50: at(0.5), p95: at(0.95), p99: at(0.99), p99_9: at(0.999) }
    }
}

fn text(measured: &Measured, paint: Paint) -> String {
    let Measured { ops, errors, ops_per_s, latency_us } = measured;
    let per_second = paint.bold(&format!("{ops_per_s:.0} a second"));
    let errors = counted(*errors, "error");
    let mut columns = Columns::new(&["latency", ">p50", ">p95", ">p99", ">p99.9"]);
    let Latency { p50, p95, p99, p99_9 } = latency_us;
    columns.row([String::new()].into_iter().chain([p50, p95, p99, p99_9].map(|us| duration_us(*us))));
    format!("{ops} operations, {per_second}, {errors}\n{}", columns.render(0))
}

fn ratio(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_promised_fields_in_order() {
        let latency_us = Latency { p50: 1, p95: 2, p99: 3, p99_9: 4 };
        let measured = Measured { ops: 10, errors: 1, ops_per_s: 2.5, latency_us };
        let expected = r#"{"ops":10,"errors":1,"ops_per_s":2.5,"latency_us":{"p50":1,"p95":2,"p99":3,"p99_9":4}}"#;
        assert_eq!(serde_json::to_string(&measured).unwrap(), expected);
        let expected =
            "10 operations, 2 a second, 1 error\nlatency   p50   p95   p99  p99.9\n         1 µs  2 µs  3 µs   4 µs\n";
        assert_eq!(text(&measured, Paint::PLAIN), expected);
    }

    #[test]
    fn a_ratio_lies_between_0_and_1() {
        assert_eq!([ratio("0"), ratio("0.5"), ratio("1")], [Ok(0.0), Ok(0.5), Ok(1.0)]);
        for text in ["-0.1", "1.1", "NaN", "half"] {
            assert!(ratio(text).is_err(), "{text}");
        }
    }
}
