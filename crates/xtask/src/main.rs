//! What a justfile would do, for whoever has a Rust toolchain and nothing else.
//!
//! `cargo demo` · `cargo xtask torture` · `cargo xtask mutants` · `cargo xtask image` · `cargo xtask check` · `cargo xtask fix`

mod cargo;
mod image;
mod mutants;

use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::Cargo;

const USAGE: &str = "\
usage: cargo xtask TASK

  demo [FLAGS]     build dhtd and dht, and run `dht demo` (`cargo demo` is the same)
  torture [FLAGS]  build them, have everything happen to a cluster, and check what its clients
                   were told: --protocol P --seed S --minutes M --nodes N …, --help for all
  mutants [WORDS]  plant bugs in a copy of the crates that decide who holds what, one by one, and see that each is
                   found by the tests; only those whose names contain one of the words
  image            build the container image dhtd:latest from a static binary
  check            what CI runs: format, lints, tests; changes nothing
  fix              format, and apply the lints' suggestions
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (task, rest) = (args.next(), args.collect::<Vec<_>>());
    let result = match (task.as_deref(), rest.as_slice()) {
        (Some("demo"), flags) => demo(flags),
        (Some("torture"), flags) => torture(flags),
        (Some("mutants"), words) => mutants::run(words),
        (Some("image"), []) => image::build(),
        (Some("check"), []) => check(),
        (Some("fix"), []) => fix(),
        (Some("help" | "-h" | "--help"), _) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(flags: &[String]) -> Result<ExitCode> {
    eprintln!("building dhtd and dht (a few minutes the first time)");
    let binaries = Cargo::new(["build", "--release", "--package", "dht-node", "--package", "dht-cli"]).build()?;
    let dht = cargo::binary(&binaries, "dht")?;
    cargo::pass_on(std::process::Command::new(dht).arg("demo").args(flags))
}

fn torture(flags: &[String]) -> Result<ExitCode> {
    eprintln!("building dhtd, dht and torture (a few minutes the first time)");
    let args = ["build", "--release", "--bins", "-p", "dht-node", "-p", "dht-cli", "-p", "dht-tests"];
    let binaries = Cargo::new(args).build()?;
    let (torture, dhtd) = (cargo::binary(&binaries, "torture")?, cargo::binary(&binaries, "dhtd")?);
    let mut command = std::process::Command::new(torture);
    // It takes the daemons that lie there as they are, and builds none of its own.
    command.args(flags).env("DHT_TEST_BIN_DIR", dhtd.parent().unwrap_or(dhtd));
    cargo::pass_on(&mut command)
}

fn check() -> Result<ExitCode> {
    Cargo::new(["fmt", "--all", "--check"]).run()?;
    Cargo::new(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]).run()?;
    Cargo::new(["test", "--workspace", "--locked"]).run()?;
    Ok(ExitCode::SUCCESS)
}

fn fix() -> Result<ExitCode> {
    Cargo::new(["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty", "--allow-staged"]).run()?;
    Cargo::new(["fmt", "--all"]).run()?;
    Ok(ExitCode::SUCCESS)
}
