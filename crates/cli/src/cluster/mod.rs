//! Daemons as child processes: found, started, waited for, and never left behind.

mod binary;
mod daemon;
mod start;

pub(crate) use binary::find_dhtd;
pub(crate) use daemon::{Daemon, Launch, Logs, Ready};
pub(crate) use start::start_all;
