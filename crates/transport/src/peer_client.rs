use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use overlay::{Addr, Envelope, Peer, RingId};
use parking_lot::RwLock;
use tokio::time::Instant;
use wire::records::{
    Digest, DigestReply, Execute, Fetch, FetchReply, Forget, ForgetReply, Hint, List, ListReply, Look, LookReply,
    Offer, OfferReply, Outcome, Read, ReadReply, Store, StoreReply,
};
use wire::{Call, Here, StorageEnvelope, WireProtocol};

use crate::exchange::exchange;
use crate::{CallError, Limits, Pool, Traffic};

/// Asks other nodes, in domain types. Cheap to clone.
///
/// Every call ends by its timeout at the latest, in exactly one reply or [`CallError`].
#[derive(Clone, Debug)]
pub struct PeerClient {
    pool: Pool,
    own: Arc<Own>,
}

#[derive(Debug)]
struct Own {
    here: Here,
    me: RwLock<Peer>,
    store: u64,
    wall_ms: fn() -> u64,
    message_len_max: usize,
    traffic: Traffic,
}

impl PeerClient {
    /// For the node `me`, whose store was born with the number `store`, and whose wall clock is `wall_ms`, in
    /// milliseconds since 1970.
    pub fn new(pool: Pool, here: Here, me: Peer, store: u64, limits: &Limits, wall_ms: fn() -> u64) -> Self {
        let (me, message_len_max) = (RwLock::new(me), limits.message_len_max());
        let own = Own { here, me, store, wall_ms, message_len_max, traffic: Traffic::default() };
        Self { pool, own: Arc::new(own) }
    }

    /// The node has taken a new incarnation: storage calls say so from now on.
    pub fn set_me(&self, me: Peer) {
        *self.own.me.write() = me;
    }

    /// What upkeep has cost so far: the calls made here, and those that the node counts as answered.
    pub fn traffic(&self) -> &Traffic {
        &self.own.traffic
    }

    /// The connections that this asks over.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Asks whoever is at `addr` what the overlay wants to know. The round trip comes back as well,
    /// unless the call opened its connection.
    pub async fn call<P: WireProtocol>(
        &self,
        addr: &Addr,
        envelope: &Envelope,
        request: overlay::Request<P>,
        timeout: Duration,
    ) -> (Result<overlay::Response<P>, CallError>, Option<Duration>) {
        self.ask(addr, envelope, &request, timeout).await
    }

    /// Asks about sets, all at once.
    pub async fn control(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        requests: Vec<replica::Request>,
        timeout: Duration,
    ) -> Result<replica::Response, CallError> {
        self.about_records(to, ring, &requests, timeout).await
    }

    /// Has the primary carry out a user's operation.
    pub async fn execute(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: &Execute,
        timeout: Duration,
    ) -> Result<Outcome, CallError> {
        self.about_records(to, ring, request, timeout).await
    }

    /// Has a member keep a copy.
    pub async fn store(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: &Store,
        timeout: Duration,
    ) -> Result<StoreReply, CallError> {
        self.about_records(to, ring, request, timeout).await
    }

    /// Asks what a member holds of a key.
    pub async fn read(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: &Read,
        timeout: Duration,
    ) -> Result<ReadReply, CallError> {
        self.about_records(to, ring, request, timeout).await
    }

    /// Leaves a copy with a stand-in; whether it is kept.
    pub async fn hint(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: &Hint,
        timeout: Duration,
    ) -> Result<bool, CallError> {
        self.about_records(to, ring, request, timeout).await
    }

    /// Asks what a node holds of a key and is to its range, for showing.
    pub async fn look(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: &Look,
        timeout: Duration,
    ) -> Result<LookReply, CallError> {
        self.about_records(to, ring, request, timeout).await
    }

    /// Asks what the records of some ranges come to.
    pub async fn digest(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: &Digest,
        timeout: Duration,
    ) -> Result<DigestReply, CallError> {
        self.about_records(to, ring, request, timeout).await
    }

    /// Has a member forget deletions, or say which it knows.
    pub async fn forget(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: &Forget,
        timeout: Duration,
    ) -> Result<ForgetReply, CallError> {
        self.about_records(to, ring, request, timeout).await
    }

    /// Asks for a page of keys and versions.
    pub async fn list(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: &List,
        timeout: Duration,
    ) -> Result<ListReply, CallError> {
        self.about_records(to, ring, request, timeout).await
    }

    /// Asks for records.
    pub async fn fetch(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: &Fetch,
        timeout: Duration,
    ) -> Result<FetchReply, CallError> {
        self.about_records(to, ring, request, timeout).await
    }

    /// Offers records that lie here and belong to the other.
    pub async fn offer(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: &Offer,
        timeout: Duration,
    ) -> Result<OfferReply, CallError> {
        self.about_records(to, ring, request, timeout).await
    }

    async fn about_records<C: Call<Envelope = StorageEnvelope>>(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        call: &C,
        timeout: Duration,
    ) -> Result<C::Reply, CallError> {
        let envelope = Envelope { from: self.own.me.read().clone(), to: Some(to.clone()), ring };
        let envelope = StorageEnvelope { envelope, store: self.own.store, wall_ms: (self.own.wall_ms)() };
        self.ask(&to.addr, &envelope, call, timeout).await.0
    }

    async fn ask<C: Call>(
        &self,
        addr: &Addr,
        envelope: &C::Envelope,
        call: &C,
        timeout: Duration,
    ) -> (Result<C::Reply, CallError>, Option<Duration>) {
        let deadline = Instant::now() + timeout;
        let path = call.path();
        let body = Bytes::from(call.encode(&self.own.here.cluster, envelope));
        let asked = body.len();
        let (reply, rtt) = exchange(&self.pool, addr, path, body, self.own.message_len_max, deadline).await;
        self.own.traffic.count(path, asked + reply.as_ref().map_or(0, Bytes::len));
        let read = |body| match C::decode_reply(path, body, self.own.here.space) {
            Ok(reply) => reply.map_err(CallError::Refused),
            Err(error) => Err(CallError::bad_reply(addr, &error)),
        };
        (reply.and_then(read), rtt)
    }
}
