use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::args::Cli;
use crate::context::Context;
use crate::exit::{Failure, Result};

/// Print the manual page, or write one for each command
#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Write dht.1, dht-put.1 … into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, context: &Context) -> Result {
        match self.dir {
            None => {
                // Generated first and written then: a reader that goes away is no reason to panic.
                let mut page = Vec::new();
                let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
                rendered.map_err(|error| Failure::other(error.to_string()))?;
                context.out.bytes(&page)
            }
            Some(dir) => {
                let written = clap_mangen::generate_to(Cli::command(), &dir);
                written.map_err(|error| Failure::file("write the manual to", dir.display(), &error))
            }
        }
    }
}
