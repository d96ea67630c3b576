//! How `dht` ends: the exit codes that scripts rely on.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use client::Error;

/// What each exit code means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Ok = 0,
    /// Anything without a code of its own.
    Failure = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// No such record.
    NotFound = 3,
    /// Nobody answers, not in time, or the outcome is unknown.
    Unreachable = 4,
    /// Quorum not met, or an overlay whose invariants do not hold.
    Unhealthy = 5,
    /// The node does not allow it.
    NotAllowed = 6,
    /// `--if-version` or `--if-absent` does not hold.
    ConditionFailed = 7,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ended early, with what is still to be said about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// For stderr; nothing where all has been said.
    pub(crate) message: Option<String>,
}

/// What a command comes to.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: Some(message.into()) }
    }

    /// Exit code 1.
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// Exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Everything has been said.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self { exit, message: None }
    }

    /// Something about a file: names it.
    pub(crate) fn file(doing: &str, path: impl Display, error: &io::Error) -> Self {
        Self::other(format!("cannot {doing} {path}: {error}"))
    }

    /// Whoever read our stdout has gone, which is no error; everything else is.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::silent(Exit::Ok),
            _ => Self::other(format!("cannot write to stdout: {error}")),
        }
    }

    /// Says it on stderr and turns into an exit code.
    pub(crate) fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            // Nothing is left to be done about a stderr that can't be written to.
            let _ = io::Write::write_all(&mut io::stderr(), format!("error: {message}\n").as_bytes());
        }
        self.exit.into()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::NotFound => Exit::NotFound,
            Error::ConditionFailed { .. } => Exit::ConditionFailed,
            Error::QuorumNotMet(_) => Exit::Unhealthy,
            Error::Unreachable(_) | Error::TimedOut { .. } | Error::OutcomeUnknown(_) => Exit::Unreachable,
            Error::PermissionDenied(_) => Exit::NotAllowed,
            Error::Endpoint(_) => Exit::Usage,
            Error::InvalidArgument(_) | Error::Other(_) => Exit::Failure,
        };
        let message = error.to_string();
        let advice = match &error {
            // It says so itself.
            Error::Unreachable(_) if message.contains("ask again") => "",
            Error::Unreachable(_) => {
                "\nIs a node running there? Name others with --endpoints or DHT_ENDPOINTS; `dht dev` starts a local cluster."
            }
            Error::TimedOut { .. } => {
                "\nWait longer with --timeout, or name other nodes with --endpoints. A write may have been carried out: read \
                 before you write again."
            }
            _ => "",
        };
        Self::new(exit, format!("{message}{advice}"))
    }
}

#[cfg(test)]
mod tests {
    use client::Attempts;

    use super::*;

    #[test]
    fn each_kind_of_error_has_the_exit_code_that_is_promised() {
        let exit = |error: Error| Failure::from(error).exit as u8;
        assert_eq!(exit(Error::Other(String::new())), 1);
        assert_eq!(exit(Error::InvalidArgument(String::new())), 1);
        assert_eq!(exit(Error::NotFound), 3);
        assert_eq!(exit(Error::Unreachable(Attempts::default())), 4);
        assert_eq!(exit(Error::OutcomeUnknown(String::new())), 4);
        assert_eq!(exit(Error::QuorumNotMet(String::new())), 5);
        assert_eq!(exit(Error::PermissionDenied(String::new())), 6);
        assert_eq!(exit(Error::ConditionFailed { current: None, message: String::new() }), 7);
    }

    #[test]
    fn a_broken_pipe_is_quiet_and_no_error() {
        let failure = Failure::stdout(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure, Failure::silent(Exit::Ok));
        assert_eq!(Failure::stdout(&io::Error::from(io::ErrorKind::StorageFull)).exit, Exit::Failure);
    }
}
