//! How the process ends, as an interface: see the README's table of exit codes.

use std::process::ExitCode;

/// Why the process ends before it was asked to: a message for the operator and an exit code.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fatal {
    /// The exit code.
    pub code: u8,
    /// What was wrong, where, and what to do.
    pub message: String,
}

impl Fatal {
    /// A bad flag, file or directory: exit 2.
    pub fn config(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// No way into the ring: exit 4.
    pub fn join(message: impl Into<String>) -> Self {
        Self { code: 4, message: message.into() }
    }

    /// Anything else: exit 1.
    pub fn other(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// Says it on stderr.
    pub fn report(&self) -> ExitCode {
        eprintln!("dhtd: {}", self.message);
        ExitCode::from(self.code)
    }
}
