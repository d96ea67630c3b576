//! What this node answers: other nodes, users, and `dht`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use overlay::{Addr, Envelope, LocateError, Peer, Refusal, State};
use replica::Member;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use transport::v1::{
    AdminJoinRequest, AdminJoinResponse, ExplainRequest, ExplainResponse, LeaveRequest, LeaveResponse, LookupRequest,
    LookupResponse, NeighboursRequest, NeighboursResponse, StatusRequest, StatusResponse, TableRequest, TableResponse,
    VerifyRequest, lookup_request,
};
use transport::{AdminService, Health, KvError, KvService, PeerService, Server, Status, Traffic, Verified};
use wire::records::{self, Outcome, Reason};
use wire::{WireForm, WireProtocol};

use crate::driver::{Looked, ProtocolInbox, ProtocolInput, Standing};
use crate::shared::Shared;
use crate::{admin, calls, explain, holder, kv, primary, resolve, time, verify};

/// How long `dht join` waits for the other ring's node to answer.
const MEET_WITHIN: Duration = Duration::from_secs(3);

/// Everything that arrives over gRPC.
pub(crate) struct Services<P: WireProtocol> {
    shared: Arc<Shared>,
    protocol: ProtocolInbox<P>,
    told_to_leave: Arc<Notify>,
    http: String,
}

impl<P: WireProtocol> Services<P> {
    pub(crate) fn new(
        shared: Arc<Shared>,
        protocol: ProtocolInbox<P>,
        told_to_leave: Arc<Notify>,
        http: Option<SocketAddr>,
    ) -> Self {
        let http = http.map_or_else(|| "off".to_owned(), |addr| addr.to_string());
        Self { shared, protocol, told_to_leave, http }
    }

    /// Serves until told to stop. The health service follows the node's standing.
    pub(crate) fn spawn(self, listener: TcpListener, stop: CancellationToken, standing: watch::Receiver<Standing>)
    where
        P: Send + Sync + 'static,
    {
        let config = &self.shared.config;
        let server = Server::<P>::new(calls::here(config), calls::limits(config));
        let services = Arc::new(self);
        tokio::spawn(async move {
            let health = Health::new().await;
            tokio::spawn(follow(health.clone(), standing));
            let (peers, kv, admin) = (Arc::clone(&services), Arc::clone(&services), services);
            if let Err(error) = server.serve(listener, peers, kv, admin, &health, stop.cancelled_owned()).await {
                tracing::error!(%error, "gRPC is not served any more");
            }
        });
    }

    /// A call about records has to be for this node, in this life, in this ring.
    fn meant(&self, envelope: &Envelope) -> Result<(), Refusal> {
        let view = self.shared.view();
        match &envelope.to {
            Some(to) if to.id != view.me.id || to.incarnation != view.me.incarnation => {
                return Err(Refusal::Gone);
            }
            _ => {}
        }
        if view.ring.is_none() || view.ring != envelope.ring {
            return Err(Refusal::OtherRing(view.ring));
        }
        Ok(())
    }

    /// A copy is asked of one store: what another one of the same node holds, or lacks, would not count.
    fn meant_store(&self, envelope: &Envelope, holder: u64) -> Result<(), Refusal> {
        self.meant(envelope)?;
        if holder == self.shared.store.number() { Ok(()) } else { Err(Refusal::Gone) }
    }

    async fn looked(&self) -> Result<Looked, Status> {
        let (reply, answer) = oneshot::channel();
        let busy = || Status::resource_exhausted("too many requests wait for this node's overlay; try again");
        self.protocol.requests.try_send(ProtocolInput::Look(reply)).map_err(|_| busy())?;
        answer.await.map_err(|_| busy())
    }
}

/// gRPC health says "serving" exactly while the node is a member.
async fn follow(health: Health, mut standing: watch::Receiver<Standing>) {
    loop {
        let serving = matches!(standing.borrow_and_update().state, State::Ready);
        health.set_serving(serving).await;
        if standing.changed().await.is_err() {
            return;
        }
    }
}

impl<P: WireProtocol + Send + Sync + 'static> PeerService<P> for Services<P> {
    async fn serve(&self, envelope: Envelope, request: overlay::Request<P>) -> Result<overlay::Response<P>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let input = ProtocolInput::Serve { envelope, request, reply };
        self.protocol.requests.try_send(input).map_err(|_| Refusal::Busy)?;
        answer.await.unwrap_or(Err(Refusal::Gone))
    }

    fn traffic(&self) -> &Traffic {
        self.shared.peers.traffic()
    }

    fn heard_clock(&self, from: &Peer, wall_ms: u64) {
        self.shared.clocks.heard(from, wall_ms, time::wall_ms());
    }

    async fn control(
        &self,
        from: Member,
        envelope: Envelope,
        requests: Vec<replica::Request>,
    ) -> Result<replica::Response, Refusal> {
        self.meant(&envelope)?;
        self.shared.inbox.control(envelope.ring, from, requests).await.map_err(|_| Refusal::Busy)
    }

    async fn execute(&self, _: Member, envelope: Envelope, request: records::Execute) -> Result<Outcome, Refusal> {
        self.meant(&envelope)?;
        Ok(primary::execute(&self.shared, request.operation, Instant::now() + request.budget).await)
    }

    async fn store(
        &self,
        _: Member,
        envelope: Envelope,
        request: records::Store,
    ) -> Result<records::StoreReply, Refusal> {
        self.meant_store(&envelope, request.holder)?;
        holder::store(&self.shared, request.number, request.record).await
    }

    async fn read(&self, _: Member, envelope: Envelope, request: records::Read) -> Result<records::ReadReply, Refusal> {
        self.meant_store(&envelope, request.holder)?;
        holder::read(&self.shared, request.number, &request.key, request.have).await
    }

    async fn hint(&self, _: Member, envelope: Envelope, request: records::Hint) -> Result<bool, Refusal> {
        self.meant(&envelope)?;
        Ok(self.shared.hints.keep(request.member, request.number, request.record))
    }

    async fn look(&self, _: Member, envelope: Envelope, request: records::Look) -> Result<records::LookReply, Refusal> {
        self.meant(&envelope)?;
        holder::look(&self.shared, &request.key).await
    }

    async fn digest(
        &self,
        from: Member,
        envelope: Envelope,
        request: records::Digest,
    ) -> Result<records::DigestReply, Refusal> {
        self.meant_store(&envelope, request.holder)?;
        holder::digest(&self.shared, envelope.ring, &from, request).await
    }

    async fn forget(
        &self,
        _: Member,
        envelope: Envelope,
        request: records::Forget,
    ) -> Result<records::ForgetReply, Refusal> {
        self.meant_store(&envelope, request.holder)?;
        holder::forget(&self.shared, request).await
    }

    async fn list(
        &self,
        from: Member,
        envelope: Envelope,
        request: records::List,
    ) -> Result<records::ListReply, Refusal> {
        self.meant_store(&envelope, request.holder)?;
        holder::list(&self.shared, envelope.ring, &from, request).await
    }

    async fn fetch(
        &self,
        _: Member,
        envelope: Envelope,
        request: records::Fetch,
    ) -> Result<records::FetchReply, Refusal> {
        self.meant_store(&envelope, request.holder)?;
        holder::fetch(&self.shared, request).await
    }

    async fn offer(
        &self,
        from: Member,
        envelope: Envelope,
        request: records::Offer,
    ) -> Result<records::OfferReply, Refusal> {
        self.meant(&envelope)?;
        holder::offer(&self.shared, &from, request).await
    }
}

impl<P: WireProtocol + Send + Sync + 'static> KvService for Services<P> {
    async fn execute(&self, operation: records::Operation, budget: Option<Duration>) -> Result<Outcome, KvError> {
        Ok(kv::route(&self.shared, operation, budget).await)
    }
}

impl<P: WireProtocol + Send + Sync + 'static> AdminService for Services<P> {
    async fn status(&self, _: StatusRequest) -> Result<StatusResponse, Status> {
        let looked = self.looked().await?;
        Ok(admin::status(&self.shared, &self.http, looked).await)
    }

    async fn lookup(&self, request: LookupRequest) -> Result<LookupResponse, Status> {
        let space = self.shared.config.space;
        let target = match request.target {
            None => {
                return Err(Status::invalid_argument("target: neither a key nor an identifier was given"));
            }
            Some(lookup_request::Target::Key(key)) => {
                wire::check_key("key", &key).map_err(|error| Status::invalid_argument(error.to_string()))?;
                space.hash(&key)
            }
            Some(lookup_request::Target::Id(id)) => {
                space.from_bytes(&id).map_err(|error| Status::invalid_argument(format!("id: {error}")))?
            }
        };
        admin::lookup(&self.shared, target).await.map_err(|error| {
            let reason = match error {
                LocateError::Joining => Reason::Joining,
                LocateError::TimedOut { .. } => Reason::Unreachable,
            };
            KvError::Unavailable { reason, message: error.to_string(), outcome_unknown: false }.into()
        })
    }

    async fn table(&self, _: TableRequest) -> Result<TableResponse, Status> {
        let looked = self.looked().await?;
        Ok(TableResponse { me: Some(self.shared.me().to_message()), table: Some(looked.table) })
    }

    async fn neighbours(&self, _: NeighboursRequest) -> Result<NeighboursResponse, Status> {
        let looked = self.looked().await?;
        Ok(admin::neighbours(&self.shared, &looked.neighbours))
    }

    async fn leave(&self, _: LeaveRequest) -> Result<LeaveResponse, Status> {
        self.told_to_leave.notify_one();
        Ok(LeaveResponse { me: Some(self.shared.me().to_message()) })
    }

    async fn explain(&self, request: ExplainRequest, budget: Option<Duration>) -> Result<ExplainResponse, Status> {
        wire::check_key("key", &request.key).map_err(|error| Status::invalid_argument(error.to_string()))?;
        explain::explain(&self.shared, request.key, budget).await
    }

    async fn verify(&self, request: VerifyRequest, budget: Option<Duration>) -> Result<Verified, Status> {
        Ok(verify::verify(&self.shared, request.named_max, budget).await)
    }

    async fn join(&self, request: AdminJoinRequest) -> Result<AdminJoinResponse, Status> {
        let invalid = |why: String| Status::invalid_argument(format!("addr: {why}"));
        wire::read_addr(&request.addr).map_err(|error| invalid(error.to_string()))?;
        let found = resolve::lookup(&request.addr).await;
        if found.is_empty() {
            return Err(invalid(format!("`{}` does not resolve to an address", request.addr)));
        }
        let me = Some(self.shared.me().to_message());
        let mut outcome = format!("{} has not answered yet; the log will tell", request.addr);
        if self.shared.view().state == State::Searching {
            outcome = format!("this node is in no ring yet; it asks {} as well for a way in", request.addr);
        }
        // A name may stand for several: the first that answers will do.
        let mut refused = None;
        for addr in found.iter().filter_map(|addr| Addr::new(&addr.to_string())) {
            match self.shared.inbox.meet(addr, MEET_WITHIN).await {
                Some(Ok(outcome)) => return Ok(AdminJoinResponse { me, outcome }),
                Some(Err(why)) => refused = Some(why),
                None => {}
            }
        }
        match refused {
            Some(why) => Err(Status::aborted(why)),
            None => Ok(AdminJoinResponse { me, outcome }),
        }
    }
}
