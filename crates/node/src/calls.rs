//! What this node asks of others, in the shapes that its parts use.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use overlay::{Addr, Envelope, Failure, Peer, Refusal, RingId};
use replica::Member;
use store::{Record, Store, Version};
use transport::{CallError, Here, Limits, PeerClient, Pool, PoolConfig, Traffic};
use wire::{WireProtocol, records};

use crate::config::Config;
use crate::dev_faults::{DevFaults, Fate};
use crate::dev_latency::{DevLatency, Journey};
use crate::time::wall_ms;

/// The asking side of a node.
pub(crate) struct Calls {
    client: PeerClient,
    /// Others are made to seem far away.
    dev_latency: Option<DevLatency>,
    /// Calls are lost and delayed.
    dev_faults: Option<Arc<DevFaults>>,
}

impl Calls {
    pub(crate) fn new(config: &Config, store: &Store, me: Peer) -> Self {
        let limits = limits(config);
        let pool = Pool::new(PoolConfig::default());
        let dev_latency = config.dev_latency.clone().map(|matrix| DevLatency::new(matrix, &me.addr));
        let dev_faults = config.dev_faults.as_deref().map(DevFaults::watch);
        Self {
            client: PeerClient::new(pool, here(config), me, store.number(), &limits, wall_ms),
            dev_latency,
            dev_faults,
        }
    }

    /// What upkeep has cost so far.
    pub(crate) fn traffic(&self) -> &Traffic {
        self.client.traffic()
    }

    fn journey(&self, addr: &Addr, timeout: Duration) -> Journey {
        match &self.dev_latency {
            Some(far) => far.journey(addr, timeout),
            None => Journey::none(timeout),
        }
    }

    fn fate(&self, addr: &Addr, timeout: Duration) -> Fate {
        match &self.dev_faults {
            Some(faults) => faults.fate(addr, timeout),
            None => Fate::none(timeout),
        }
    }

    /// Asks a member, as far away as it is made to seem; `ask` is told how long it may take.
    async fn travel<R>(
        &self,
        to: &Peer,
        timeout: Duration,
        ask: impl AsyncFnOnce(Duration) -> Result<R, CallError>,
    ) -> Result<R, Failure> {
        let fate = self.fate(&to.addr, timeout);
        let way = self.journey(&to.addr, fate.rest());
        fate.befall(way.there_and_back(ask(way.rest()))).await.map_err(of_peer)
    }

    /// The node has taken a new incarnation.
    pub(crate) fn set_me(&self, me: Peer) {
        if let Some(far) = &self.dev_latency {
            far.set_me(&me.addr);
        }
        self.client.set_me(me);
    }

    pub(crate) async fn call<P: WireProtocol>(
        &self,
        addr: &Addr,
        envelope: &Envelope,
        request: overlay::Request<P>,
        timeout: Duration,
    ) -> (Result<overlay::Response<P>, Failure>, Option<Duration>) {
        metrics::counter!("dhtd_calls_total", "path" => wire::Call::path(&request)).increment(1);
        let fate = self.fate(addr, timeout);
        let way = self.journey(addr, fate.rest());
        let beside = fate.delay() + way.round_trip();
        let mut rtt = None;
        let call = async {
            let (result, measured) = self.client.call::<P>(addr, envelope, request, way.rest()).await;
            rtt = measured.map(|rtt| rtt + beside);
            result
        };
        let result = fate.befall(way.there_and_back(call)).await;
        if let Err(CallError::Mismatch(why)) = &result {
            tracing::debug!(%addr, why, "a node of another kind");
        }
        let failure = |error| if envelope.to.is_some() { of_peer(error) } else { error.into() };
        (result.map_err(failure), rtt)
    }

    pub(crate) async fn control(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        requests: Vec<replica::Request>,
        timeout: Duration,
    ) -> Result<replica::Response, Failure> {
        metrics::counter!("dhtd_calls_total", "path" => wire::Call::path(&requests)).increment(1);
        self.travel(to, timeout, |rest| self.client.control(to, ring, requests, rest)).await
    }

    pub(crate) async fn execute(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        operation: records::Operation,
        timeout: Duration,
    ) -> Result<records::Outcome, Failure> {
        let ask = async |rest| {
            let request = records::Execute { operation, budget: rest };
            self.client.execute(to, ring, &request, rest).await
        };
        self.travel(to, timeout, ask).await
    }

    pub(crate) async fn store(
        &self,
        to: &Member,
        ring: Option<RingId>,
        number: u64,
        record: Record,
        timeout: Duration,
    ) -> Result<records::StoreReply, Failure> {
        let request = records::Store { holder: to.store, number, record };
        self.travel(&to.peer, timeout, |rest| self.client.store(&to.peer, ring, &request, rest)).await
    }

    pub(crate) async fn read(
        &self,
        to: &Member,
        ring: Option<RingId>,
        number: u64,
        key: Bytes,
        have: Option<Version>,
        timeout: Duration,
    ) -> Result<records::ReadReply, Failure> {
        let request = records::Read { holder: to.store, number, key, have };
        self.travel(&to.peer, timeout, |rest| self.client.read(&to.peer, ring, &request, rest)).await
    }

    pub(crate) async fn hint(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: records::Hint,
        timeout: Duration,
    ) -> Result<bool, Failure> {
        self.travel(to, timeout, |rest| self.client.hint(to, ring, &request, rest)).await
    }

    pub(crate) async fn look(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        key: Bytes,
        timeout: Duration,
    ) -> Result<records::LookReply, Failure> {
        let request = records::Look { key };
        self.travel(to, timeout, |rest| self.client.look(to, ring, &request, rest)).await
    }

    pub(crate) async fn digest(
        &self,
        to: &Member,
        ring: Option<RingId>,
        request: records::Digest,
        timeout: Duration,
    ) -> Result<records::DigestReply, Failure> {
        self.travel(&to.peer, timeout, |rest| self.client.digest(&to.peer, ring, &request, rest)).await
    }

    pub(crate) async fn forget(
        &self,
        to: &Member,
        ring: Option<RingId>,
        request: records::Forget,
        timeout: Duration,
    ) -> Result<records::ForgetReply, Failure> {
        self.travel(&to.peer, timeout, |rest| self.client.forget(&to.peer, ring, &request, rest)).await
    }

    pub(crate) async fn list(
        &self,
        to: &Member,
        ring: Option<RingId>,
        request: records::List,
        timeout: Duration,
    ) -> Result<records::ListReply, Failure> {
        self.travel(&to.peer, timeout, |rest| self.client.list(&to.peer, ring, &request, rest)).await
    }

    pub(crate) async fn fetch(
        &self,
        to: &Member,
        ring: Option<RingId>,
        request: records::Fetch,
        timeout: Duration,
    ) -> Result<records::FetchReply, Failure> {
        self.travel(&to.peer, timeout, |rest| self.client.fetch(&to.peer, ring, &request, rest)).await
    }

    pub(crate) async fn offer(
        &self,
        to: &Peer,
        ring: Option<RingId>,
        request: records::Offer,
        timeout: Duration,
    ) -> Result<records::OfferReply, Failure> {
        self.travel(to, timeout, |rest| self.client.offer(to, ring, &request, rest)).await
    }
}

/// A node of another cluster that answers at a member's address is not that member: it has gone from there.
fn of_peer(error: CallError) -> Failure {
    match error {
        CallError::Mismatch(_) => Failure::Refused(Refusal::Gone),
        other => other.into(),
    }
}

/// What this node expects of whoever calls it.
pub(crate) fn here(config: &Config) -> Here {
    Here { cluster: config.cluster.clone(), space: config.space }
}

/// What it takes in.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits { value_len_max: config.value_limit, ..Limits::default() }
}
