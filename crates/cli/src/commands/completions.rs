use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::context::Context;
use crate::exit::Result;

/// Print completions for a shell, to be sourced or kept where it looks for them
#[derive(Args, Debug)]
pub(crate) struct Completions {
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, context: &Context) -> Result {
        // Generated first and written then: a reader that goes away is no reason to panic.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "dht", &mut script);
        context.out.bytes(&script)
    }
}
