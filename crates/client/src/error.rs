use std::fmt;
use std::time::Duration;

use crate::{EndpointError, Version};

/// Why an operation did not succeed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// There is no such record.
    #[error("not found")]
    NotFound,
    /// The write's condition does not hold. Nothing was changed.
    #[error("{message}")]
    ConditionFailed {
        /// The record's present version, where the node told it.
        current: Option<Version>,
        /// The node's own words.
        message: String,
    },
    /// Too few of the key's holders answer. A write may have reached some of them, and may show later.
    #[error("quorum not met: {0}")]
    QuorumNotMet(String),
    /// No endpoint could carry the operation out: none answered, or those that did are joining, leaving or cut off.
    #[error("no endpoint could serve this: {0}")]
    Unreachable(Attempts),
    /// No answer within the time allowed. A write may have been carried out.
    #[error("timed out after {}: {attempts}", humane(*.after))]
    TimedOut {
        /// The time allowed.
        after: Duration,
        /// Whom the time was spent on.
        attempts: Attempts,
    },
    /// A conditional write, a leave or a join was sent and no answer came back. It may or may not have been carried
    /// out; a conditional write sent again could fail on its own success.
    #[error("outcome unknown: {0}; it may or may not have been carried out, so look before trying again")]
    OutcomeUnknown(String),
    /// The request is one that no node would carry out: names the field and the limit.
    #[error("{0}")]
    InvalidArgument(String),
    /// The node does not allow this.
    #[error("not allowed: {0}")]
    PermissionDenied(String),
    /// What was given as an endpoint is not one.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Anything else a node said.
    #[error("{0}")]
    Other(String),
}

/// The endpoints that were tried, in order, and what came of each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Attempts(pub Vec<Attempt>);

/// One endpoint that was tried in vain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// HOST:PORT.
    pub endpoint: String,
    /// What came of it.
    pub why: String,
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Attempt { endpoint, why }) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{endpoint} ({why})")?;
        }
        Ok(())
    }
}

/// `5s`, `250ms`.
fn humane(time: Duration) -> String {
    if time.subsec_millis() == 0 { format!("{}s", time.as_secs()) } else { format!("{}ms", time.as_millis()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreachable_cluster_says_what_came_of_each_endpoint() {
        let attempt = |endpoint: &str, why: &str| Attempt { endpoint: endpoint.into(), why: why.into() };
        let error =
            Error::Unreachable(Attempts(vec![attempt("a:1", "connection refused"), attempt("b:2", "still joining")]));
        assert_eq!(error.to_string(), "no endpoint could serve this: a:1 (connection refused), b:2 (still joining)");
    }

    #[test]
    fn a_time_out_says_how_long_it_waited() {
        let error =
            |ms| Error::TimedOut { after: Duration::from_millis(ms), attempts: Attempts::default() }.to_string();
        assert!(error(5000).starts_with("timed out after 5s"));
        assert!(error(250).starts_with("timed out after 250ms"));
    }
}
