//! What a failed call means: whether it was carried out, and whether another endpoint is worth asking.

use std::error::Error as StdError;
use std::io;

use prost::Message;
use tonic::{Code, ConnectError, Status, TimeoutExpired};

use crate::{Error, Version};

/// The trailer that tells kinds of `UNAVAILABLE` apart: joining, quorum, unreachable, leaving.
const REASON: &str = "dht-reason";
/// The trailer that is there, with the value `unknown`, when a write may or may not have been carried out.
const OUTCOME: &str = "dht-outcome";
/// The trailer with the version that a failed condition met: a `dht.v1.Version`.
const CURRENT_VERSION: &str = "dht-version-bin";

/// What an attempt came to, when it is not an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Nothing was done. Another endpoint may do it.
    NotDone(String),
    /// It may have been done, or not. Another endpoint may be asked if doing it twice is no harm.
    Unclear(String),
    /// The time is over.
    TimedOut(String),
    /// A node's verdict: no other one would say otherwise.
    Final(Error),
}

impl Outcome {
    pub(crate) fn of(status: &Status) -> Self {
        // A status with a cause was made on this side, one without came from the node.
        match status.source() {
            Some(cause) => Self::of_transport(status, cause),
            None => Self::of_answer(status),
        }
    }

    fn of_transport(status: &Status, cause: &(dyn StdError + 'static)) -> Self {
        let chain = || std::iter::successors(Some(cause), |error| (*error).source());
        let why = match chain().find_map(|error| error.downcast_ref::<io::Error>()) {
            Some(error) => in_a_word(error),
            None => chain().last().map(ToString::to_string).unwrap_or_default(),
        };
        if chain().any(|error| error.is::<ConnectError>()) {
            return Self::NotDone(why);
        }
        if chain().any(|error| error.is::<TimeoutExpired>()) {
            return Self::TimedOut("no answer".to_owned());
        }
        match status.code() {
            Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled => Self::Unclear(why),
            _ => Self::of_answer(status),
        }
    }

    fn of_answer(status: &Status) -> Self {
        let message = status.message().to_owned();
        match status.code() {
            Code::Unavailable => Self::of_unavailable(status, message),
            Code::DeadlineExceeded => Self::TimedOut(message),
            Code::NotFound => Self::Final(Error::NotFound),
            Code::FailedPrecondition => {
                Self::Final(Error::ConditionFailed { current: current_version(status), message })
            }
            Code::InvalidArgument | Code::OutOfRange => Self::Final(Error::InvalidArgument(message)),
            Code::PermissionDenied | Code::Unauthenticated => Self::Final(Error::PermissionDenied(message)),
            code if message.is_empty() => Self::Final(Error::Other(code.description().to_owned())),
            _ => Self::Final(Error::Other(message)),
        }
    }

    fn of_unavailable(status: &Status, message: String) -> Self {
        let reason = status.metadata().get(REASON).and_then(|reason| reason.to_str().ok());
        match reason {
            Some("quorum") => Self::Final(Error::QuorumNotMet(message)),
            Some(_) if !status.metadata().contains_key(OUTCOME) => Self::NotDone(message),
            _ => Self::Unclear(message),
        }
    }
}

/// The kind where it says it all, without the number of the system's error.
fn in_a_word(error: &io::Error) -> String {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof};
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | TimedOut | UnexpectedEof => {
            error.kind().to_string()
        }
        _ => error.to_string(),
    }
}

fn current_version(status: &Status) -> Option<Version> {
    let bytes = status.metadata().get_bin(CURRENT_VERSION)?.to_bytes().ok()?;
    wire::v1::Version::decode(bytes).ok().map(Version::from)
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    fn unavailable(reason: &'static str) -> Status {
        let mut status = Status::unavailable("the node's words");
        status.metadata_mut().insert(REASON, reason.parse().unwrap());
        status
    }

    #[test]
    fn a_node_that_can_not_serve_has_done_nothing_unless_it_says_so() {
        let words = "the node's words".to_owned();
        for reason in ["joining", "leaving", "unreachable"] {
            let mut status = unavailable(reason);
            assert_eq!(Outcome::of(&status), Outcome::NotDone(words.clone()));
            status.metadata_mut().insert(OUTCOME, "unknown".parse().unwrap());
            assert_eq!(Outcome::of(&status), Outcome::Unclear(words.clone()));
        }
    }

    #[test]
    fn a_missed_quorum_is_final() {
        let error = Error::QuorumNotMet("the node's words".to_owned());
        assert_eq!(Outcome::of(&unavailable("quorum")), Outcome::Final(error));
    }

    #[test]
    fn a_failed_condition_tells_the_present_version() {
        let mut status = Status::failed_precondition("the record is there");
        let version = wire::v1::Version { term: 3, clock: 7, store: 1 };
        let bytes = MetadataValue::from_bytes(&version.encode_to_vec());
        status.metadata_mut().insert_bin(CURRENT_VERSION, bytes);
        let Outcome::Final(Error::ConditionFailed { current, .. }) = Outcome::of(&status) else {
            panic!("not a failed condition");
        };
        assert_eq!(current, Some(Version::from(version)));
    }
}
