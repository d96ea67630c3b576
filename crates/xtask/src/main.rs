//! What a justfile would do, for whoever has a Rust toolchain and nothing else.
//!
//! `cargo demo` · `cargo xtask image` · `cargo xtask check` · `cargo xtask fix`

mod cargo;
mod image;

use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::Cargo;

const USAGE: &str = "\
usage: cargo xtask TASK

  demo [FLAGS]  build dhtd and dht, and run `dht demo` (`cargo demo` is the same)
  image         build the container image dhtd:latest from a static binary
  check         what CI runs: format, lints, tests; changes nothing
  fix           format, and apply the lints' suggestions
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (task, rest) = (args.next(), args.collect::<Vec<_>>());
    let result = match (task.as_deref(), rest.as_slice()) {
        (Some("demo"), flags) => demo(flags),
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
