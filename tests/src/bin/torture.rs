//! `torture`: a cluster on this machine, clients that write down all that they are told, and everything that can happen
//! to a cluster; in the end, whether it kept its promises. `cargo xtask torture` builds what it needs and runs it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use harness::Protocol;
use harness::torture::{Outcome, Torture};

const EXIT_CODES: &str = "Exit codes: 0 it kept its promises · 1 it did not, or too few reads were answered, and logs and \
    disks are kept · 2 usage";

/// Runs a cluster through crashes, pauses and worse, and checks every answer that its clients got.
#[derive(Parser, Debug)]
#[command(name = "torture", max_term_width = 100, after_help = EXIT_CODES)]
struct Args {
    /// The overlay
    #[arg(long, value_enum, default_value_t = Overlay::Chord)]
    protocol: Overlay,
    /// Kelips: affinity groups
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    groups: u32,
    /// Of clients and faults [default: a random one, which is printed]
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults go on
    #[arg(long, value_name = "M", default_value_t = 1.0, value_parser = minutes, conflicts_with = "duration")]
    minutes: f64,
    /// The same as a duration, such as 90s
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// How many daemons
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(3..=200))]
    nodes: u16,
    /// How many clients
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    clients: u32,
    /// How many keys they share
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    keys: u32,
    /// Daemons without disks; then nothing is killed at once in the end
    #[arg(long)]
    memory: bool,
    /// Kill no daemon
    #[arg(long)]
    no_crashes: bool,
    /// Stop no daemon
    #[arg(long)]
    no_pauses: bool,
    /// Cut daemons off from the others
    #[arg(long)]
    partitions: bool,
    /// Lose and delay calls between daemons
    #[arg(long)]
    loss: bool,
    /// Set daemons' clocks wrong by up to 400 ms
    #[arg(long)]
    skew: bool,
    /// As for dhtd: unless `never`, what is wrong in a range that went on without a majority is told apart
    #[arg(long, value_name = "DURATION", default_value = "never")]
    lost_majority_after: String,
    /// How long after the end of its call a write of unknown outcome may still be carried out
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    unknown_for: Duration,
    /// Percentage of reads that has to be answered within 5 s
    #[arg(long, value_name = "PERCENT", default_value_t = 99.9, value_parser = percent)]
    reads_answered: f64,
    /// Write the outcome to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Further arguments for every dhtd
    #[arg(last = true, value_name = "DHTD ARGS")]
    args: Vec<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Overlay {
    Chord,
    Pastry,
    Kelips,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.05..=10_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("not a number of minutes, 0.05 to 10000".to_owned()),
    }
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("not a percentage, 0 to 100".to_owned()),
    }
}

impl Args {
    fn torture(&self, seed: u64) -> Torture {
        let protocol = match self.protocol {
            Overlay::Chord => Protocol::Chord,
            Overlay::Pastry => Protocol::Pastry,
            Overlay::Kelips => Protocol::Kelips { groups: self.groups },
        };
        let mut torture = Torture::new(protocol, seed);
        torture.duration = self.duration.unwrap_or(Duration::from_secs_f64(60.0 * self.minutes));
        torture.nodes = self.nodes.into();
        (torture.clients, torture.keys) = (self.clients, self.keys);
        torture.durable = !self.memory;
        let faults = &mut torture.faults;
        (faults.crashes, faults.pauses) = (!self.no_crashes, !self.no_pauses);
        (faults.partitions, faults.loss, faults.skew) = (self.partitions, self.loss, self.skew);
        torture.lost_majority_after.clone_from(&self.lost_majority_after);
        torture.unknown_for = self.unknown_for;
        torture.reads_answered = self.reads_answered / 100.0;
        torture.args.clone_from(&self.args);
        torture
    }
}

fn main() -> ExitCode {
    // Exit code 2 for a bad flag is clap's own.
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let torture = args.torture(seed);
    let run = AssertUnwindSafe(|| torture.run(|what| eprintln!("{what}")));
    // What panicked has said why, and where the logs are.
    let Ok(outcome) = catch_unwind(run) else { return ExitCode::FAILURE };
    print!("{}", outcome.text());
    let written = args.report.is_none_or(|file| write(&file, &outcome));
    if outcome.passed() && written { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn write(file: &std::path::Path, outcome: &Outcome) -> bool {
    match std::fs::write(file, format!("{:#}\n", outcome.json())) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("torture: cannot write {}: {error}", file.display());
            false
        }
    }
}
