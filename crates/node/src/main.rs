//! `dhtd`: one node of one overlay.

use std::process::ExitCode;

use clap::Parser;
use node::options::{Cli, Command};
use node::{Config, Fatal};

fn main() -> ExitCode {
    // Exit code 2 for a bad flag is clap's own.
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => fatal.report(),
    }
}

fn run(cli: Cli) -> Result<(), Fatal> {
    if let Some(Command::VerifyStore { dir }) = &cli.command {
        return node::verify_store(dir, &mut std::io::stdout());
    }
    let file = match &cli.config {
        Some(path) => node::options::Options::from_file(path)?,
        None => node::options::Options::default(),
    };
    let config = Config::new(cli.options.over(file))?;
    if cli.check_config {
        return Ok(());
    }
    match cli.command {
        Some(Command::Healthcheck) => node::healthcheck(&config),
        Some(Command::VerifyStore { .. }) | None => node::run(config),
    }
}
