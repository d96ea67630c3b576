use std::fmt;

/// A message that makes no sense here: which field, and what about it.
///
/// Reads as one sentence: "envelope.from.id is not an identifier here: …", "key is 1025 bytes long, the limit is 1024".
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field} {why}")]
pub struct Malformed {
    /// The field's path from the top of the message: `envelope.from.id`, `known[3].set.members`.
    pub field: String,
    /// What is wrong, as the rest of a sentence.
    pub why: String,
}

impl Malformed {
    /// `field` and what is wrong with it.
    pub fn new(field: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { field: field.into(), why: why.to_string() }
    }

    /// `field` has to be there.
    pub fn missing(field: impl Into<String>) -> Self {
        Self::new(field, "is missing")
    }

    /// The same, seen from the message that holds it as `parent`.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        Self { field: format!("{parent}.{}", self.field), why: self.why }
    }
}

/// Why a request is not even handed to the node.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rejected {
    /// It makes no sense.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It comes from another cluster.
    #[error("cluster: it is `{here}` there, `{there}` here")]
    OtherCluster {
        /// The cluster of this node.
        here: String,
        /// The caller's.
        there: String,
    },
    /// It comes from a cluster with identifiers of another width.
    #[error("id_bits: it is {here} there, {there} here")]
    OtherWidth {
        /// Bits of this node's identifiers.
        here: u32,
        /// Bits of the caller's.
        there: u32,
    },
    /// No such method: the caller speaks another protocol, or a later version.
    #[error("no method {0} here")]
    NoSuchMethod(String),
}
