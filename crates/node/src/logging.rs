//! Logs go to stderr; stdout belongs to the ready line.

use tracing_subscriber::EnvFilter;

use crate::options::LogFormat;

/// Unless `RUST_LOG` says so: what the storage engine does inside is nobody's business, and what it fails at the store
/// tells in words, with the file.
const FILTER: &str = "info,fjall=off,lsm_tree=off,sfa=off";

/// `RUST_LOG` filters.
pub(crate) fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
