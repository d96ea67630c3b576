use std::time::Duration;

use client::{Client, Config};

use crate::args::Global;
use crate::exit::Result;
use crate::output::Output;

/// What every command is given: the flags that all share, and where results go.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) out: Output,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        let out = Output::new(global.output);
        Self { global, out }
    }

    /// A client of the endpoints on the command line.
    pub(crate) fn client(&self) -> Result<Client> {
        let endpoints = self.global.endpoints.iter().map(|endpoint| endpoint.as_str());
        Ok(Client::with_config(endpoints, self.config())?)
    }

    /// A client of one node, for asking many of them; waits no longer than `patience`.
    pub(crate) fn client_of(&self, addr: &str, patience: Duration) -> Result<Client> {
        let config = Config { timeout: self.global.timeout.min(patience), ..self.config() };
        Ok(Client::with_config([addr], config)?)
    }

    pub(crate) fn config(&self) -> Config {
        Config { timeout: self.global.timeout, message_bytes_max: self.global.message_limit, ..Config::default() }
    }
}
