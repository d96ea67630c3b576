//! Means, how far single values lie from them, and the table of all.

use serde::Serialize;

use super::{Comparison, Measured};
use crate::columns::Columns;
use crate::output::{Paint, counted, duration_us};

/// A mean, and the sample standard deviation where there are two values or more.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) deviation: Option<f64>,
}

#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
pub(super) struct Hops {
    mean: f64,
    max: usize,
    deviation: Option<f64>,
}

#[derive(Serialize, Clone, Copy, PartialEq, Debug)]
pub(super) struct Latency {
    mean: f64,
    p95: u64,
    deviation: Option<f64>,
}

impl Spread {
    /// Rounded to thousandths.
    pub(super) fn of(values: &[f64]) -> Self {
        let number = values.len() as f64;
        let mean = values.iter().sum::<f64>() / number.max(1.0);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (values.len() > 1).then(|| thousandths((squares / (number - 1.0)).sqrt()));
        Self { mean: thousandths(mean), deviation }
    }
}

impl Hops {
    pub(super) fn of(hops: impl Iterator<Item = usize> + Clone) -> Self {
        let max = hops.clone().max().unwrap_or(0);
        let Spread { mean, deviation } = Spread::of(&hops.map(|hops| hops as f64).collect::<Vec<_>>());
        Self { mean, max, deviation }
    }
}

impl Latency {
    pub(super) fn of(times: impl Iterator<Item = u64>) -> Self {
        let mut times: Vec<u64> = times.collect();
        times.sort_unstable();
        // Nearest rank: the smallest value that 95 % do not exceed.
        let rank = (times.len() * 95).div_ceil(100).saturating_sub(1);
        let p95 = times.get(rank).copied().unwrap_or(0);
        let Spread { mean, deviation } = Spread::of(&times.iter().map(|time| *time as f64).collect::<Vec<_>>());
        Self { mean, p95, deviation }
    }
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// `3.25 ± 0.43`.
fn with_deviation(mean: f64, deviation: Option<f64>, digits: usize) -> String {
    match deviation {
        Some(deviation) => format!("{mean:.digits$} ± {deviation:.digits$}"),
        None => format!("{mean:.digits$}"),
    }
}

/// A row for each overlay, and a line for each column that says what it counts.
pub(super) fn text(comparison: &Comparison, from: u16, rounds: u16, paint: Paint) -> String {
    let Comparison { nodes, keys, protocols } = comparison;
    let mut columns =
        Columns::new(&["overlay", ">hops", ">max", ">state (B)", ">latency (ms)", ">p95", ">messages/s", ">bytes/s"]);
    for measured in protocols {
        columns.row(cells(measured, paint));
    }
    let keys = counted(keys.len() as u64, "key");
    let (asked, rounds) = (counted(u64::from(from.min(*nodes)), "node"), counted(u64::from(rounds), "time"));
    let nodes = counted(u64::from(*nodes), "node");
    format!("{keys} looked up {rounds} from {asked} each, in overlays of {nodes}\n\n{}\n{LEGEND}", columns.render(2))
}

fn cells(measured: &Measured, paint: Paint) -> [String; 8] {
    let Measured { protocol, hops, latency_us, deviation, .. } = measured;
    [
        paint.bold(protocol),
        with_deviation(hops.mean, hops.deviation, 2),
        hops.max.to_string(),
        with_deviation(measured.state_bytes_per_node, deviation.state_bytes, 0),
        with_deviation(latency_us.mean / 1e3, latency_us.deviation.map(|us| us / 1e3), 2),
        duration_us(latency_us.p95),
        with_deviation(measured.messages_per_node_s, deviation.messages, 1),
        with_deviation(measured.bytes_per_node_s, deviation.bytes, 0),
    ]
}

const LEGEND: &str = "  \
  hops        how often a lookup went on to another node, and the most that any took
  state       what a node keeps to find its way, in bytes: each node that it knows, once, and 28 for a pointer to a record
  latency     from the question to the answer at the node that was asked, connections being open, and what 95 % stay within
  messages/s  per node and second, while nothing was asked of it: calls between nodes that it sent or answered
  bytes/s     of these calls, requests and replies, as encoded, without what gRPC puts around them
  ±           standard deviation: of single lookups, of nodes (state), of stretches of the idle time (messages, bytes)
";

#[cfg(test)]
mod tests {
    use super::super::{Looked, Measured};
    use super::*;

    fn measured() -> Measured {
        let looked =
            |hops, latency_us| Looked { key: "fruit".into(), from: "0a".into(), owner: "2a".into(), hops, latency_us };
        let lookups = vec![looked(1, 500), looked(3, 1500)];
        Measured::new("chord", lookups, &[900.0, 1100.0], &[4.0, 5.0, 6.0], &[410.0, 400.0, 390.0])
    }

    fn comparison() -> Comparison {
        Comparison { nodes: 16, keys: vec!["fruit".into()], protocols: vec![measured()] }
    }

    #[test]
    fn each_overlay_is_a_row_of_figures_with_their_spread() {
        let shown = text(&comparison(), 2, 1, Paint::PLAIN);
        let expected = "\
1 key looked up 1 time from 2 nodes each, in overlays of 16 nodes

  overlay         hops  max   state (B)  latency (ms)      p95  messages/s   bytes/s
  chord    2.00 ± 1.41    3  1000 ± 141   1.00 ± 0.71  1.50 ms   5.0 ± 1.0  400 ± 10

";
        assert!(shown.starts_with(expected), "{shown}");
        for unit in ["  hops", "  state", "  latency", "  messages/s", "  bytes/s", "  ±"] {
            assert_eq!(shown.lines().filter(|line| line.starts_with(unit)).count(), 1, "{unit} in {shown}");
        }
    }

    #[test]
    fn json_has_the_promised_fields_in_order() {
        let json = serde_json::to_string(&comparison()).unwrap();
        let expected = concat!(
            r#"{"nodes":16,"keys":["fruit"],"protocols":[{"protocol":"chord","#,
            r#""hops":{"mean":2.0,"max":3,"deviation":1.414},"latency_us":{"mean":1000.0,"p95":1500,"deviation":707.107},"#,
            r#""state_bytes_per_node":1000.0,"messages_per_node_s":5.0,"bytes_per_node_s":400.0,"#,
            r#""deviation":{"state_bytes":141.421,"messages":1.0,"bytes":10.0},"#,
            r#""lookups":[{"key":"fruit","from":"0a","owner":"2a","hops":1,"latency_us":500},"#
        );
        assert!(json.starts_with(expected), "{json}");
    }

    #[test]
    fn one_value_has_no_spread_and_none_is_zero() {
        assert_eq!(Spread::of(&[7.0]), Spread { mean: 7.0, deviation: None });
        assert_eq!(Spread::of(&[]), Spread { mean: 0.0, deviation: None });
        assert_eq!(with_deviation(7.0, None, 1), "7.0");
    }

    #[test]
    fn the_95th_percentile_is_a_value_that_was_measured() {
        assert_eq!(Latency::of(1..=100).p95, 95);
        assert_eq!(Latency::of(1..=20).p95, 19);
        assert_eq!(Latency::of([42].into_iter()).p95, 42);
        assert_eq!(Latency::of([].into_iter()).p95, 0);
    }
}
