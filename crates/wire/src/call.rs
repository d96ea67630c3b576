use bytes::Bytes;
use overlay::{Envelope, Refusal};
use replica::Member;
use ring::Space;

use crate::{Malformed, Rejected};

/// A request from one node to another, with its gRPC method and its reply.
///
/// A reply is read under the path of its request, because gRPC answers do not say what they are.
pub trait Call: Sized {
    /// What goes in front of it: [`Envelope`], or [`StorageEnvelope`] when it is about records.
    type Envelope;
    /// What it is answered with.
    type Reply;

    /// The gRPC path, `/dht.v1.Service/Method`.
    fn path(&self) -> &'static str;

    /// The whole request in bytes, for the cluster of this name.
    fn encode(&self, cluster: &str, envelope: &Self::Envelope) -> Vec<u8>;

    /// Reads a request that arrived under `path`. The cluster is compared before any identifier is read.
    fn decode(path: &str, body: Bytes, here: &Here) -> Result<(Self::Envelope, Self), Rejected>;

    /// The whole reply in bytes; `None` when the reply is not one to `path`, which is the answerer's own mistake.
    fn encode_reply(path: &str, reply: &Result<Self::Reply, Refusal>) -> Option<Vec<u8>>;

    /// Reads a reply to a request that went out under `path`.
    fn decode_reply(path: &str, body: Bytes, space: Space) -> Result<Result<Self::Reply, Refusal>, Malformed>;
}

/// What this node expects of whoever calls it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Here {
    /// The cluster's name.
    pub cluster: String,
    /// The space that every identifier has to be of.
    pub space: Space,
}

/// In front of a request that is about records: an envelope, and which store the caller has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StorageEnvelope {
    /// Who asks whom, in which ring.
    pub envelope: Envelope,
    /// The number that the caller's store was born with.
    pub store: u64,
    /// The caller's wall clock, milliseconds since 1970.
    pub wall_ms: u64,
}

impl StorageEnvelope {
    /// The caller as a holder of copies.
    pub fn member(&self) -> Member {
        Member { peer: self.envelope.from.clone(), store: self.store }
    }
}
