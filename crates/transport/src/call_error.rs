use std::error::Error;

use overlay::{Addr, Failure, Refusal};
use tonic::{Code, Status};
use wire::Malformed;

/// Why a call to another node brought no reply.
///
/// For a protocol it becomes a [`Failure`]; what a person should read is in the text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CallError {
    /// No answer before the deadline: it may be dead, slow, paused or cut off.
    #[error("no answer in time")]
    TimedOut,
    /// Nothing listens there, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
    /// A node is there and says no.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// It is a node of another kind: of another cluster, width of identifiers or protocol. Says both values.
    #[error("{0}")]
    Mismatch(String),
}

impl CallError {
    /// What differs between this node and the one called, if that is why.
    pub fn mismatch(&self) -> Option<&str> {
        match self {
            CallError::Mismatch(text) => Some(text),
            _ => None,
        }
    }

    /// A reply that makes no sense.
    pub(crate) fn bad_reply(addr: &Addr, error: &Malformed) -> Self {
        CallError::Refused(Refusal::Malformed(format!("the reply of {addr} makes no sense: {error}")))
    }

    /// A call that ended in a status: one that the other side sent, or one that stands for a broken connection.
    pub(crate) fn from_status(addr: &Addr, path: &str, status: &Status) -> Self {
        if status.source().is_some() {
            return CallError::Unreachable(format!("the connection to {addr} broke: {}", status.message()));
        }
        let message = || status.message().to_owned();
        match status.code() {
            Code::InvalidArgument | Code::OutOfRange => CallError::Refused(Refusal::Malformed(message())),
            Code::FailedPrecondition => CallError::Mismatch(message()),
            Code::Unimplemented => {
                CallError::Mismatch(format!("{addr} does not serve {path}: another protocol or version"))
            }
            Code::ResourceExhausted => CallError::Refused(Refusal::Busy),
            Code::DeadlineExceeded => CallError::TimedOut,
            code => CallError::Unreachable(format!("{addr} answered {code:?}: {}", status.message())),
        }
    }
}

/// A node of another kind is alive and of no use: to a protocol that is a refusal.
impl From<CallError> for Failure {
    fn from(error: CallError) -> Failure {
        match error {
            CallError::TimedOut => Failure::TimedOut,
            CallError::Unreachable(_) => Failure::Unreachable,
            CallError::Refused(refusal) => Failure::Refused(refusal),
            CallError::Mismatch(text) => Failure::Refused(Refusal::Malformed(text)),
        }
    }
}
