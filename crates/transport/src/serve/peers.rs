//! What nodes ask each other: read, checked, handed to the node, answered.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use overlay::{Envelope, Peer, Refusal};
use replica::Member;
use tonic::body::Body;
use tonic::codegen::{Service, StdError, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};
use wire::records::{
    Digest, DigestReply, Execute, Fetch, FetchReply, Forget, ForgetReply, Hint, List, ListReply, Look, LookReply,
    Offer, OfferReply, Outcome, Read, ReadReply, Store, StoreReply,
};
use wire::{CONTROL_PATH, Call, Here, Rejected, StorageEnvelope, WireProtocol};

use crate::Traffic;
use crate::codec::Plain;

/// What other nodes ask of this one. A refusal travels as a reply.
pub trait PeerService<P: WireProtocol>: Send + Sync + 'static {
    /// The overlay's own: Hello, Depart and the protocol's.
    fn serve(
        &self,
        envelope: Envelope,
        request: overlay::Request<P>,
    ) -> impl Future<Output = Result<overlay::Response<P>, Refusal>> + Send;

    /// Who holds what.
    fn control(
        &self,
        from: Member,
        envelope: Envelope,
        requests: Vec<replica::Request>,
    ) -> impl Future<Output = Result<replica::Response, Refusal>> + Send;

    /// Where the calls that are answered here are counted.
    fn traffic(&self) -> &Traffic;

    /// What a member's wall clock said when it asked something about sets or records, in milliseconds since 1970.
    fn heard_clock(&self, from: &Peer, wall_ms: u64);

    /// Carry out a user's operation.
    fn execute(
        &self,
        from: Member,
        envelope: Envelope,
        request: Execute,
    ) -> impl Future<Output = Result<Outcome, Refusal>> + Send;

    /// Keep a copy.
    fn store(
        &self,
        from: Member,
        envelope: Envelope,
        request: Store,
    ) -> impl Future<Output = Result<StoreReply, Refusal>> + Send;

    /// What do you hold of this key?
    fn read(
        &self,
        from: Member,
        envelope: Envelope,
        request: Read,
    ) -> impl Future<Output = Result<ReadReply, Refusal>> + Send;

    /// Keep a copy for somebody else; whether there is room.
    fn hint(
        &self,
        from: Member,
        envelope: Envelope,
        request: Hint,
    ) -> impl Future<Output = Result<bool, Refusal>> + Send;

    /// What do you hold of this key, and what are you to its range?
    fn look(
        &self,
        from: Member,
        envelope: Envelope,
        request: Look,
    ) -> impl Future<Output = Result<LookReply, Refusal>> + Send;

    /// What the records of some ranges come to.
    fn digest(
        &self,
        from: Member,
        envelope: Envelope,
        request: Digest,
    ) -> impl Future<Output = Result<DigestReply, Refusal>> + Send;

    /// Forget deletions, or say which are known.
    fn forget(
        &self,
        from: Member,
        envelope: Envelope,
        request: Forget,
    ) -> impl Future<Output = Result<ForgetReply, Refusal>> + Send;

    /// A page of keys and versions.
    fn list(
        &self,
        from: Member,
        envelope: Envelope,
        request: List,
    ) -> impl Future<Output = Result<ListReply, Refusal>> + Send;

    /// Records.
    fn fetch(
        &self,
        from: Member,
        envelope: Envelope,
        request: Fetch,
    ) -> impl Future<Output = Result<FetchReply, Refusal>> + Send;

    /// Records that lie with the caller and belong here.
    fn offer(
        &self,
        from: Member,
        envelope: Envelope,
        request: Offer,
    ) -> impl Future<Output = Result<OfferReply, Refusal>> + Send;
}

/// A gRPC service's name as a type, because [`NamedService`] wants a constant.
pub(super) trait Name: Send + Sync + 'static {
    const NAME: &'static str;
}

pub(super) struct Membership;
pub(super) struct Storage;
/// The protocol's own service.
pub(super) struct Own<P>(PhantomData<P>);

impl Name for Membership {
    const NAME: &'static str = "dht.v1.Membership";
}

impl Name for Storage {
    const NAME: &'static str = "dht.v1.Storage";
}

impl<P: WireProtocol> Name for Own<P> {
    const NAME: &'static str = P::SERVICE;
}

/// One gRPC service between nodes, before the node.
pub(super) struct PeerEdge<N, P, S> {
    peers: Arc<S>,
    here: Arc<Here>,
    message_len_max: usize,
    kind: PhantomData<fn() -> (N, P)>,
}

impl<N, P, S> PeerEdge<N, P, S> {
    pub(super) fn new(peers: Arc<S>, here: Arc<Here>, message_len_max: usize) -> Self {
        Self { peers, here, message_len_max, kind: PhantomData }
    }
}

impl<N, P, S> Clone for PeerEdge<N, P, S> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.peers), Arc::clone(&self.here), self.message_len_max)
    }
}

impl<N: Name, P, S> NamedService for PeerEdge<N, P, S> {
    const NAME: &'static str = N::NAME;
}

impl<N, P, S, B> Service<http::Request<B>> for PeerEdge<N, P, S>
where
    P: WireProtocol,
    S: PeerService<P>,
    B: tonic::codegen::Body + Send + 'static,
    B::Error: Into<StdError> + Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let (peers, here, limit) = (Arc::clone(&self.peers), Arc::clone(&self.here), self.message_len_max);
        Box::pin(async move {
            let method = Method { path, peers, here, protocol: PhantomData::<fn() -> P> };
            let mut grpc = Grpc::new(Plain).max_decoding_message_size(limit).max_encoding_message_size(limit);
            Ok(grpc.unary(method, request).await)
        })
    }
}

/// One call that has arrived.
struct Method<P, S> {
    path: String,
    peers: Arc<S>,
    here: Arc<Here>,
    protocol: PhantomData<fn() -> P>,
}

impl<P: WireProtocol, S: PeerService<P>> UnaryService<Bytes> for Method<P, S> {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (path, peers, here) = (std::mem::take(&mut self.path), Arc::clone(&self.peers), Arc::clone(&self.here));
        Box::pin(async move {
            let body = request.into_inner();
            let asked = body.len();
            let reply = dispatch::<P, S>(&path, body, &peers, &here).await;
            peers.traffic().count(&path, asked + reply.as_ref().map_or(0, Bytes::len));
            reply.map(Response::new).inspect_err(|status| {
                tracing::debug!(path, code = ?status.code(), message = status.message(), "a node's request was not taken");
            })
        })
    }
}

async fn dispatch<P: WireProtocol, S: PeerService<P>>(
    path: &str,
    body: Bytes,
    peers: &S,
    here: &Here,
) -> Result<Bytes, Status> {
    match path {
        Execute::PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, request| peers.execute(from, to, request)).await
        }
        Store::PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, request| peers.store(from, to, request)).await
        }
        Read::PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, request| peers.read(from, to, request)).await
        }
        Hint::PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, request| peers.hint(from, to, request)).await
        }
        Look::PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, request| peers.look(from, to, request)).await
        }
        Digest::PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, request| peers.digest(from, to, request)).await
        }
        Forget::PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, request| peers.forget(from, to, request)).await
        }
        List::PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, request| peers.list(from, to, request)).await
        }
        Fetch::PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, request| peers.fetch(from, to, request)).await
        }
        Offer::PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, request| peers.offer(from, to, request)).await
        }
        CONTROL_PATH => {
            answer::<P, S, _, _>(path, body, here, peers, |from, to, requests| peers.control(from, to, requests)).await
        }
        _ => {
            let (envelope, request) = overlay::Request::<P>::decode(path, body, here).map_err(rejected)?;
            encoded::<overlay::Request<P>>(path, &peers.serve(envelope, request).await)
        }
    }
}

/// Reads a request about records, has it answered, and writes the answer.
async fn answer<P, S, C, F>(
    path: &str,
    body: Bytes,
    here: &Here,
    peers: &S,
    serve: impl FnOnce(Member, Envelope, C) -> F,
) -> Result<Bytes, Status>
where
    P: WireProtocol,
    S: PeerService<P>,
    C: Call<Envelope = StorageEnvelope>,
    F: Future<Output = Result<C::Reply, Refusal>>,
{
    let (envelope, request) = C::decode(path, body, here).map_err(rejected)?;
    peers.heard_clock(&envelope.envelope.from, envelope.wall_ms);
    encoded::<C>(path, &serve(envelope.member(), envelope.envelope, request).await)
}

fn encoded<C: Call>(path: &str, reply: &Result<C::Reply, Refusal>) -> Result<Bytes, Status> {
    match C::encode_reply(path, reply) {
        Some(bytes) => Ok(bytes.into()),
        None => Err(Status::internal(format!("this node answered {path} with something else"))),
    }
}

fn rejected(why: Rejected) -> Status {
    let text = why.to_string();
    match why {
        Rejected::Malformed(_) => Status::invalid_argument(text),
        Rejected::OtherCluster { .. } | Rejected::OtherWidth { .. } => Status::failed_precondition(text),
        Rejected::NoSuchMethod(_) => Status::unimplemented(text),
    }
}
