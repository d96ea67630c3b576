//! `dht`: put and get, look inside an overlay, run a local cluster, measure it.
//!
//! One file per command in `commands`; `survey` walks an overlay and collects what its members say; `invariants`
//! judges what was collected; `protocols` is what sets overlays apart; `cluster` runs daemons.

mod args;
mod cluster;
mod columns;
mod commands;
mod context;
mod digits;
mod exit;
mod invariants;
mod output;
mod progress;
mod protocols;
mod survey;
mod until;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::exit::Exit;

fn main() -> ExitCode {
    // clap ends the process itself: 2 for a usage error, 0 for help and version.
    let cli = Cli::parse();
    match commands::run(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => failure.report(),
    }
}
