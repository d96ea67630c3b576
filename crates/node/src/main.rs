//! `dhtd`: one node of one overlay.

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches};
use node::options::{Cli, Command};
use node::{Config, Fatal, Given};

fn main() -> ExitCode {
    // Exit code 2 for a bad flag is clap's own.
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli, &matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => fatal.report(),
    }
}

fn run(cli: Cli, matches: &ArgMatches) -> Result<(), Fatal> {
    if let Some(Command::VerifyStore { dir }) = &cli.command {
        return node::verify_store(dir, &mut std::io::stdout());
    }
    let file = match &cli.config {
        Some(path) => Given::from_file(path)?,
        None => Given::default(),
    };
    Given::check_names(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
    let given = Given::from_matches(matches).over(file);
    let config = Config::new(&given)?;
    if cli.check_config {
        return config.check_surroundings(&given);
    }
    match cli.command {
        Some(Command::Healthcheck) => node::healthcheck(&config),
        Some(Command::VerifyStore { .. }) | None => node::run(config),
    }
}
