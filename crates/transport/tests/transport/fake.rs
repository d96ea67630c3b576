//! A node that answers what it is told to, behind a real server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chord::Chord;
use futures::StreamExt;
use overlay::{Addr, Envelope, Peer, Refusal};
use parking_lot::Mutex;
use replica::Member;
use ring::Space;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use transport::v1::{
    AdminJoinRequest, AdminJoinResponse, ExplainRequest, ExplainResponse, LeaveRequest, LeaveResponse, LookupRequest,
    LookupResponse, NeighboursRequest, NeighboursResponse, StatusRequest, StatusResponse, TableRequest, TableResponse,
    VerifyRequest, VerifyResponse,
};
use transport::{
    AdminService, Health, Here, KvError, KvService, Limits, PeerClient, PeerService, Pool, PoolConfig, ServeError,
    Server, Status, Traffic, Verified,
};
use wire::records::*;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// The number of the asking side's store.
pub(crate) const STORE: u64 = 77;

pub(crate) fn space() -> Space {
    Space::new(7).unwrap()
}

pub(crate) fn here() -> Here {
    Here { cluster: "default".to_owned(), space: space() }
}

pub(crate) fn peer(number: u64, addr: &Addr) -> Peer {
    Peer { id: space().id(number).unwrap(), addr: addr.clone(), incarnation: 2 }
}

/// The node that asks.
pub(crate) fn asker() -> Peer {
    peer(5, &wire::read_addr("127.0.0.1:1").unwrap())
}

/// What the fake answers with, each set by the test that asks for it.
#[derive(Default)]
pub(crate) struct Answers {
    pub(crate) overlay: Option<Result<overlay::Response<Chord>, Refusal>>,
    pub(crate) control: Option<Result<replica::Response, Refusal>>,
    pub(crate) execute: Option<Result<Outcome, Refusal>>,
    pub(crate) store: Option<Result<StoreReply, Refusal>>,
    pub(crate) read: Option<Result<ReadReply, Refusal>>,
    pub(crate) hint: Option<Result<bool, Refusal>>,
    pub(crate) look: Option<Result<LookReply, Refusal>>,
    pub(crate) digest: Option<Result<DigestReply, Refusal>>,
    pub(crate) forget: Option<Result<ForgetReply, Refusal>>,
    pub(crate) list: Option<Result<ListReply, Refusal>>,
    pub(crate) fetch: Option<Result<FetchReply, Refusal>>,
    pub(crate) offer: Option<Result<OfferReply, Refusal>>,
    pub(crate) kv: Option<Result<Outcome, KvError>>,
    /// How long the users' side takes.
    pub(crate) kv_takes: Duration,
}

/// What arrived last, as text, and what is answered.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) answers: Mutex<Answers>,
    pub(crate) arrived: Mutex<Vec<String>>,
    pub(crate) budget: Mutex<Option<Duration>>,
    pub(crate) traffic: Traffic,
}

impl Fake {
    fn note(&self, what: String) {
        self.arrived.lock().push(what);
    }

    /// What arrived since this was asked last.
    pub(crate) fn take_arrived(&self) -> Vec<String> {
        std::mem::take(&mut *self.arrived.lock())
    }
}

macro_rules! answer {
    ($fake:ident . $field:ident, $($what:expr),*) => {{
        $fake.note([stringify!($field).to_owned() $(, format!("{:?}", $what))*].join(" "));
        $fake.answers.lock().$field.clone().unwrap_or(Err(Refusal::NotReady))
    }};
}

impl PeerService<Chord> for Fake {
    async fn serve(
        &self,
        envelope: Envelope,
        request: overlay::Request<Chord>,
    ) -> Result<overlay::Response<Chord>, Refusal> {
        answer!(self.overlay, envelope, request)
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn heard_clock(&self, _: &Peer, wall_ms: u64) {
        assert_eq!(wall_ms, 7, "what the asking side's clock said");
    }

    async fn control(
        &self,
        from: Member,
        envelope: Envelope,
        requests: Vec<replica::Request>,
    ) -> Result<replica::Response, Refusal> {
        answer!(self.control, from, envelope, requests)
    }

    async fn execute(&self, from: Member, envelope: Envelope, request: Execute) -> Result<Outcome, Refusal> {
        answer!(self.execute, from, envelope, request)
    }

    async fn store(&self, from: Member, envelope: Envelope, request: Store) -> Result<StoreReply, Refusal> {
        answer!(self.store, from, envelope, request)
    }

    async fn read(&self, from: Member, envelope: Envelope, request: Read) -> Result<ReadReply, Refusal> {
        answer!(self.read, from, envelope, request)
    }

    async fn hint(&self, from: Member, envelope: Envelope, request: Hint) -> Result<bool, Refusal> {
        answer!(self.hint, from, envelope, request)
    }

    async fn look(&self, from: Member, envelope: Envelope, request: Look) -> Result<LookReply, Refusal> {
        answer!(self.look, from, envelope, request)
    }

    async fn digest(&self, from: Member, envelope: Envelope, request: Digest) -> Result<DigestReply, Refusal> {
        answer!(self.digest, from, envelope, request)
    }

    async fn forget(&self, from: Member, envelope: Envelope, request: Forget) -> Result<ForgetReply, Refusal> {
        answer!(self.forget, from, envelope, request)
    }

    async fn list(&self, from: Member, envelope: Envelope, request: List) -> Result<ListReply, Refusal> {
        answer!(self.list, from, envelope, request)
    }

    async fn fetch(&self, from: Member, envelope: Envelope, request: Fetch) -> Result<FetchReply, Refusal> {
        answer!(self.fetch, from, envelope, request)
    }

    async fn offer(&self, from: Member, envelope: Envelope, request: Offer) -> Result<OfferReply, Refusal> {
        answer!(self.offer, from, envelope, request)
    }
}

impl KvService for Fake {
    async fn execute(&self, operation: Operation, budget: Option<Duration>) -> Result<Outcome, KvError> {
        *self.budget.lock() = budget;
        let takes = self.answers.lock().kv_takes;
        tokio::time::sleep(takes).await;
        if let Operation::Put { key, value, .. } = &operation {
            self.note(format!("kv put {} {}", key.len(), value.len()));
        } else {
            self.note(format!("kv {operation:?}"));
        }
        self.answers.lock().kv.clone().unwrap_or(Ok(Outcome::Absent))
    }
}

impl AdminService for Fake {
    async fn status(&self, _: StatusRequest) -> Result<StatusResponse, Status> {
        Ok(StatusResponse { protocol: "chord".to_owned(), ..Default::default() })
    }

    async fn lookup(&self, request: LookupRequest) -> Result<LookupResponse, Status> {
        match request.target {
            Some(_) => Ok(LookupResponse { elapsed_us: 42, ..Default::default() }),
            None => Err(Status::invalid_argument("target is missing")),
        }
    }

    async fn table(&self, _: TableRequest) -> Result<TableResponse, Status> {
        Ok(TableResponse::default())
    }

    async fn neighbours(&self, _: NeighboursRequest) -> Result<NeighboursResponse, Status> {
        Ok(NeighboursResponse { keys: 3, ..Default::default() })
    }

    async fn leave(&self, _: LeaveRequest) -> Result<LeaveResponse, Status> {
        Ok(LeaveResponse::default())
    }

    async fn join(&self, request: AdminJoinRequest) -> Result<AdminJoinResponse, Status> {
        Ok(AdminJoinResponse { outcome: format!("met {}", request.addr), ..Default::default() })
    }

    async fn explain(&self, request: ExplainRequest, _: Option<Duration>) -> Result<ExplainResponse, Status> {
        Ok(ExplainResponse { id: request.key, ..Default::default() })
    }

    /// Two ranges, and then its store fails.
    async fn verify(&self, request: VerifyRequest, _: Option<Duration>) -> Result<Verified, Status> {
        let looked_at = move |done| Ok(VerifyResponse { ranges: request.named_max, done, ..Default::default() });
        let failed = Err(Status::internal("the store failed"));
        Ok(futures::stream::iter((1..=2).map(looked_at).chain([failed])).boxed())
    }
}

/// A fake behind a server, until it is dropped or stopped.
pub(crate) struct Running {
    pub(crate) fake: Arc<Fake>,
    pub(crate) addr: Addr,
    pub(crate) health: Health,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), here()).await
    }

    pub(crate) async fn start_at(socket: SocketAddr, here: Here) -> Self {
        let listener = TcpListener::bind(socket).await.unwrap();
        let addr = wire::read_addr(&listener.local_addr().unwrap().to_string()).unwrap();
        let (fake, health) = (Arc::new(Fake::default()), Health::new().await);
        let (stop, stopped) = oneshot::channel();
        let (serving, served) = (Arc::clone(&fake), health.clone());
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            let server = Server::<Chord>::new(here, Limits::default());
            server.serve(listener, serving.clone(), serving.clone(), serving, &served, shutdown).await
        });
        Self { fake, addr, health, stop: Some(stop), task }
    }

    pub(crate) fn socket(&self) -> SocketAddr {
        self.addr.as_str().parse().unwrap()
    }

    /// Ends gracefully; returns once the socket is free.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        tokio::time::timeout(TIMEOUT, &mut self.task).await.expect("stops").unwrap().unwrap();
    }

    /// Answers to come.
    pub(crate) fn answers(&self, change: impl FnOnce(&mut Answers)) {
        change(&mut self.fake.answers.lock());
    }

    pub(crate) fn peer(&self) -> Peer {
        peer(9, &self.addr)
    }

    pub(crate) async fn channel(&self) -> tonic::transport::Channel {
        tonic::transport::Endpoint::from_shared(format!("http://{}", self.addr)).unwrap().connect().await.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn client() -> PeerClient {
    client_on(Pool::new(PoolConfig::default()))
}

pub(crate) fn client_on(pool: Pool) -> PeerClient {
    PeerClient::new(pool, here(), asker(), STORE, &Limits::default(), || 7)
}

pub(crate) fn envelope() -> Envelope {
    Envelope { from: asker(), to: None, ring: None }
}

/// The shortest question there is.
pub(crate) async fn notify(client: &PeerClient, addr: &Addr, timeout: Duration) -> Asked {
    client.call::<Chord>(addr, &envelope(), overlay::Request::Protocol(chord::Request::Notify), timeout).await
}

pub(crate) type Asked = (Result<overlay::Response<Chord>, transport::CallError>, Option<Duration>);

/// The answer to it.
pub(crate) fn noted() -> Option<Result<overlay::Response<Chord>, Refusal>> {
    Some(Ok(overlay::Response::Protocol(chord::Response::Noted)))
}
