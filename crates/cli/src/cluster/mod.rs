//! Daemons as child processes: found, started, waited for, and never left behind.

mod binary;
mod daemon;

pub(crate) use binary::find_dhtd;
pub(crate) use daemon::{Daemon, Launch, Logs, Ready};
